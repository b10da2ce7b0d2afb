//! Who speaks for a session: one outbox in the whole ensemble, the one that was attached last.
//!
//! The leader grants it, when it is certain that it still leads (as for a linearizable read): a server that has lost touch
//! with the ensemble takes no session from whoever was attached elsewhere since. Every grant has a number greater than any
//! before. A new leader remembers none of them, so every server tells it which it holds, and the greatest counts; whoever
//! holds a lesser one has missed that its client has left (`org.apache.zookeeper.server.quorum.LearnerHandler`
//! revalidates sessions, for the same reason).

use quorate_types::mutation::mutated;
use quorate_types::{Code, Epoch, Error, Now, OutboxId, Reply, Request, ServerId, SessionId, Tag, Zxid};
use quorate_zab::ConnectionId;

use crate::effect::{Delivery, Effects, SessionEnd};
use crate::ensemble::no_leader;
use crate::limits;
use crate::peer::{ToLeader, ToLearner};
use crate::replica::{Replica, Serving, session_expired};
use crate::waiting::{Indexed, Parked};
use crate::writes::Asker;

/// The leave to speak for a session. A later one is greater, whichever leader gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grant {
    /// Of the leader.
    pub(crate) epoch: Epoch,
    /// Grows with every grant of this leader.
    pub(crate) number: u64,
}

/// What an outbox holds that speaks for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speaker {
    pub(crate) outbox: OutboxId,
    pub(crate) grant: Grant,
}

/// What a leader knows of the speaker of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) server: ServerId,
    /// The session with that server; `None` if it is the leader itself.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) speaker: Speaker,
}

impl Replica {
    /// A client wants to speak for a session from now on. `None`: it is answered when that is granted.
    pub(crate) fn claim(&mut self, outbox: OutboxId, tag: Tag, request: Request, now: Now, out: &mut Effects) {
        let session = request.session.map_or(SessionId::NONE, |(id, _)| id);
        match self.serving {
            Serving::Following { .. } => {
                self.forwarded.insert((outbox, tag), ());
                self.tell_leader(&ToLeader::Claim { outbox, tag, session }, now, out);
            }
            // Nobody else could lead; but somebody may learn from this server, and speak for sessions by its leave.
            Serving::Leading(_) if self.is_alone => {
                self.grant(Asker::Here(outbox, tag), session, self.tree.applied(), now, out);
            }
            Serving::Leading(_) => self.grant_when_certain(Asker::Here(outbox, tag), session, now, out),
            Serving::No => {
                let give_up_ms = request.deadline_ms.min(now.monotonic_ms + limits::MIN_ZXID_WAIT_MS);
                let parked = Parked { outbox, tag, request, give_up_ms, came: self.turn, is_certain: true };
                if let Some((zxid, response)) = self.index_later(parked) {
                    self.answer_at(zxid, outbox, tag, response, now, out);
                }
            }
        }
    }

    /// On a leader: grants it once it is certain that it is for this server to do so.
    pub(crate) fn grant_when_certain(&mut self, asker: Asker, session: SessionId, now: Now, out: &mut Effects) {
        if self.waiting.indexing_count >= limits::INDEXING_MAX {
            return self.reply(asker, self.tree.applied(), Err(no_leader()), now, out);
        }
        // Refused only if it leads no more, which will be said at once.
        let _ = self.ask_index(Indexed::Claim { asker, session });
    }

