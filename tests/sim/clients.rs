//! `Client`: writes, reads, keeps a session and watches, over one connection at a time to whichever server it likes, and
//! remembers what it was told.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quorate_replica::{Delivery, SessionEnd};
use quorate_storage::sim::Rng;
use quorate_tests::linearizability::Action;
use quorate_types::{
    Acl, Caller, Code, Consistency, CreateMode, Op, OutboxId, Path, Precondition, ReadOp, Reply, Request, RequestId,
    Response, SessionId, SessionSecret, Tag, WriteOp, Zxid,
};

use super::invariants::Ledger;
use super::invariants::judged::{Number, SHARED};
use super::invariants::watching::Watching;
use super::invariants::writes::Write;
use super::lines::Line;
use super::server::Id;
use super::swarm::ClientSwarm;

/// What a client waits for.
enum Sent {
    Write(Write, Option<RequestId>),
    OpenSession(SessionSecret),
    Attach,
    CloseSession,
    Watch,
    /// Anything whose reply only has to come.
    Other,
    /// A read of a register, and the least value that it must show, as long as the txn that wrote it is part of the state.
    Read {
        path: String,
        at_least: Option<(u64, Zxid)>,
    },
    /// An operation on a znode that all clients share; its path if it is a read.
    Shared(Number, Option<String>),
}

struct UnderWay {
    sent: Sent,
    session: SessionId,
    /// What the reply's state has to include.
    at_least: Zxid,
    /// If it succeeds, then by a txn of its own.
    is_new: bool,
    /// It leads to that txn if it is decided at all.
    is_certain: bool,
    is_write: bool,
}

/// A connection to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) server: Id,
    pub(crate) incarnation: u64,
    pub(crate) outbox: OutboxId,
}

pub(crate) struct Client {
    id: u64,
    pub(crate) rng: Rng,
    pub(crate) connection: Option<Connection>,
    pub(crate) is_read_due: bool,
    pub(crate) line: Line,
    /// When it last heard anything, or had nothing to wait for.
    pub(crate) heard_us: u64,
    next_tag: u64,
    under_way: BTreeMap<u64, UnderWay>,
    /// It uses sessions: only then do its writes on one connection never come after those on the next.
    has_sessions: bool,
    /// It asks to be the only one that speaks for its session.
    attaches: bool,
    /// It has been given a session just now.
    pub(crate) is_eager: bool,
    session: Option<(SessionId, SessionSecret)>,
    /// It speaks for its session, on its present connection.
    is_attached: bool,
    next_value: u64,
    /// Its register was created, by whichever of its writes.
    has_register: bool,
    /// The greatest value of its register that was acknowledged, and by which txn.
    register: Option<(u64, Zxid)>,
    sequence: u64,
    /// Writes of unknown outcome that are sent again under the same request id, which means something only within
    /// the session (or without one) that it was sent in.
    retries: Vec<(Write, RequestId, SessionId)>,
    pub(crate) watching: Watching,
    /// The greatest zxid that it was told.
    seen: Zxid,
    /// It has left a connection on which it had asked to speak for its session, and was not answered: that may still be
    /// granted, to nobody.
    has_left_a_claim: bool,
}

/// What clients share.
pub(crate) struct Shared<'a> {
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) swarm: &'a ClientSwarm,
    /// On the clock of the client's server.
    pub(crate) server_ms: u64,
}

impl Client {
    pub(crate) fn new(id: u64, rng: Rng, attaches: bool) -> Client {
        Client {
            id,
            rng,
            connection: None,
            is_read_due: false,
            line: Line::default(),
            heard_us: 0,
            next_tag: 1,
            under_way: BTreeMap::new(),
            has_sessions: id % 4 != 3,
            attaches,
            is_eager: false,
            session: None,
            is_attached: false,
            next_value: 1,
            has_register: false,
            register: None,
            sequence: 0,
            retries: Vec::new(),
            watching: Watching::new(id, if id.is_multiple_of(2) { "/" } else { "/r" }),
            seen: Zxid::ZERO,
            has_left_a_claim: false,
        }
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.under_way.len()
    }

    /// Whatever the client was told last: for whoever has to find out why it waits.
    pub(crate) fn waits_for(&self) -> Vec<u64> {
        self.under_way.keys().copied().collect()
    }

