//! Phase 3 as a learner: log what the leader sends, acknowledge what is durable, deliver what is committed.

use alloc::vec::Vec;
use quorate_types::mutation::mutated;
use quorate_types::{Frame, Zxid};

use super::{Follower, Stage};
use crate::local::Local;
use crate::message::{Digest, Message, Position};
use crate::output::{Halt, Output};
use crate::zab::Turn;

impl Follower {
    /// Records, in order, from exactly where the log ends.
    pub(super) fn append(
        &mut self,
        prev: Position,
        frames: Vec<Frame>,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        if !self.has_plan() || prev.zxid != local.history.last() {
            return Some(Turn::Look);
        }
        if prev != local.history.end() {
            return Some(Turn::Halt(Halt::Diverged { common: prev.zxid }));
        }
        for frame in frames {
            if self.epoch.is_some_and(|epoch| frame.zxid().epoch() > epoch) || !local.append(frame, out) {
                return Some(Turn::Look);
            }
        }
        None
    }

    /// What the leader has committed is committed, as far as the log is a prefix of the leader's.
    pub(super) fn committed(
        &mut self,
        commit: Zxid,
        digest: Digest,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        if self.has_plan() {
            local.commit = local.commit.max(commit);
            local.deliver(out);
        }
        if digest.zxid != Zxid::ZERO {
            out.push(Output::Digest(digest));
        }
        None
    }

    /// An answer proves that, when it was given, this server had promised no later epoch.
    pub(super) fn pinged(
        &mut self,
        seq: u64,
        commit: Zxid,
        digest: Digest,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        let turn = self.committed(commit, digest, local, out);
        let (delivered, progress) = (local.history.delivered(), self.progress);
        self.say(local, out, |epoch| Message::Pong { epoch, seq, delivered, progress });
        turn
    }

    /// Says what is durable, once for everything that has become so.
    pub(super) fn acknowledge(&mut self, local: &Local, out: &mut Vec<Output>) {
        let is_early = mutated("ack-before-disk");
        let news = (if is_early { local.history.last() } else { local.durable }, local.standing);
        if !self.has_plan() || self.acknowledged == Some(news) {
            return;
        }
        self.acknowledged = Some(news);
        self.progress += 1;
        self.say(local, out, |epoch| Message::Ack { epoch, durable: news.0, standing: news.1 });
    }

    /// Whether the log is a prefix of the leader's.
    fn has_plan(&self) -> bool {
        matches!(self.stage, Stage::Synchronizing | Stage::Broadcast)
    }
}
