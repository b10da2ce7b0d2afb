//! AckedWrites, ErrorTruth: an acknowledged write is there, a refused one is not, and one whose outcome is unknown is there at most
//! once. What was written and then replaced by a backup without it is not there.

use std::collections::{BTreeMap, BTreeSet};

use quorate_tree::Tree;
use quorate_types::{Caller, Code, Path, ReadOp, Reply, Response, SessionId, Zxid};

use super::restores::Restores;

/// What a client knows of one of its writes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    /// It was made at this zxid.
    Acknowledged(Zxid),
    Refused,
    Unknown,
}

/// One write, as it was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Creates a znode that nobody else creates or deletes.
    Unique { path: String },
    /// Creates a sequential znode whose data no other has.
    Sequential { token: String },
    /// Sets a register that only this client writes, to a value greater than any before.
    Register { path: String, value: u64 },
}

/// All writes of a run and what became of them.
#[derive(Default)]
pub(crate) struct Writes {
    unique: BTreeMap<String, Fate>,
    /// Token -> fate and, once acknowledged, the name.
    sequential: BTreeMap<String, (Fate, Option<String>)>,
    /// Tokens that were sent before, to an outcome that is unknown: a refusal now says nothing of then.
    doubtful: BTreeSet<String>,
    /// Path -> every value that was sent, in order.
    registers: BTreeMap<String, Vec<(u64, Fate)>>,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
}

impl Writes {
    pub(crate) fn sent(&mut self, write: &Write) {
        match write {
            Write::Unique { path } => drop(self.unique.insert(path.clone(), Fate::Sent)),
            Write::Sequential { token } => drop(self.sequential.insert(token.clone(), (Fate::Sent, None))),
            Write::Register { path, value } => {
                self.registers.entry(path.clone()).or_default().push((*value, Fate::Sent));
            }
        }
    }

