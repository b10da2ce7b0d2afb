//! `Snapshotting`: the exact state at one zxid, written in slices while later writes go on.
//!
//! What changes meanwhile is kept as it was until its turn has come, so a snapshot costs as much memory as is written to
//! different znodes while it lasts: at most the state once more.

use alloc::boxed::Box;
use quorate_tree::SnapshotEncoder;
use quorate_types::mutation::mutated;
use quorate_types::{Now, Zxid};
use quorate_zab::Position;

use crate::effect::{DiskOp, Effects, SnapshotOp};
use crate::limits::SNAPSHOT_SLICE_BYTES;
use crate::replica::Replica;

/// The snapshot that is being written, if one is, and when the next is due.
#[derive(Debug)]
pub(crate) struct Snapshotting {
    newest: Zxid,
    state: State,
    /// Records and bytes that had been submitted when the last one began.
    records_before: u64,
    bytes_before: u64,
}

#[derive(Debug)]
enum State {
    Idle,
    /// The writer has everything that was encoded so far, or will say when it has.
    Writing {
        encoder: Box<SnapshotEncoder>,
        /// What the state was when it began.
        digest: u128,
        znodes: u64,
    },
    /// All of it was handed over; it is being verified.
    Verifying,
}

impl Snapshotting {
    pub(crate) fn new(newest: Zxid) -> Snapshotting {
        Snapshotting { newest, state: State::Idle, records_before: 0, bytes_before: 0 }
    }

    /// The state was replaced by a snapshot: whatever was being written of it is of no use.
    pub(crate) fn restart(&mut self, newest: Zxid) {
        (self.newest, self.state) = (newest, State::Idle);
    }

    /// The state that the newest verified snapshot holds.
    pub(crate) fn newest(&self) -> Zxid {
        self.newest
    }
}

impl Replica {
    /// Begins a snapshot when enough was logged since the last one began.
    pub(crate) fn begin_snapshot_if_due(&mut self, out: &mut Effects) {
        let records = self.under_way.submitted_records - self.snapshotting.records_before;
        let bytes = self.under_way.submitted_bytes - self.snapshotting.bytes_before;
        let due = records >= self.config.snapshot_records || bytes >= self.config.snapshot_bytes;
        if !due || !matches!(self.snapshotting.state, State::Idle) || self.tree.applied() == self.snapshotting.newest {
            return;
        }
        self.snapshotting.records_before = self.under_way.submitted_records;
        self.snapshotting.bytes_before = self.under_way.submitted_bytes;
        // Only what is applied is in it, and only what is committed and durable is applied.
        let history = self.zab.history();
        out.snapshot.push(SnapshotOp::Begin {
            zxid: if mutated("snapshot-of-tail") { history.last() } else { history.delivered() },
            chain: history.delivered_chain(),
            epochs: history.delivered_epochs(),
            configs: history.snapshot_base().configs,
        });
        assert_eq!(history.delivered(), self.tree.applied(), "delivered but not applied");
        let (digest, znodes) = (self.tree.digest(), self.tree.znode_count() as u64);
        self.snapshotting.state =
            State::Writing { encoder: Box::new(SnapshotEncoder::new(&mut self.tree)), digest, znodes };
        self.continue_snapshot(out);
    }

    /// The writer can take another chunk.
    pub(crate) fn continue_snapshot(&mut self, out: &mut Effects) {
        let State::Writing { encoder, .. } = &mut self.snapshotting.state else { return };
        if let Some(chunk) = encoder.next_chunk(&self.tree, SNAPSHOT_SLICE_BYTES) {
            out.snapshot.push(SnapshotOp::Chunk(chunk));
            return;
        }
        let state = core::mem::replace(&mut self.snapshotting.state, State::Verifying);
        if let State::Writing { encoder, digest, znodes } = state {
            encoder.close(&mut self.tree);
            out.snapshot.push(SnapshotOp::Finish { digest, znodes });
        }
    }

    /// A snapshot is on disk and verified: older ones, and the log before them, may go.
    pub(crate) fn snapshot_written(
        &mut self,
        zxid: Zxid,
        chain: u64,
        oldest_kept: Option<Zxid>,
        now: Now,
        out: &mut Effects,
    ) {
        if !matches!(self.snapshotting.state, State::Verifying) && !mutated("late-snapshot-written") {
            // It was one of the state before a leader has sent another, and is gone with it.
            return;
        }
        self.snapshotting.state = State::Idle;
        self.snapshotting.newest = zxid;
        self.step_zab(quorate_zab::Input::SnapshotTaken(Position { zxid, chain }), now, out);
        if let Some(oldest_kept) = oldest_kept {
            // A learner may still be reading from there; the next snapshot purges it.
            if self.zab.oldest_needed().is_none_or(|needed| needed >= oldest_kept) {
                self.step_zab(quorate_zab::Input::Purged(oldest_kept), now, out);
                out.disk.push(DiskOp::Purge { oldest_kept });
            }
        }
    }

    /// Not now, then: the log still has everything. The next attempt comes as if this had been a snapshot.
    pub(crate) fn snapshot_failed(&mut self) {
        if let State::Writing { encoder, .. } = core::mem::replace(&mut self.snapshotting.state, State::Idle) {
            encoder.close(&mut self.tree);
        }
    }
}
