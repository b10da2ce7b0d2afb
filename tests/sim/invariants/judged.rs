//! Linearizable: what clients saw of the znodes that they share could have happened in one order that respects real time.

use quorate_tests::linearizability::{Action, Answer, Clock, Operation, Outcome, check};
use quorate_tree::Tree;
use quorate_types::{Acl, Code, CreateMode, Op, Path, Precondition, ReadOp, Reply, Response, WriteOp};

use super::restores::Verdict;
use super::writes::data;
use crate::sim::backup::Backup;

/// The znodes that all clients share.
pub(crate) const SHARED: [&str; 2] = ["/shared/0", "/shared/1"];

/// Far more than a run takes.
const STEPS_MAX: u64 = 1_000_000;

/// Operations on one znode whose outcome is unknown: each may have happened at any later time, or never.
const LOST_MAX: usize = 12;

/// Who restores backups, among the clients.
const RESTORER: usize = usize::MAX - 1;

/// Where one operation stands among all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(usize);

/// All operations of a run on shared znodes.
#[derive(Default)]
pub(crate) struct Judged {
    clock: Clock,
    /// `None` for those that were refused for a reason that is not the znode's.
    operations: Vec<Option<Operation>>,
}

impl Judged {
    /// Whether that is so of any of them.
    pub(crate) fn is_any_doubtful(&self) -> bool {
        SHARED.iter().any(|path| self.is_doubtful(path))
    }

    /// Whether so many operations on this znode have an unknown outcome that more could not be judged any more.
    pub(crate) fn is_doubtful(&self, path: &str) -> bool {
        let lost = |operation: &&Operation| operation.path == path && !operation.answer.is_seen();
        self.operations.iter().flatten().filter(lost).count() >= LOST_MAX
    }

    /// A client sends an operation.
    pub(crate) fn sent(&mut self, client: u64, path: &str, action: Action) -> (Number, Op) {
        (self.begins(client as usize, path, action), op(Path::new(path).unwrap(), action))
    }

    fn begins(&mut self, client: usize, path: &str, action: Action) -> Number {
        let (path, called, answer) = (path.to_owned(), self.clock.now(), Answer::Lost { until: None });
        self.operations.push(Some(Operation { client, path, action, called, answer }));
        Number(self.operations.len() - 1)
    }

    /// A backup is about to become the state, and with it these znodes what they are there.
    pub(crate) fn restoring(&mut self, backup: &Backup) -> Vec<Number> {
        let znode = |path| backup.value(path).map(|(version, data)| (number(&data), version));
        SHARED.map(|path| self.begins(RESTORER, path, Action::Restore { znode: znode(path) })).to_vec()
    }

    /// Somebody was told what has come of that.
    pub(crate) fn restored(&mut self, numbers: &[Number], verdict: Verdict) {
        let at = self.clock.now();
        for Number(number) in numbers {
            let operation = &mut self.operations[*number];
            match (verdict, &mut *operation) {
                (Verdict::Done(_), Some(done)) => done.answer = Answer::Seen { at, outcome: Outcome::Restored },
                (Verdict::Refused, _) => *operation = None,
                (Verdict::Unknown | Verdict::Done(_), _) => {}
            }
        }
    }

    /// It is answered.
    pub(crate) fn replied(&mut self, Number(number): Number, response: &Response) {
        let outcome = match response {
            Ok(reply) => outcome(reply),
            Err(error) => match error.code() {
                Code::NoNode => Outcome::Absent,
                Code::NodeExists => Outcome::Exists,
                Code::BadVersion => Outcome::BadVersion,
                // Nobody knows.
                Code::Unavailable | Code::DeadlineExceeded => return,
                Code::DiskFull | Code::SessionExpired | Code::SessionMoved | Code::Throttled => {
                    self.operations[number] = None;
                    return;
                }
                other => panic!("ErrorTruth: a shared znode is refused with {other:?}"),
            },
        };
        let at = self.clock.now();
        self.operations[number].as_mut().expect("an operation is answered once").answer = Answer::Seen { at, outcome };
    }

    /// Judges all of it, together with what there is in the end. Returns how many operations were judged.
    pub(crate) fn check(self, tree: &Tree) -> u64 {
        let Judged { clock, operations } = self;
        let mut operations: Vec<Operation> = operations.into_iter().flatten().collect();
        let mut paths: Vec<String> = operations.iter().map(|operation| operation.path.clone()).collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            let outcome = match (tree.stat(&path), data(tree, &path)) {
                (Some(stat), Some(text)) => found(text.as_bytes(), stat.version),
                _ => Outcome::Absent,
            };
            let called = clock.now();
            let answer = Answer::Seen { at: clock.now(), outcome };
            operations.push(Operation { client: usize::MAX, path, action: Action::Get, called, answer });
        }
        match check(&operations, STEPS_MAX) {
            Ok(checked) => checked.operations as u64,
            Err(difference) => panic!("Linearizable: {difference}"),
        }
    }
}

fn op(path: Path, action: Action) -> Op {
    let data = |value: u64| Some(value.to_string().into());
    let precondition = |version: Option<i32>| version.map_or(Precondition::None, Precondition::Version);
    Op::Write(match action {
        Action::Get => return Op::Read { op: ReadOp::Get { path }, watch: false },
        Action::Create { value } => {
            let (acl, mode) = (Acl::OPEN.entries(), CreateMode::Persistent);
            WriteOp::Create { path, data: data(value), acl, mode, parents: true }
        }
        Action::Set { value, version } => {
            WriteOp::SetData { path, data: data(value), precondition: precondition(version), create: None }
        }
        Action::Delete { version } => WriteOp::Delete { path, precondition: precondition(version) },
        Action::Restore { .. } => unreachable!("a backup is restored in steps"),
    })
}

fn outcome(reply: &Reply) -> Outcome {
    match reply {
        Reply::Created { stat, .. } | Reply::Changed { stat } => Outcome::Written { version: stat.version },
        Reply::Deleted => Outcome::Deleted,
        Reply::Data { data, stat } => found(data.as_deref().unwrap_or_default(), stat.version),
        other => panic!("nobody asked for {other:?}"),
    }
}

fn found(data: &[u8], version: i32) -> Outcome {
    Outcome::Found { value: number(data), version }
}

fn number(data: &[u8]) -> u64 {
    let text = std::str::from_utf8(data).expect("a shared znode holds text");
    text.parse().expect("a shared znode holds a number")
}
