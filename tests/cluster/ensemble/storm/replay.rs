//! The judge who believes zxids: everything that happened is done again, in their order, with the model, which has to
//! change the same znodes in the same way and to answer the same.
//!
//! What happened is what watches told. Each txn must be one that somebody asked for, was acknowledged by its own zxid if
//! it was acknowledged, and was asked for once. So no write is lost, none is made twice, none out of thin air; every
//! read saw exactly the state that it names, and every client saw states that never went back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use quorate_client::EventKind;
use quorate_tests::model::{Ask, Model};
use quorate_types::{Caller, ChangeKind, Op, Precondition, Reply, SessionId, SessionSecret, WriteOp, Zxid};

use super::door;
use super::journal::{Answer, Entry};
use super::watchers::Txn;

/// How much was judged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Replayed {
    pub(super) txns: u64,
    pub(super) reads: u64,
    /// Writes that nobody acknowledged and that were made.
    pub(super) recovered: u64,
    /// Sessions that ended and took something with them.
    pub(super) sessions_ended: u64,
}

struct Replay<'a> {
    model: Model,
    /// Acknowledged, by their txns.
    acknowledged: BTreeMap<Zxid, &'a Entry>,
    /// Not answered, by what only they write.
    in_doubt: HashMap<Bytes, &'a Entry>,
    /// Deletes, by their paths: first those that were acknowledged, by the states that their answers name.
    deletes: HashMap<&'a str, Vec<&'a Entry>>,
    sessions: BTreeSet<SessionId>,
    done: Replayed,
}

/// Does everything again that happened after `base`, the last txn of `model`.
///
/// # Panics
/// If anything is not as it should be.
pub(super) fn replay(base: Model, entries: &[Entry], txns: &BTreeMap<u64, Txn>) -> (Model, Replayed) {
    let mut replay = Replay::new(base, entries);
    let mut reads: Vec<(Zxid, &Entry, &Reply)> = entries.iter().filter_map(read).collect();
    reads.sort_by_key(|(zxid, ..)| *zxid);
    let mut reads = reads.into_iter().peekable();
    for (zxid, events) in txns {
        while let Some((seen, entry, reply)) = reads.next_if(|(seen, ..)| seen.0 < *zxid) {
            replay.check_read(seen, entry, reply);
        }
        replay.make(Zxid(*zxid), events);
    }
    reads.for_each(|(seen, entry, reply)| replay.check_read(seen, entry, reply));
    let unmade = replay.deletes.values().flatten().filter(|entry| entry.txn().is_some());
    if let Some(entry) = replay.acknowledged.values().chain(unmade).next() {
        panic!("acknowledged, but no watch was told: {entry:?}");
    }
    (replay.model, replay.done)
}

impl<'a> Replay<'a> {
    fn new(model: Model, entries: &'a [Entry]) -> Replay<'a> {
        let mut replay = Replay {
            model,
            acknowledged: BTreeMap::new(),
            in_doubt: HashMap::new(),
            deletes: HashMap::new(),
            sessions: BTreeSet::new(),
            done: Replayed::default(),
        };
        for entry in entries.iter().filter(|entry| entry.is_write()) {
            let is_in_doubt = matches!(entry.answer, Answer::Unknown);
            if let Some(path) = entry.deletes() {
                if is_in_doubt || entry.txn().is_some() {
                    replay.deletes.entry(path).or_default().push(entry);
                }
            } else if let Some(zxid) = entry.txn() {
                let other = replay.acknowledged.insert(zxid, entry);
                assert!(other.is_none(), "two writes are acknowledged as {zxid}: {entry:?} and {other:?}");
            } else if is_in_doubt {
                let token = token(&entry.op).unwrap_or_else(|| panic!("{:?} writes nothing", entry.op));
                replay.in_doubt.insert(token, entry);
            }
        }
        for deletes in replay.deletes.values_mut() {
            deletes.sort_by_key(|entry| entry.txn().unwrap_or(Zxid(u64::MAX)));
        }
        replay
    }

    fn make(&mut self, zxid: Zxid, events: &Txn) {
        self.done.txns += 1;
        let (op, session) = match self.acknowledged.remove(&zxid) {
            Some(entry) => {
                let response = self.write(zxid, entry.op.clone(), entry.session, events);
                let Answer::Done { reply, .. } = &entry.answer else { unreachable!("it is acknowledged") };
                assert_eq!(response.as_ref(), Ok(reply), "{zxid}: {entry:?}");
                return;
            }
            None => self.explain(zxid, events),
        };
        let response = self.write(zxid, op, session, events);
        assert!(response.is_ok(), "{zxid} was made, but should have been refused with {response:?}: {events:?}");
    }

    /// What nobody acknowledged: a write in doubt, or the end of a session.
    fn explain(&mut self, zxid: Zxid, events: &Txn) -> (Op, SessionId) {
        let last = events.last().expect("a txn that was told did something");
        if last.kind != EventKind::Deleted {
            let token = last.data.clone().unwrap_or_default();
            let entry = self.in_doubt.remove(&token);
            let entry = entry.unwrap_or_else(|| panic!("{zxid}: nobody asked for it, or not again: {events:?}"));
            self.done.recovered += 1;
            return (entry.op.clone(), entry.session);
        }
        if let Some(entry) = self.take_delete(zxid, events) {
            self.done.recovered += u64::from(entry.txn().is_none());
            return (entry.op.clone(), entry.session);
        }
        let owner = last.stat.ephemeral_owner;
        assert_ne!(owner, 0, "{zxid}: nobody asked for it, or not again: {events:?}");
        self.done.sessions_ended += 1;
        (Op::CloseSession, SessionId(owner))
    }

    /// The delete that did this: it was answered from this state or a later one, or not at all, and was to be made in
    /// the present state.
    fn take_delete(&mut self, zxid: Zxid, events: &Txn) -> Option<&'a Entry> {
        let [event] = events.as_slice() else { return None };
        let present = self.model.znodes().get(&event.path)?.stat;
        let deletes = self.deletes.get_mut(event.path.as_str())?;
        let fits = |entry: &&Entry| {
            let holds = match entry.op {
                Op::Write(WriteOp::Delete { precondition: Precondition::Version(version), .. }) => {
                    version == present.version
                }
                Op::Write(WriteOp::Delete { precondition: Precondition::Mzxid(mzxid), .. }) => mzxid == present.mzxid,
                _ => true,
            };
            holds && entry.txn().is_none_or(|answered| answered >= zxid)
        };
        let at = deletes.iter().position(fits)?;
        Some(deletes.remove(at))
    }

