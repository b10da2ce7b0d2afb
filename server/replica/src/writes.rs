//! Writes on their way in: request -> txn -> proposal, on the leader. What becomes of a proposal stands in `commits`.

use alloc::collections::VecDeque;
use bytes::Bytes;
use quorate_tree::{Pending, Prepare, Prepared, Tree};
use quorate_types::mutation::mutated;
use quorate_types::{
    Caller, Code, Error, Now, Op, OutboxId, Request, Response, Route, ServerId, SessionId, SessionSecret, Tag, Txn,
    Zxid,
};
use quorate_zab::{ConnectionId, NotProposed};

use crate::commits::BARRIER_BYTES;
use crate::effect::Effects;
use crate::ensemble::no_leader;
use crate::limits;
use crate::outbox::response_bytes;
use crate::replica::Replica;
use crate::sessions::Ending;
use crate::waiting::Held;

/// Who waits for the answer to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client of this server.
    Here(OutboxId, Tag),
    /// A client of a learner.
    There {
        /// The session with the learner.
        connection: ConnectionId,
        /// The learner.
        server: ServerId,
        /// The learner's.
        outbox: OutboxId,
        /// The learner's.
        tag: Tag,
    },
}

impl Asker {
    pub(crate) fn route(self, here: ServerId) -> Route {
        match self {
            Asker::Here(outbox, tag) => Route { server: here, outbox, tag },
            Asker::There { server, outbox, tag, .. } => Route { server, outbox, tag },
        }
    }
}

impl Replica {
    /// Takes a write of a client of this server. Its reply is awaited already.
    pub(crate) fn write(&mut self, outbox: OutboxId, tag: Tag, request: Request, now: Now, out: &mut Effects) {
        if self.is_following() && self.waiting.held.is_empty() {
            self.forward(outbox, tag, request, now, out);
        } else {
            self.decide(Asker::Here(outbox, tag), request, now, out);
        }
    }

    /// Decides a write and proposes it, or holds it until that can be done.
    pub(crate) fn decide(&mut self, asker: Asker, request: Request, now: Now, out: &mut Effects) {
        if let Err(error) = self.admit(&request, now) {
            if error.code() == Code::SessionExpired && self.is_about_to_begin(request.session) {
                return self.hold(asker, request, now, out);
            }
            return self.reply(asker, self.tree.applied(), Err(error), now, out);
        }
        if !self.waiting.held.is_empty() || self.pending.must_wait(&request.op) {
            return self.hold(asker, request, now, out);
        }
        match self.zab.next_zxid(&mut self.outputs) {
            Ok(zxid) if self.is_of_the_future(&request.op, zxid) => self.begin_later_epoch(asker, request, now, out),
            Ok(zxid) => self.prepare(zxid, asker, &request, now, out),
            Err(NotProposed::Later | NotProposed::NotLeading) => {
                self.carry_out(now, out);
                self.hold(asker, request, now, out);
            }
        }
    }

    /// Whether a session is not known only because its beginning is not applied here: with a slow disk a leader is behind
    /// learners whose clients know of it.
    fn is_about_to_begin(&self, session: Option<(SessionId, SessionSecret)>) -> bool {
        let is_new = |id| self.tree.session(id).is_none() && self.pending.is_session_open(&self.tree, id);
        self.is_established() && session.is_some_and(|(id, _)| is_new(id)) && !mutated("forget-newborn")
    }

    fn admit(&mut self, request: &Request, now: Now) -> Result<(), Error> {
        if request.deadline_ms <= now.monotonic_ms {
            return Err(Error::new(Code::DeadlineExceeded, "the deadline had passed before the request was looked at"));
        }
        if self.is_established() {
            // First, since a request keeps its session alive even if it is refused.
            self.recognize(request)?;
        }
        if self.room.is_full && !matches!(request.op, Op::CloseSession) {
            let detail = "the server's disk is full; reads go on, writes resume when there is room again";
            return Err(Error::new(Code::DiskFull, detail));
        }
        self.can_come(request.min_zxid)
    }

    pub(crate) fn hold(&mut self, asker: Asker, request: Request, now: Now, out: &mut Effects) {
        let bytes = self.waiting.held_bytes + request.charge();
        if self.waiting.held.len() >= limits::UNDER_WAY_RECORDS_MAX || bytes > limits::WAITING_BYTES_MAX {
            let error = Error::new(Code::Unavailable, "the server has no leader yet and too many writes wait for one");
            return self.reply(asker, self.tree.applied(), Err(error), now, out);
        }
        self.waiting.held_bytes = bytes;
        // A sign of life counts when it comes, whatever becomes of the request.
        self.touch(request.session);
        let give_up_ms = match asker {
            Asker::Here(..) => request.deadline_ms.min(now.monotonic_ms + limits::LEADER_WAIT_MS),
            // This server leads, and will go on soon, or the learner will look for another leader.
            Asker::There { .. } => request.deadline_ms,
        };
        self.waiting.held.push_back(Held { asker, request, give_up_ms });
    }

