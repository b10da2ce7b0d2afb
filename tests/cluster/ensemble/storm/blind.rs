//! The judge who looks at no zxid: nothing counts but what was asked and answered, and when. A server that is wrong
//! about its own order is not believed.
//!
//! Registers, counters and the lock are judged as znodes, each by a search for an order that explains all answers.
//! Lists are judged by what has to be in them: an element that was added before a list was asked for, and removed by
//! nobody, is there, and nothing is there that nobody had begun to add.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use quorate_client::Reason;
use quorate_tests::linearizability::{self, Action, Checked, Operation, Outcome};
use quorate_types::{Op, Precondition, ReadOp, Reply, WriteOp};

use super::clients::{COUNTER, LOCK, MEMBERS, QUEUE, REGISTER, SEQUENCE, counted};
use super::journal::{Answer, Entry};

/// Far more than a run takes.
const STEPS_MAX: u64 = 50_000_000;

/// Judges registers and counters. `over` is a moment at which nothing was under way any more.
///
/// # Panics
/// If no order explains what was answered.
pub(super) fn check_znodes(entries: &[Entry], over: u64) -> Checked {
    let mut values = Values::default();
    let shared = |path: &str| path.starts_with(REGISTER) || path.starts_with(COUNTER);
    let mut operations = Vec::new();
    for entry in entries {
        let Some((path, action)) = action(&entry.op, &mut values) else { continue };
        // A read that need not be fresh may be of the past.
        let is_judged = shared(path) && (entry.is_write() || entry.is_linearizable);
        if !is_judged {
            continue;
        }
        let answer = match &entry.answer {
            Answer::Done { at, reply, .. } => {
                let outcome = outcome(reply, &mut values);
                linearizability::Answer::Seen { at: *at, outcome }
            }
            // That says nothing about the znode, but promises that nothing has come of the write.
            Answer::Refused { reason: Reason::DiskFull, .. } => continue,
            Answer::Refused { at, reason } => linearizability::Answer::Seen { at: *at, outcome: refusal(*reason) },
            Answer::Unknown => linearizability::Answer::Lost { until: Some(over) },
        };
        let path = path.to_owned();
        operations.push(Operation { client: entry.client, path, action, called: entry.called, answer });
    }
    linearizability::check(&operations, STEPS_MAX).unwrap_or_else(|why| panic!("not linearizable: {why}"))
}

/// Data as numbers.
#[derive(Default)]
struct Values(HashMap<Bytes, u64>);

impl Values {
    fn number(&mut self, data: &Option<Bytes>) -> u64 {
        let next = self.0.len() as u64;
        *self.0.entry(data.clone().unwrap_or_default()).or_insert(next)
    }
}

fn action<'a>(op: &'a Op, values: &mut Values) -> Option<(&'a str, Action)> {
    let version = |precondition: &Precondition| match precondition {
        Precondition::Version(version) => Some(*version),
        _ => None,
    };
    Some(match op {
        Op::Write(WriteOp::Create { path, data, .. }) => (path.as_str(), Action::Create { value: values.number(data) }),
        Op::Write(WriteOp::SetData { path, data, precondition, .. }) => {
            (path.as_str(), Action::Set { value: values.number(data), version: version(precondition) })
        }
        Op::Write(WriteOp::Delete { path, precondition }) => {
            (path.as_str(), Action::Delete { version: version(precondition) })
        }
        Op::Read { op: ReadOp::Get { path }, .. } => (path.as_str(), Action::Get),
        _ => return None,
    })
}

fn outcome(reply: &Reply, values: &mut Values) -> Outcome {
    match reply {
        Reply::Created { stat, .. } | Reply::Changed { stat } => Outcome::Written { version: stat.version },
        Reply::Deleted => Outcome::Deleted,
        Reply::Data { data, stat } => Outcome::Found { value: values.number(data), version: stat.version },
        other => panic!("nobody asked for {other:?}"),
    }
}

fn refusal(reason: Reason) -> Outcome {
    match reason {
        Reason::NoNode => Outcome::Absent,
        Reason::NodeExists => Outcome::Exists,
        Reason::BadVersion => Outcome::BadVersion,
        other => panic!("a znode is refused with {other}"),
    }
}