    /// Lets the model make a write, and compares what that changes.
    fn write(&mut self, zxid: Zxid, op: Op, session: SessionId, events: &Txn) -> quorate_types::Response {
        // The time of a txn shows only in what it changed; a deletion shows none, and then nothing shows it.
        let time_of = |event: &quorate_client::Event| match event.kind {
            EventKind::Deleted | EventKind::Unknown => 0,
            EventKind::Created | EventKind::Changed => event.stat.mtime_ms,
        };
        let wall_ms = events.iter().map(time_of).max().unwrap_or(0);
        let ask = |op: Op, session: SessionId, new_session: SessionId| Ask {
            op,
            caller: Caller::anonymous(),
            session,
            request_id: None,
            zxid,
            wall_ms,
            new_session,
        };
        if session.is_some() && self.sessions.insert(session) {
            let open = Op::OpenSession { timeout_ms: 1_000, secret: SessionSecret([0; 16]) };
            assert!(self.model.write(&ask(open, SessionId::NONE, session)).response.is_ok());
        }
        let outcome = self.model.write(&ask(op, session, SessionId::NONE));
        let expected = outcome.changes.iter().map(|change| {
            (change.zxid.0, change.index, change.kind, change.path.as_str(), change.stat, change.data.as_ref())
        });
        let told = events.iter().map(|event| {
            let kind = match event.kind {
                EventKind::Created => ChangeKind::Created,
                EventKind::Deleted => ChangeKind::Deleted,
                EventKind::Changed => ChangeKind::DataChanged,
                EventKind::Unknown => panic!("{event:?} is of no known kind"),
            };
            (event.zxid, event.index, kind, event.path.as_str(), door::stat(event.stat), event.data.as_ref())
        });
        assert!(expected.clone().eq(told), "{zxid}: {events:?} is told, {:?} is right", outcome.changes);
        outcome.response
    }

    fn check_read(&mut self, seen: Zxid, entry: &Entry, reply: &Reply) {
        let Op::Read { op, .. } = &entry.op else { unreachable!("only reads are given") };
        let response = self.model.read(op, &Caller::anonymous(), SessionId::NONE);
        assert_eq!(response.as_ref(), Ok(reply), "the state at {seen} looks different: {entry:?}");
        self.done.reads += 1;
    }
}

/// A read that was answered, and the state that it saw.
fn read(entry: &Entry) -> Option<(Zxid, &Entry, &Reply)> {
    match &entry.answer {
        Answer::Done { zxid, reply, .. } if !entry.is_write() => Some((*zxid, entry, reply)),
        _ => None,
    }
}

/// What only this write writes.
fn token(op: &Op) -> Option<Bytes> {
    match op {
        Op::Write(WriteOp::Create { data, .. } | WriteOp::SetData { data, .. }) => data.clone(),
        Op::Multi(ops) => ops.iter().find_map(|op| token(&Op::Write(op.clone()))),
        _ => None,
    }
}

/// Whether order and time agree: what was acknowledged before something else was asked for comes before it, and no
/// client is shown an older state than it has seen. Returns how many answers were compared.
///
/// # Panics
/// If they do not.
pub(super) fn check_order(entries: &[Entry]) -> u64 {
    let mut moments: Vec<(u64, bool, usize)> = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        if let Answer::Done { at, .. } = entry.answer {
            moments.push((entry.called, true, number));
            moments.push((at, false, number));
        }
    }
    moments.sort_unstable();
    let mut newest_write = Zxid::ZERO;
    let mut newest_seen: BTreeMap<usize, Zxid> = BTreeMap::new();
    let mut floors = vec![Zxid::ZERO; entries.len()];
    for (_, begins, number) in &moments {
        let entry = &entries[*number];
        let Answer::Done { zxid, .. } = entry.answer else { unreachable!("only answered ones are there") };
        let own = newest_seen.entry(entry.client).or_default();
        if *begins {
            let is_fresh = entry.is_linearizable || entry.txn().is_some();
            floors[*number] = if is_fresh { newest_write.max(*own) } else { *own };
            continue;
        }
        let floor = floors[*number];
        assert!(zxid >= floor, "{floor} was acknowledged or seen before: {entry:?}");
        let is_exact = entry.deletes().is_none();
        let is_later = entry.txn().is_none_or(|txn| txn > floor || !is_exact);
        assert!(is_later, "{floor} was acknowledged or seen before: {entry:?}");
        *own = zxid.max(*own);
        newest_write = newest_write.max(entry.txn().unwrap_or_default());
    }
    moments.len() as u64 / 2
}
