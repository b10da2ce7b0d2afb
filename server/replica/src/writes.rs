//! Writes: request -> txn -> proposal on the way in, committed record -> state -> events -> reply on the way out.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use quorate_tree::{Pending, Prepare, Prepared, Tree};
use quorate_types::{
    Caller, Code, Error, Frame, FrameKind, Now, Op, OutboxId, Request, Response, Route, ServerId, SessionId,
    SessionSecret, Tag, Txn, TxnBody, Zxid,
};
use quorate_zab::{NotProposed, Output, Zab};

use crate::effect::{Delivery, DiskOp, Effects, SessionEnd};
use crate::limits;
use crate::outbox::response_bytes;
use crate::replica::{Replica, session_expired};
use crate::sessions::Ending;

/// What an answer that waits is charged besides what it holds.
const BARRIER_BYTES: usize = size_of::<(Zxid, OutboxId, Tag, Response)>();

impl Replica {
    /// Decides a write and proposes it. Its reply is awaited already.
    pub(crate) fn write(&mut self, outbox: OutboxId, tag: Tag, request: Request, now: Now, out: &mut Effects) {
        if let Err(error) = self.admit(&request, now) {
            return self.answer(outbox, tag, Err(error), now, out);
        }
        if !self.waiting.held.is_empty() {
            return self.hold(outbox, tag, request, now, out);
        }
        let mut outputs = core::mem::take(&mut self.outputs);
        let next = self.zab.next_zxid(&mut outputs);
        self.outputs = outputs;
        match next {
            Ok(zxid) => self.prepare(zxid, outbox, tag, &request, now, out),
            Err(NotProposed::Later | NotProposed::NotLeading) => {
                self.carry_out(now, out);
                self.hold(outbox, tag, request, now, out);
            }
        }
    }

    fn admit(&mut self, request: &Request, now: Now) -> Result<(), Error> {
        if request.deadline_ms <= now.monotonic_ms {
            return Err(Error::new(Code::DeadlineExceeded, "the deadline had passed before the request was looked at"));
        }
        // First, since a request keeps its session alive even if it is refused.
        self.recognize(request)?;
        if self.disk_full && !matches!(request.op, Op::CloseSession) {
            let detail = "the server's disk is full; reads go on, writes resume when there is room again";
            return Err(Error::new(Code::DiskFull, detail));
        }
        self.can_come(request.min_zxid)
    }

    /// Checks the request's claim to its session, and counts it as a sign of life.
    pub(crate) fn recognize(&mut self, request: &Request) -> Result<(), Error> {
        let Some((id, secret)) = &request.session else { return Ok(()) };
        let Some(session) = self.tree.session(*id) else { return Err(session_expired()) };
        if !session.secret.matches(secret) {
            return Err(Error::new(Code::AuthFailed, "the session's secret does not match"));
        }
        if self.is_established() && self.sessions.touch(*id).is_none() {
            return Err(session_expired());
        }
        Ok(())
    }

    /// Counts a sign of life of a session. Whether it is a right one is judged when the request is answered.
    pub(crate) fn touch(&mut self, session: Option<(SessionId, SessionSecret)>) {
        if let Some((id, secret)) = session
            && self.tree.session(id).is_some_and(|session| session.secret.matches(&secret))
        {
            let _ = self.sessions.touch(id);
        }
    }

    fn hold(&mut self, outbox: OutboxId, tag: Tag, request: Request, now: Now, out: &mut Effects) {
        let bytes = self.waiting.held_bytes + request.charge();
        if self.waiting.held.len() >= limits::UNDER_WAY_RECORDS_MAX || bytes > limits::WAITING_BYTES_MAX {
            let error = Error::new(Code::Unavailable, "the server has no leader yet and too many writes wait for one");
            return self.answer(outbox, tag, Err(error), now, out);
        }
        self.waiting.held_bytes = bytes;
        self.waiting.held.push_back((outbox, tag, request));
    }

