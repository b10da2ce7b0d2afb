//! `Client`: writes, reads, keeps a session and watches, over one outbox at a time, and remembers what it was told.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quorate_replica::{Delivery, SessionEnd};
use quorate_storage::sim::Rng;
use quorate_tests::linearizability::Action;
use quorate_types::{
    Acl, Caller, Consistency, CreateMode, Op, OutboxId, Path, Precondition, ReadOp, Reply, Request, RequestId,
    Response, SessionId, SessionSecret, Tag, WriteOp, Zxid,
};

use super::judged::{Judged, Number};
use super::sessions::SessionLog;
use super::watching::Watching;
use super::writes::{Write, Writes};

/// What a client waits for.
enum Sent {
    Write(Write, Option<RequestId>),
    OpenSession(SessionSecret),
    /// Anything whose reply only has to come.
    Other,
    /// A linearizable read of a register, and the least value that it must show.
    Read {
        at_least: Option<u64>,
    },
    /// An operation on a znode that all clients share.
    Shared(Number),
}

struct UnderWay {
    sent: Sent,
    session: SessionId,
    sent_ms: u64,
}

pub(crate) struct Client {
    id: u64,
    pub(crate) outbox: Option<OutboxId>,
    next_tag: u64,
    under_way: BTreeMap<u64, UnderWay>,
    session: Option<(SessionId, SessionSecret)>,
    next_value: u64,
    /// The greatest value of its register that was acknowledged.
    register: Option<u64>,
    sequence: u64,
    /// Writes of unknown outcome that are sent again under the same request id, which means something only within
    /// the session (or without one) that it was sent in.
    retries: Vec<(Write, RequestId, SessionId)>,
    pub(crate) watching: Watching,
}

/// What clients share.
pub(crate) struct Shared<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) now_ms: u64,
    pub(crate) value_bytes: u64,
    pub(crate) writes: &'a mut Writes,
    pub(crate) sessions: &'a mut SessionLog,
    pub(crate) judged: &'a mut Judged,
}

impl Client {
    pub(crate) fn new(id: u64) -> Client {
        Client {
            id,
            outbox: None,
            next_tag: 1,
            under_way: BTreeMap::new(),
            session: None,
            next_value: 1,
            register: None,
            sequence: 0,
            retries: Vec::new(),
            watching: Watching::new(id, if id.is_multiple_of(2) { "/" } else { "/r" }),
        }
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.under_way.len()
    }

    /// The server died, or this client's connection did.
    pub(crate) fn disconnected(&mut self, writes: &mut Writes) {
        self.outbox = None;
        self.watching.running = false;
        for (_, under_way) in std::mem::take(&mut self.under_way) {
            if let Sent::Write(write, id) = under_way.sent {
                writes.lost(&write);
                self.retries.extend(id.map(|id| (write, id, under_way.session)));
            }
        }
    }

    /// The next request, with its tag.
    pub(crate) fn next(&mut self, shared: &mut Shared<'_>) -> (Tag, Request) {
        let (sent, op, request_id) = self.choose(shared);
        let tag = self.next_tag;
        self.next_tag += 1;
        let linearizable = matches!(op, Op::Read { .. });
        let session = self.session.map_or(SessionId::NONE, |(id, _)| id);
        shared.sessions.heard(session, shared.now_ms);
        if let Sent::Write(write, _) = &sent {
            shared.writes.sent(write);
        }
        self.under_way.insert(tag, UnderWay { sent, session, sent_ms: shared.now_ms });
        let caller = Arc::new(Caller::anonymous());
        let consistency = if linearizable { Consistency::Linearizable } else { Consistency::Local };
        (Tag(tag), Request { session: self.session, consistency, request_id, ..Request::new(op, caller) })
    }

    fn choose(&mut self, shared: &mut Shared<'_>) -> (Sent, Op, Option<RequestId>) {
        if !self.watching.running {
            return (Sent::Other, Op::Watch(self.watching.begin()), None);
        }
        if shared.rng.coin()
            && let Some((write, id, session)) = self.retries.pop()
            && session == self.session.map_or(SessionId::NONE, |(id, _)| id)
        {
            let op = self.op_of(&write, shared);
            return (Sent::Write(write, Some(id)), op, Some(id));
        }
        let Some((_, _)) = self.session else {
            let mut secret = SessionSecret::default();
            secret.0[..8].copy_from_slice(&shared.rng.next_u64().to_le_bytes());
            let op = Op::OpenSession { timeout_ms: 1_000 + shared.rng.below(4_000) as u32, secret };
            return (Sent::OpenSession(secret), op, None);
        };
        match shared.rng.below(100) {
            0..25 => {
                let path = format!("/u/{}", self.fresh_name());
                self.write(Write::Unique { path }, shared, false)
            }
            25..45 => {
                let token = self.fresh_name();
                self.write(Write::Sequential { token }, shared, true)
            }
            45..58 => {
                let value = self.fresh();
                self.write(Write::Register { path: format!("/r/{}", self.id), value }, shared, false)
            }
            // One at a time: what a client sends before it knows what came of that before tells little.
            58..70 if !self.under_way.values().any(|under_way| matches!(under_way.sent, Sent::Shared(_))) => {
                self.share(shared)
            }
            70..78 => {
                let path = Path::new(format!("/e/{}", self.fresh_name())).unwrap();
                let acl = Acl::OPEN.entries();
                let mode = CreateMode::Ephemeral;
                (Sent::Other, Op::Write(WriteOp::Create { path, data: None, acl, mode, parents: true }), None)
            }
            78..82 => (Sent::Other, Op::Touch, None),
            82..84 => (Sent::Other, Op::CloseSession, None),
            84..88 => (Sent::Other, self.multi(shared), None),
            88..90 => {
                let path = Path::new("/m").unwrap();
                (Sent::Other, Op::DeleteTree { path, max: 100 }, None)
            }
            _ => {
                let path = Path::new(format!("/r/{}", self.id)).unwrap();
                let op = Op::Read { op: ReadOp::Get { path }, watch: false };
                (Sent::Read { at_least: self.register }, op, None)
            }
        }
    }

