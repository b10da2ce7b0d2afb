//! `Snapshots`: exact states of the replicated data at one zxid each, as streams of opaque chunks.
//!
//! A snapshot counts from the moment it has its name: it was synced, read back from the device and verified before it
//! was renamed, and the directory was synced after. What is being written has a temporary name, which the next start
//! removes. Failing to write a snapshot is never fatal: the log holds everything, and a later attempt may succeed.
//!
//! Invariant: no file is removed, here or from the log, unless `kept_min` newer snapshots were verified.

mod copy;
mod dir;
mod format;
mod parser;
mod reader;
mod writer;

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_types::{ClusterId, Epoch, Zxid};
use thiserror::Error;

pub use self::copy::SnapshotCopy;
pub use self::dir::SnapshotDir;
pub use self::format::{CHUNK_BYTES_MAX, CONFIG_BYTES_MAX, COUNTS, EPOCHS_MAX, SnapshotFooter};
pub use self::parser::{Damage, SnapshotParser, SnapshotPart};
pub use self::reader::SnapshotReader;
pub use self::writer::SnapshotWriter;
use crate::error::{Corruption, During, IoError};
use crate::layout::{self, DataDir, Name};
use crate::log::Position;
use crate::{Disk, DiskFile};

/// The default number of verified snapshots that a purge keeps.
pub const KEPT_MIN: usize = 3;

/// The default number of bytes after which a snapshot being written is synced, so that no sync takes long: others use
/// the device too.
pub const FLUSH_BYTES: u64 = 8 * 1024 * 1024;

/// What a snapshot says before its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The ensemble.
    pub cluster_id: ClusterId,
    /// The state is exactly that after this record.
    pub position: Position,
    /// The last counter of every epoch up to there.
    pub epochs: Vec<(Epoch, u32)>,
    /// The configuration of the ensemble at that point, opaque here.
    pub config: Bytes,
}

/// A finished snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The last record that it contains.
    pub position: Position,
    /// The generation in which it is.
    pub generation: u64,
    /// The length of the file.
    pub file_bytes: u64,
    /// Whether this process has read and verified all of it.
    pub verified: bool,
}

/// Why an operation on a snapshot did not succeed. None of these is fatal.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The disk is full. What had been written is removed.
    #[error("no room on the device for a snapshot: {0}")]
    Full(#[source] IoError),
    /// There is no such snapshot.
    #[error("there is no snapshot at zxid {0}")]
    NotFound(Zxid),
    /// The content is not what was written.
    #[error(transparent)]
    Corrupt(Corruption),
    /// The file system failed.
    #[error(transparent)]
    Io(IoError),
}

impl From<IoError> for SnapshotError {
    fn from(error: IoError) -> Self {
        if error.is_full() { SnapshotError::Full(error) } else { SnapshotError::Io(error) }
    }
}

/// The snapshots of the current generation. Belongs to the one thread that writes them.
pub struct Snapshots<D: Disk> {
    dir: SnapshotDir<D>,
    kept_min: usize,
    infos: BTreeMap<Zxid, SnapshotInfo>,
    /// Files with a snapshot's name that are none, found at the start.
    damaged: Vec<Corruption>,
}

/// The choices that somebody else makes for [`Snapshots`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotOptions {
    pub(crate) kept_min: usize,
    pub(crate) flush_bytes: u64,
}

impl<D: Disk> Snapshots<D> {
    /// Looks at the snapshots of a generation, and removes what was being written when the last process ended.
    pub(crate) fn open(
        dir: &DataDir<D>,
        cluster_id: ClusterId,
        generation: u64,
        options: SnapshotOptions,
    ) -> Result<Snapshots<D>, IoError> {
        let SnapshotOptions { kept_min, flush_bytes } = options;
        let dir = SnapshotDir::new(dir.clone(), cluster_id, generation, flush_bytes);
        let mut snapshots = Snapshots { dir, kept_min, infos: BTreeMap::new(), damaged: Vec::new() };
        snapshots.load()?;
        Ok(snapshots)
    }

    fn load(&mut self) -> Result<(), IoError> {
        let (data_dir, dir) = (self.dir.data_dir().clone(), layout::generation_dir(self.generation()));
        // A name that is seen now may be one that a loss of power still takes back: before the others are purged
        // because of it, it has to be certain.
        data_dir.sync_dir(&dir)?;
        for name in data_dir.disk.list(&dir).during("list", &dir)? {
            match Name::parse(&name) {
                Name::Unfinished => data_dir.remove(&format!("{dir}/{name}"))?,
                Name::Snapshot(zxid) => self.load_one(zxid)?,
                Name::Generation(_) | Name::Damaged(_) | Name::Segment(_) | Name::Other => {}
            }
        }
        Ok(())
    }

