//! `History`: what is in this server's log, as far as agreement needs to know.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use quorate_types::{Epoch, Frame, FrameKind, Zxid};

/// The end of the log, every epoch in it, and the records that are logged but not yet delivered.
///
/// Invariant: `delivered <= last`, `undelivered` holds exactly the records in `(delivered, last]`, in order, and
/// each record is the legal successor of the one before, by zxid and by chain hash.
#[derive(Clone, Debug)]
pub struct History {
    last: Zxid,
    chain: u64,
    epochs: Vec<(Epoch, u32)>,
    delivered: Zxid,
    delivered_chain: u64,
    undelivered: VecDeque<Frame>,
}

impl History {
    /// A history whose records up to `base`, with chain hash `chain`, are delivered already: they are in the
    /// snapshot that the state was restored from. `epochs` lists each epoch so far with its last counter.
    #[must_use]
    pub fn new(base: Zxid, chain: u64, epochs: Vec<(Epoch, u32)>) -> History {
        if base != Zxid::ZERO {
            assert_eq!(epochs.last(), Some(&(base.epoch(), base.counter())), "epoch table does not end at {base:?}");
        }
        History { last: base, chain, epochs, delivered: base, delivered_chain: chain, undelivered: VecDeque::new() }
    }

    /// Takes note of the next record.
    ///
    /// # Panics
    /// If it does not continue the history: a gap is never papered over.
    pub fn append(&mut self, frame: Frame) {
        assert!(frame.continues(self.last, self.chain), "{:?} does not continue {:?}", frame.zxid(), self.last);
        self.append_own(frame);
    }

    /// Likewise, for a record that this server has just encoded from the end of this history.
    fn append_own(&mut self, frame: Frame) {
        debug_assert!(frame.continues(self.last, self.chain));
        self.last = frame.zxid();
        self.chain = frame.chain();
        match self.epochs.last_mut() {
            Some((epoch, counter)) if *epoch == self.last.epoch() => *counter = self.last.counter(),
            Some(_) | None => self.epochs.push((self.last.epoch(), self.last.counter())),
        }
        self.undelivered.push_back(frame);
    }

    /// Encodes the next record and takes note of it.
    pub fn extend(&mut self, kind: FrameKind, zxid: Zxid, payload: &[u8]) -> Frame {
        assert!(zxid.follows(self.last), "{zxid:?} does not follow {:?}", self.last);
        let frame = Frame::encode(kind, zxid, self.chain, payload);
        self.append_own(frame.clone());
        frame
    }

    /// Hands out the next undelivered record if it lies at or below `through`.
    pub fn deliver(&mut self, through: Zxid) -> Option<Frame> {
        if self.undelivered.front()?.zxid() > through {
            return None;
        }
        let frame = self.undelivered.pop_front()?;
        self.delivered = frame.zxid();
        self.delivered_chain = frame.chain();
        Some(frame)
    }

    /// The last record.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// The last record that was delivered.
    #[must_use]
    pub fn delivered(&self) -> Zxid {
        self.delivered
    }

    /// The chain hash at the last delivered record: what a snapshot of the delivered state begins with.
    #[must_use]
    pub fn delivered_chain(&self) -> u64 {
        self.delivered_chain
    }

    /// Each epoch up to the last delivered record, with its last counter.
    #[must_use]
    pub fn delivered_epochs(&self) -> Vec<(Epoch, u32)> {
        let at = (self.delivered.epoch(), self.delivered.counter());
        self.epochs.iter().filter(|(epoch, _)| *epoch <= at.0).map(|entry| (*entry).min(at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_delivered_once_in_order_and_only_up_to_the_bound() {
        let mut history = History::new(Zxid::ZERO, 0, Vec::new());
        let z = |e, c| Zxid::new(Epoch(e), c);
        history.extend(FrameKind::Marker, z(1, 0), b"");
        history.extend(FrameKind::Txn, z(1, 1), b"a");
        history.extend(FrameKind::Marker, z(3, 0), b"");
        assert_eq!(history.deliver(Zxid::ZERO), None);
        assert_eq!(history.deliver(z(1, 1)).map(|f| f.zxid()), Some(z(1, 0)));
        assert_eq!(history.delivered_epochs(), [(Epoch(1), 0)]);
        assert_eq!(history.deliver(z(1, 1)).map(|f| f.zxid()), Some(z(1, 1)));
        assert_eq!(history.deliver(z(1, 1)), None);
        assert_eq!(history.delivered_epochs(), [(Epoch(1), 1)]);
        assert_eq!(history.deliver(z(9, 0)).map(|f| f.zxid()), Some(z(3, 0)));
        assert_eq!(history.delivered_epochs(), [(Epoch(1), 1), (Epoch(3), 0)]);
        assert_eq!(history.delivered_chain(), history.chain);
    }

    #[test]
    #[should_panic(expected = "does not continue")]
    fn a_gap_is_refused() {
        let mut history = History::new(Zxid::ZERO, 0, Vec::new());
        history.append(Frame::encode(FrameKind::Txn, Zxid::new(Epoch(1), 1), 0, b""));
    }

    #[test]
    #[should_panic(expected = "does not continue")]
    fn a_record_of_another_history_is_refused() {
        let mut history = History::new(Zxid::ZERO, 0, Vec::new());
        history.append(Frame::encode(FrameKind::Marker, Zxid::new(Epoch(1), 0), 99, b""));
    }
}