    fn prepare(&mut self, zxid: Zxid, outbox: OutboxId, tag: Tag, request: &Request, now: Now, out: &mut Effects) {
        let session = request.session.map_or(SessionId::NONE, |(id, _)| id);
        let prepared = self.pending.prepare(
            &self.tree,
            &Prepare {
                op: &request.op,
                caller: &request.caller,
                session,
                request_id: request.request_id,
                route: Route { server: self.config.server, outbox, tag },
                zxid,
                wall_ms: now.wall_ms,
                new_session: session_id(self.config.server, zxid),
            },
        );
        match prepared {
            Prepared::Txn(txn) => {
                if matches!(request.op, Op::CloseSession) {
                    self.sessions.closing(session, Ending::Closed);
                }
                self.propose(zxid, &txn, now, out);
            }
            Prepared::Answer(response) => {
                // The decision may rest on what is pending, so it is true once that is committed.
                let barrier = self.zab.history().last();
                if self.tree.applied() >= barrier {
                    self.answer(outbox, tag, response, now, out);
                } else {
                    self.waiting.barrier_bytes += BARRIER_BYTES + response_bytes(&response);
                    self.waiting.barriers.push_back((barrier, outbox, tag, response));
                }
            }
            Prepared::Pending(zxid) => self.waiting.joined.entry(zxid).or_default().push((outbox, tag)),
        }
    }

    fn propose(&mut self, zxid: Zxid, txn: &Txn, now: Now, out: &mut Effects) {
        let payload = txn.encode();
        self.with_outputs(now, out, |zab, outputs| zab.propose(zxid, &payload, outputs));
    }

    /// Proposes what nobody asked for, if it can be proposed now and is still right by all that is pending.
    pub(crate) fn propose_own(
        &mut self,
        now: Now,
        out: &mut Effects,
        prepare: impl FnOnce(&mut Pending, &Tree, Zxid) -> Prepared,
    ) {
        let mut outputs = core::mem::take(&mut self.outputs);
        let next = self.zab.next_zxid(&mut outputs);
        self.outputs = outputs;
        match next {
            Ok(zxid) => {
                if let Prepared::Txn(txn) = prepare(&mut self.pending, &self.tree, zxid) {
                    self.propose(zxid, &txn, now, out);
                }
            }
            Err(NotProposed::Later | NotProposed::NotLeading) => self.carry_out(now, out),
        }
    }

    /// Runs agreement and carries out what it decides.
    pub(crate) fn with_outputs(&mut self, now: Now, out: &mut Effects, run: impl FnOnce(&mut Zab, &mut Vec<Output>)) {
        let mut outputs = core::mem::take(&mut self.outputs);
        run(&mut self.zab, &mut outputs);
        self.outputs = outputs;
        self.carry_out(now, out);
    }

