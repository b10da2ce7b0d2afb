//! Writes on their way out: what agreement decides is carried out; a committed record changes the state, then watches
//! are told, then the client that asked is answered.

use alloc::vec::Vec;
use quorate_types::{Frame, FrameKind, Now, Response, Route, ServerId, SessionId, Txn, TxnBody, Zxid};
use quorate_zab::{Output, PeerOutput, Zab};

use crate::effect::{Delivery, DiskOp, Effects, Halted, SessionEnd};
use crate::outbox::response_bytes;
use crate::peer::ToLearner;
use crate::replica::{Replica, Serving};
use crate::restoring;
use crate::sessions::Ending;
use crate::speaking::Owner;
use crate::writes::{Asker, decode};

/// What an answer that waits is charged besides what it holds.
pub(crate) const BARRIER_BYTES: usize = size_of::<(Zxid, Asker, Response)>();

impl Replica {
    /// Runs agreement and carries out what it decides.
    pub(crate) fn with_outputs(&mut self, now: Now, out: &mut Effects, run: impl FnOnce(&mut Zab, &mut Vec<Output>)) {
        run(&mut self.zab, &mut self.outputs);
        self.carry_out(now, out);
    }

    /// Carries out what agreement has decided so far, in that order: what this leads to in turn comes behind the rest.
    pub(crate) fn carry_out(&mut self, now: Now, out: &mut Effects) {
        if self.is_carrying_out {
            return;
        }
        self.is_carrying_out = true;
        let mut batch = Vec::new();
        while !self.outputs.is_empty() {
            core::mem::swap(&mut batch, &mut self.outputs);
            for output in batch.drain(..) {
                self.carry_out_one(output, now, out);
            }
        }
        // The memory is used again.
        self.outputs = batch;
        self.is_carrying_out = false;
    }

    fn carry_out_one(&mut self, output: Output, now: Now, out: &mut Effects) {
        match output {
            Output::Append { token, frame } => {
                self.under_way.submitted(token, frame.bytes().len());
                out.disk.push(DiskOp::Append { token, frame });
            }
            Output::Promise { token, promise } => {
                self.under_way.last_token = token;
                out.disk.push(DiskOp::Promise {
                    token,
                    accepted_epoch: promise.epoch,
                    accepted_leader: promise.leader.unwrap_or_default(),
                });
            }
            Output::Truncate { token, after } => {
                self.under_way.last_token = token;
                out.disk.push(DiskOp::Truncate { token, after });
            }
            Output::Readmit { token } => {
                self.under_way.last_token = token;
                out.disk.push(DiskOp::Readmit { token });
            }
            Output::InstallSnapshot { token, base } => {
                self.under_way.last_token = token;
                out.disk.push(DiskOp::Install { token, base });
            }
            Output::ReadLog { token, after, bytes_max } => out.disk.push(DiskOp::Read { token, after, bytes_max }),
            Output::Deliver(frame) => self.deliver(&frame, now, out),
            Output::Restored(position) => self.restored(position, now, out),
            Output::Established(epoch) => {
                if !matches!(self.serving, Serving::Leading(_)) {
                    self.begin_sessions();
                }
                self.serving = Serving::Leading(epoch);
                self.is_alone = self.zab.members().len() == 1;
                self.begin_to_lead(now, out);
            }
            Output::Following { leader, epoch } => {
                self.serving = Serving::Following { leader, epoch };
                self.is_alone = false;
                self.begin_to_follow(now, out);
            }
            Output::Looking => self.leader_lost(now, out),
            Output::ReadIndex { id, zxid } => self.indexed(id, zxid, now, out),
            Output::FromLearner { connection, server, payload } => {
                self.hear_learner(connection, server, payload, now, out);
            }
            Output::FromLeader(payload) => self.hear_leader(payload, now, out),
            Output::Digest(digest) => {
                self.comparison.expect(digest);
                self.compare(out);
            }
            Output::Halt(halt) => out.halted = Some(Halted::Agreement(halt)),
            Output::Peer(output) => {
                if let PeerOutput::MembersChanged(members) = &output {
                    self.is_alone = self.is_alone && members.len() == 1;
                }
                out.peers.push(output);
            }
        }
    }

    /// This server leads, or goes on to lead in another epoch: the writes that were held are decided.
    fn begin_to_lead(&mut self, now: Now, out: &mut Effects) {
        self.leader_found(now, out);
        for (session, speaker) in self.sessions.spoken_for() {
            let owner = Owner { server: self.config.server, connection: None, speaker };
            self.own(session, owner, now, out);
        }
        self.resume_held(now, out);
        self.reindex_reads(now, out);
        self.ask_new_leader_how_old(now.monotonic_ms);
        self.wake_parked(now, out);
    }

