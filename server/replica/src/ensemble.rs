//! One server among others: what it passes on to its leader and what it is told by it, and, as a leader, the other way
//! round; what it means to lose a leader, and to be given another state.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use quorate_tree::Tree;
use quorate_types::mutation::mutated;
use quorate_types::{Code, Error, Now, Op, OutboxId, Request, Response, ServerId, Tag, Zxid};
use quorate_zab::{ConnectionId, Digest, Position, SnapshotBase};

use crate::commits::BARRIER_BYTES;
use crate::effect::{Effects, Halted, SnapshotOp};
use crate::limits;
use crate::outbox::response_bytes;
use crate::peer::{ToLeader, ToLearner, encode_write};
use crate::replica::{Replica, Serving};
use crate::speaking::{Owner, session_moved};
use crate::waiting::{Held, Indexed, Word};
use crate::writes::Asker;

/// What leaders state of the state, until this server has come so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    /// In the order of the zxids.
    expected: VecDeque<Digest>,
}

impl Comparison {
    /// Remembers a statement. When there are too many, later ones do as well.
    pub(crate) fn expect(&mut self, digest: Digest) {
        let is_next = self.expected.back().is_none_or(|last| last.zxid < digest.zxid);
        if is_next && digest.zxid != Zxid::ZERO && self.expected.len() < limits::EXPECTED_DIGESTS_MAX {
            self.expected.push_back(digest);
        }
    }

    /// Whether the state at `applied` is what was stated of it, if something was.
    fn is_right(&mut self, applied: Zxid, digest: impl FnOnce() -> u128) -> bool {
        while self.expected.front().is_some_and(|expected| expected.zxid < applied) {
            self.expected.pop_front();
        }
        self.expected.front().is_none_or(|expected| expected.zxid != applied || expected.value == digest())
    }
}

/// The state that a leader has sent, until agreement says that it counts.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) base: SnapshotBase,
    pub(crate) tree: Box<Tree>,
}

impl Replica {
    // ---- On a learner ----------------------------------------------------------------------------------------------

    /// Passes a write on to the leader, who decides it.
    pub(crate) fn forward(&mut self, outbox: OutboxId, tag: Tag, request: Request, now: Now, out: &mut Effects) {
        if request.deadline_ms <= now.monotonic_ms {
            let error = Error::new(Code::DeadlineExceeded, "the deadline had passed before the request was looked at");
            return self.answer(outbox, tag, Err(error), now, out);
        }
        let left_ms = match request.deadline_ms {
            u64::MAX => u64::MAX,
            deadline_ms => deadline_ms - now.monotonic_ms,
        };
        let speaks = request.session.is_some_and(|(session, _)| self.sessions.speaker(session) == Some(outbox));
        let payload = encode_write(outbox, tag, left_ms, speaks, &request);
        match self.zab.to_leader(payload, &mut self.outputs) {
            Ok(()) => {
                self.forwarded.insert((outbox, tag), ());
                self.carry_out(now, out);
            }
            Err(_) => self.decide(Asker::Here(outbox, tag), request, now, out),
        }
    }

    /// This server follows an established leader.
    pub(crate) fn begin_to_follow(&mut self, now: Now, out: &mut Effects) {
        // Only a leader judges who lives; the entries also say who is to be told of a session's end.
        self.begin_sessions();
        let spoken_for = self.sessions.spoken_for();
        if !spoken_for.is_empty() {
            self.tell_leader(&ToLeader::Speaks(spoken_for), now, out);
        }
        self.tell_room(now, out);
        self.leader_found(now, out);
        self.resume_held(now, out);
        self.reindex_reads(now, out);
        self.ask_new_leader_how_old(now.monotonic_ms);
        self.wake_parked(now, out);
    }

    pub(crate) fn tell_leader(&mut self, message: &ToLeader, now: Now, out: &mut Effects) {
        // Lost with the leader, as everything that it was told.
        let payload = message.encode();
        let _ = self.zab.to_leader(payload, &mut self.outputs);
        self.carry_out(now, out);
    }

    /// Tells the leader which sessions have shown that they live.
    pub(crate) fn tell_touched(&mut self, now: Now, out: &mut Effects) {
        if self.is_following() && !self.touched.is_empty() && !mutated("touches-untold") {
            let touched = core::mem::take(&mut self.touched).into_iter().collect();
            self.tell_leader(&ToLeader::Touched(touched), now, out);
        }
    }