    /// Something with a znode that others read and write, too.
    fn share(&mut self, shared: &mut Shared<'_>) -> (Sent, Op, Option<RequestId>) {
        let value = (self.id << 32) | self.fresh();
        let version = if shared.rng.coin() { None } else { Some(shared.rng.below(3) as i32) };
        let action = match shared.rng.below(10) {
            0..2 => Action::Create { value },
            2..6 => Action::Set { value, version },
            6..7 => Action::Delete { version },
            _ => Action::Get,
        };
        let path = format!("/shared/{}", shared.rng.below(2));
        let (number, op) = shared.judged.sent(self.id, &path, action);
        (Sent::Shared(number), op, None)
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
    fn multi(&mut self, shared: &mut Shared<'_>) -> Op {
        let path = |name: &str| Path::new(format!("/m/{name}")).unwrap();
        let create = |path: Path| WriteOp::Create {
            path,
            data: Some(Bytes::from_static(b"multi")),
            acl: Acl::OPEN.entries(),
            mode: CreateMode::Persistent,
            parents: true,
        };
        let name = shared.rng.below(5).to_string();
        let mut ops = vec![
            create(path(&format!("{name}-{}", self.fresh()))),
            WriteOp::SetData {
                path: path(&name),
                data: None,
                precondition: Precondition::None,
                create: Some(Acl::OPEN.entries()),
            },
        ];
        if shared.rng.coin() {
            ops.push(WriteOp::Check { path: path(&name), precondition: Precondition::Version(3) });
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

    fn op_of(&self, write: &Write, shared: &mut Shared<'_>) -> Op {
        let acl = Acl::OPEN.entries();
        let padding = "x".repeat(shared.rng.below(shared.value_bytes) as usize);
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
            Write::Register { path, value } => WriteOp::SetData {
                path: Path::new(path.as_str()).unwrap(),
                data: Some(format!("{value} {padding}").into()),
                precondition: Precondition::None,
                create: Some(acl),
            },
        })
    }

    /// Takes what the outbox brings. Returns the zxid that was thereby acknowledged.
    pub(crate) fn receive(&mut self, delivery: Delivery, shared: &mut Shared<'_>) -> Zxid {
        match delivery {
            Delivery::Reply { tag, zxid, response } => {
                let under_way = self.under_way.remove(&tag.0).expect("a reply to a request under way");
                assert!(self.under_way.keys().all(|later| *later > tag.0), "the reply to {tag:?} came out of order");
                self.replied(under_way, response, shared);
                zxid
            }
            Delivery::Watch { watches, item } => {
                assert_eq!(watches.as_slice(), [self.watching.id]);
                self.watching.receive(&item);
                Zxid::ZERO
            }
            Delivery::Session { id, end } => {
                assert_ne!(end, SessionEnd::Moved, "nobody else speaks for {id}");
                self.session = self.session.filter(|(mine, _)| *mine != id);
                Zxid::ZERO
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn replied(&mut self, under_way: UnderWay, response: Response, shared: &mut Shared<'_>) {
        if let Err(error) = &response
            && error.code() == quorate_types::Code::SessionExpired
        {
            self.session = self.session.filter(|(mine, _)| *mine != under_way.session);
        }
        match (under_way.sent, response) {
            (Sent::Write(write, _), response) => {
                shared.writes.replied(&write, &response);
                if let (Write::Register { value, .. }, Ok(_)) = (write, &response) {
                    self.register = self.register.max(Some(value));
                }
            }
            (Sent::OpenSession(secret), Ok(Reply::Session { id, timeout_ms })) => {
                shared.sessions.opened(id, timeout_ms, under_way.sent_ms);
                self.session = Some((id, secret));
            }
            (Sent::Read { at_least }, Ok(Reply::Data { data, .. })) => {
                let text = String::from_utf8(data.unwrap_or_default().to_vec()).unwrap();
                let value: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
                assert!(Some(value) >= at_least, "a linearizable read shows {value} after {at_least:?}");
            }
            (Sent::Read { at_least }, Err(error)) if error.code() == quorate_types::Code::NoNode => {
                assert_eq!(at_least, None, "a linearizable read shows nothing");
            }
            (Sent::Shared(number), response) => shared.judged.replied(number, &response),
            (Sent::OpenSession(_) | Sent::Read { .. } | Sent::Other, _) => {}
        }
    }

    /// Begins or resumes the watch, and nothing else.
    pub(crate) fn watch_only(&mut self, now_ms: u64) -> (Tag, Request) {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.under_way.insert(tag, UnderWay { sent: Sent::Other, session: SessionId::NONE, sent_ms: now_ms });
        (Tag(tag), Request::new(Op::Watch(self.watching.begin()), Arc::new(Caller::anonymous())))
    }

    /// Whether this client's session, if it has one, is to be attached to its outbox first.
    pub(crate) fn attach(&mut self, now_ms: u64) -> Option<(Tag, Request)> {
        let session = self.session?;
        let tag = self.next_tag;
        self.next_tag += 1;
        self.under_way.insert(tag, UnderWay { sent: Sent::Other, session: session.0, sent_ms: now_ms });
        let op = Op::AttachSession { exclusive: true };
        Some((Tag(tag), Request { session: Some(session), ..Request::new(op, Arc::new(Caller::anonymous())) }))
    }
}
