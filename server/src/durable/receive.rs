//! `SnapshotReceiver`: puts a snapshot that comes from the leader aside, on disk and in memory at once.

use bytes::Bytes;
use quorate_storage::{Disk, SnapshotDir, SnapshotError, SnapshotFooter, SnapshotHeader, SnapshotInfo, SnapshotWriter};
use quorate_tree::{SnapshotDecoder, Tree};
use quorate_zab::{Position, SnapshotBase};
use thiserror::Error;

/// A snapshot on its way in.
pub struct SnapshotReceiver<D: Disk> {
    writer: SnapshotWriter<D>,
    decoder: SnapshotDecoder,
    base: SnapshotBase,
}

/// A snapshot that is complete, durable aside, and verified. To be made the current generation by
/// [`quorate_storage::Log::switch_generation`] and [`quorate_storage::Snapshots::adopt`], or to be forgotten.
pub struct ReceivedSnapshot {
    /// Where it is.
    pub info: SnapshotInfo,
    /// What agreement has to know of it.
    pub base: SnapshotBase,
    /// The state that it holds.
    pub tree: Tree,
}

/// Why a snapshot cannot be received. Nothing has changed.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] SnapshotError),
    /// It holds no state, although every byte of it is as the leader has read it.
    #[error("the snapshot holds no state: {0}")]
    State(quorate_tree::SnapshotError),
    /// It holds another state than it says.
    #[error("the snapshot holds another state than it says")]
    Digest,
}

impl<D: Disk> SnapshotReceiver<D> {
    /// Begins. `hash_seed` is that of the tree to come.
    ///
    /// # Errors
    /// [`ReceiveError::Write`]
    pub fn begin(
        dir: &SnapshotDir<D>,
        header: SnapshotHeader,
        hash_seed: u64,
    ) -> Result<SnapshotReceiver<D>, ReceiveError> {
        let writer = dir.begin_install(&header)?;
        let position = Position { zxid: header.position.zxid, chain: header.position.chain };
        let base = SnapshotBase { position, epochs: header.epochs, configs: header.config };
        Ok(SnapshotReceiver { writer, decoder: SnapshotDecoder::new(hash_seed), base })
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// [`ReceiveError`]; there is no use in going on.
    pub fn chunk(&mut self, chunk: &Bytes) -> Result<(), ReceiveError> {
        self.writer.chunk(chunk)?;
        self.decoder.push(chunk).map_err(ReceiveError::State)
    }

    /// Ends it: syncs it, reads it back and compares. Calls `progress` meanwhile.
    ///
    /// # Errors
    /// [`ReceiveError`]
    pub fn finish(self, footer: &SnapshotFooter, mut progress: impl FnMut()) -> Result<ReceivedSnapshot, ReceiveError> {
        let tree = self.decoder.finish().map_err(ReceiveError::State)?;
        if tree.digest() != footer.digest || tree.applied() != self.base.position.zxid {
            return Err(ReceiveError::Digest);
        }
        let is_wanted = || {
            progress();
            true
        };
        let info = self.writer.finish(footer, is_wanted)?.expect("nobody has said that it is not wanted");
        Ok(ReceivedSnapshot { info, base: self.base, tree })
    }
}