/// No two acknowledged increments of a counter led to the same count. Returns how many there were.
///
/// # Panics
/// If one was lost.
pub(super) fn check_counters(entries: &[Entry]) -> u64 {
    let mut counts = HashSet::new();
    for entry in entries {
        if let (Op::Write(WriteOp::SetData { path, data: Some(data), .. }), Answer::Done { .. }) =
            (&entry.op, &entry.answer)
            && path.as_str().starts_with(COUNTER)
        {
            assert!(counts.insert((path.as_str(), counted(data))), "an increment is lost: {entry:?}");
        }
    }
    counts.len() as u64
}

/// Elements of lists and when they came and went, as far as that is known.
#[derive(Debug, Default)]
struct Element {
    /// Somebody began to add it.
    begun: u64,
    /// It was there from then on at the latest.
    added: Option<u64>,
    /// Somebody began to remove it.
    leaving: Option<u64>,
    /// It was gone from then on at the latest.
    removed: Option<u64>,
}

/// Judges what lists showed, and that no job was taken twice. Returns how many lists were judged, and how many jobs were
/// taken.
///
/// # Panics
/// If an element was missing, came from nowhere, or was taken twice.
pub(super) fn check_lists(entries: &[Entry]) -> (u64, u64) {
    let (mut elements, mut taken) = (BTreeMap::<(&str, &str), Element>::new(), 0);
    // Names with numbers are known only to those who were answered.
    let mut unnamed = HashSet::<&str>::new();
    let mut judged = 0;
    let is_listed = |entry: &&Entry| match &entry.op {
        Op::Write(op) => [MEMBERS, SEQUENCE, QUEUE].contains(&split(op.path().as_str()).0),
        _ => false,
    };
    for entry in entries.iter().filter(is_listed) {
        match (&entry.op, &entry.answer) {
            (Op::Write(WriteOp::Create { .. }), Answer::Done { at, reply: Reply::Created { path, .. }, .. }) => {
                let element = elements.entry(split(path)).or_default();
                assert_eq!(element.added, None, "created twice: {entry:?}");
                (element.begun, element.added) = (entry.called, Some(*at));
            }
            (Op::Write(WriteOp::Create { path, .. }), Answer::Unknown) if path.as_str().starts_with(MEMBERS) => {
                elements.entry(split(path.as_str())).or_default().begun = entry.called;
            }
            (Op::Write(WriteOp::Create { path, .. }), Answer::Unknown) => {
                unnamed.insert(split(path.as_str()).0);
            }
            (Op::Write(WriteOp::Delete { path, .. }), answer @ (Answer::Done { .. } | Answer::Unknown)) => {
                let element = elements.entry(split(path.as_str())).or_default();
                element.leaving = Some(element.leaving.map_or(entry.called, |at| at.min(entry.called)));
                if let Answer::Done { at, .. } = answer
                    && path.as_str().starts_with(QUEUE)
                {
                    assert_eq!(element.removed, None, "taken twice: {entry:?}");
                    element.removed = Some(*at);
                    taken += 1;
                }
            }
            _ => {}
        }
    }
    for parent in [MEMBERS, QUEUE] {
        judged += check_lists_of(parent, entries, &elements, unnamed.contains(parent));
    }
    check_sequence(entries);
    (judged, taken)
}

