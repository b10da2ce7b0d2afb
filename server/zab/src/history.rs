//! `History`: what is in this server's log, as far as agreement needs to know.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use quorate_types::codec::Reader;
use quorate_types::{Epoch, Frame, FrameKind, Zxid};

use crate::input::SnapshotBase;
use crate::message::Position;
use crate::quorum::Configs;

/// The end of the log, every epoch in it, the configurations in it, and its newest records: all that are not yet
/// delivered, and some that are, for learners who lag behind a little.
///
/// Invariant: `start <= delivered <= last`; `frames` holds exactly the records in `(start, last]`, in order; each
/// record is the legal successor of the one before, by zxid and by chain hash.
#[derive(Clone, Debug)]
pub struct History {
    /// Before the first record in `frames`.
    start: Position,
    delivered: Position,
    last: Position,
    epochs: Vec<(Epoch, u32)>,
    frames: VecDeque<Frame>,
    /// How many of `frames` are delivered.
    cached: usize,
    cached_bytes: usize,
    cache_bytes_max: usize,
    /// The configurations that are active from a record on. The first entry is the newest that lies at or before
    /// `delivered`, if any is known.
    configs: VecDeque<(Zxid, Configs)>,
}

impl History {
    /// A history whose records up to `base`, with chain hash `chain`, are delivered already: they are in the
    /// snapshot that the state was restored from. `epochs` lists each epoch so far with its last counter.
    #[must_use]
    pub fn new(base: Zxid, chain: u64, epochs: Vec<(Epoch, u32)>) -> History {
        if base != Zxid::ZERO {
            assert_eq!(epochs.last(), Some(&(base.epoch(), base.counter())), "epoch table does not end at {base:?}");
        }
        let base = Position { zxid: base, chain };
        History {
            start: base,
            delivered: base,
            last: base,
            epochs,
            frames: VecDeque::new(),
            cached: 0,
            cached_bytes: 0,
            cache_bytes_max: 0,
            configs: VecDeque::new(),
        }
    }

    /// Likewise, with everything that a snapshot says of its place.
    ///
    /// # Panics
    /// If its configurations cannot be read: the snapshot was verified, so it comes from a later version.
    #[must_use]
    pub fn from_snapshot(base: &SnapshotBase) -> History {
        let Position { zxid, chain } = base.position;
        let mut history = History::new(zxid, chain, base.epochs.clone());
        if !base.configs.is_empty() {
            match Configs::decode(&mut Reader::new(base.configs.clone())) {
                Ok(configs) => history.configs.push_back((zxid, configs)),
                Err(error) => panic!("the configuration of the snapshot at {zxid:?} cannot be read: {error}"),
            }
        }
        history
    }

    /// Takes note of the next record.
    ///
    /// # Panics
    /// If it does not continue the history: a gap is never papered over.
    pub fn append(&mut self, frame: Frame) {
        let zxid = frame.zxid();
        assert!(self.try_append(frame), "{zxid:?} does not continue {:?}", self.last.zxid);
    }

    /// Takes note of the next record, if it is the legal successor of the last one.
    pub(crate) fn try_append(&mut self, frame: Frame) -> bool {
        let continues = frame.continues(self.last.zxid, self.last.chain);
        if continues {
            self.append_own(frame);
        }
        continues
    }

    /// Likewise, for a record that was verified, or encoded by this server from the end of this history.
    fn append_own(&mut self, frame: Frame) {
        self.last = Position { zxid: frame.zxid(), chain: frame.chain() };
        let zxid = self.last.zxid;
        match self.epochs.last_mut() {
            Some((epoch, counter)) if *epoch == zxid.epoch() => *counter = zxid.counter(),
            Some(_) | None => self.epochs.push((zxid.epoch(), zxid.counter())),
        }
        if frame.kind() != FrameKind::Txn {
            let before = self.configs().cloned().unwrap_or_default();
            self.configs.extend(before.after(&frame).map(|configs| (zxid, configs)));
        }
        self.frames.push_back(frame);
    }

    /// Encodes the next record and takes note of it.
    pub fn extend(&mut self, kind: FrameKind, zxid: Zxid, payload: &[u8]) -> Frame {
        assert!(zxid.follows(self.last.zxid), "{zxid:?} does not follow {:?}", self.last.zxid);
        let frame = Frame::encode(kind, zxid, self.last.chain, payload);
        self.append_own(frame.clone());
        frame
    }

    /// Hands out the next undelivered record if it lies at or below `through`.
    pub fn deliver(&mut self, through: Zxid) -> Option<Frame> {
        let frame = self.frames.get(self.cached).filter(|frame| frame.zxid() <= through)?.clone();
        self.delivered = Position { zxid: frame.zxid(), chain: frame.chain() };
        self.cached += 1;
        self.cached_bytes += frame.bytes().len();
        self.trim();
        while self.configs.get(1).is_some_and(|(zxid, _)| *zxid <= self.delivered.zxid) {
            self.configs.pop_front();
        }
        Some(frame)
    }

    /// Forgets every record after `after`, which is not delivered yet.
    ///
    /// # Panics
    /// If something delivered would be forgotten, or if there is no such record.
    pub fn truncate(&mut self, after: Zxid) {
        assert!(after >= self.delivered.zxid, "{:?} is delivered, so {after:?} cannot be the end", self.delivered);
        let chain = self.chain_at(after).expect("every record from the last delivered one on is in memory");
        while self.frames.back().is_some_and(|frame| frame.zxid() > after) {
            self.frames.pop_back();
        }
        while self.epochs.last().is_some_and(|(epoch, _)| *epoch > after.epoch()) {
            self.epochs.pop();
        }
        match self.epochs.last_mut() {
            Some((_, counter)) if after != Zxid::ZERO => *counter = after.counter(),
            Some(_) | None => self.epochs.clear(),
        }
        while self.configs.back().is_some_and(|(zxid, _)| *zxid > after) {
            self.configs.pop_back();
        }
        self.last = Position { zxid: after, chain };
    }