    /// The connection is gone: its server died, or said so, or the client has left.
    pub(crate) fn disconnected(&mut self, ledger: &mut Ledger) -> Option<Connection> {
        let connection = self.connection.take()?;
        self.watching.disconnected();
        let mut unanswered: BTreeMap<SessionId, Vec<Tag>> = BTreeMap::new();
        for (tag, under_way) in std::mem::take(&mut self.under_way) {
            if under_way.is_certain {
                unanswered.entry(under_way.session).or_default().push(Tag(tag));
            }
            match under_way.sent {
                Sent::Write(write, id) => {
                    ledger.writes.lost(&write);
                    self.retries.extend(id.map(|id| (write, id, under_way.session)));
                }
                Sent::Attach => self.has_left_a_claim = true,
                _ => {}
            }
        }
        // A session that has ended takes its writes with it, but not those of the next one.
        for unanswered in unanswered.into_values() {
            ledger.order.ended(connection.server.server(), connection.outbox, unanswered);
        }
        Some(connection)
    }

    /// It has a new connection.
    pub(crate) fn connected(&mut self, connection: Connection, now_us: u64) {
        assert!(self.connection.replace(connection).is_none(), "one connection at a time");
        self.heard_us = now_us;
        self.is_attached = false;
        self.line = Line::default();
    }

    fn send(&mut self, sent: Sent, session: SessionId, at_least: Zxid, is_write: bool) -> Tag {
        let tag = self.next_tag;
        self.next_tag += 1;
        // One with a request id may be answered from memory.
        let is_new = matches!(&sent, Sent::Write(_, None));
        let is_certain = matches!(&sent, Sent::Write(Write::Unique { .. }, _));
        self.under_way.insert(tag, UnderWay { sent, session, at_least, is_new, is_certain, is_write });
        Tag(tag)
    }

    /// The next request, with its tag.
    pub(crate) fn next(&mut self, shared: &mut Shared<'_>) -> Option<(Tag, Request)> {
        let (sent, op, request_id) = if self.is_ready() { self.choose(shared) } else { self.get_ready(shared)? };
        let session = self.session.map_or(SessionId::NONE, |(id, _)| id);
        if let Sent::Write(write, _) = &sent {
            shared.ledger.writes.sent(write);
        }
        let is_read = matches!(op, Op::Read { .. });
        let is_write = !is_read && !matches!(op, Op::Watch(_) | Op::Touch | Op::Sync | Op::AttachSession { .. });
        // What all clients share is judged to be linearizable; the rest is read one way or the other.
        let consistency = match &sent {
            Sent::Shared(..) => Consistency::Linearizable,
            _ if is_read => {
                [Consistency::Local, Consistency::Session, Consistency::Linearizable][self.rng.below(3) as usize]
            }
            _ => Consistency::Local,
        };
        // One that is sent again may have happened already.
        let is_fresh =
            (is_write && request_id.is_none()) || consistency == Consistency::Linearizable || matches!(op, Op::Sync);
        let acknowledged = if is_fresh { shared.ledger.history.last_acknowledged() } else { Zxid::ZERO };
        let at_least = self.seen.max(acknowledged);
        let sent = match sent {
            // Its own connection may not have shown it what it was told of its last write, unless it asks for that.
            Sent::Read { path, .. } if consistency == Consistency::Local && self.rng.coin() => {
                Sent::Read { path, at_least: self.register }
            }
            other => other,
        };
        let tag = self.send(sent, session, at_least, is_write);
        let deadline_ms = if self.rng.below(4) == 0 { shared.server_ms + self.rng.below(3_000) } else { u64::MAX };
        if deadline_ms != u64::MAX
            && let Some(under_way) = self.under_way.get_mut(&tag.0)
        {
            under_way.is_certain = false;
        }
        let request =
            Request { session: self.session, consistency, request_id, min_zxid: self.seen, deadline_ms, ..new(op) };
        Some((tag, request))
    }

    /// Whether it may send what it likes: once it speaks for its session, if it has one at all.
    fn is_ready(&self) -> bool {
        !self.has_sessions || (self.session.is_some() && (self.is_attached || !self.attaches))
    }

    /// Whether nothing that it writes is overtaken by what it has written on another connection before.
    pub(crate) fn is_protected(&self) -> bool {
        self.has_sessions && self.attaches
    }

