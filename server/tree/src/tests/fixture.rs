//! `Ensemble`: a leader and a follower without an ensemble around them, and short ways to write requests.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::txn::Route;
use quorate_types::{
    AclEntry, Caller, Change, Code, CreateMode, Epoch, Error, Op, Path, Perms, Precondition, ReadOp, Reply, RequestId,
    Response, SessionId, SessionSecret, Stat, Txn, WriteOp, Zxid,
};

use crate::{Pending, Prepare, Prepared, Reap, Tree};

/// Everything that decides and applies, kept in step: the leader applies the txns that it prepared, the follower what
/// it decodes of their encoding, and after each both have to have the same digest.
pub(crate) struct Ensemble {
    pub(crate) leader: Tree,
    pub(crate) follower: Tree,
    pub(crate) pending: Pending,
    proposed: VecDeque<(Zxid, Txn)>,
    pub(crate) caller: Caller,
    pub(crate) session: SessionId,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) wall_ms: i64,
    pub(crate) last: Zxid,
    /// What the last txns changed, as the leader saw it.
    pub(crate) changes: Vec<Change>,
    next_session: u64,
}

impl Ensemble {
    pub(crate) fn new() -> Ensemble {
        Ensemble {
            leader: Tree::new(1),
            follower: Tree::new(2),
            pending: Pending::new(3),
            proposed: VecDeque::new(),
            caller: Caller::anonymous(),
            session: SessionId::NONE,
            request_id: None,
            wall_ms: 1000,
            last: Zxid::new(Epoch(1), 0),
            changes: Vec::new(),
            next_session: 0x0100_0000_0000_0001,
        }
    }

    /// Decides a request, and leaves its txn pending.
    pub(crate) fn prepare(&mut self, op: &Op) -> Prepared {
        let zxid = self.last.next();
        let request = Prepare {
            op,
            caller: &self.caller,
            session: self.session,
            request_id: self.request_id,
            route: Route::default(),
            zxid,
            wall_ms: self.wall_ms,
            new_session: SessionId(self.next_session),
        };
        let prepared = self.pending.prepare(&self.leader, &request);
        self.propose(&prepared);
        prepared
    }

    pub(crate) fn prepare_reap(&mut self, reap: &Reap) -> Prepared {
        let prepared = self.pending.prepare_reap(&self.leader, reap, self.last.next(), self.wall_ms);
        self.propose(&prepared);
        prepared
    }

    fn propose(&mut self, prepared: &Prepared) {
        if let Prepared::Txn(txn) = prepared {
            self.last = self.last.next();
            self.next_session += 1;
            self.proposed.push_back((self.last, txn.clone()));
        }
    }

    /// Applies the oldest pending txn everywhere.
    pub(crate) fn apply_one(&mut self) -> bool {
        let Some((zxid, txn)) = self.proposed.pop_front() else { return false };
        let changes = self.leader.apply(zxid, &txn);
        let expected = match txn.changes(zxid) {
            Some(told) => told,
            None => changes.clone(),
        };
        let without_previous: Vec<_> =
            changes.iter().cloned().map(|change| Change { previous_data: None, ..change }).collect();
        let expected: Vec<_> = expected.into_iter().map(|change| Change { previous_data: None, ..change }).collect();
        assert_eq!(without_previous, expected, "what the txn tells is what the tree does");

        let decoded = Txn::decode(Bytes::from(txn.encode())).unwrap();
        assert_eq!(self.follower.apply(zxid, &decoded), changes);
        assert_eq!(self.follower.digest(), self.leader.digest());
        self.pending.applied(zxid);
        self.changes.extend(changes);
        true
    }

    /// Applies everything that is pending.
    pub(crate) fn apply_all(&mut self) {
        while self.apply_one() {}
    }

    /// Carries a request out, after all that is pending.
    pub(crate) fn run(&mut self, op: &Op) -> Response {
        match self.prepare(op) {
            Prepared::Answer(response) => response,
            Prepared::Pending(zxid) => panic!("pending at {zxid}"),
            Prepared::Txn(txn) => {
                self.changes.clear();
                self.apply_all();
                Ok(crate::reply(self.last, &txn))
            }
        }
    }