    /// It is certain, and everything up to `zxid` was committed before.
    pub(crate) fn grant(&mut self, asker: Asker, session: SessionId, zxid: Zxid, now: Now, out: &mut Effects) {
        if self.tree.session(session).is_none() {
            // A learner may be ahead of a leader whose disk is slow.
            return match self.tree.applied() < zxid {
                true => self.grant_when_certain(asker, session, now, out),
                false => self.reply(asker, zxid, Err(session_expired()), now, out),
            };
        }
        self.grants_so_far += 1;
        let grant = Grant { epoch: self.zab.epoch(), number: self.grants_so_far };
        match asker {
            Asker::Here(outbox, tag) => {
                let owner = Owner { server: self.config.server, connection: None, speaker: Speaker { outbox, grant } };
                self.own(session, owner, now, out);
                self.speak(outbox, tag, session, grant, now, out);
            }
            Asker::There { connection, server, outbox, tag } => {
                let owner = Owner { server, connection: Some(connection), speaker: Speaker { outbox, grant } };
                self.own(session, owner, now, out);
                let granted = ToLearner::Granted { outbox, tag, session, grant }.encode();
                self.with_outputs(now, out, |zab, outputs| zab.to_learner(connection, granted, outputs));
            }
        }
    }

    /// On a leader: a server says that one of its outboxes speaks for the session. Whoever holds a lesser grant does not.
    pub(crate) fn own(&mut self, session: SessionId, owner: Owner, now: Now, out: &mut Effects) {
        if self.tree.session(session).is_none() && self.tree.applied() >= self.zab.commit() {
            return;
        }
        let place = |owner: &Owner| (owner.server, owner.speaker.outbox);
        match self.owners.get(&session).copied() {
            Some(known) if known.speaker.grant > owner.speaker.grant => self.tell_moved(session, owner, now, out),
            known => {
                self.owners.insert(session, owner);
                if let Some(known) = known.filter(|known| place(known) != place(&owner)) {
                    self.tell_moved(session, known, now, out);
                }
            }
        }
    }

    fn tell_moved(&mut self, session: SessionId, owner: Owner, now: Now, out: &mut Effects) {
        if mutated("no-fence") {
            return;
        }
        let outbox = owner.speaker.outbox;
        match owner.connection {
            None => self.fence(session, outbox, out),
            Some(connection) => {
                let moved = ToLearner::Moved { session, outbox }.encode();
                self.with_outputs(now, out, |zab, outputs| zab.to_learner(connection, moved, outputs));
            }
        }
    }

    /// The outbox speaks for the session from now on.
    pub(crate) fn speak(
        &mut self,
        outbox: OutboxId,
        tag: Tag,
        session: SessionId,
        grant: Grant,
        now: Now,
        out: &mut Effects,
    ) {
        // Whoever has left meanwhile would be given a session that nobody can take from him.
        let Some(lane) = self.lanes.get_mut(outbox) else { return };
        let Some(timeout_ms) = self.tree.session(session).map(|session| session.timeout_ms) else {
            return self.answer(outbox, tag, Err(session_expired()), now, out);
        };
        let before = core::mem::replace(&mut lane.session, session);
        self.sessions.detach(before, outbox);
        if let Some(fenced) = self.sessions.attach(session, Speaker { outbox, grant }) {
            self.end_fenced(session, fenced, out);
        }
        self.answer(outbox, tag, Ok(Reply::Session { id: session, timeout_ms }), now, out);
    }

    /// Somebody else speaks for the session, and not this outbox any more.
    pub(crate) fn fence(&mut self, session: SessionId, outbox: OutboxId, out: &mut Effects) {
        if self.sessions.silence(session, outbox) {
            self.end_fenced(session, outbox, out);
        }
    }

    fn end_fenced(&mut self, id: SessionId, fenced: OutboxId, out: &mut Effects) {
        out.outbox.push((fenced, Delivery::Session { id, end: SessionEnd::Moved }));
        self.end_outbox(fenced, session_moved(), out);
    }

    /// On a leader: whether somebody else speaks for the session than this outbox of that server.
    pub(crate) fn is_owned_elsewhere(&self, session: SessionId, server: ServerId, outbox: OutboxId) -> bool {
        let is_other = |owner: &Owner| (owner.server, owner.speaker.outbox) != (server, outbox);
        self.owners.get(&session).is_some_and(is_other) && !mutated("no-fence")
    }
}

pub(crate) fn session_moved() -> Error {
    Error::new(Code::SessionMoved, "another connection speaks for the session now")
}
