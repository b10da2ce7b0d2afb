//! `History`: the newest changes of the replicated state, from which watches resume.
//!
//! Invariant: the window holds every change of every txn in `(start, end]`, and no other. What is not known to be
//! complete is not in it: a gap begins the window anew.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use core::mem::size_of;
use quorate_types::{Change, Resume, Zxid};

/// What an allocation costs besides the bytes that are asked for: counted, because most changes are small.
const ALLOCATION_BYTES: usize = 16;

/// A bounded window of committed changes. Each change counts with at least its own size, so that the bound on bytes
/// bounds their number too.
#[derive(Debug)]
pub struct History {
    entries: VecDeque<Entry>,
    /// The sequence number of `entries[0]`: how many entries have left the window so far (and one for each gap).
    first: u64,
    start: Zxid,
    end: Zxid,
    bytes: usize,
    bytes_max: usize,
}

/// The changes of one txn that made any.
#[derive(Debug)]
struct Entry {
    zxid: Zxid,
    changes: Box<[Change]>,
    bytes: usize,
}

/// A place in the history: before the change `from` of the entry with sequence number `entry`.
///
/// It stays valid while the window moves, and it can be told when the window has left it behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    entry: u64,
    from: u32,
}

impl Position {
    /// The place behind all changes of the entry that this one lies in.
    pub(crate) fn next_entry(self) -> Position {
        Position { entry: self.entry + 1, from: 0 }
    }
}

/// What lies at a [`Position`].
#[derive(Debug, PartialEq)]
pub(crate) enum Found<'a> {
    /// The changes of a txn, from the position's on.
    Changes(Zxid, &'a [Change]),
    /// Nothing yet: everything so far lies before it.
    End,
    /// The window has moved past it.
    Lost,
}

impl History {
    /// An empty window that begins after `start` and will hold at most `bytes_max` bytes.
    #[must_use]
    pub fn new(start: Zxid, bytes_max: usize) -> History {
        History { entries: VecDeque::new(), first: 0, start, end: start, bytes: 0, bytes_max }
    }

    /// Appends the changes of a txn, and lets go of the oldest ones that there is no more room for.
    pub fn push(&mut self, zxid: Zxid, changes: Vec<Change>) {
        assert!(zxid >= self.end, "the history is at {:?} and cannot go back to {zxid:?}", self.end);
        self.end = zxid;
        if changes.is_empty() {
            return;
        }
        let changes = changes.into_boxed_slice();
        let bytes = size_of::<Entry>() + ALLOCATION_BYTES + changes.iter().map(change_bytes).sum::<usize>();
        self.bytes += bytes;
        self.entries.push_back(Entry { zxid, changes, bytes });
        while self.bytes > self.bytes_max {
            let oldest = self.entries.pop_front().expect("bytes are only counted for entries that are there");
            self.first += 1;
            self.start = oldest.zxid;
            self.bytes -= oldest.bytes;
        }
    }

    /// Begins anew after `zxid`, because what happened up to there is not known.
    pub fn push_gap(&mut self, zxid: Zxid) {
        assert!(zxid >= self.end, "the history is at {:?} and cannot go back to {zxid:?}", self.end);
        // One more than there are entries: a position at the end has missed something too.
        self.first += self.entries.len() as u64 + 1;
        self.entries.clear();
        self.bytes = 0;
        self.start = zxid;
        self.end = zxid;
    }

    /// Every change after this txn is in the window: the oldest zxid to resume from.
    #[must_use]
    pub fn start(&self) -> Zxid {
        self.start
    }

    /// The last txn that was pushed.
    #[must_use]
    pub fn end(&self) -> Zxid {
        self.end
    }

    /// The bytes that the window takes, what its allocations cost included. Data that is shared with other changes
    /// or with the state counts in full.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place behind everything so far.
    pub(crate) fn end_position(&self) -> Position {
        Position { entry: self.first + self.entries.len() as u64, from: 0 }
    }

    /// The place right behind `resume`; `None` if the window begins later.
    pub(crate) fn position_after(&self, resume: Resume) -> Option<Position> {
        let whole_txn = resume.index == u32::MAX;
        if resume.zxid < self.start || (resume.zxid == self.start && !whole_txn) {
            return None;
        }
        let older = self.entries.partition_point(|entry| entry.zxid < resume.zxid);
        let position = Position { entry: self.first + older as u64, from: 0 };
        match self.entries.get(older) {
            Some(entry) if entry.zxid == resume.zxid => {
                let last = entry.changes.last().map_or(0, |change| change.index);
                let is_seen = whole_txn || resume.index >= last;
                Some(if is_seen { position.next_entry() } else { Position { from: resume.index + 1, ..position } })
            }
            _ => Some(position),
        }
    }

    /// What lies at `position`.
    pub(crate) fn at(&self, position: Position) -> Found<'_> {
        let Some(offset) = position.entry.checked_sub(self.first) else { return Found::Lost };
        match self.entries.get(offset as usize) {
            None => Found::End,
            Some(entry) => {
                let from = entry.changes.partition_point(|change| change.index < position.from);
                Found::Changes(entry.zxid, &entry.changes[from..])
            }
        }
    }
}

/// Bytes that a change takes in memory.
fn change_bytes(change: &Change) -> usize {
    let data = |data: &Option<Bytes>| data.as_ref().map_or(0, |data| data.len() + ALLOCATION_BYTES);
    let acls = [&change.acl, &change.parent_acl].into_iter().filter(|acl| !acl.is_open()).count() * ALLOCATION_BYTES;
    size_of::<Change>()
        + change.path.capacity()
        + ALLOCATION_BYTES
        + data(&change.data)
        + data(&change.previous_data)
        + acls
}

#[cfg(test)]
mod tests;