    pub(crate) fn write(&mut self, op: WriteOp) -> Response {
        self.run(&Op::Write(op))
    }

    /// Carries a write out that has to succeed, and returns the stat that it answers.
    pub(crate) fn must(&mut self, op: WriteOp) -> Option<Stat> {
        match self.write(op.clone()) {
            Ok(Reply::Created { stat, .. } | Reply::Changed { stat }) => Some(stat),
            Ok(_) => None,
            Err(error) => panic!("{op:?} failed: {error}"),
        }
    }

    pub(crate) fn read(&self, op: &ReadOp) -> Response {
        let reply = self.leader.read(op, &self.caller, self.session);
        assert_eq!(self.follower.read(op, &self.caller, self.session), reply);
        reply
    }

    pub(crate) fn stat(&self, path: &str) -> Stat {
        let stat = self.leader.stat(path).unwrap_or_else(|| panic!("{path} does not exist"));
        assert_eq!(self.follower.stat(path), Some(stat));
        stat
    }

    pub(crate) fn children(&self, at: &str) -> Vec<String> {
        let op =
            ReadOp::Children { path: path(at), after: String::new(), limit: 0, with_stat: false, with_data: false };
        match self.leader.read(&op, &Caller::server(), SessionId::NONE) {
            Ok(Reply::Children { children, .. }) => children.into_iter().map(|child| child.name).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Opens a session and speaks for it from now on.
    pub(crate) fn open_session(&mut self) -> SessionId {
        self.session = SessionId::NONE;
        match self.run(&Op::OpenSession { timeout_ms: 10_000, secret: SessionSecret([7; 16]) }) {
            Ok(Reply::Session { id, .. }) => {
                self.session = id;
                id
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

pub(crate) fn open_acl() -> Vec<AclEntry> {
    vec![entry(Perms::ALL, "world", "anyone")]
}

pub(crate) fn entry(perms: Perms, scheme: &str, id: &str) -> AclEntry {
    AclEntry { perms, scheme: scheme.into(), id: id.into() }
}

pub(crate) fn create_as(at: &str, mode: CreateMode) -> WriteOp {
    let prefix = Path::new_sequential_prefix(at).unwrap();
    let path = if mode.is_sequential() { prefix } else { Path::new(at).unwrap_or(prefix) };
    WriteOp::Create { path, data: Some(Bytes::from_static(b"data")), acl: open_acl(), mode, parents: false }
}

pub(crate) fn create(at: &str) -> WriteOp {
    create_as(at, CreateMode::Persistent)
}

pub(crate) fn create_with_acl(at: &str, acl: Vec<AclEntry>) -> WriteOp {
    WriteOp::Create { path: path(at), data: None, acl, mode: CreateMode::Persistent, parents: false }
}

pub(crate) fn delete(at: &str) -> WriteOp {
    delete_if(at, Precondition::None)
}

pub(crate) fn delete_if(at: &str, precondition: Precondition) -> WriteOp {
    WriteOp::Delete { path: path(at), precondition }
}

pub(crate) fn set(at: &str, data: &str) -> WriteOp {
    set_if(at, data, Precondition::None)
}

pub(crate) fn set_if(at: &str, data: &str, precondition: Precondition) -> WriteOp {
    let data = Some(Bytes::copy_from_slice(data.as_bytes()));
    WriteOp::SetData { path: path(at), data, precondition, create: None }
}

pub(crate) fn set_acl(at: &str, acl: Vec<AclEntry>, precondition: Precondition) -> WriteOp {
    WriteOp::SetAcl { path: path(at), acl, precondition }
}

pub(crate) fn check(at: &str, precondition: Precondition) -> WriteOp {
    WriteOp::Check { path: path(at), precondition }
}

pub(crate) fn get(at: &str) -> ReadOp {
    ReadOp::Get { path: path(at) }
}

/// The code of a failure.
pub(crate) fn code<T>(result: Result<T, Error>) -> Option<Code> {
    result.err().map(|error| error.code())
}

/// The path that a create made.
pub(crate) fn created(response: Response) -> String {
    match response {
        Ok(Reply::Created { path, .. }) => path,
        other => panic!("{other:?}"),
    }
}
