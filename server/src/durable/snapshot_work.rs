//! `SnapshotWork`: writes the state that the replica encodes, a chunk at a time.

use quorate_replica::{DiskInput, SnapshotOp};
use quorate_storage::{
    Disk, Position, SnapshotDir, SnapshotError, SnapshotFooter, SnapshotHeader, SnapshotInfo, SnapshotWriter, Snapshots,
};
use quorate_types::ClusterId;

/// The snapshots at work. Belongs to the snapshot thread.
pub struct SnapshotWork<D: Disk> {
    snapshots: Snapshots<D>,
    cluster: ClusterId,
    writer: Option<SnapshotWriter<D>>,
    /// The snapshot that a leader has sent, for [`SnapshotOp::Adopt`].
    received: Option<SnapshotInfo>,
}

impl<D: Disk> SnapshotWork<D> {
    pub(crate) fn new(snapshots: Snapshots<D>, cluster: ClusterId) -> SnapshotWork<D> {
        SnapshotWork { snapshots, cluster, writer: None, received: None }
    }

    /// Where the snapshots are, for those who send them to learners and receive them from a leader.
    #[must_use]
    pub fn dir(&self) -> &SnapshotDir<D> {
        self.snapshots.dir()
    }

    /// Takes note of a snapshot that is complete and set aside, before the replica hears of it. Until it was adopted, or
    /// its session has ended without an [`quorate_replica::DiskOp::Install`] of it, no other one may be received.
    pub fn received(&mut self, info: SnapshotInfo) {
        self.received = Some(info);
    }

    /// Carries out one operation, and says what the replica is to be told. What takes long is given up when `is_wanted`
    /// says no: then the replica is told nothing.
    ///
    /// # Errors
    /// Why there will be no snapshot this time, with [`DiskInput::SnapshotFailed`] to be told. Never fatal.
    pub fn carry_out(
        &mut self,
        op: SnapshotOp,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Option<DiskInput>, SnapshotError> {
        match op {
            SnapshotOp::Begin { zxid, chain, epochs, configs } => {
                self.writer = None;
                let position = Position { zxid, chain };
                let header = SnapshotHeader { cluster_id: self.cluster, position, epochs, config: configs };
                self.writer = Some(self.snapshots.begin(&header)?);
                Ok(None)
            }
            SnapshotOp::Chunk(chunk) => {
                let Some(writer) = &mut self.writer else { return Ok(None) };
                if let Err(error) = writer.chunk(&chunk) {
                    self.writer = None;
                    return Err(error);
                }
                Ok(Some(DiskInput::SnapshotReady))
            }
            SnapshotOp::Finish { digest, znodes } => {
                let Some(writer) = self.writer.take() else { return Ok(None) };
                let mut footer = SnapshotFooter { digest, ..SnapshotFooter::default() };
                footer.counts[0] = znodes;
                let Some(info) = writer.finish(&footer, is_wanted)? else { return Ok(None) };
                let Position { zxid, chain } = info.position;
                self.snapshots.add(info);
                // This one is there, whatever becomes of the older ones: the next snapshot tries again to remove them.
                let oldest_kept = self.snapshots.purge().unwrap_or_else(|error| {
                    tracing::warn!(error = %error, "older snapshots could not be removed");
                    None
                });
                Ok(Some(DiskInput::SnapshotWritten { zxid, chain, oldest_kept }))
            }
            SnapshotOp::Adopt { zxid } => {
                self.writer = None;
                let info = self.received.take().filter(|info| info.position.zxid == zxid);
                let info = info.unwrap_or_else(|| panic!("the snapshot at {zxid} was never received"));
                if let Err(error) = self.snapshots.adopt(info) {
                    tracing::warn!(error = %error, "what a received snapshot has replaced could not be removed");
                }
                Ok(None)
            }
        }
    }
}