    /// Goes on with the writes that were held.
    pub(crate) fn resume_held(&mut self, now: Now, out: &mut Effects) {
        self.waiting.held_bytes = 0;
        for Held { asker, request, .. } in core::mem::take(&mut self.waiting.held) {
            match asker {
                Asker::Here(outbox, tag) => self.write(outbox, tag, request, now, out),
                Asker::There { .. } => self.decide(asker, request, now, out),
            }
        }
    }

    /// Answers the held writes that have waited too long. They were not made, and will not be.
    pub(crate) fn give_up_held(&mut self, now: Now, out: &mut Effects) {
        let is_late = |held: &Held| held.give_up_ms <= now.monotonic_ms;
        if !self.waiting.held.iter().any(is_late) {
            return;
        }
        let (late, held) = core::mem::take(&mut self.waiting.held).into_iter().partition(is_late);
        self.waiting.held = held;
        self.waiting.held_bytes = self.waiting.held.iter().map(|held| held.request.charge()).sum();
        let late: VecDeque<_> = late;
        for Held { asker, request, .. } in late {
            let has_time = request.deadline_ms > now.monotonic_ms;
            match asker {
                // What comes later on the same stream must not be made if this is not.
                Asker::Here(outbox, _) if has_time && self.lanes.is_ordered(outbox) => {
                    self.end_outbox(outbox, no_leader(), out);
                }
                _ if has_time => self.reply(asker, self.tree.applied(), Err(no_leader()), now, out),
                _ => {
                    let error =
                        Error::new(Code::DeadlineExceeded, "the deadline passed while the server had no leader");
                    self.reply(asker, self.tree.applied(), Err(error), now, out);
                }
            }
        }
    }

    fn prepare(&mut self, zxid: Zxid, asker: Asker, request: &Request, now: Now, out: &mut Effects) {
        if let Op::Reconfigure { change, if_version } = &request.op {
            return self.reconfigure(asker, change, *if_version, now, out);
        }
        let session = request.session.map_or(SessionId::NONE, |(id, _)| id);
        let prepared = self.pending.prepare(
            &self.tree,
            &Prepare {
                op: &request.op,
                caller: &request.caller,
                session,
                request_id: request.request_id,
                route: asker.route(self.config.server),
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
            Prepared::Answer(response) => self.conclude_without_txn(asker, response, now, out),
            Prepared::Pending(zxid) => self.waiting.joined.entry(zxid).or_default().push(asker),
        }
    }

    /// Answers a write that leads to no txn. The decision may rest on what is pending, so it is true once that is
    /// committed; and, with other servers that might elect another leader meanwhile, if this one still leads.
    pub(crate) fn conclude_without_txn(&mut self, asker: Asker, response: Response, now: Now, out: &mut Effects) {
        let barrier = self.zab.history().last();
        if !self.is_alone && !mutated("error-unconfirmed") {
            self.waiting.barrier_bytes += BARRIER_BYTES + response_bytes(&response);
            self.confirm(asker, barrier, response);
        } else if self.tree.applied() >= barrier {
            self.reply(asker, barrier, response, now, out);
        } else {
            self.waiting.barrier_bytes += BARRIER_BYTES + response_bytes(&response);
            self.waiting.barriers.push_back((barrier, asker, response));
        }
    }

    fn propose(&mut self, zxid: Zxid, txn: &Txn, now: Now, out: &mut Effects) {
        let payload = txn.encode();
        self.with_outputs(now, out, |zab, outputs| zab.propose(zxid, &payload, outputs));
    }

    /// Proposes what nobody asked for, if it is still right by all that is pending. Returns whether it can be proposed now.
    pub(crate) fn propose_own(
        &mut self,
        now: Now,
        out: &mut Effects,
        prepare: impl FnOnce(&mut Pending, &Tree, Zxid) -> Prepared,
    ) -> bool {
        if self.pending.must_wait(&Op::CloseSession) {
            return false;
        }
        match self.zab.next_zxid(&mut self.outputs) {
            Ok(zxid) => {
                if let Prepared::Txn(txn) = prepare(&mut self.pending, &self.tree, zxid) {
                    self.propose(zxid, &txn, now, out);
                }
                true
            }
            Err(NotProposed::Later | NotProposed::NotLeading) => {
                self.carry_out(now, out);
                false
            }
        }
    }

    /// Proposes the end of every session whose time is up, but for what was sent in the last `unheard_ms`.
    pub(crate) fn expire_sessions(&mut self, unheard_ms: u64, now: Now, out: &mut Effects) {
        for id in self.sessions.expire(unheard_ms) {
            let is_proposed = self.propose_own(now, out, |pending, tree, zxid| {
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
            if !is_proposed {
                self.sessions.postpone(id);
            }
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
