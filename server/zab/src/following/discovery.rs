//! Phase 1 as a learner: promise the leader its epoch, and say what the log ends with.

use alloc::vec::Vec;
use quorate_types::Epoch;
use quorate_types::mutation::mutated;

use super::{Follower, Stage};
use crate::local::Local;
use crate::message::{Message, Standing};
use crate::output::{Output, Promise};
use crate::zab::Turn;

impl Follower {
    /// The leader asks for the promise of an epoch: for the first time, or because it begins a new one in place.
    pub(super) fn leader_info(&mut self, epoch: Epoch, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        if self.stage == Stage::Dialing || self.epoch.is_some_and(|current| epoch <= current) {
            return Some(Turn::Look);
        }
        if epoch < local.promise.epoch {
            // What it has promised to somebody who failed keeps it out, until the leader has an epoch above that.
            if let Some(connection) = self.session {
                local.send(connection, Message::NeedEpoch { at_least: local.promise.epoch }, out);
            }
            self.stage = Stage::Introduced;
            return None;
        }
        let promise = Promise { epoch, leader: Some(self.leader) };
        // The same epoch may be promised only once, to one leader, or two could each find a quorum for it.
        let counts = epoch > local.promise.epoch || local.promise == promise || mutated("promise-twice");
        if counts {
            local.promise(promise, out);
        }
        self.epoch = Some(epoch);
        self.acknowledged = None;
        self.readmits = false;
        self.stage = Stage::Promising { counts };
        self.promise_is_durable(counts, local, out);
        None
    }

    /// Says so as soon as it is, and everything in the log as well.
    pub(super) fn promise_is_durable(&mut self, counts: bool, local: &Local, out: &mut Vec<Output>) {
        if !local.disk.is_idle() && !mutated("promise-before-disk") {
            return;
        }
        let has_all = local.durable == local.history.last() || mutated("promise-before-disk");
        assert!(has_all, "an idle disk that has not everything");
        self.stage = Stage::Promised;
        self.answered = self.epoch;
        self.progress += 1;
        let counts = counts && local.standing == Standing::Voter;
        self.say(local, out, |epoch| Message::AckEpoch {
            epoch,
            counts,
            last: local.history.end(),
            delivered: local.history.delivered(),
            epochs: local.history.recent_epochs(),
        });
    }
}
