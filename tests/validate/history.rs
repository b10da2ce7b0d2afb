//! `History`: runs steps on the model and on the tree, and compares all that can be seen.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use quorate_tests::model::{Ask, Model, Outcome};
use quorate_tree::Prepared;
use quorate_types::{
    Caller, Change, ChangeKind, Code, Epoch, Op, Path, Precondition, ReadOp, Reply, RequestId, Response, SessionId,
    SessionSecret, WriteOp, Zxid, path,
};

use super::step::{self, Condition, Place, Reading, RequestName, Step, What};
use super::subject::Subject;

/// What must have happened in a run of random histories, or the run proves little.
const WARM: &[Code] = &[
    Code::BadArguments,
    Code::InvalidAcl,
    Code::NoNode,
    Code::NoParent,
    Code::NodeExists,
    Code::BadVersion,
    Code::NotEmpty,
    Code::NoChildrenForEphemerals,
    Code::NoAuth,
    Code::SessionExpired,
    Code::SessionRequired,
    Code::TooMany,
    Code::RequestIdReused,
    Code::RequestIdForgotten,
];

/// What happened, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    txns: usize,
    changes: usize,
    reads: usize,
    remembered: usize,
    waited: usize,
    pending_max: usize,
    refusals: BTreeMap<u8, usize>,
}

pub(super) struct History {
    /// Ahead of the tree by what is pending.
    model: Model,
    /// The model at the applied zxid, and what each pending txn will make of it.
    applied: Model,
    expected: VecDeque<(Zxid, Vec<Change>, Response, Model)>,
    subject: Subject,
    sessions: Vec<SessionId>,
    /// Requests that had an id, newest first.
    asked: VecDeque<Ask>,
    next_zxid: Zxid,
    wall_ms: i64,
    pub(super) totals: Totals,
}

impl History {
    pub(super) fn new() -> History {
        History {
            model: Model::new(),
            applied: Model::new(),
            expected: VecDeque::new(),
            subject: Subject::new(),
            sessions: Vec::new(),
            asked: VecDeque::new(),
            next_zxid: Zxid::new(Epoch(1), 1),
            wall_ms: 1_700_000_000_000,
            totals: Totals::default(),
        }
    }

    pub(super) fn run(&mut self, step: &Step) -> Result<(), String> {
        self.wall_ms += 1;
        match step {
            Step::Write { session, who, id, what } => {
                let op = self.op(what);
                self.write(op, who.caller(), self.session(*session), id.map(RequestName::id))
            }
            Step::Repeat { back } => match self.asked.get(usize::from(*back)).cloned() {
                Some(Ask { op, caller, session, request_id, .. }) => self.write(op, caller, session, request_id),
                None => Ok(()),
            },
            Step::Read { session, who, what } => {
                let (op, session) = (self.reading(what), self.session(*session));
                self.read(&op, &who.caller(), session)
            }
            Step::Open { timeout_ms } => {
                let secret = SessionSecret([self.sessions.len() as u8; 16]);
                let op = Op::OpenSession { timeout_ms: *timeout_ms, secret };
                self.sessions.insert(0, self.new_session());
                self.write(op, Caller::anonymous(), SessionId::NONE, None)
            }
            Step::Close { session } => self.write(Op::CloseSession, Caller::anonymous(), self.session(*session), None),
            Step::Apply { count } => (0..*count).try_for_each(|_| self.apply()),
            Step::Clock { by_ms } => {
                self.wall_ms += by_ms;
                Ok(())
            }
        }
    }