    /// What it sends before; nothing while it waits for the answer to that.
    fn get_ready(&mut self, shared: &Shared<'_>) -> Option<(Sent, Op, Option<RequestId>)> {
        let waits = |under_way: &UnderWay| matches!(under_way.sent, Sent::OpenSession(_) | Sent::Attach);
        if self.under_way.values().any(waits) {
            return None;
        }
        if self.session.is_some() {
            return Some((Sent::Attach, Op::AttachSession { exclusive: true }, None));
        }
        let mut secret = SessionSecret::default();
        secret.0[..8].copy_from_slice(&self.rng.next_u64().to_le_bytes());
        let timeout_ms = (shared.swarm.timeout_ms + self.rng.below(2_000)) as u32;
        Some((Sent::OpenSession(secret), Op::OpenSession { timeout_ms, secret }, None))
    }

    fn choose(&mut self, shared: &mut Shared<'_>) -> (Sent, Op, Option<RequestId>) {
        if !self.watching.running {
            return (Sent::Watch, Op::Watch(self.watching.begin()), None);
        }
        if self.rng.coin()
            && let Some((write, id, session)) = self.retries.pop()
            && session == self.session.map_or(SessionId::NONE, |(id, _)| id)
        {
            let op = self.op_of(&write, shared);
            return (Sent::Write(write, Some(id)), op, Some(id));
        }
        match self.rng.below(100) {
            0..22 => {
                let path = format!("/u/{}", self.fresh_name());
                self.write(Write::Unique { path }, shared, false)
            }
            22..38 => {
                let token = self.fresh_name();
                self.write(Write::Sequential { token }, shared, true)
            }
            38..52 => {
                let value = self.fresh();
                self.write(Write::Register { path: format!("/r/{}", self.id), value }, shared, false)
            }
            // One at a time: what a client sends before it knows what came of that before tells little.
            52..66 if !self.under_way.values().any(|under_way| matches!(under_way.sent, Sent::Shared(..))) => {
                let path = SHARED[self.rng.below(SHARED.len() as u64) as usize];
                match shared.ledger.judged.is_doubtful(path) {
                    true => (Sent::Other, Op::Sync, None),
                    false => self.share(path, shared),
                }
            }
            66..74 => {
                let path = Path::new(format!("/e/{}", self.fresh_name())).unwrap();
                let acl = Acl::OPEN.entries();
                let mode = CreateMode::Ephemeral;
                (Sent::Other, Op::Write(WriteOp::Create { path, data: None, acl, mode, parents: true }), None)
            }
            74..78 => (Sent::Other, Op::Touch, None),
            78..80 => (Sent::CloseSession, Op::CloseSession, None),
            80..84 => (Sent::Other, self.multi(SHARED[self.id as usize % SHARED.len()]), None),
            84..86 => {
                let path = Path::new("/m").unwrap();
                (Sent::Other, Op::DeleteTree { path, max: 100 }, None)
            }
            86..89 => (Sent::Other, Op::Sync, None),
            _ => {
                let path = format!("/r/{}", self.id);
                let op = Op::Read { op: ReadOp::Get { path: Path::new(path.as_str()).unwrap() }, watch: false };
                (Sent::Read { path, at_least: self.register }, op, None)
            }
        }
    }

    /// Something with a znode that others read and write, too.
    fn share(&mut self, path: &str, shared: &mut Shared<'_>) -> (Sent, Op, Option<RequestId>) {
        let value = (self.id << 32) | self.fresh();
        let version = if self.rng.coin() { None } else { Some(self.rng.below(3) as i32) };
        let action = match self.rng.below(10) {
            0..2 => Action::Create { value },
            2..6 => Action::Set { value, version },
            6..7 => Action::Delete { version },
            _ => Action::Get,
        };
        let (number, op) = shared.ledger.judged.sent(self.id, path, action);
        let is_read = matches!(op, Op::Read { .. });
        (Sent::Shared(number, is_read.then(|| path.to_owned())), op, None)
    }

