//! What a linearizable read has to wait for: the leader's commit when it arrives, provided that the leader still led
//! then. One round of pings to a quorum proves it, for all reads that arrived before the round began.

use alloc::vec::Vec;
use quorate_types::Zxid;
use quorate_types::mutation::mutated;

use super::{Leader, Stage};
use crate::local::Local;
use crate::message::{ConnectionId, Message};
use crate::output::Output;

/// The reads that wait for a round, and those whose round is under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    waiting: Vec<Asker>,
    round: Option<Round>,
}

#[derive(Clone, Debug)]
enum Asker {
    Here(u64),
    Learner(ConnectionId, Vec<u64>),
}

#[derive(Clone, Debug)]
struct Round {
    /// An answer to this ping, or to a later one, confirms the round.
    ping: u64,
    zxid: Zxid,
    askers: Vec<Asker>,
}

impl Reads {
    pub(super) fn ask_for(&mut self, connection: ConnectionId, ids: Vec<u64>) {
        self.waiting.push(Asker::Learner(connection, ids));
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        let stays = |asker: &Asker| !matches!(asker, Asker::Learner(other, _) if *other == connection);
        self.waiting.retain(stays);
        self.round.iter_mut().for_each(|round| round.askers.retain(stays));
    }

    /// A new epoch is begun in place: what was confirmed so far says nothing about it.
    pub(super) fn begin_again(&mut self) {
        self.waiting.extend(self.round.take().into_iter().flat_map(|round| round.askers));
    }
}

impl Leader {
    /// A read of this server's own replica.
    pub(crate) fn read_index(&mut self, id: u64) {
        self.reads.waiting.push(Asker::Here(id));
    }

    /// Begins a round for everything that has arrived, unless one is under way.
    pub(super) fn begin_reads(&mut self, local: &Local, out: &mut Vec<Output>) {
        if self.stage != Stage::Broadcast || self.reads.round.is_some() || self.reads.waiting.is_empty() {
            return;
        }
        self.ping_all(local, out);
        let askers = core::mem::take(&mut self.reads.waiting);
        self.reads.round = Some(Round { ping: self.ping, zxid: local.commit, askers });
        self.confirm_reads(local, out);
    }

    /// Answers the reads of the round if a quorum has answered its ping: none of them had promised a later epoch then,
    /// and every later leader needs the promise of one of them.
    pub(super) fn confirm_reads(&mut self, local: &Local, out: &mut Vec<Output>) {
        let Some(ping) = self.reads.round.as_ref().map(|round| round.ping) else { return };
        if !self.is_quorum(local, |learner| learner.answered_ping >= ping) && !mutated("read-without-round") {
            return;
        }
        let Some(Round { zxid, askers, .. }) = self.reads.round.take() else { return };
        for asker in askers {
            match asker {
                Asker::Here(id) => out.push(Output::ReadIndex { id, zxid }),
                Asker::Learner(connection, ids) => {
                    self.say(connection, local, out, |epoch| Message::ReadIndexOk { epoch, ids, zxid });
                }
            }
        }
    }
}