    fn load_one(&mut self, zxid: Zxid) -> Result<(), IoError> {
        match self.dir.read(zxid) {
            Ok(reader) => {
                let info = SnapshotInfo {
                    position: reader.header().position,
                    generation: self.generation(),
                    file_bytes: reader.file_bytes(),
                    verified: false,
                };
                self.infos.insert(zxid, info);
                Ok(())
            }
            Err(SnapshotError::Corrupt(corruption)) => {
                self.damaged.push(corruption);
                Ok(())
            }
            Err(SnapshotError::NotFound(_)) => Ok(()),
            Err(SnapshotError::Io(error) | SnapshotError::Full(error)) => Err(error),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.dir.generation()
    }

    /// Where they are, for those who send and receive them.
    pub fn dir(&self) -> &SnapshotDir<D> {
        &self.dir
    }

    /// The finished snapshots, oldest first. Those not marked as verified may turn out to be damaged.
    pub fn list(&self) -> impl DoubleEndedIterator<Item = &SnapshotInfo> + ExactSizeIterator {
        self.infos.values()
    }

    /// Files that have the name of a snapshot and are none, for the log of the operator.
    #[must_use]
    pub fn damaged(&self) -> &[Corruption] {
        &self.damaged
    }

    /// Opens a snapshot to stream its chunks, each verified as it is read.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn read(&self, zxid: Zxid) -> Result<SnapshotReader<D::File>, SnapshotError> {
        if !self.infos.contains_key(&zxid) {
            return Err(SnapshotError::NotFound(zxid));
        }
        self.dir.read(zxid)
    }

    /// Reads a whole snapshot and checks it against its checksums; one that fails is no longer listed.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn verify(&mut self, zxid: Zxid) -> Result<SnapshotFooter, SnapshotError> {
        let read = self.read(zxid).and_then(SnapshotReader::read_to_end);
        match (&read, self.infos.get_mut(&zxid)) {
            (Ok(_), Some(info)) => info.verified = true,
            (Err(SnapshotError::Corrupt(corruption)), _) => {
                self.damaged.push(corruption.clone());
                self.infos.remove(&zxid);
            }
            _ => {}
        }
        read
    }

    /// Begins to write a snapshot of this server's own state.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn begin(&self, header: &SnapshotHeader) -> Result<SnapshotWriter<D>, SnapshotError> {
        self.dir.begin(header)
    }

    /// Begins to write a snapshot that comes from the leader: see [`SnapshotDir::begin_install`].
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn begin_install(&self, header: &SnapshotHeader) -> Result<SnapshotWriter<D>, SnapshotError> {
        self.dir.begin_install(header)
    }

    /// Notes a snapshot that its writer has finished.
    pub fn add(&mut self, info: SnapshotInfo) {
        assert_eq!(info.generation, self.generation(), "{info:?} belongs to another generation");
        self.infos.insert(info.position.zxid, info);
    }

    /// Goes over to a generation that [`crate::Log::switch_generation`] has made the current one, and removes the
    /// others.
    ///
    /// # Errors
    /// The old files could not be removed; the next start will try again.
    pub fn adopt(&mut self, info: SnapshotInfo) -> Result<(), IoError> {
        assert!(info.generation > self.generation(), "{info:?} does not follow generation {}", self.generation());
        self.dir.set_generation(info.generation);
        self.infos.clear();
        self.damaged.clear();
        self.add(info);
        self.dir.data_dir().remove_other_generations(self.generation())
    }

    /// Removes the snapshots older than the newest verified ones that are kept, and returns the oldest of these, for
    /// [`crate::Log::purge`]. Verifies what was not verified yet. `None` while there are too few: then nothing is
    /// removed.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn purge(&mut self) -> Result<Option<Zxid>, SnapshotError> {
        let mut verified = 0;
        let mut oldest_kept = None;
        let newest_first: Vec<Zxid> = self.infos.keys().rev().copied().collect();
        for zxid in newest_first {
            if oldest_kept.is_some() {
                self.dir.data_dir().remove(&layout::snapshot(self.generation(), zxid))?;
                self.infos.remove(&zxid);
                continue;
            }
            let is_verified = self.infos.get(&zxid).is_some_and(|info| info.verified);
            match if is_verified { Ok(()) } else { self.verify(zxid).map(|_| ()) } {
                Ok(()) => verified += 1,
                // What is damaged does not count, and stays where it is for whoever wants to look at it.
                Err(SnapshotError::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
            if verified == self.kept_min {
                oldest_kept = Some(zxid);
            }
        }
        self.dir.data_dir().sync_dir(&layout::generation_dir(self.generation()))?;
        Ok(oldest_kept)
    }
}

pub(crate) fn file_len<F: DiskFile>(file: &F, path: &str) -> Result<u64, IoError> {
    file.len().during("measure", path)
}

#[cfg(test)]
mod tests;
