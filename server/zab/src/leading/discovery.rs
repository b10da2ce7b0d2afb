//! Phase 1: a prospective leader finds an epoch above every one that a quorum has promised, and has a quorum promise
//! it. Whoever promised follows no older leader any more, so the history that is synchronized next is final.
//!
//! A leader that is established already goes through it again, over the sessions that it has, to begin a new epoch in
//! place: when its counter runs out, or when a learner needs it. What is not committed by then becomes history.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use quorate_types::mutation::mutated;
use quorate_types::{Epoch, FrameKind, Zxid};

use super::learner::{Answer, Stage as LearnerStage};
use super::{EPOCH_MAX, Leader, Stage, is_enough};
use crate::local::Local;
use crate::message::{ConnectionId, Message};
use crate::output::{Output, Promise};
use crate::zab::Turn;

impl Leader {
    /// Begins a new epoch in place.
    pub(crate) fn begin_epoch(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        self.needs_epoch = None;
        self.reads.begin_again();
        for learner in self.learners.values_mut() {
            learner.begin_again(local.now_ms);
        }
        self.enter(Stage::Gathering, local);
        self.gather(local, out);
    }

    /// Likewise, one above this one.
    pub(crate) fn begin_epoch_above(&mut self, epoch: Epoch, local: &mut Local, out: &mut Vec<Output>) {
        assert!(epoch < EPOCH_MAX, "nothing comes after {epoch:?}");
        self.above = self.above.max(epoch);
        self.begin_epoch(local, out);
    }

    /// Chooses the epoch once a quorum of every active configuration has told what it has promised.
    pub(super) fn gather(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        if self.stage != Stage::Gathering || !self.is_quorum(local, |_| true) {
            return;
        }
        let promised = self.learners.values().map(|learner| learner.accepted_epoch);
        let greatest = promised.chain([local.promise.epoch, self.above]).max().unwrap_or_default();
        self.epoch = greatest.next();
        self.began_ms = local.now_ms;
        self.enter(Stage::Promising, local);
        // Durable before anybody hears of it: after a crash this server must not propose the same epoch again.
        local.promise(Promise { epoch: self.epoch, leader: Some(local.me()) }, out);
        if mutated("epoch-before-disk") {
            self.elect(local, out);
        }
    }

    /// This server's own promise is durable, so it is counted, and the others are asked for theirs.
    pub(super) fn elect(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        self.enter(Stage::Electing { promised: BTreeSet::from([local.me()]) }, local);
        let connections: Vec<ConnectionId> = self.learners.keys().copied().collect();
        for connection in connections {
            self.ask(connection, local, out);
        }
        self.finish_discovery(local, out);
    }

    /// Asks a learner to promise the epoch.
    pub(super) fn ask(&mut self, connection: ConnectionId, local: &Local, out: &mut Vec<Output>) {
        if let Some(learner) = self.learners.get_mut(&connection) {
            learner.asked = Some(self.epoch);
            learner.awaited = Some(self.epoch);
            learner.moved_ms = local.now_ms;
            local.send(connection, Message::LeaderInfo { epoch: self.epoch }, out);
        }
    }

    /// A learner has promised the epoch, and says what its log ends with.
    pub(super) fn answered(
        &mut self,
        connection: ConnectionId,
        answer: Answer,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        let learner = self.learners.get_mut(&connection)?;
        learner.answered = learner.awaited.take();
        learner.accepted_epoch = self.epoch;
        learner.heard_ms = local.now_ms;
        learner.moved_ms = local.now_ms;
        let server = learner.server;
        let (counts, last) = (answer.counts && learner.standing == crate::Standing::Voter, answer.last.zxid);
        learner.stage = LearnerStage::Answered(answer);
        self.heard(connection, local);
        match &mut self.stage {
            Stage::Electing { promised } => {
                if counts && local.configs.is_voter(server) {
                    if last > local.history.last() && !mutated("no-abdication") {
                        // What it has beyond this log may be committed. It, or one like it, has to lead.
                        return Some(Turn::Look);
                    }
                    promised.insert(server);
                }
                self.finish_discovery(local, out);
            }
            // What it has beyond this log was not committed, and never will be.
            Stage::Synchronizing | Stage::Broadcast => self.plan(connection, local, out),
            Stage::Gathering | Stage::Promising => {}
        }
        None
    }

    /// With the promises of a quorum of every active configuration, nothing that this history lacks was or will be
    /// committed in an older epoch. So it is final, and the marker goes after it.
    fn finish_discovery(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        let Stage::Electing { promised } = &self.stage else { return };
        if !is_enough(local, |server| promised.contains(&server)) {
            return;
        }
        let marker = Zxid::new(self.epoch, 0);
        self.marker = Some(marker);
        self.enter(Stage::Synchronizing, local);
        let payload = local.marker_payload();
        local.extend(FrameKind::Marker, marker, &payload, out);
        let connections: Vec<ConnectionId> = self.learners.keys().copied().collect();
        for connection in connections {
            self.plan(connection, local, out);
        }
    }
}