    pub(crate) fn hear_leader(&mut self, payload: Bytes, now: Now, out: &mut Effects) {
        // A leader of a later version may say what this one cannot read; whoever waits for it runs into his deadline.
        let Ok(message) = ToLearner::decode(payload) else { return };
        match message {
            ToLearner::Answer { outbox, tag, barrier, response } => {
                if self.forwarded.remove(&(outbox, tag)).is_none() && !self.administration.take(outbox, tag) {
                    return;
                }
                if self.tree.applied() >= barrier || mutated("answer-before-barrier") {
                    return self.answer(outbox, tag, response, now, out);
                }
                self.waiting.barrier_bytes += BARRIER_BYTES + response_bytes(&response);
                // Answers come in the order of the decisions, but for those that rest on nothing.
                let at = self.waiting.barriers.partition_point(|(earlier, ..)| *earlier <= barrier);
                self.waiting.barriers.insert(at, (barrier, Asker::Here(outbox, tag), response));
            }
            ToLearner::Granted { outbox, tag, session, grant } => {
                if self.forwarded.remove(&(outbox, tag)).is_some() {
                    self.speak(outbox, tag, session, grant, now, out);
                }
            }
            ToLearner::Moved { session, outbox } => self.fence(session, outbox, out),
        }
    }

    // ---- On a leader -----------------------------------------------------------------------------------------------

    pub(crate) fn hear_learner(
        &mut self,
        connection: ConnectionId,
        server: ServerId,
        payload: Bytes,
        now: Now,
        out: &mut Effects,
    ) {
        let Ok(message) = ToLeader::decode(payload) else { return };
        match message {
            ToLeader::Write { outbox, tag, left_ms, speaks, mut request } => {
                request.deadline_ms = now.monotonic_ms.saturating_add(left_ms);
                let asker = Asker::There { connection, server, outbox, tag };
                let moved = |(session, _)| speaks && self.is_owned_elsewhere(session, server, outbox);
                if request.session.is_some_and(moved) {
                    return self.reply(asker, self.tree.applied(), Err(session_moved()), now, out);
                }
                match request.op {
                    Op::Members | Op::TransferLeadership { .. } => {
                        self.decide_administration(asker, &request.op, now, out);
                    }
                    _ => self.decide(asker, request, now, out),
                }
            }
            ToLeader::Touched(sessions) => {
                for session in sessions {
                    let _ = self.sessions.touch(session);
                }
            }
            ToLeader::Claim { outbox, tag, session } => {
                let asker = Asker::There { connection, server, outbox, tag };
                self.grant_when_certain(asker, session, now, out);
            }
            ToLeader::Speaks(sessions) => {
                for (session, speaker) in sessions {
                    self.own(session, Owner { server, connection: Some(connection), speaker }, now, out);
                }
            }
            ToLeader::Full(is_full) => self.room.hear(server, is_full),
        }
    }

    /// Hands leadership over to whoever has come furthest, because this server is about to stop. `false` if that has to be
    /// asked for again: nobody could take over at the moment, or this server does not lead.
    pub fn hand_over(&mut self) -> bool {
        self.zab.transfer(None).is_ok()
    }

    // ---- On both ---------------------------------------------------------------------------------------------------

    /// An answer that is no txn is given when it is certain that this server led when it was decided.
    pub(crate) fn confirm(&mut self, asker: Asker, barrier: Zxid, response: Response) {
        // Refused only if it leads no more, which will be said at once.
        let _ = self.ask_index(Indexed::Answer { asker, barrier, response });
    }

    /// Whatever has waited since this turn, and whatever else came until then, has to see `zxid` applied.
    pub(crate) fn indexed(&mut self, turn: u64, zxid: Zxid, now: Now, out: &mut Effects) {
        if turn > self.waiting.word.turn {
            self.waiting.word = Word { turn, zxid };
        }
        let waited = self.waiting.indexing.remove(&turn).unwrap_or_default();
        self.waiting.indexing_count -= waited.len();
        for indexed in waited {
            self.index_one(indexed, zxid, now, out);
        }
    }

    fn index_one(&mut self, indexed: Indexed, zxid: Zxid, now: Now, out: &mut Effects) {
        match indexed {
            Indexed::Read(parked) => self.index_read(parked, zxid, now, out),
            Indexed::Claim { asker, session } => self.grant(asker, session, zxid, now, out),
            Indexed::Answer { asker: asker @ Asker::There { .. }, barrier, response } => {
                self.waiting.barrier_bytes -= BARRIER_BYTES + response_bytes(&response);
                self.reply(asker, barrier, response, now, out);
            }
            Indexed::Age { asked_ms } => self.timeliness.promise(zxid, asked_ms),
            Indexed::Answer { asker, barrier, response } => {
                let at = self.waiting.barriers.partition_point(|(earlier, ..)| *earlier <= barrier);
                self.waiting.barriers.insert(at, (barrier, asker, response));
                self.release(self.tree.applied(), now, out);
            }
        }
    }

