//! Pings, and who is given up: a learner by the leader, or the leader by itself.
//!
//! Deadlines depend on progress and not on the size of the task: a learner that receives a large snapshot is given up
//! when nothing moves, however long the whole takes.

use alloc::vec::Vec;
use quorate_types::Role;

use super::learner::{Learner, Stage as LearnerStage};
use super::{Leader, Stage};
use crate::local::Local;
use crate::message::{ConnectionId, Message, Notification, Standing};
use crate::output::Output;
use crate::zab::Turn;

impl Leader {
    pub(crate) fn tick(&mut self, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        if self.is_hopeless(local) {
            return Some(Turn::Look);
        }
        self.give_up_learners(local, out);
        self.give_up_transfer(local);
        if local.now_ms >= self.ping_at_ms {
            self.ping_at_ms = local.now_ms + local.config.timing.ping_ms;
            self.ping_all(local, out);
        }
        if self.is_open() && self.wants_epoch() && local.now_ms >= self.epoch_at_ms(local) {
            self.begin_epoch(local, out);
        }
        None
    }

    pub(crate) fn wake_ms(&self, local: &Local) -> u64 {
        let wants_epoch = self.is_open() && self.wants_epoch();
        if wants_epoch { self.ping_at_ms.min(self.epoch_at_ms(local)) } else { self.ping_at_ms }
    }

    /// A learner has said something that proves that it hears this leader.
    pub(super) fn heard(&mut self, connection: ConnectionId, local: &Local) {
        if let Some(learner) = self.learners.get_mut(&connection) {
            learner.heard_ms = local.now_ms;
            if learner.standing == Standing::Voter {
                self.heard_ms.insert(learner.server, local.now_ms);
            }
        }
    }

    pub(super) fn ping_all(&mut self, local: &Local, out: &mut Vec<Output>) {
        self.ping += 1;
        let (seq, commit, digest) = (self.ping, local.commit, local.digest);
        self.timeline.pinged(seq, commit, local.now_ms);
        for connection in self.learners.keys() {
            self.say(*connection, local, out, |epoch| Message::Ping { epoch, seq, commit, digest });
        }
    }

    /// Whether somebody else should try.
    fn is_hopeless(&self, local: &Local) -> bool {
        let timing = local.config.timing;
        match self.stage {
            Stage::Gathering | Stage::Promising | Stage::Electing { .. } => {
                local.now_ms >= self.since_ms + timing.init_limit_ms || !self.may_find_quorum(local)
            }
            Stage::Synchronizing => {
                let moved = |learner: &Learner| (learner.standing == Standing::Voter).then_some(learner.moved_ms);
                let moved_ms = self.learners.values().filter_map(moved).chain([self.since_ms]).max().unwrap_or(0);
                local.now_ms >= moved_ms + timing.init_limit_ms || !self.is_heard_by_quorum(local)
            }
            Stage::Broadcast => !self.is_heard_by_quorum(local) || self.is_held_up_by_disk(local),
        }
    }

    /// A leader whose disk has stalled delivers nothing any more. If the others can do without it, they should.
    fn is_held_up_by_disk(&self, local: &Local) -> bool {
        let up_to_date = |server| self.counting(server).is_some_and(|learner| learner.is_up_to_date);
        local.is_disk_stalled(local.config.timing.stall_limit_ms) && local.configs.is_quorum(up_to_date)
    }

    /// A leader that a quorum does not hear must not believe for long that it leads.
    fn is_heard_by_quorum(&self, local: &Local) -> bool {
        let since_ms = local.now_ms.saturating_sub(local.config.timing.sync_limit_ms);
        let hears = |server| self.heard_ms.get(&server).is_some_and(|heard_ms| *heard_ms >= since_ms);
        local.configs.is_quorum(|server| server == local.me() || hears(server))
    }

    /// Whether a quorum has come, or has at least not decided for somebody else: the voters who made this server lead
    /// may have changed their minds at the last moment.
    pub(crate) fn may_find_quorum(&self, local: &Local) -> bool {
        let wants_other = |heard: &Notification| match heard.role {
            Role::Looking | Role::Following | Role::Leading => heard.vote.is_some_and(|vote| vote.leader != local.me()),
            Role::Observing => false,
        };
        local.configs.is_quorum(|server| {
            server == local.me()
                || self.counting(server).is_some()
                || !local.links.heard(server).is_some_and(wants_other)
        })
    }

    fn give_up_learners(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        let timing = local.config.timing;
        let is_lost = |learner: &Learner| {
            let silent_ms = local.now_ms.saturating_sub(learner.heard_ms);
            let stuck_ms = local.now_ms.saturating_sub(learner.moved_ms);
            match learner.stage {
                LearnerStage::Asked => stuck_ms >= timing.init_limit_ms,
                LearnerStage::Answered(_) | LearnerStage::Planning { .. } => silent_ms >= timing.sync_limit_ms,
                LearnerStage::Snapshot { .. } => silent_ms >= timing.sync_limit_ms || stuck_ms >= timing.init_limit_ms,
                LearnerStage::Streaming { .. } => {
                    silent_ms >= timing.sync_limit_ms || learner.owes() && stuck_ms >= timing.stall_limit_ms
                }
            }
        };
        let lost = self.learners.iter().filter(|(_, learner)| is_lost(learner)).map(|(connection, _)| *connection);
        for connection in lost.collect::<Vec<_>>() {
            self.drop_learner(connection, local, out);
        }
    }

    /// Whether a learner can go on only in a later epoch: it has promised one, or it is amnesiac and has to see the
    /// marker of an epoch that was discovered after it came.
    fn wants_epoch(&self) -> bool {
        let waits =
            |learner: &Learner| learner.standing == Standing::Amnesiac && learner.is_up_to_date && !learner.came_early;
        self.needs_epoch.is_some_and(|epoch| epoch > self.epoch) || self.learners.values().any(waits)
    }

    fn epoch_at_ms(&self, local: &Local) -> u64 {
        self.began_ms + local.config.timing.epoch_interval_ms
    }
}