    /// So many bytes of delivered records are kept.
    pub(crate) fn keep_bytes(&mut self, cache_bytes_max: usize) {
        self.cache_bytes_max = cache_bytes_max;
        self.trim();
    }

    fn trim(&mut self) {
        while self.cached > 0 && self.cached_bytes > self.cache_bytes_max {
            let Some(frame) = self.frames.pop_front() else { return };
            self.start = Position { zxid: frame.zxid(), chain: frame.chain() };
            self.cached -= 1;
            self.cached_bytes -= frame.bytes().len();
        }
    }

    /// The last record.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.last.zxid
    }

    /// The end of the log.
    #[must_use]
    pub fn end(&self) -> Position {
        self.last
    }

    /// The last record that was delivered.
    #[must_use]
    pub fn delivered(&self) -> Zxid {
        self.delivered.zxid
    }

    /// The chain hash at the last delivered record: what a snapshot of the delivered state begins with.
    #[must_use]
    pub fn delivered_chain(&self) -> u64 {
        self.delivered.chain
    }

    /// Each epoch up to the last delivered record, with its last counter.
    #[must_use]
    pub fn delivered_epochs(&self) -> Vec<(Epoch, u32)> {
        let at = (self.delivered.zxid.epoch(), self.delivered.zxid.counter());
        self.epochs.iter().filter(|(epoch, _)| *epoch <= at.0).map(|entry| (*entry).min(at)).collect()
    }

    /// What a snapshot of the delivered state has to say of its place.
    #[must_use]
    pub fn snapshot_base(&self) -> SnapshotBase {
        let delivered = self.configs.front().filter(|(zxid, _)| *zxid <= self.delivered.zxid);
        SnapshotBase {
            position: self.delivered,
            epochs: self.delivered_epochs(),
            configs: delivered.map(|(_, configs)| configs.encode()).unwrap_or_default(),
        }
    }

    /// How many records lie after `after`, up to and including `through`; 0 if there is no such part of the log.
    pub(crate) fn records_between(&self, after: Zxid, through: Zxid) -> u64 {
        // The counters of an epoch begin at 0, and leave none out.
        let in_earlier = |zxid: Zxid| {
            let epochs = self.epochs.iter().take_while(move |(epoch, _)| *epoch < zxid.epoch());
            epochs.map(|(_, last)| u64::from(*last) + 1).sum::<u64>()
        };
        let count = |zxid: Zxid| match zxid {
            Zxid::ZERO => 0,
            zxid => in_earlier(zxid) + u64::from(zxid.counter()) + 1,
        };
        count(through).saturating_sub(count(after))
    }

    /// The configurations that are active at the end of the log; `None` if nothing in it says so.
    #[must_use]
    pub fn configs(&self) -> Option<&Configs> {
        self.configs.back().map(|(_, configs)| configs)
    }

    /// The record since which the present configurations are active.
    pub(crate) fn configured_at(&self) -> Zxid {
        self.configs.back().map_or(Zxid::ZERO, |(zxid, _)| *zxid)
    }

    /// The configurations that are active at the last delivered record.
    #[must_use]
    pub fn delivered_configs(&self) -> Option<&Configs> {
        self.configs.front().filter(|(zxid, _)| *zxid <= self.delivered.zxid).map(|(_, configs)| configs)
    }

    /// The epochs from that of the last delivered record on. The longest prefix that this history has in common with
    /// any leader's does not end before.
    #[must_use]
    pub(crate) fn recent_epochs(&self) -> Vec<(Epoch, u32)> {
        self.epochs.iter().filter(|(epoch, _)| *epoch >= self.delivered.zxid.epoch()).copied().collect()
    }

    /// The longest prefix that this history has in common with another, given the other's newest epochs. Records of one
    /// epoch were written by one leader in one order, so the newest common epoch decides.
    pub(crate) fn common_prefix(&self, epochs: &[(Epoch, u32)]) -> Option<Zxid> {
        epochs.iter().rev().find_map(|(epoch, theirs)| {
            let found = self.epochs.binary_search_by_key(epoch, |(epoch, _)| *epoch).ok()?;
            Some(Zxid::new(*epoch, self.epochs[found].1.min(*theirs)))
        })
    }

    /// The chain hash at a record, if it is in memory.
    pub(crate) fn chain_at(&self, zxid: Zxid) -> Option<u64> {
        if zxid == self.start.zxid {
            return Some(self.start.chain);
        }
        let found = self.frames.binary_search_by_key(&zxid, Frame::zxid).ok()?;
        Some(self.frames[found].chain())
    }

    /// The records in `(after, through]`, in order, up to so many records and bytes but at least one; `None` if they
    /// are not all in memory.
    pub(crate) fn read(&self, after: Zxid, through: Zxid, records_max: usize, bytes_max: usize) -> Option<Vec<Frame>> {
        if after < self.start.zxid {
            return None;
        }
        let first = self.frames.partition_point(|frame| frame.zxid() <= after);
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            bytes += frame.bytes().len();
            frame.zxid() <= through && (bytes <= bytes_max || bytes == frame.bytes().len())
        };
        Some(self.frames.range(first..).take(records_max).take_while(fits).cloned().collect())
    }
}

#[cfg(test)]
mod tests;
