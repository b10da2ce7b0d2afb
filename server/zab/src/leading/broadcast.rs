//! Phase 3: the leader proposes, a quorum logs, the leader commits, everybody delivers in order.

use alloc::vec::Vec;
use quorate_types::mutation::mutated;
use quorate_types::{Frame, FrameKind, Zxid};

use super::learner::Stage as LearnerStage;
use super::{Leader, Stage};
use crate::local::Local;
use crate::message::{ConnectionId, Message, Position, Standing};
use crate::output::Output;

impl Leader {
    /// Proposes a record.
    pub(crate) fn propose(
        &mut self,
        kind: FrameKind,
        zxid: Zxid,
        payload: &[u8],
        local: &mut Local,
        out: &mut Vec<Output>,
    ) {
        assert!(self.stage == Stage::Broadcast, "proposed outside broadcast");
        assert_eq!(zxid, local.history.last().next(), "proposed with a stale zxid");
        local.extend(kind, zxid, payload, out);
    }

    /// A learner has said what it has durably.
    pub(super) fn acknowledged(
        &mut self,
        connection: ConnectionId,
        durable: Zxid,
        standing: Standing,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) {
        let Some(learner) = self.learners.get_mut(&connection) else { return };
        learner.heard_ms = local.now_ms;
        if !learner.acknowledged(durable, local.now_ms) {
            self.drop_learner(connection, local, out);
            return;
        }
        learner.standing = standing;
        match learner.stage {
            LearnerStage::Snapshot { base } if durable == base.zxid => learner.stream_from(base),
            _ => {}
        }
        self.heard(connection, local);
        self.advance(local, out);
    }

    /// Commits what a quorum of every active configuration has, this server's own disk counting like everybody's.
    pub(super) fn advance(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        let Some(marker) = self.marker else { return };
        let has = |server| match server == local.me() {
            true => local.durable,
            false => self.counting(server).map_or(Zxid::ZERO, |learner| learner.matched),
        };
        let counted = local.configs.reached(has);
        let reached = if mutated("marker-without-quorum") { counted.max(marker) } else { counted };
        // Records of older epochs are never committed by counting, only together with the marker.
        if reached < marker && !mutated("commit-old-epoch") {
            return;
        }
        local.commit = local.commit.max(reached);
        local.deliver(out);
        // Others may have the marker before this server's own disk has.
        if self.stage == Stage::Synchronizing && local.history.delivered() >= marker {
            self.enter(Stage::Broadcast, local);
            local.has_leader = true;
            out.push(Output::Established(self.epoch));
        }
        self.continue_reconfig(local, out);
    }

    /// Brings every learner on.
    pub(super) fn send_all(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        let connections: Vec<ConnectionId> = self.learners.keys().copied().collect();
        for connection in connections {
            self.send_next(connection, local, out);
        }
    }

    fn send_next(&mut self, connection: ConnectionId, local: &mut Local, out: &mut Vec<Output>) {
        let limits = local.config.limits;
        while let Some(learner) = self.learners.get_mut(&connection)
            && learner.stage == (LearnerStage::Streaming { read: None })
            && learner.has_room(&limits)
        {
            let (sent, through) = (learner.sent.zxid, self.through(connection, local));
            if sent >= through {
                break;
            }
            let Some(learner) = self.learners.get_mut(&connection) else { break };
            match local.history.read(sent, through, limits.append_records_max, limits.append_bytes_max) {
                Some(frames) => self.send_records(connection, frames, local, out),
                None => {
                    let token = local.disk.read_token();
                    learner.stage = LearnerStage::Streaming { read: Some(token) };
                    out.push(Output::ReadLog { token, after: sent, bytes_max: limits.append_bytes_max });
                }
            }
        }
        self.tell_commit(connection, local, out);
    }

    /// Up to where a learner gets records now: whoever votes, to the end; everybody else, only what is committed.
    fn through(&self, connection: ConnectionId, local: &Local) -> Zxid {
        let votes = self.learners.get(&connection).is_some_and(|learner| local.configs.is_voter(learner.server));
        if votes { local.history.last() } else { local.commit.min(local.history.last()) }
    }

    /// Sends records that continue what was sent, as far as the learner is to have them now.
    pub(super) fn send_records(
        &mut self,
        connection: ConnectionId,
        mut frames: Vec<Frame>,
        local: &Local,
        out: &mut Vec<Output>,
    ) {
        let through = self.through(connection, local);
        frames.truncate(frames.partition_point(|frame| frame.zxid() <= through));
        let Some(learner) = self.learners.get_mut(&connection).filter(|_| !frames.is_empty()) else { return };
        let prev: Position = learner.sent;
        learner.sending(&frames, local.now_ms);
        learner.told = local.commit;
        let (commit, digest) = (local.commit, local.digest);
        self.say(connection, local, out, |epoch| Message::Append { epoch, prev, frames, commit, digest });
    }

    /// What is committed travels with records; it goes by itself only when there are none.
    fn tell_commit(&mut self, connection: ConnectionId, local: &mut Local, out: &mut Vec<Output>) {
        let Some(learner) = self.learners.get_mut(&connection) else { return };
        if !matches!(learner.stage, LearnerStage::Streaming { .. }) {
            return;
        }
        let (commit, digest) = (local.commit, local.digest);
        let has_marker = self.marker.is_some_and(|marker| learner.matched >= marker);
        if self.stage == Stage::Broadcast && has_marker && !learner.is_up_to_date {
            learner.is_up_to_date = true;
            learner.told = commit;
            self.say(connection, local, out, |epoch| Message::UpToDate { epoch, commit });
        } else if commit > learner.told {
            learner.told = commit;
            self.say(connection, local, out, |epoch| Message::Commit { epoch, commit, digest });
        }
        self.release_removed(connection, local, out);
    }
}
