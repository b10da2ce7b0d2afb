//! `Model`: what Quorate's tree of znodes means, as naively as it can be said.
//!
//! Written from the specification alone, for clarity and not for speed: a map of whole paths, a multi that works on
//! a copy of everything, no pending changes (the caller applies one request after the other). Whatever the real tree
//! answers to a history of requests, this answers too, or one of them is wrong.

mod access;
mod read;
mod requests;
mod write;
mod znode;

use std::collections::BTreeMap;

use quorate_types::{
    Acl, Caller, Change, Code, Error, Op, Reply, RequestId, Response, SessionId, SessionSecret, WriteOp, Zxid, limits,
};

pub use znode::ModelZnode;

use requests::Remembered;

/// A request, and what its leader adds to it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is to be done.
    pub op: Op,
    /// Who asks.
    pub caller: Caller,
    /// The session that the request belongs to, or none.
    pub session: SessionId,
    /// Makes it idempotent.
    pub request_id: Option<RequestId>,
    /// What it will be known by, if it changes anything.
    pub zxid: Zxid,
    /// The leader's wall clock.
    pub wall_ms: i64,
    /// The name of a session that it would open.
    pub new_session: SessionId,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer.
    pub response: Response,
    /// What happened to znodes, in order.
    pub changes: Vec<Change>,
    /// Whether there is a txn of it.
    pub committed: bool,
}

/// Everything that is replicated.
#[derive(Clone, Debug)]
pub struct Model {
    znodes: BTreeMap<String, ModelZnode>,
    sessions: BTreeMap<SessionId, (u32, SessionSecret)>,
    remembered: Remembered,
    /// Of the last txn: the time of the history never goes back.
    time_ms: i64,
}

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}

impl Model {
    /// The state before the first txn.
    #[must_use]
    pub fn new() -> Model {
        Model { znodes: znode::reserved(), sessions: BTreeMap::new(), remembered: Remembered::default(), time_ms: 0 }
    }

    /// Every znode by its path.
    #[must_use]
    pub fn znodes(&self) -> &BTreeMap<String, ModelZnode> {
        &self.znodes
    }

    /// The sessions that live.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.keys().copied()
    }

    /// The children of a znode, by their names' bytes.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { String::from("/") } else { format!("{path}/") };
        let below = self.znodes.keys().filter_map(|other| other.strip_prefix(&prefix));
        below.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::to_owned).collect()
    }

    /// Answers a request that may change something.
    ///
    /// # Panics
    /// For an operation that is not about the replicated state.
    pub fn write(&mut self, ask: &Ask) -> Outcome {
        let checked = match &ask.op {
            Op::Write(op) => Model::check_arguments(op),
            _ => Ok(()),
        };
        let checked = checked.and_then(|()| self.check_session(ask.session, matches!(ask.op, Op::CloseSession)));
        if let Err(error) = checked {
            return Outcome::failed(error);
        }
        if let Some(answer) = self.remembered.recall(ask) {
            return Outcome { response: answer, changes: Vec::new(), committed: false };
        }
        let (before, time_before_ms) = (may_stop_halfway(&ask.op).then(|| self.clone()), self.time_ms);
        self.time_ms = self.time_ms.max(ask.wall_ms);
        let mut changes = Vec::new();
        let done = match &ask.op {
            Op::Write(op) => self.write_one(op, ask, &mut changes),
            Op::Multi(ops) => self.multi(ops, ask, &mut changes),
            Op::DeleteTree { path, max } => self.delete_tree(path.as_str(), *max, ask, &mut changes),
            Op::OpenSession { timeout_ms, secret } => Ok(self.open_session(*timeout_ms, *secret, ask.new_session)),
            Op::CloseSession => Ok(self.close_session(ask, &mut changes)),
            other => panic!("{other:?} changes nothing"),
        };
        match done {
            Ok(reply) if changes_something(&reply) => {
                self.remembered.remember(ask, &reply);
                Outcome { response: Ok(reply), changes, committed: true }
            }
            refused => {
                // Whatever it did is undone.
                match before {
                    Some(before) => *self = before,
                    None => self.time_ms = time_before_ms,
                }
                Outcome { response: refused, changes: Vec::new(), committed: false }
            }
        }
    }

    fn check_session(&self, session: SessionId, is_required: bool) -> Result<(), Error> {
        if !session.is_some() {
            return if is_required { Err(error(Code::SessionRequired)) } else { Ok(()) };
        }
        if self.sessions.contains_key(&session) { Ok(()) } else { Err(error(Code::SessionExpired)) }
    }

    fn open_session(&mut self, timeout_ms: u32, secret: SessionSecret, id: SessionId) -> Reply {
        let timeout_ms = timeout_ms.clamp(limits::SESSION_TIMEOUT_MS_MIN, limits::SESSION_TIMEOUT_MS_MAX);
        self.sessions.insert(id, (timeout_ms, secret));
        Reply::Session { id, timeout_ms }
    }

    fn close_session(&mut self, ask: &Ask, changes: &mut Vec<Change>) -> Reply {
        let owned: Vec<String> = self.ephemerals(ask.session);
        for path in owned {
            self.remove(&path, ask.zxid, changes);
        }
        self.sessions.remove(&ask.session);
        self.remembered.forget_session(ask.session);
        Reply::SessionClosed
    }

    /// The paths of a session's ephemerals.
    #[must_use]
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let owned = self.znodes.iter().filter(|(_, znode)| znode.kind.owner() == session && session.is_some());
        owned.map(|(path, _)| path.clone()).collect()
    }

    fn acl_of(&self, path: &str) -> Acl {
        Acl::new(self.znodes[path].acl.clone())
    }
}

impl Outcome {
    fn failed(error: Error) -> Outcome {
        Outcome { response: Err(error), changes: Vec::new(), committed: false }
    }
}

/// Whether what was answered like this needs a txn: guards alone do not, nor does a multi that failed.
fn changes_something(reply: &Reply) -> bool {
    match reply {
        Reply::Checked => false,
        Reply::Multi(results) => {
            results.iter().all(Result::is_ok) && results.iter().flatten().any(|result| *result != Reply::Checked)
        }
        _ => true,
    }
}

/// Whether something may have been changed when it is found that it cannot be done. A single operation finds that first.
fn may_stop_halfway(op: &Op) -> bool {
    let is_single = matches!(
        op,
        Op::Write(WriteOp::Create { parents: false, .. } | WriteOp::SetData { .. } | WriteOp::Delete { .. })
    );
    !is_single
}

/// An error of which only the code matters.
fn error(code: Code) -> Error {
    Error::new(code, "")
}

fn parent_of(path: &str) -> Option<&str> {
    if path == "/" {
        return None;
    }
    let slash = path.rfind('/')?;
    Some(if slash == 0 { "/" } else { &path[..slash] })
}