    fn fresh(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    fn fresh_name(&mut self) -> String {
        let value = self.fresh();
        format!("{}-{value}", self.id)
    }

    /// Creates and deletes in one txn, with a guard that holds or not.
    fn multi(&mut self, shared: &str) -> Op {
        let path = |name: &str| Path::new(format!("/m/{name}")).unwrap();
        let create = |path: Path| WriteOp::Create {
            path,
            data: Some(Bytes::from_static(b"multi")),
            acl: Acl::OPEN.entries(),
            mode: CreateMode::Persistent,
            parents: true,
        };
        let name = self.rng.below(5).to_string();
        let own = self.fresh_name();
        let set = |path: Path| WriteOp::SetData {
            path,
            data: None,
            precondition: Precondition::None,
            create: Some(Acl::OPEN.entries()),
        };
        let mut ops = vec![set(Path::new("/m").unwrap()), create(path(&format!("{name}-{own}"))), set(path(&name))];
        match self.rng.below(4) {
            0 => ops.push(WriteOp::Check { path: path(&name), precondition: Precondition::Version(3) }),
            // Nothing of it is ever made: who judges what becomes of this znode need not know of it.
            1 => {
                ops.push(set(Path::new(shared).unwrap()));
                ops.push(WriteOp::Check { path: path("never"), precondition: Precondition::None });
            }
            _ => {}
        }
        Op::Multi(ops)
    }

    fn write(&mut self, write: Write, shared: &mut Shared<'_>, idempotent: bool) -> (Sent, Op, Option<RequestId>) {
        let op = self.op_of(&write, shared);
        let id = idempotent.then(|| {
            self.sequence += 1;
            // Nothing is acknowledged here, so that any of them may be sent again; the window is far larger.
            RequestId { client: u128::from(self.id), sequence: self.sequence, acknowledged_through: 0 }
        });
        (Sent::Write(write, id), op, id)
    }

    fn op_of(&mut self, write: &Write, shared: &Shared<'_>) -> Op {
        let acl = Acl::OPEN.entries();
        let padding = "x".repeat(self.rng.below(shared.swarm.value_bytes) as usize);
        Op::Write(match write {
            Write::Unique { path } => {
                let path = Path::new(path.as_str()).unwrap();
                WriteOp::Create { path, data: Some(padding.into()), acl, mode: CreateMode::Persistent, parents: true }
            }
            Write::Sequential { token } => {
                let path = Path::new("/seq/n-").unwrap();
                let (data, mode) = (Some(token.clone().into()), CreateMode::PersistentSequential);
                WriteOp::Create { path, data, acl, mode, parents: true }
            }
            Write::Register { path, value } => {
                let (path, data) = (Path::new(path.as_str()).unwrap(), Some(format!("{value} {padding}").into()));
                match self.has_register {
                    true => WriteOp::SetData { path, data, precondition: Precondition::None, create: Some(acl) },
                    false => WriteOp::Create { path, data, acl, mode: CreateMode::Persistent, parents: true },
                }
            }
        })
    }

    /// Takes what the outbox brings.
    pub(crate) fn receive(&mut self, delivery: Delivery, ledger: &mut Ledger) {
        match delivery {
            Delivery::Reply { tag, zxid, response } => {
                let under_way = self.under_way.remove(&tag.0).expect("a reply to a request under way");
                assert!(
                    self.under_way.keys().all(|later| *later > tag.0),
                    "SessionFifo: the reply to {tag:?} came before those to {:?}",
                    self.waits_for()
                );
                self.replied(under_way, zxid, response, ledger);
            }
            Delivery::Watch { watches, item } => {
                assert_eq!(watches.as_slice(), [self.watching.id]);
                if let Some(zxid) = Watching::shown_by(&item) {
                    self.is_shown(zxid, ledger);
                }
                self.watching.receive(&item);
            }
            Delivery::Session { id, end } => match end {
                SessionEnd::Moved => self.fenced(id),
                SessionEnd::Expired | SessionEnd::Closed => {
                    ledger.sessions.told_of_end(id);
                    self.session = self.session.filter(|(mine, _)| *mine != id);
                }
            },
            other => panic!("nobody asked for {other:?}"),
        }
    }

    /// SessionFence: whoever was let speak for a session last does so, until he leaves.
    fn fenced(&self, session: SessionId) {
        assert!(self.has_left_a_claim, "SessionFence: client {} is the last that speaks for {session}", self.id);
    }

    /// It sees something of the state at `zxid`.
    fn is_shown(&self, zxid: Zxid, ledger: &Ledger) {
        if let Some((session, _)) = self.session.filter(|_| self.is_attached) {
            ledger.sessions.shown_to_speaker(session, zxid);
        }
    }

    /// What a reply says of the order of things.
    fn check_order(&mut self, at_least: Zxid, is_write: bool, is_new: bool, zxid: Zxid, ledger: &mut Ledger) {
        if is_new {
            assert!(zxid > at_least, "RealTime: a write at {zxid:?} was sent when {at_least:?} was known");
        } else {
            let which = if is_write { "ClientZxid" } else { "SyncFresh" };
            assert!(zxid >= at_least, "{which}: {zxid:?} is shown to whom knew {at_least:?}");
        }
        self.seen = self.seen.max(zxid);
        self.watching.replied(zxid, ledger.restores.last(zxid));
        self.is_shown(zxid, ledger);
        ledger.history.acknowledged(zxid);
    }

    fn replied(&mut self, under_way: UnderWay, zxid: Zxid, response: Response, ledger: &mut Ledger) {
        let code = response.as_ref().err().map(|error| error.code());
        assert_ne!(code, Some(Code::ZxidUnknown), "ErrorTruth: what a client has seen is called unknown");
        if code == Some(Code::SessionExpired) {
            let is_opening = matches!(under_way.sent, Sent::OpenSession(_));
            assert!(!is_opening, "ErrorTruth: who asks for a session is told that his last one has ended");
            ledger.sessions.told_of_end(under_way.session);
            self.session = self.session.filter(|(mine, _)| *mine != under_way.session);
        }
        let is_of_a_state = matches!(
            code,
            None | Some(Code::NoNode | Code::NoParent | Code::NodeExists | Code::BadVersion | Code::NotEmpty)
        );
        if is_of_a_state {
            let UnderWay { at_least, is_write, is_new, .. } = under_way;
            self.check_order(at_least, is_write, is_new && code.is_none(), zxid, ledger);
        }
        if code == Some(Code::SessionMoved) {
            self.fenced(under_way.session);
        }
        match (under_way.sent, response) {
            (Sent::Write(write, _), response) => {
                ledger.writes.replied(&write, zxid, &response);
                if let Write::Register { value, .. } = write {
                    self.has_register |= matches!(code, None | Some(Code::NodeExists));
                    self.register = self.register.max(response.is_ok().then_some((value, zxid)));
                }
            }
            (Sent::OpenSession(secret), Ok(Reply::Session { id, .. })) => {
                self.session = Some((id, secret));
                self.is_eager = !self.attaches;
                (self.is_attached, self.has_left_a_claim) = (false, false);
            }
            (Sent::Attach, Ok(_)) => self.is_attached = true,
            (Sent::CloseSession, Ok(_)) => self.session = self.session.filter(|(mine, _)| *mine != under_way.session),
            (Sent::Read { path, at_least }, response) => {
                ledger.reads.read(&path, zxid, &response);
                let value = match response {
                    Ok(Reply::Data { data, .. }) => {
                        let text = String::from_utf8(data.unwrap_or_default().to_vec()).unwrap();
                        Some(text.split_whitespace().next().unwrap().parse().unwrap())
                    }
                    Err(error) if error.code() == Code::NoNode => None,
                    _ => return,
                };
                let is_part = |(_, written): &(u64, Zxid)| ledger.restores.is_part_of(*written, zxid);
                let at_least = at_least.filter(is_part).filter(|_| self.is_protected()).map(|(value, _)| value);
                assert!(value >= at_least, "ReadYourWrites: a read shows {value:?} after {at_least:?}");
            }
            (Sent::Shared(number, path), response) => {
                if let Some(path) = path {
                    ledger.reads.read(&path, zxid, &response);
                }
                ledger.judged.replied(number, &response);
            }
            (Sent::Watch, Err(_)) => self.watching.running = false,
            (Sent::OpenSession(_) | Sent::Attach | Sent::CloseSession | Sent::Watch | Sent::Other, _) => {}
        }
    }

    /// Begins or resumes the watch, and nothing else.
    pub(crate) fn watch_only(&mut self) -> (Tag, Request) {
        let op = Op::Watch(self.watching.begin());
        (self.send(Sent::Watch, SessionId::NONE, Zxid::ZERO, false), new(op))
    }

    /// Its session is left to end by itself.
    pub(crate) fn forget_session(&mut self) {
        self.has_sessions = false;
        self.session = None;
    }

    /// A write that has to succeed.
    pub(crate) fn probe(&mut self, ledger: &mut Ledger) -> (Tag, Request) {
        let write = Write::Unique { path: format!("/u/{}", self.fresh_name()) };
        ledger.writes.sent(&write);
        let Write::Unique { path } = &write else { unreachable!("it was just made") };
        let path = Path::new(path.as_str()).unwrap();
        let (acl, mode) = (Acl::OPEN.entries(), CreateMode::Persistent);
        let op = Op::Write(WriteOp::Create { path, data: None, acl, mode, parents: true });
        let at_least = self.seen.max(ledger.history.last_acknowledged());
        let tag = self.send(Sent::Write(write, None), SessionId::NONE, at_least, true);
        (tag, new(op))
    }
}

fn new(op: Op) -> Request {
    Request::new(op, Arc::new(Caller::anonymous()))
}
