//! Invariant: what was acknowledged is in the log for ever, under the same hash; and a state that is reached twice at
//! one zxid is the same twice.

use std::collections::BTreeMap;

use quorate_types::{Change, Frame, FrameKind, Txn, Zxid};

/// All records that were submitted to the disk and, as far as anybody can know, are still there.
#[derive(Default)]
pub(crate) struct History {
    frames: Vec<Frame>,
    acknowledged: Zxid,
    digests: BTreeMap<Zxid, u128>,
}

impl History {
    /// The replica has handed this record to the log thread.
    pub(crate) fn submitted(&mut self, frame: Frame) {
        if let Some(last) = self.frames.last() {
            assert!(frame.continues(last.zxid(), last.chain()), "{:?} after {:?}", frame.zxid(), last.zxid());
        }
        self.frames.push(frame);
    }

    /// A client was told of the txn at `zxid`, or of a state that includes it.
    pub(crate) fn acknowledged(&mut self, zxid: Zxid) {
        self.acknowledged = self.acknowledged.max(zxid);
    }

    /// The applied state at `zxid` has this digest.
    pub(crate) fn reached(&mut self, zxid: Zxid, digest: u128) {
        let before = *self.digests.entry(zxid).or_insert(digest);
        assert_eq!(before, digest, "the state at {zxid:?} is not what it was");
    }

    /// A start has found the log to end at `last`, with this chain hash.
    pub(crate) fn restarted(&mut self, last: Zxid, chain: u64) {
        assert!(last >= self.acknowledged, "acknowledged {:?}, but the log ends at {last:?}", self.acknowledged);
        while self.frames.last().is_some_and(|frame| frame.zxid() > last) {
            self.frames.pop();
        }
        let (zxid, expected) = self.frames.last().map_or((Zxid::ZERO, 0), |frame| (frame.zxid(), frame.chain()));
        assert_eq!((last, chain), (zxid, expected), "the log does not end with a record that was ever written");
        self.digests.retain(|zxid, _| *zxid <= last);
    }

    /// Every change of every committed txn, in order. At the end of a run, everything is committed.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.frames.iter().filter(|frame| frame.kind() == FrameKind::Txn).flat_map(|frame| {
            let txn = Txn::decode(frame.payload()).expect("a record that was written can be read");
            txn.changes(frame.zxid()).expect("sessions here own few ephemerals")
        })
    }

    /// The whole history, applied to an empty tree.
    pub(crate) fn replayed(&self) -> quorate_tree::Tree {
        let mut tree = quorate_tree::Tree::new(99);
        for frame in &self.frames {
            match frame.kind() {
                FrameKind::Txn => {
                    tree.apply(frame.zxid(), &Txn::decode(frame.payload()).expect("a record that was written"));
                }
                FrameKind::Marker | FrameKind::Reconfig | FrameKind::ConfigFinal => tree.advance(frame.zxid()),
            }
        }
        tree
    }
}
