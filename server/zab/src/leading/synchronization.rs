//! Phase 2: the leader's whole history, and the marker of its epoch after it, reach a quorum.
//!
//! The marker is a record like any other, so "has the history" and "has entered the epoch" are one durable fact. No
//! record of an older epoch is ever committed by counting: the marker's commit covers them.
//!
//! From the moment of its plan a learner gets every record after the base exactly once, in order, from one cursor over
//! one log: there is no second queue that synchronization could fill and broadcast forget.

use alloc::vec::Vec;
use quorate_types::Zxid;
use quorate_types::mutation::mutated;

use super::Leader;
use super::learner::{Answer, Stage};
use crate::input::LogRead;
use crate::local::Local;
use crate::message::{ConnectionId, Message, Plan, Position, Refusal};
use crate::output::{Output, PeerOutput};

impl Leader {
    /// Decides how a learner that has answered is brought to this history.
    pub(super) fn plan(&mut self, connection: ConnectionId, local: &mut Local, out: &mut Vec<Output>) {
        let Some(learner) = self.learners.get_mut(&connection) else { return };
        let Stage::Answered(answer) = &learner.stage else { return };
        let answer = answer.clone();
        let common = match local.history.common_prefix(&answer.epochs) {
            _ if mutated("plan-by-range") => answer.last.zxid.min(local.history.last()),
            Some(common) => common,
            None => Zxid::ZERO,
        };
        if common < answer.delivered {
            // What it has applied was committed, and should be here. One of the two disks lies.
            return self.refuse(connection, Refusal::Diverged { common }, local, out);
        }
        if common < local.log_start || (mutated("snap-below-common") && local.snapshot.is_some()) {
            return self.plan_snapshot(connection, common, local, out);
        }
        match local.history.chain_at(common) {
            Some(chain) => self.plan_records(connection, &answer, Position { zxid: common, chain }, local, out),
            None => {
                let token = local.disk.read_token();
                learner.stage = Stage::Planning { answer, common, token };
                let bytes_max = local.config.limits.append_bytes_max;
                out.push(Output::ReadLog { token, after: common, bytes_max });
            }
        }
    }

    /// The learner's log goes on from `base`, and from what it has beyond it is freed.
    fn plan_records(
        &mut self,
        connection: ConnectionId,
        answer: &Answer,
        base: Position,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) {
        let plan = if answer.last.zxid == base.zxid { Plan::Diff } else { Plan::Trunc };
        if plan == Plan::Diff && answer.last != base {
            return self.refuse(connection, Refusal::Diverged { common: base.zxid }, local, out);
        }
        self.tell_plan(connection, plan, base, local, out);
        if let Some(learner) = self.learners.get_mut(&connection) {
            learner.stream_from(base);
        }
    }

    /// What the learner lacks is not in the log any more. A snapshot that holds all of the common prefix takes the
    /// place of what it has; one that did not could take back what the learner has acknowledged.
    fn plan_snapshot(&mut self, connection: ConnectionId, common: Zxid, local: &mut Local, out: &mut Vec<Output>) {
        let Some(base) = local.snapshot.filter(|snapshot| snapshot.zxid >= common || mutated("snap-below-common"))
        else {
            return self.drop_learner(connection, local, out);
        };
        self.tell_plan(connection, Plan::Snap, base, local, out);
        if let Some(learner) = self.learners.get_mut(&connection) {
            learner.stage = Stage::Snapshot { base };
            learner.sent = base;
            out.push(Output::Peer(PeerOutput::SendSnapshot { connection, to: learner.server, zxid: base.zxid }));
        }
    }

    fn tell_plan(&self, connection: ConnectionId, plan: Plan, base: Position, local: &Local, out: &mut Vec<Output>) {
        let readmits = self.learners.get(&connection).is_some_and(|learner| learner.came_early);
        self.say(connection, local, out, |epoch| Message::SyncPlan { epoch, plan, base, readmits });
    }

    /// The log was read for a learner: to find the place where its plan begins, or to catch up.
    pub(crate) fn log_read(&mut self, token: u64, read: LogRead, local: &mut Local, out: &mut Vec<Output>) {
        let waits = |stage: &Stage| match stage {
            Stage::Planning { token: awaited, .. } | Stage::Streaming { read: Some(awaited) } => *awaited == token,
            Stage::Asked | Stage::Answered(_) | Stage::Snapshot { .. } | Stage::Streaming { read: None } => false,
        };
        let Some((connection, learner)) = self.learners.iter_mut().find(|(_, learner)| waits(&learner.stage)) else {
            return;
        };
        let connection = *connection;
        match (core::mem::replace(&mut learner.stage, Stage::Streaming { read: None }), read) {
            (Stage::Planning { answer, common, .. }, LogRead::Found { after, frames }) => {
                assert_eq!(after.zxid, common, "the log was read at another place than asked");
                self.plan_records(connection, &answer, after, local, out);
                self.send_records(connection, frames, local, out);
            }
            (Stage::Planning { common, .. }, LogRead::NotInLog) => self.plan_snapshot(connection, common, local, out),
            (_, LogRead::Found { after, frames }) => {
                assert_eq!(after, learner.sent, "the log has another history than this leader");
                self.send_records(connection, frames, local, out);
            }
            // It was purged meanwhile: the learner comes again, and gets a snapshot.
            (_, LogRead::NotInLog) => self.drop_learner(connection, local, out),
        }
    }

    /// A snapshot can not be sent.
    pub(crate) fn snapshot_failed(&mut self, connection: ConnectionId, local: &mut Local, out: &mut Vec<Output>) {
        let sends = |stage: &Stage| matches!(stage, Stage::Snapshot { .. });
        if self.learners.get(&connection).is_some_and(|learner| sends(&learner.stage)) {
            self.drop_learner(connection, local, out);
        }
    }
}
