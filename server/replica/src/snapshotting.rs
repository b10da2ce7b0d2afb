//! `Snapshotting`: the exact state at one zxid, written in slices while later writes go on.
//!
//! What changes meanwhile is kept as it was until its turn has come, so a snapshot costs as much memory as is written to
//! different znodes while it lasts: at most the state once more.
//!
//! One begins when enough was logged since the last one, or when a client wants one that holds what is applied now. All
//! who want one while another is being written that began earlier share the next.

use alloc::boxed::Box;
use alloc::vec::Vec;
use quorate_tree::SnapshotEncoder;
use quorate_types::mutation::mutated;
use quorate_types::{Code, Error, Now, OutboxId, Reply, Response, Tag, Zxid};
use quorate_zab::Position;

use crate::effect::{DiskOp, Effects, SnapshotOp};
use crate::ensemble::no_leader;
use crate::limits::{SNAPSHOT_SLICE_BYTES, SNAPSHOT_WAITERS_MAX};
use crate::replica::Replica;

/// The snapshot that is being written, if one is, and when the next is due.
#[derive(Debug)]
pub(crate) struct Snapshotting {
    newest: Zxid,
    state: State,
    /// Records and bytes that had been submitted when the last one began.
    records_before: u64,
    bytes_before: u64,
    /// In the order in which they asked, which is that of what they want.
    wanted: Vec<Wanted>,
}

/// A client waits for a snapshot.
#[derive(Debug)]
struct Wanted {
    outbox: OutboxId,
    tag: Tag,
    /// It holds this at least.
    zxid: Zxid,
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
        Snapshotting { newest, state: State::Idle, records_before: 0, bytes_before: 0, wanted: Vec::new() }
    }

    /// The state was replaced by a snapshot: whatever was being written of it is of no use.
    pub(crate) fn restart(&mut self, newest: Zxid) {
        (self.newest, self.state) = (newest, State::Idle);
    }

    /// The state is another one, and what was still to be written of the old one is gone. The writer is told by the
    /// beginning of the next.
    pub(crate) fn state_replaced(&mut self) {
        if matches!(self.state, State::Writing { .. }) {
            self.state = State::Idle;
        }
    }

    /// The state that the newest verified snapshot holds.
    pub(crate) fn newest(&self) -> Zxid {
        self.newest
    }
}

impl Replica {
    /// A client wants a snapshot that holds what is applied now. `None`: it is answered when there is one.
    pub(crate) fn snapshot_for(&mut self, outbox: OutboxId, tag: Tag) -> Option<(Zxid, Response)> {
        let (zxid, newest) = (self.tree.applied(), self.snapshotting.newest);
        if self.tree.restoring().is_some() {
            return Some((zxid, Err(restore_in_progress())));
        }
        if zxid == newest && zxid != Zxid::ZERO {
            return Some((zxid, Ok(Reply::SnapshotTaken { zxid })));
        }
        if zxid == Zxid::ZERO {
            return Some((zxid, Err(no_leader())));
        }
        if self.snapshotting.wanted.len() >= SNAPSHOT_WAITERS_MAX {
            let error = Error::new(Code::Throttled, "too many clients wait for a snapshot already");
            return Some((zxid, Err(error)));
        }
        self.snapshotting.wanted.push(Wanted { outbox, tag, zxid });
        None
    }

    /// Begins a snapshot when enough was logged since the last one began, or when somebody wants one.
    pub(crate) fn begin_snapshot_if_due(&mut self, now: Now, out: &mut Effects) {
        let records = self.under_way.submitted_records - self.snapshotting.records_before;
        let bytes = self.under_way.submitted_bytes - self.snapshotting.bytes_before;
        let is_enough = records >= self.config.snapshot_records || bytes >= self.config.snapshot_bytes;
        let due = is_enough || !self.snapshotting.wanted.is_empty();
        if !due || !matches!(self.snapshotting.state, State::Idle) || self.tree.applied() == self.snapshotting.newest {
            return;
        }
        if self.tree.restoring().is_some() && !mutated("snapshot-while-restoring") {
            return self.no_snapshot(&restore_in_progress(), now, out);
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
        let has_it = self.snapshotting.wanted.partition_point(|wanted| wanted.zxid <= zxid);
        for Wanted { outbox, tag, .. } in self.snapshotting.wanted.drain(..has_it).collect::<Vec<_>>() {
            self.answer_at(zxid, outbox, tag, Ok(Reply::SnapshotTaken { zxid }), now, out);
        }
        self.step_zab(quorate_zab::Input::SnapshotTaken(Position { zxid, chain }), now, out);
        if let Some(oldest_kept) = oldest_kept {
            // A learner may still be reading from there; the next snapshot purges it.
            if self.zab.oldest_needed().is_none_or(|needed| needed >= oldest_kept) {
                self.step_zab(quorate_zab::Input::Purged(oldest_kept), now, out);
                out.disk.push(DiskOp::Purge { oldest_kept });
            }
        }
    }

    /// Not now, then: the log still has everything. The next attempt comes as if this had been a snapshot, or when
    /// somebody wants one again.
    pub(crate) fn snapshot_failed(&mut self, now: Now, out: &mut Effects) {
        if let State::Writing { encoder, .. } = core::mem::replace(&mut self.snapshotting.state, State::Idle) {
            encoder.close(&mut self.tree);
        }
        let error = match self.room.is_full {
            true => Error::new(Code::DiskFull, "the server's disk has no room for a snapshot"),
            false => Error::new(Code::Unavailable, "the server could not write a snapshot; its log says why"),
        };
        self.no_snapshot(&error, now, out);
    }

    /// Tells everybody who waits for a snapshot that there will be none.
    pub(crate) fn no_snapshot(&mut self, error: &Error, now: Now, out: &mut Effects) {
        for Wanted { outbox, tag, .. } in core::mem::take(&mut self.snapshotting.wanted) {
            self.answer(outbox, tag, Err(error.clone()), now, out);
        }
    }
}

fn restore_in_progress() -> Error {
    Error::new(Code::RestoreInProgress, "a backup is being restored; there is no snapshot before that is done")
}