    /// Applies what is pending, and compares once more after a snapshot.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        while !self.expected.is_empty() {
            self.apply()?;
        }
        self.subject.restart_from_snapshot()?;
        self.subject.compare(&self.applied)
    }

    fn write(
        &mut self,
        op: Op,
        caller: Caller,
        session: SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), String> {
        let (zxid, wall_ms, new_session) = (self.next_zxid, self.wall_ms, self.sessions.first().copied());
        let new_session = new_session.unwrap_or_default();
        let ask = Ask { op, caller, session, request_id, zxid, wall_ms, new_session };
        if request_id.is_some() {
            self.asked.push_front(ask.clone());
            self.asked.truncate(8);
        }
        let outcome = self.model.write(&ask);
        self.totals.count(&outcome, &ask);
        match self.subject.prepare(&ask) {
            Prepared::Txn(txn) => {
                let reply = Ok(quorate_tree::reply(zxid, &txn));
                if !outcome.committed {
                    return Err(format!("becomes {txn:?}, but the model answers {:?}", outcome.response));
                }
                compare_responses(&reply, &outcome.response)?;
                self.next_zxid = zxid.next();
                self.expected.push_back((zxid, outcome.changes, outcome.response, self.model.clone()));
                self.totals.pending_max = self.totals.pending_max.max(self.expected.len());
                Ok(())
            }
            Prepared::Answer(response) => {
                if outcome.committed {
                    return Err(format!("answers {response:?}, but the model {:?}", outcome.response));
                }
                compare_responses(&response, &outcome.response)
            }
            Prepared::Pending(pending) => {
                self.totals.waited += 1;
                let first = self.expected.iter().find(|(zxid, ..)| *zxid == pending);
                let (_, _, response, _) =
                    first.ok_or_else(|| format!("waits for {pending:?}, which is not pending"))?;
                compare_responses(response, &outcome.response)
            }
        }
    }

    fn read(&mut self, op: &ReadOp, caller: &Caller, session: SessionId) -> Result<(), String> {
        self.totals.reads += 1;
        let response = self.subject.tree().read(op, caller, session);
        compare_responses(&response, &self.applied.read(op, caller, session))
    }

    fn apply(&mut self) -> Result<(), String> {
        let Some((zxid, expected, _, model)) = self.expected.pop_front() else { return Ok(()) };
        let changes = self.subject.apply()?;
        self.totals.changes += changes.len();
        self.applied = model;
        compare_changes(&changes, &expected).map_err(|difference| format!("applying {zxid:?}: {difference}"))?;
        self.subject.compare(&self.applied).map_err(|difference| format!("after {zxid:?}: {difference}"))
    }

    fn new_session(&self) -> SessionId {
        SessionId(0x0100_0000_0000_0001 + self.sessions.len() as u64)
    }

    /// The n-th newest session, whether it still lives or not.
    fn session(&self, number: u8) -> SessionId {
        let at = usize::from(number).checked_sub(1);
        at.and_then(|at| self.sessions.get(at)).copied().unwrap_or(SessionId::NONE)
    }

    fn op(&self, what: &What) -> Op {
        match what {
            What::One(change) => Op::Write(self.change(change)),
            What::Multi(changes) => Op::Multi(changes.iter().map(|change| self.change(change)).collect()),
            What::DeleteTree { path, max } => Op::DeleteTree { path: self.path(path), max: *max },
        }
    }

    fn change(&self, change: &step::Change) -> WriteOp {
        match change.clone() {
            step::Change::Create { path, data, acl, mode, parents, prefix } => {
                let mut path = self.path(&path);
                if prefix && mode.is_sequential() && !path.is_root() {
                    path = Path::new_sequential_prefix(format!("{path}/")).expect("a path and a slash is a prefix");
                }
                WriteOp::Create { path, data, acl: acl.entries(), mode, parents }
            }
            step::Change::Delete { path, condition } => {
                let path = self.path(&path);
                WriteOp::Delete { precondition: self.condition(&path, condition, false), path }
            }
            step::Change::SetData { path, data, condition, create } => {
                let path = self.path(&path);
                let precondition = self.condition(&path, condition, false);
                WriteOp::SetData { precondition, path, data, create: create.map(step::Access::entries) }
            }
            step::Change::SetAcl { path, acl, condition } => {
                let path = self.path(&path);
                WriteOp::SetAcl { precondition: self.condition(&path, condition, true), path, acl: acl.entries() }
            }
            step::Change::Check { path, condition, not_exists } => {
                let path = self.path(&path);
                let precondition = self.condition(&path, condition, false);
                WriteOp::Check { path, precondition: if not_exists { Precondition::NotExists } else { precondition } }
            }
        }
    }

    fn condition(&self, path: &Path, condition: Condition, of_acl: bool) -> Precondition {
        let stat = self.model.znodes().get(path.as_str()).map(|znode| znode.stat).unwrap_or_default();
        match condition {
            Condition::None => Precondition::None,
            Condition::Version(version) => Precondition::Version(version),
            Condition::PresentVersion => Precondition::Version(if of_acl { stat.aversion } else { stat.version }),
            Condition::PresentMzxid => Precondition::Mzxid(stat.mzxid),
            Condition::PastMzxid(back) => Precondition::Mzxid(Zxid(self.next_zxid.0 - u64::from(back))),
        }
    }

    fn path(&self, place: &Place) -> Path {
        let text = match place {
            Place::Of(components) => format!("/{}", components.join("/")),
            Place::Existing(number) => {
                let paths = self.model.znodes();
                let at = usize::from(*number) % paths.len();
                paths.keys().nth(at).expect("the number is below their count").clone()
            }
            Place::Reserved(number) => {
                let reserved = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];
                reserved[usize::from(*number)].to_owned()
            }
        };
        Path::new(text).expect("generated paths are valid")
    }

    fn reading(&self, reading: &Reading) -> ReadOp {
        match reading {
            Reading::Get(place) => ReadOp::Get { path: self.path(place) },
            Reading::Exists(place) => ReadOp::Exists { path: self.path(place) },
            Reading::Children { path, after, limit, with_stat, with_data } => {
                let after = after.as_ref().map(|place| self.path(place).name().to_owned()).unwrap_or_default();
                let (path, limit) = (self.path(path), *limit);
                ReadOp::Children { path, after, limit, with_stat: *with_stat, with_data: *with_data }
            }
            Reading::GetAcl(place) => ReadOp::GetAcl { path: self.path(place) },
            Reading::Access(place) => ReadOp::Access { path: self.path(place) },
            Reading::Ephemerals(place) => ReadOp::Ephemerals { prefix: self.path(place).into_string() },
            Reading::Count(place) => ReadOp::CountDescendants { path: self.path(place) },
        }
    }
}

