//! `History`: the newest changes of the replicated state, from which watches resume.
//!
//! Changes are packed in segments of many txns, and leave the window a segment at a time. A watch that reads them finds
//! their paths at hand; only what matches is unpacked.
//!
//! Invariant: the window holds every change of every txn in `(start, end]`, and no other. What is not known to be
//! complete is not in it: a gap begins the window anew.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::mutation::mutated;
use quorate_types::{Change, Resume, Zxid};

mod changes;
mod packing;
mod segment;

pub(crate) use changes::{ChangeRef, Changes};
use segment::Segment;

/// A segment is complete once it takes this many bytes, so that some hundred of ordinary changes share what a segment
/// costs ...
const SEGMENT_BYTES: usize = 64 * 1024;

/// ... or this part of the window, so that what leaves it is a small part too.
const SEGMENTS_MIN: usize = 16;

/// A txn of more than this has no place in any window: offsets within a segment have 32 bits.
const TXN_BYTES_MAX: usize = 1 << 30;

/// A bounded window of committed changes. Each change counts with all that it takes in memory, so that the bound on
/// bytes bounds their number too.
#[derive(Debug)]
pub struct History {
    /// Only the last one is not complete; none is empty.
    segments: VecDeque<Segment>,
    /// The sequence number of the next txn: how many were pushed so far that made changes (and one for each gap).
    next: u64,
    start: Zxid,
    end: Zxid,
    /// Of all segments but the last.
    complete_bytes: usize,
    bytes_max: usize,
}

/// A place in the history: before the change `from` of the txn with sequence number `txn`.
///
/// It stays valid while the window moves, and it can be told when the window has left it behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    txn: u64,
    from: u32,
}

/// Reads the window from a [`Position`] on, txn by txn.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    segments: &'a VecDeque<Segment>,
    /// Where the next txn is, unless it is the first one of the segment behind.
    segment: usize,
    position: Position,
}

impl<'a> Reader<'a> {
    /// The place that was come to.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The next txn and its changes, never none; `None` if everything so far lies before.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(Zxid, Changes<'a>)> {
        let Position { txn, from } = self.position;
        loop {
            if let Some((zxid, changes)) = self.segments.get(self.segment)?.changes(txn, from) {
                self.position = Position { txn: txn + 1, from: 0 };
                return Some((zxid, Changes::Packed(changes)));
            }
            self.segment += 1;
        }
    }
}

impl History {
    /// An empty window that begins after `start` and will hold at most `bytes_max` bytes.
    #[must_use]
    pub fn new(start: Zxid, bytes_max: usize) -> History {
        History { segments: VecDeque::new(), next: 0, start, end: start, complete_bytes: 0, bytes_max }
    }

    /// Appends the changes of a txn, and lets go of the oldest ones that there is no more room for.
    pub fn push(&mut self, zxid: Zxid, changes: Vec<Change>) {
        assert!(zxid >= self.end, "the history is at {:?} and cannot go back to {zxid:?}", self.end);
        if changes.iter().map(content_bytes).sum::<usize>() > self.bytes_max.min(TXN_BYTES_MAX) {
            return self.push_gap(zxid);
        }
        self.end = zxid;
        if changes.is_empty() {
            return;
        }
        self.open_segment().push(zxid, changes);
        self.next += 1;
        while self.bytes() > self.bytes_max {
            self.let_go();
        }
    }

    /// The segment that the next txn belongs to.
    fn open_segment(&mut self) -> &mut Segment {
        let bytes_max = SEGMENT_BYTES.min(self.bytes_max / SEGMENTS_MIN);
        let is_open = self.segments.back().is_some_and(|last| last.bytes() < bytes_max);
        if !is_open {
            let like = self.segments.back().filter(|last| last.bytes() <= 2 * bytes_max);
            let segment = Segment::new(self.next, like);
            if let Some(last) = self.segments.back_mut() {
                last.complete();
                self.complete_bytes += last.bytes();
            }
            self.segments.push_back(segment);
        }
        self.segments.back_mut().expect("one was added if there was none")
    }

    /// Drops the oldest segment.
    fn let_go(&mut self) {
        let oldest = self.segments.pop_front().expect("bytes are only counted for segments that are there");
        self.start = oldest.last_zxid();
        if !self.segments.is_empty() {
            self.complete_bytes -= oldest.bytes();
        }
    }

    /// Begins anew after `zxid`, because what happened up to there is not known, or too much to be kept.
    pub fn push_gap(&mut self, zxid: Zxid) {
        assert!(zxid >= self.end, "the history is at {:?} and cannot go back to {zxid:?}", self.end);
        // A position at the end has missed something too.
        self.next += 1;
        self.segments.clear();
        self.complete_bytes = 0;
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

    /// The bytes that the window takes, what its allocations cost included. Data and ACLs that are shared with other
    /// changes or with the state count in full.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.complete_bytes + self.segments.back().map_or(0, Segment::bytes)
    }

    /// The place behind everything so far.
    pub(crate) fn end_position(&self) -> Position {
        Position { txn: self.next, from: 0 }
    }

    /// The place right behind `resume`; `None` if the window begins later.
    pub(crate) fn position_after(&self, resume: Resume) -> Option<Position> {
        let whole_txn = resume.index == u32::MAX;
        if resume.zxid < self.start || (resume.zxid == self.start && !whole_txn) {
            return None;
        }
        if mutated("watch-skips") {
            return Some(self.end_position());
        }
        let older = self.segments.partition_point(|segment| segment.last_zxid() < resume.zxid);
        let Some((txn, zxid, changes)) = self.segments.get(older).and_then(|segment| segment.find(resume.zxid)) else {
            return Some(self.end_position());
        };
        let position = Position { txn, from: 0 };
        if zxid > resume.zxid {
            return Some(position);
        }
        let is_seen = whole_txn || resume.index >= changes - 1;
        Some(if is_seen { Position { txn: txn + 1, from: 0 } } else { Position { from: resume.index + 1, ..position } })
    }

    /// A reader from `position` on; `None` if the window has moved past it.
    pub(crate) fn read(&self, position: Position) -> Option<Reader<'_>> {
        let segments = &self.segments;
        let behind = segments.partition_point(|segment| segment.first() <= position.txn);
        let is_at_end = position.txn >= self.next;
        let segment = if is_at_end { segments.len() } else { behind.checked_sub(1)? };
        Some(Reader { segments, segment, position })
    }
}

/// Bytes that a change has to keep, whatever it takes besides.
fn content_bytes(change: &Change) -> usize {
    let data = |data: &Option<Bytes>| data.as_ref().map_or(0, Bytes::len);
    change.path.len() + data(&change.data) + data(&change.previous_data)
}

#[cfg(test)]
mod tests;