/// Judges the lists of one parent's children; of some of these, nobody may know the names.
fn check_lists_of(
    parent: &str,
    entries: &[Entry],
    elements: &BTreeMap<(&str, &str), Element>,
    has_unnamed: bool,
) -> u64 {
    let mut lists: Vec<_> = entries.iter().filter_map(listed).filter(|(of, ..)| *of == parent).collect();
    lists.sort_by_key(|(_, _, entry, _)| entry.called);
    let of_parent = elements.range((parent, "")..).take_while(|((of, _), _)| *of == parent);
    // Those that are in some list to come: who is leaving when one is asked for is missed by none after it.
    let mut staying: Vec<(&str, &Element)> = of_parent.map(|((_, name), element)| (*name, element)).collect();
    staying.sort_by_key(|(_, element)| element.begun);
    for (_, names, entry, at) in &lists {
        for name in names {
            match elements.get(&(parent, *name)) {
                Some(element) if element.begun > 0 => {
                    assert!(element.begun < *at, "{name} is listed before anybody adds it: {entry:?}");
                    let is_gone = element.removed.is_some_and(|removed| removed < entry.called);
                    assert!(!is_gone, "{name} is listed after it was removed: {entry:?}");
                }
                _ => assert!(has_unnamed, "{name} comes from nowhere: {entry:?}"),
            }
        }
        staying.retain(|(_, element)| element.leaving.is_none_or(|leaving| leaving > entry.called));
        for (name, element) in staying.iter().take_while(|(_, element)| element.begun < entry.called) {
            let is_there = element.added.is_some_and(|added| added < entry.called);
            let stays = element.leaving.is_none_or(|leaving| leaving > *at);
            assert!(!is_there || !stays || names.contains(name), "{name} is missing: {entry:?}");
        }
    }
    lists.len() as u64
}

/// Whoever asks for a number after somebody was given one is given a greater one.
fn check_sequence(entries: &[Entry]) {
    let mut numbered: Vec<(u64, u64, &str)> = Vec::new();
    for entry in entries {
        if let Answer::Done { at, reply: Reply::Created { path, .. }, .. } = &entry.answer
            && path.starts_with(SEQUENCE)
        {
            numbered.push((entry.called, *at, split(path).1));
        }
    }
    check_grows(numbered);
}

/// A lock that was taken after another one of its holders had it has the greater fencing token.
///
/// # Panics
/// If not. Returns how often it was taken.
pub(super) fn check_fencing(entries: &[Entry]) -> u64 {
    let mut taken: Vec<(u64, u64, u64)> = Vec::new();
    for entry in entries {
        if let Answer::Done { at, reply: Reply::Created { path, stat }, .. } = &entry.answer
            && path == LOCK
        {
            taken.push((entry.called, *at, stat.czxid.0));
        }
    }
    let count = taken.len() as u64;
    check_grows(taken.clone());
    // Nothing is changed with a lock that somebody else is known to have taken since.
    taken.sort_by_key(|(_, answered, _)| *answered);
    for entry in entries {
        if let (Op::Multi(ops), Answer::Done { reply: Reply::Multi(results), .. }) = (&entry.op, &entry.answer)
            && results.iter().all(Result::is_ok)
            && let Some(WriteOp::Check { precondition: Precondition::Mzxid(token), .. }) = ops.first()
        {
            let before = taken.iter().take_while(|(_, answered, _)| *answered < entry.called);
            let newest = before.map(|(_, _, token)| *token).max().unwrap_or(0);
            assert!(newest <= token.0, "changed with {token}, {newest:#x} is newer: {entry:?}");
        }
    }
    count
}

/// Of two things of which one was over before the other was asked for, the later has the greater number.
fn check_grows<N: Ord + Copy + std::fmt::Debug>(mut all: Vec<(u64, u64, N)>) {
    let mut ends: Vec<(u64, N)> = all.iter().map(|(_, at, number)| (*at, *number)).collect();
    ends.sort();
    all.sort();
    let mut ends = ends.into_iter().peekable();
    let mut greatest = None;
    for (called, at, number) in all {
        while let Some((_, ended)) = ends.next_if(|(ended, _)| *ended < called) {
            greatest = greatest.max(Some(ended));
        }
        assert!(
            greatest < Some(number),
            "{number:?}, asked for at {called} and given at {at}, comes after {greatest:?}"
        );
    }
}

/// A list that was answered: of what, the names, and when.
fn listed(entry: &Entry) -> Option<(&str, HashSet<&str>, &Entry, u64)> {
    match (&entry.op, &entry.answer) {
        (
            Op::Read { op: ReadOp::Children { path, .. }, .. },
            Answer::Done { at, reply: Reply::Children { children, more, .. }, .. },
        ) if entry.is_linearizable => {
            assert!(!more, "a list of more than one page: {path:?}");
            let names = children.iter().map(|child| child.name.as_str()).collect();
            Some((path.as_str(), names, entry, *at))
        }
        _ => None,
    }
}

/// Parent and name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').expect("a path has a slash")
}