    /// Gives every session its full timeout.
    pub(crate) fn begin_sessions(&mut self) {
        for session in self.tree.sessions() {
            self.sessions.begin(session.id, session.timeout_ms);
        }
    }

    /// Applies a committed record: first the state, then the watches, then the replies.
    fn deliver(&mut self, frame: &Frame, now: Now, out: &mut Effects) {
        let zxid = frame.zxid();
        match frame.kind() {
            FrameKind::Txn => {
                let txn = decode(zxid, frame.payload());
                let ended = restoring::ended_by(self, &txn);
                let changes = self.tree.apply(zxid, &txn);
                self.pending.applied(zxid);
                match ended {
                    Some(ended) => self.state_restored(zxid, ended, out),
                    None => self.watches.applied(&self.tree, zxid, changes, out),
                }
                if matches!(txn.body, TxnBody::Restore(_)) {
                    self.restore_goes_on(now);
                }
                self.conclude(zxid, &txn, now, out);
                if matches!(txn.body, TxnBody::OpenSession { .. } | TxnBody::Restore(_)) && self.is_established() {
                    // Writes in its name may have come before it was known here, or have waited for this step.
                    self.resume_held(now, out);
                }
            }
            FrameKind::Marker | FrameKind::Reconfig | FrameKind::ConfigFinal => {
                self.tree.advance(zxid);
                self.watches.applied(&self.tree, zxid, Vec::new(), out);
                match frame.kind() {
                    FrameKind::Reconfig => self.change_applied(frame),
                    FrameKind::ConfigFinal => self.change_final(frame, now, out),
                    FrameKind::Txn | FrameKind::Marker => {}
                }
            }
        }
        self.compare(out);
        self.release(zxid, now, out);
    }

    fn conclude(&mut self, zxid: Zxid, txn: &Txn, now: Now, out: &mut Effects) {
        if let TxnBody::OpenSession { id, timeout_ms, .. } = txn.body {
            self.sessions.begin(id, timeout_ms);
        }
        let Route { server, outbox, tag } = txn.route;
        let joined = self.waiting.joined.remove(&zxid);
        let is_asked_here = server == self.config.server;
        if is_asked_here || joined.is_some() {
            let reply = quorate_tree::reply(zxid, txn);
            for asker in joined.unwrap_or_default() {
                // Whoever asks again may have been at a server that is ahead of this one, and have seen more since.
                self.conclude_without_txn(asker, Ok(reply.clone()), now, out);
            }
            if is_asked_here {
                self.forwarded.remove(&(outbox, tag));
                self.answer_at(zxid, outbox, tag, Ok(reply), now, out);
            }
        }
        if let TxnBody::CloseSession { id, .. } = txn.body {
            self.session_ended(id, out);
        }
    }

    pub(crate) fn session_ended(&mut self, id: SessionId, out: &mut Effects) {
        self.owners.remove(&id);
        let (ending, told) = self.sessions.end(id);
        let end = match ending {
            Ending::Expired => SessionEnd::Expired,
            Ending::Closed => SessionEnd::Closed,
        };
        for outbox in told {
            if self.lanes.get_mut(outbox).is_some() {
                out.outbox.push((outbox, Delivery::Session { id, end }));
            }
        }
    }

    /// Everything up to `zxid` is applied: answers that rested on it are true now.
    pub(crate) fn release(&mut self, zxid: Zxid, now: Now, out: &mut Effects) {
        while self.waiting.barriers.front().is_some_and(|(barrier, ..)| *barrier <= zxid) {
            if let Some((barrier, asker, response)) = self.waiting.barriers.pop_front() {
                self.waiting.barrier_bytes -= BARRIER_BYTES + response_bytes(&response);
                self.reply(asker, barrier, response, now, out);
            }
        }
        self.wake_parked(now, out);
    }

    /// Answers whoever asked, with what is true once everything up to `zxid` is applied, as it is here.
    pub(crate) fn reply(&mut self, asker: Asker, zxid: Zxid, response: Response, now: Now, out: &mut Effects) {
        match asker {
            Asker::Here(outbox, tag) => self.answer(outbox, tag, response, now, out),
            Asker::There { connection, outbox, tag, .. } => {
                let answer = ToLearner::Answer { outbox, tag, barrier: zxid, response }.encode();
                self.with_outputs(now, out, |zab, outputs| zab.to_learner(connection, answer, outputs));
            }
        }
    }

    pub(crate) fn leader(&self) -> ServerId {
        match self.serving {
            Serving::No => ServerId::default(),
            Serving::Leading(_) => self.config.server,
            Serving::Following { leader, .. } => leader,
        }
    }
}