    /// There is no leader any more. What was under way has an unknown outcome, and nothing that comes later on the same
    /// ordered stream may take effect if something earlier did not: such streams end.
    pub(crate) fn leader_lost(&mut self, now: Now, out: &mut Effects) {
        self.serving = Serving::No;
        self.pending.clear();
        self.owners.clear();
        self.touched.clear();
        self.room.forget();
        let broken = if mutated("streams-outlive-leader") { Vec::new() } else { self.lanes.with_unanswered() };
        for outbox in broken {
            self.end_outbox(outbox, outcome_unknown(), out);
        }
        let mut unanswered: Vec<(OutboxId, Tag)> = self.forwarded.drain().map(|(asked, ())| asked).collect();
        unanswered.extend(self.lanes.unordered_unanswered());
        self.administration_lost_leader(now, out);
        self.waiting.joined.clear();
        self.waiting.barriers.clear();
        self.waiting.barrier_bytes = 0;
        // Reads lose nothing: they ask the next leader.
        for waiting in self.waiting.indexing.values_mut() {
            waiting.retain(|indexed| matches!(indexed, Indexed::Read(_)));
        }
        self.waiting.indexing.retain(|_, waiting| !waiting.is_empty());
        self.waiting.indexing_count = self.waiting.indexing.values().map(Vec::len).sum();
        // Those of a stream that has ended must not come after what it has lost.
        let lanes = &self.lanes;
        self.waiting.held.retain(|held| matches!(held.asker, Asker::Here(outbox, _) if lanes.contains(outbox)));
        self.waiting.held_bytes = self.waiting.held.iter().map(|held| held.request.charge()).sum();
        unanswered.sort_unstable();
        unanswered.dedup();
        for (outbox, tag) in unanswered {
            let is_held = |held: &Held| held.asker == Asker::Here(outbox, tag);
            if !self.waiting.held.iter().any(is_held) {
                self.answer(outbox, tag, Err(outcome_unknown()), now, out);
            }
        }
    }

    /// The snapshot of a leader counts from now on: clients have to come again, and will be told what is not known of the
    /// time between.
    pub(crate) fn restored(&mut self, position: Position, now: Now, out: &mut Effects) {
        let Some(Received { base, tree }) = self.received.take() else {
            panic!("the snapshot at {position:?} counts, and was never received")
        };
        assert_eq!(base.position, position, "another snapshot counts than was received");
        let error = || Error::new(Code::Unavailable, "this server was given a newer state; connect again");
        for outbox in self.lanes.ordered() {
            self.end_outbox(outbox, error(), out);
        }
        self.no_snapshot(&error(), now, out);
        self.tree = *tree;
        self.pending.clear();
        self.snapshotting.restart(position.zxid);
        out.snapshot.push(SnapshotOp::Adopt { zxid: position.zxid });
        self.sessions.clear();
        self.begin_sessions();
        self.counting.state_replaced();
        // Streams without an order are still there, and would wait for ever for what they have missed.
        self.watches.state_replaced(&self.tree, position.zxid, out);
    }

    /// Compares this state with what the leader has said of its own.
    pub(crate) fn compare(&mut self, out: &mut Effects) {
        let applied = self.tree.applied();
        if !self.comparison.is_right(applied, || self.tree.digest()) {
            out.halted = Some(Halted::Diverged(applied));
        }
    }
}

pub(crate) fn no_leader() -> Error {
    Error::new(Code::Unavailable, "this server has no leader at the moment; try again, here or at another server")
}

fn outcome_unknown() -> Error {
    Error::new(Code::Unavailable, "the leader was lost before it answered: whether the request took effect is unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_compared_where_something_was_stated_of_it_and_nowhere_else() {
        let mut comparison = Comparison::default();
        let stated = |zxid, value| Digest { zxid: Zxid(zxid), value };
        comparison.expect(stated(0, 9));
        comparison.expect(stated(5, 50));
        comparison.expect(stated(5, 51));
        comparison.expect(stated(7, 70));
        assert!(comparison.is_right(Zxid(4), || 0));
        assert!(comparison.is_right(Zxid(5), || 50));
        assert!(comparison.is_right(Zxid(6), || 0));
        assert!(!comparison.is_right(Zxid(7), || 71));
        comparison.expect(stated(8, 80));
        assert!(comparison.is_right(Zxid(9), || 0), "nobody was there to compare");
    }
}
