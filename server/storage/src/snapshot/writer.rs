//! `SnapshotWriter`: writes a snapshot under a temporary name and renames it when it is proven to be readable.

use bytes::Bytes;
use quorate_types::Zxid;
use quorate_types::mutation::mutated;

use super::format::{ChunkHeader, Totals, encode_footer, encode_header};
use super::{SnapshotError, SnapshotFooter, SnapshotHeader, SnapshotInfo, SnapshotReader, file_len};
use crate::error::{Corruption, During, IoError};
use crate::layout::{self, DataDir};
use crate::log::Position;
use crate::{Disk, DiskFile};

/// Writes one snapshot. Dropped before [`SnapshotWriter::finish`], it removes what it wrote.
pub struct SnapshotWriter<D: Disk> {
    dir: DataDir<D>,
    generation: u64,
    position: Position,
    file: D::File,
    path: String,
    /// The file has its final name.
    finished: bool,
    len: u64,
    synced: u64,
    flush_bytes: u64,
    totals: Totals,
}

impl<D: Disk> SnapshotWriter<D> {
    pub(crate) fn create(
        dir: &DataDir<D>,
        generation: u64,
        header: &SnapshotHeader,
        flush_bytes: u64,
    ) -> Result<SnapshotWriter<D>, SnapshotError> {
        let path = layout::snapshot_tmp(generation, header.position.zxid);
        match dir.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).during("remove", &path)?,
            _ => {}
        }
        let file = dir.disk.create(&path).during("create", &path)?;
        let (block, snapshot) = encode_header(header);
        let mut writer = SnapshotWriter {
            dir: dir.clone(),
            generation,
            position: header.position,
            file,
            path,
            finished: false,
            len: 0,
            synced: 0,
            flush_bytes,
            totals: Totals { snapshot, ..Totals::default() },
        };
        writer.write(&[&block])?;
        Ok(writer)
    }

    /// The zxid of the snapshot.
    #[must_use]
    pub fn zxid(&self) -> Zxid {
        self.position.zxid
    }

    /// Appends a chunk. Now and then this waits for a sync, so that the last one is short.
    ///
    /// # Errors
    /// The snapshot is given up: drop the writer.
    pub fn chunk(&mut self, content: &Bytes) -> Result<(), SnapshotError> {
        let (header, crc) = ChunkHeader::encode(self.totals.snapshot, self.totals.chunks, content);
        self.write(&[&header, content])?;
        self.totals.add(content, crc);
        if self.len - self.synced >= self.flush_bytes {
            self.sync()?;
        }
        Ok(())
    }

    /// Ends the snapshot: syncs it, reads it back from the device, and only then gives it its name, durably. Reading back
    /// takes as long as the state is large: `is_wanted` is asked after each chunk, and `None` if it has said no: the snapshot
    /// is given up.
    ///
    /// # Errors
    /// The snapshot is given up.
    pub fn finish(
        mut self,
        footer: &SnapshotFooter,
        is_wanted: impl FnMut() -> bool,
    ) -> Result<Option<SnapshotInfo>, SnapshotError> {
        self.write(&[&encode_footer(&self.totals, footer)])?;
        self.sync()?;
        if !self.verify(footer, is_wanted)? {
            return Ok(None);
        }
        let path = layout::snapshot(self.generation, self.position.zxid);
        self.dir.disk.rename(&self.path, &path).during("rename", &self.path)?;
        self.finished = true;
        self.dir.sync_dir(&layout::generation_dir(self.generation))?;
        let (position, generation, file_bytes) = (self.position, self.generation, self.len);
        Ok(Some(SnapshotInfo { position, generation, file_bytes, verified: true }))
    }

    /// Whether the whole of it was wanted and is there.
    fn verify(&mut self, footer: &SnapshotFooter, mut is_wanted: impl FnMut() -> bool) -> Result<bool, SnapshotError> {
        self.file.drop_cache();
        let file = self.dir.disk.open(&self.path).during("open", &self.path)?;
        let len = file_len(&file, &self.path)?;
        let mut reader = SnapshotReader::open(file, self.path.clone())?;
        let is_ours = reader.totals().snapshot == self.totals.snapshot && len == self.len;
        while is_ours && reader.next_chunk()?.is_some() {
            if !is_wanted() {
                return Ok(false);
            }
        }
        if !is_ours || reader.read_to_end()? != *footer {
            return Err(SnapshotError::Corrupt(Corruption {
                file: self.path.clone(),
                offset: 0,
                batch: None,
                after: self.position.zxid,
                reason: "what is read back is another snapshot than the one written".to_owned(),
            }));
        }
        Ok(true)
    }

    fn write(&mut self, parts: &[&[u8]]) -> Result<(), IoError> {
        let offset = self.len;
        self.file.write_at(parts, offset).during("write", &self.path)?;
        self.len += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), IoError> {
        self.synced = self.len;
        if mutated("snapshot-not-synced") {
            return Ok(());
        }
        self.file.sync_data().during("sync", &self.path)
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: it gives the room back now instead of at the next start.
            let _ = self.dir.disk.remove(&self.path);
        }
    }
}
