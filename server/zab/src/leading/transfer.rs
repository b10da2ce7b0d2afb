//! How leadership is handed over: for a rolling restart, or because this leader leaves the ensemble.
//!
//! Nothing is proposed until the target has everything and everything is committed; then everybody goes straight to
//! discovery with the target as leader. That checks all there is to check, so a transfer that fails costs an election.

use alloc::vec::Vec;
use quorate_types::ServerId;

use super::learner::Learner;
use super::{Leader, Stage};
use crate::local::Local;
use crate::message::{ConnectionId, Message};
use crate::output::Output;
use crate::zab::Turn;

/// A transfer that waits for its target.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    target: ServerId,
    give_up_ms: u64,
}

/// Why leadership is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTransferred {
    /// This server does not lead.
    NotLeading,
    /// This server leads and is between two epochs, not yet established, or handing over already.
    Later,
    /// There is no such voter that is up to date.
    NoTarget,
}

impl Leader {
    /// Begins to hand over to `target`, or to whoever has come furthest. Returns to whom.
    pub(crate) fn transfer(&mut self, target: Option<ServerId>, local: &Local) -> Result<ServerId, NotTransferred> {
        if !self.is_open() {
            return Err(NotTransferred::Later);
        }
        let is_wanted = |learner: &&Learner| target.is_none_or(|target| learner.server == target);
        let able = self.learners.values().filter(|learner| self.is_able(learner, local)).filter(is_wanted);
        let best = able.max_by_key(|learner| (learner.matched, learner.server)).ok_or(NotTransferred::NoTarget)?;
        let (target, give_up_ms) = (best.server, local.now_ms + local.config.timing.sync_limit_ms);
        self.transfer = Some(Transfer { target, give_up_ms });
        Ok(target)
    }

    /// Whether a learner could lead, now and after whatever is under way.
    fn is_able(&self, learner: &Learner, local: &Local) -> bool {
        let votes = local.configs.newest().is_some_and(|members| members.is_voter(learner.server));
        votes && learner.is_up_to_date && self.counting(learner.server).is_some()
    }

    /// Hands over if the target has everything; goes on leading if it is gone.
    pub(super) fn hand_over(&mut self, local: &Local, out: &mut Vec<Output>) -> Option<Turn> {
        let target = self.transfer.as_ref()?.target;
        let Some(learner) = self.counting(target).filter(|learner| self.is_able(learner, local)) else {
            self.transfer = None;
            return None;
        };
        let last = local.history.last();
        if self.stage != Stage::Broadcast || learner.matched != last || local.commit != last {
            return None;
        }
        let connections: Vec<ConnectionId> = self.learners.keys().copied().collect();
        for connection in connections {
            self.say(connection, local, out, |epoch| Message::Handoff { epoch, target });
        }
        Some(Turn::FollowNext(target))
    }

    pub(super) fn give_up_transfer(&mut self, local: &Local) {
        self.transfer.take_if(|transfer| local.now_ms >= transfer.give_up_ms);
    }
}