    /// The reply to a write, in the state at `zxid`.
    pub(crate) fn replied(&mut self, write: &Write, zxid: Zxid, response: &Response) {
        let doubtful = matches!(write, Write::Sequential { token } if self.doubtful.contains(token));
        let fate = match response {
            // One that is answered from memory was made earlier.
            Ok(Reply::Created { stat, .. }) => Fate::Acknowledged(stat.czxid),
            Ok(_) => Fate::Acknowledged(zxid),
            Err(_) if doubtful => Fate::Unknown,
            Err(error) if matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded) => Fate::Unknown,
            Err(_) => Fate::Refused,
        };
        self.decided(write, fate);
        if let (Write::Sequential { token }, Ok(Reply::Created { path, .. })) = (write, response) {
            self.sequential.get_mut(token).expect("it was sent").1 = Some(path.clone());
        }
    }

    /// The connection was lost before it was answered.
    pub(crate) fn lost(&mut self, write: &Write) {
        if let Write::Sequential { token } = write {
            self.doubtful.insert(token.clone());
        }
        self.decided(write, Fate::Unknown);
    }

    fn decided(&mut self, write: &Write, fate: Fate) {
        match fate {
            Fate::Acknowledged(_) => self.acknowledged += 1,
            Fate::Refused => self.refused += 1,
            Fate::Unknown => self.unknown += 1,
            Fate::Sent => {}
        }
        match write {
            Write::Unique { path } => drop(self.unique.insert(path.clone(), fate)),
            Write::Sequential { token } => drop(self.sequential.insert(token.clone(), (fate, None))),
            Write::Register { path, value } => {
                let sent = self.registers.get_mut(path).and_then(|sent| sent.iter_mut().find(|(v, _)| v == value));
                sent.expect("a write that was sent").1 = fate;
            }
        }
    }

    /// Looks for everything in the state that is left in the end.
    pub(crate) fn check(&self, tree: &Tree, restores: &Restores) {
        for (path, fate) in &self.unique {
            match fate {
                Fate::Acknowledged(zxid) if restores.is_part_of(*zxid, tree.applied()) => {
                    assert!(tree.stat(path).is_some(), "AckedWrites: {path} was acknowledged and is gone")
                }
                Fate::Acknowledged(_) => {
                    assert!(tree.stat(path).is_none(), "RestoreTruth: {path} is in no backup and is there")
                }
                Fate::Refused => assert!(tree.stat(path).is_none(), "AckedWrites: {path} was refused and is there"),
                Fate::Unknown | Fate::Sent => {}
            }
        }
        self.check_sequential(tree, restores);
        self.check_registers(tree, restores);
    }

    fn check_sequential(&self, tree: &Tree, restores: &Restores) {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, data) in children(tree, "/seq") {
            found.entry(data).or_default().push(format!("/seq/{name}"));
        }
        for (token, (fate, path)) in &self.sequential {
            let there = found.remove(token).unwrap_or_default();
            // What is remembered of requests goes with the state: one that is sent again after a restore is made again.
            let made = there.iter().map(|path| tree.stat(path).expect("it was just found").czxid);
            let between: BTreeSet<Zxid> = made.map(|zxid| restores.last(zxid)).collect();
            assert_eq!(there.len(), between.len(), "AckedWrites: {token} is there twice: {there:?}");
            match fate {
                Fate::Acknowledged(zxid) => {
                    let is_expected = restores.is_part_of(*zxid, tree.applied());
                    let is_there = there.contains(path.as_ref().expect("it is named when it is acknowledged"));
                    assert_eq!(is_there, is_expected, "AckedWrites: acknowledged {token}, there {there:?}");
                }
                Fate::Refused => assert!(there.is_empty(), "AckedWrites: {token} was refused and is there: {there:?}"),
                Fate::Unknown | Fate::Sent => {}
            }
        }
        assert!(found.is_empty(), "AckedWrites: nobody sent {found:?}");
    }

    fn check_registers(&self, tree: &Tree, restores: &Restores) {
        for (path, sent) in &self.registers {
            let value: Option<u64> = data(tree, path).map(|text| {
                text.split_whitespace().next().and_then(|value| value.parse().ok()).expect("a register holds a number")
            });
            let is_part =
                |fate: &Fate| matches!(fate, Fate::Acknowledged(zxid) if restores.is_part_of(*zxid, tree.applied()));
            let acknowledged = sent.iter().filter(|(_, fate)| is_part(fate)).map(|(v, _)| *v).max();
            assert!(
                value >= acknowledged,
                "AckedWrites: {path} holds {value:?}, but {acknowledged:?} was acknowledged"
            );
            let fate = |value| sent.iter().find(|(v, _)| *v == value).map(|(_, fate)| fate.clone());
            if let Some(value) = value {
                let fate =
                    fate(value).unwrap_or_else(|| panic!("AckedWrites: {path} holds {value}, which nobody sent"));
                assert_ne!(fate, Fate::Refused, "AckedWrites: {path} holds {value}, which was refused");
            }
        }
    }
}

fn read(tree: &Tree, op: &ReadOp) -> Response {
    tree.read(op, &Caller::anonymous(), SessionId::NONE)
}

/// The data of a znode as text, if there is one.
pub(crate) fn data(tree: &Tree, path: &str) -> Option<String> {
    match read(tree, &ReadOp::Get { path: Path::new(path).unwrap() }) {
        Ok(Reply::Data { data, .. }) => Some(String::from_utf8(data.unwrap_or_default().to_vec()).unwrap()),
        _ => None,
    }
}

fn children(tree: &Tree, path: &str) -> Vec<(String, String)> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = Path::new(path).unwrap();
        let op = ReadOp::Children { path, after, limit: 100, with_stat: false, with_data: true };
        let Ok(Reply::Children { children, more, .. }) = read(tree, &op) else { return all };
        all.extend(children.iter().map(|child| {
            let data = child.data.clone().flatten().unwrap_or_default();
            (child.name.clone(), String::from_utf8(data.to_vec()).unwrap())
        }));
        if !more {
            return all;
        }
        after = children.last().expect("more after something").name.clone();
    }
}