impl RequestName {
    fn id(self) -> RequestId {
        RequestId {
            client: u128::from(self.client),
            sequence: u64::from(self.sequence),
            acknowledged_through: u64::from(self.acknowledged),
        }
    }
}

/// Two answers are equal if their replies are, or the codes of their errors.
fn compare_responses(actual: &Response, expected: &Response) -> Result<(), String> {
    let same = match (actual, expected) {
        (Ok(Reply::Multi(actual)), Ok(Reply::Multi(expected))) if actual.len() == expected.len() => {
            actual.iter().zip(expected).all(|(actual, expected)| compare_responses(actual, expected).is_ok())
        }
        (Ok(actual), Ok(expected)) => actual == expected,
        (Err(actual), Err(expected)) => actual.code() == expected.code(),
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("the answer is {actual:?}, but {expected:?} by the model")) }
}

/// Changes are compared in order, except that deletions in one txn (of a tree, of a session's ephemerals) may come in
/// any order that keeps children before their parents.
fn compare_changes(actual: &[Change], expected: &[Change]) -> Result<(), String> {
    for (at, change) in actual.iter().enumerate() {
        if change.index != at as u32 {
            return Err(format!("the indices have a gap: {actual:?}"));
        }
    }
    let only_deletions = expected.iter().all(|change| change.kind == ChangeKind::Deleted);
    if !only_deletions {
        return if actual == expected { Ok(()) } else { Err(differ(actual, expected)) };
    }
    for (at, change) in actual.iter().enumerate() {
        let orphans = actual[at + 1..].iter().any(|later| path::is_at_or_below(&later.path, &change.path));
        if orphans {
            return Err(format!("{} goes before what lies below it: {actual:?}", change.path));
        }
    }
    if sorted(actual) == sorted(expected) { Ok(()) } else { Err(differ(actual, expected)) }
}

fn differ(actual: &[Change], expected: &[Change]) -> String {
    format!("the changes are\n{actual:#?}\nbut by the model\n{expected:#?}")
}

fn sorted(changes: &[Change]) -> Vec<Change> {
    let mut changes: Vec<Change> = changes.iter().map(|change| Change { index: 0, ..change.clone() }).collect();
    // Which sibling goes first shows in nothing but the last stat of their parent's other children: not at all.
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

impl Totals {
    fn count(&mut self, outcome: &Outcome, ask: &Ask) {
        self.txns += usize::from(outcome.committed);
        let errors: Vec<Code> = match &outcome.response {
            Err(error) => vec![error.code()],
            Ok(Reply::Multi(results)) => {
                results.iter().filter_map(|one| one.as_ref().err()).map(|e| e.code()).collect()
            }
            Ok(_) => vec![],
        };
        for code in errors {
            *self.refusals.entry(code as u8).or_default() += 1;
        }
        let was_remembered = ask.request_id.is_some() && !outcome.committed && outcome.response.is_ok();
        self.remembered += usize::from(was_remembered);
    }

    pub(super) fn add(&mut self, other: &Totals) {
        self.txns += other.txns;
        self.changes += other.changes;
        self.reads += other.reads;
        self.remembered += other.remembered;
        self.waited += other.waited;
        self.pending_max = self.pending_max.max(other.pending_max);
        for (code, count) in &other.refusals {
            *self.refusals.entry(*code).or_default() += count;
        }
    }

    pub(super) fn assert_nothing_was_cold(&self) {
        for code in WARM {
            assert!(self.refusals.contains_key(&(*code as u8)), "{} never happened", code.reason());
        }
        assert!(self.remembered > 0 && self.waited > 0 && self.pending_max > 3, "{self}");
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} txns with {} changes, {} reads, {} remembered answers ({} of them pending), at most {} txns pending; \
             refused:",
            self.txns, self.changes, self.reads, self.remembered, self.waited, self.pending_max
        )?;
        for (code, count) in &self.refusals {
            let reason = Code::from_number(*code).map_or("", Code::reason);
            write!(f, " {reason} {count}")?;
        }
        Ok(())
    }
}
