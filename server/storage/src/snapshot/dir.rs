//! `SnapshotDir`: where the snapshots are, for those who send one to a learner or receive one from a leader. They do so
//! in threads of their own, beside the thread that owns [`super::Snapshots`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_types::{ClusterId, Zxid};

use super::{SnapshotCopy, SnapshotError, SnapshotHeader, SnapshotReader, SnapshotWriter};
use crate::Disk;
use crate::error::During;
use crate::layout::{self, DataDir};

/// The current generation's directory, and the next one's. Clones are the same.
pub struct SnapshotDir<D: Disk> {
    dir: DataDir<D>,
    cluster_id: ClusterId,
    /// The current one. Changes with [`super::Snapshots::adopt`].
    generation: Arc<AtomicU64>,
    flush_bytes: u64,
}

impl<D: Disk> Clone for SnapshotDir<D> {
    fn clone(&self) -> Self {
        let Self { dir, cluster_id, generation, flush_bytes } = self;
        SnapshotDir {
            dir: dir.clone(),
            cluster_id: *cluster_id,
            generation: Arc::clone(generation),
            flush_bytes: *flush_bytes,
        }
    }
}

impl<D: Disk> SnapshotDir<D> {
    pub(super) fn new(dir: DataDir<D>, cluster_id: ClusterId, generation: u64, flush_bytes: u64) -> SnapshotDir<D> {
        SnapshotDir { dir, cluster_id, generation: Arc::new(AtomicU64::new(generation)), flush_bytes }
    }

    pub(super) fn data_dir(&self) -> &DataDir<D> {
        &self.dir
    }

    /// Whose snapshots these are.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    /// Streams a snapshot of the current generation. What has been opened can be read to its end, even if it is purged
    /// meanwhile.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn read(&self, zxid: Zxid) -> Result<SnapshotReader<D::File>, SnapshotError> {
        let (file, path) = self.open(zxid)?;
        let reader = SnapshotReader::open(file, path)?;
        reader.check_identity(self.cluster_id, zxid)?;
        Ok(reader)
    }

    /// Hands out the file of a snapshot of the current generation as it is. Likewise.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn copy(&self, zxid: Zxid) -> Result<SnapshotCopy<D::File>, SnapshotError> {
        let (file, path) = self.open(zxid)?;
        SnapshotCopy::open(file, path, self.cluster_id, zxid)
    }

    fn open(&self, zxid: Zxid) -> Result<(D::File, String), SnapshotError> {
        let path = layout::snapshot(self.generation(), zxid);
        match self.dir.disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SnapshotError::NotFound(zxid)),
            opened => Ok((opened.during("open", &path)?, path)),
        }
    }

    /// Begins to write a snapshot of this server's own state.
    pub(super) fn begin(&self, header: &SnapshotHeader) -> Result<SnapshotWriter<D>, SnapshotError> {
        assert_eq!(header.cluster_id, self.cluster_id, "snapshot of another ensemble");
        SnapshotWriter::create(&self.dir, self.generation(), header, self.flush_bytes)
    }

    /// Begins to write a snapshot that comes from the leader, into the next generation. Nothing of the current one
    /// changes until [`crate::Log::switch_generation`]. From then on, until [`super::Snapshots::adopt`], nobody may begin
    /// another one; nor while one is being written.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn begin_install(&self, header: &SnapshotHeader) -> Result<SnapshotWriter<D>, SnapshotError> {
        assert_eq!(header.cluster_id, self.cluster_id, "snapshot of another ensemble");
        let generation = self.generation() + 1;
        if self.dir.generations()?.contains(&generation) {
            self.dir.remove_generation(generation)?;
            self.dir.sync_dir("")?;
        }
        self.dir.create_generation(generation)?;
        SnapshotWriter::create(&self.dir, generation, header, self.flush_bytes)
    }
}