    fn carry_out(&mut self, now: Now, out: &mut Effects) {
        let mut outputs = core::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Append { token, frame } => {
                    self.under_way.submitted_bytes += frame.bytes().len() as u64;
                    self.under_way.submitted_records += 1;
                    self.under_way.last_token = token;
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
                Output::Deliver(frame) => self.deliver(&frame, now, out),
                Output::Established(epoch) => {
                    self.established = Some(epoch);
                    self.begin_to_lead(now, out);
                }
            }
        }
        if self.outputs.is_empty() {
            self.outputs = outputs;
        }
    }

    /// This server leads: every session has its full timeout again, and the writes that were held are decided.
    fn begin_to_lead(&mut self, now: Now, out: &mut Effects) {
        self.begin_sessions();
        self.waiting.held_bytes = 0;
        for (outbox, tag, request) in core::mem::take(&mut self.waiting.held) {
            self.write(outbox, tag, request, now, out);
        }
        self.wake_parked(now, out);
    }

    /// Gives every session its full timeout.
    pub(crate) fn begin_sessions(&mut self) {
        for session in self.tree.sessions() {
            self.sessions.begin(session.id, session.timeout_ms);
        }
    }

    /// Answers the held writes whose deadline has passed.
    pub(crate) fn give_up_held(&mut self, now: Now, out: &mut Effects) {
        let is_late = |request: &Request| request.deadline_ms <= now.monotonic_ms;
        if !self.waiting.held.iter().any(|(_, _, request)| is_late(request)) {
            return;
        }
        let (late, held) = core::mem::take(&mut self.waiting.held).into_iter().partition(|held| is_late(&held.2));
        self.waiting.held = held;
        let late: VecDeque<_> = late;
        for (outbox, tag, request) in late {
            self.waiting.held_bytes -= request.charge();
            let error = Error::new(Code::DeadlineExceeded, "the deadline passed while the server had no leader");
            self.answer(outbox, tag, Err(error), now, out);
        }
    }

    /// Applies a committed record: first the state, then the watches, then the replies.
    fn deliver(&mut self, frame: &Frame, now: Now, out: &mut Effects) {
        let zxid = frame.zxid();
        match frame.kind() {
            FrameKind::Txn => {
                let txn = decode(zxid, frame.payload());
                let changes = self.tree.apply(zxid, &txn);
                self.pending.applied(zxid);
                self.watches.applied(&self.tree, zxid, changes, out);
                self.conclude(zxid, &txn, now, out);
            }
            FrameKind::Marker | FrameKind::Reconfig | FrameKind::ConfigFinal => {
                self.tree.advance(zxid);
                self.watches.applied(&self.tree, zxid, Vec::new(), out);
            }
        }
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
            for (outbox, tag) in joined.unwrap_or_default() {
                self.answer_at(zxid, outbox, tag, Ok(reply.clone()), now, out);
            }
            if is_asked_here {
                self.answer_at(zxid, outbox, tag, Ok(reply), now, out);
            }
        }
        if let TxnBody::CloseSession { id, .. } = txn.body {
            self.session_ended(id, out);
        }
    }

    fn session_ended(&mut self, id: SessionId, out: &mut Effects) {
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
    fn release(&mut self, zxid: Zxid, now: Now, out: &mut Effects) {
        while self.waiting.barriers.front().is_some_and(|(barrier, ..)| *barrier <= zxid) {
            if let Some((_, outbox, tag, response)) = self.waiting.barriers.pop_front() {
                self.waiting.barrier_bytes -= BARRIER_BYTES + response_bytes(&response);
                self.answer(outbox, tag, response, now, out);
            }
        }
        self.wake_parked(now, out);
    }

    /// Proposes the end of every session whose time is up, but for what was sent in the last `unheard_ms`.
    pub(crate) fn expire_sessions(&mut self, unheard_ms: u64, now: Now, out: &mut Effects) {
        for id in self.sessions.expire(unheard_ms) {
            self.propose_own(now, out, |pending, tree, zxid| {
                pending.prepare(
                    tree,
                    &Prepare {
                        op: &Op::CloseSession,
                        caller: &Caller::server(),
                        session: id,
                        request_id: None,
                        route: Route::default(),
                        zxid,
                        wall_ms: now.wall_ms,
                        new_session: SessionId::NONE,
                    },
                )
            });
        }
    }
}

/// The id of the session that a txn opens: no two txns share a zxid, and no two leaders an epoch.
fn session_id(server: ServerId, zxid: Zxid) -> SessionId {
    SessionId(u64::from(server.0) << 56 | (zxid.0 & 0x00ff_ffff_ffff_ffff))
}

/// What was agreed on has to be readable: a server that cannot read it must not go on without it.
pub(crate) fn decode(zxid: Zxid, payload: Bytes) -> Txn {
    match Txn::decode(payload) {
        Ok(txn) => txn,
        Err(error) => {
            panic!("the committed txn {zxid} cannot be read ({error}); is this server older than its leader?")
        }
    }
}
