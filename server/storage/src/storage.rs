//! `Storage`: how a start puts together what the data directory holds.

use quorate_types::{ClusterId, Epoch, ServerId, Zxid};
use thiserror::Error;

use crate::error::{Corruption, During, IoError};
use crate::layout::{self, DataDir, META, Name};
use crate::log::{self, EpochTable, Log, LogError, LogIdentity, Position};
use crate::meta::{Meta, MetaError, MetaFile, Standing};
use crate::snapshot::{self, SnapshotError, SnapshotFooter, SnapshotHeader, SnapshotInfo, SnapshotOptions, Snapshots};
use crate::{Disk, Salt};

/// A generation begins with this number.
const FIRST_GENERATION: u64 = 1;

/// The choices of whoever runs the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size of a log segment.
    pub segment_bytes: u64,
    /// How many verified snapshots a purge keeps.
    pub snapshots_kept: usize,
    /// After how many bytes a snapshot being written is synced.
    pub snapshot_flush_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: log::SEGMENT_BYTES,
            snapshots_kept: snapshot::KEPT_MIN,
            snapshot_flush_bytes: snapshot::FLUSH_BYTES,
        }
    }
}

/// An open data directory. The parts are independent: the log and the meta record belong to the thread that appends,
/// the snapshots to the one that writes them. The directory stays locked until all are dropped.
pub struct Storage<D: Disk> {
    /// The history.
    pub log: Log<D>,
    /// The promises.
    pub meta: MetaFile<D>,
    /// The states.
    pub snapshots: Snapshots<D>,
}

/// What a start has found.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The meta record.
    pub meta: Meta,
    /// The newest snapshot that is whole and connects to the log, with what it says before and after its content.
    pub snapshot: Option<(SnapshotInfo, SnapshotHeader, SnapshotFooter)>,
    /// The place before the first record of the log.
    pub start: Position,
    /// The place after the last one.
    pub last: Position,
    /// The last counter of every epoch of the whole history, also of what only the snapshot contains.
    pub epochs: Vec<(Epoch, u32)>,
    /// The greatest zxid that the log or the snapshot proves to be committed.
    pub commit: Zxid,
    /// A zxid and the digest of the state there, as stated by the leader; zero if unknown.
    pub digest: (Zxid, u128),
    /// The process before this one stopped in order.
    pub clean: bool,
    /// What was cut off the end of the log: the trace of a write that was never acknowledged.
    pub truncated: Option<Truncated>,
    /// Snapshots that are not usable. They are not needed, but somebody should look at the disk.
    pub damaged_snapshots: Vec<Corruption>,
}

/// The unfinished end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// The segment.
    pub file: String,
    /// Where in the segment.
    pub offset: u64,
    /// What was wrong there.
    pub reason: String,
}

/// Why a data directory could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process uses it.
    #[error("the data directory is in use by another process")]
    Locked,
    /// The meta record is missing or unusable.
    #[error(transparent)]
    Meta(MetaError),
    /// Something is gone that was durable.
    #[error(
        "{0}. This is not the trace of a crash: records that this server acknowledged are lost. In an ensemble, let it \
         start over and copy the history from its peers; a standalone server has to be restored from a backup"
    )]
    Corrupt(Corruption),
    /// There is no room for what a start has to write.
    #[error("there is no room on the device to open the log: {0}")]
    Full(#[source] IoError),
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// Why a data directory could not be initialized.
#[derive(Debug, Error)]
pub enum InitializeError {
    /// Another process uses it.
    #[error("the data directory is in use by another process")]
    Locked,
    /// It already holds the data of a server.
    #[error("the data directory is not empty: it has {0}")]
    NotEmpty(String),
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl<D: Disk> Storage<D> {
    /// Prepares an empty directory for a server that is to begin as `standing`. `salt` is to be random: see [`Salt`]. A
    /// crash in between leaves a directory that still counts as empty.
    ///
    /// # Errors
    /// [`InitializeError::NotEmpty`] protects the data of a server whose meta record was lost.
    pub fn initialize(
        disk: D,
        cluster_id: ClusterId,
        server_id: ServerId,
        standing: Standing,
        salt: Salt,
    ) -> Result<(), InitializeError> {
        let dir = lock(disk)?.ok_or(InitializeError::Locked)?;
        if dir.disk.list("").during("list", "")?.iter().any(|name| name == META) {
            return Err(InitializeError::NotEmpty(META.to_owned()));
        }
        for generation in dir.generations()? {
            if let Some(file) = precious_file(&dir, generation)? {
                return Err(InitializeError::NotEmpty(file));
            }
            dir.remove_generation(generation)?;
        }
        dir.sync_dir("")?;
        dir.create_generation(FIRST_GENERATION)?;
        let meta = first_meta(cluster_id, server_id, salt, standing, FIRST_GENERATION);
        Log::create(&dir, log_identity(&meta), Position::default())?;
        MetaFile::create(&dir, meta)?;
        Ok(())
    }

    /// Opens the data directory of a server: afterwards all that is reported is durable.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`], or a [`MetaError`], if not everything is there that ever was durable.
    pub fn open(disk: D, options: &Options) -> Result<(Storage<D>, Recovered), OpenError> {
        let dir = lock(disk)?.ok_or(OpenError::Locked)?;
        let meta = MetaFile::open(&dir)?;
        Storage::open_current(dir, meta, options)
    }

    /// Gives up all history of a server whose disk is damaged, so that it can copy it from its peers: it stands as
    /// [`Standing::Amnesiac`] from now on, and keeps the promises that are still readable. The damaged files are set
    /// aside, not removed. `salt` takes the place of one that is not readable any more.
    ///
    /// # Errors
    /// See [`Storage::open`].
    ///
    /// # Panics
    /// If the directory belongs to another server.
    pub fn start_over(
        disk: D,
        options: &Options,
        cluster_id: ClusterId,
        server_id: ServerId,
        salt: Salt,
    ) -> Result<(Storage<D>, Recovered), OpenError> {
        let dir = lock(disk)?.ok_or(OpenError::Locked)?;
        let old = match MetaFile::open(&dir) {
            Ok(meta) => Some(meta),
            Err(MetaError::Missing | MetaError::Damaged) => None,
            Err(error @ (MetaError::Format(_) | MetaError::Io(_))) => return Err(error.into()),
        };
        let names = dir.names("")?;
        let numbers = names.iter().filter_map(|name| match name {
            Name::Generation(generation) | Name::Damaged(generation) => Some(*generation),
            Name::Segment(_) | Name::Snapshot(_) | Name::Unfinished | Name::Other => None,
        });
        let known = old.as_ref().map_or(0, |meta| meta.get().generation);
        let generation = numbers.max().unwrap_or(0).max(known) + 1;
        dir.create_generation(generation)?;
        let meta = match old {
            Some(mut meta) => {
                let record = meta.get().clone();
                assert_eq!(
                    (record.cluster_id, record.server_id),
                    (cluster_id, server_id),
                    "another server's directory"
                );
                let record = Meta { standing: Standing::Amnesiac, generation, durable_batch: 0, ..record };
                Log::create(&dir, log_identity(&record), Position::default())?;
                meta.write(&record)?;
                meta
            }
            None => {
                let record = first_meta(cluster_id, server_id, salt, Standing::Amnesiac, generation);
                Log::create(&dir, log_identity(&record), Position::default())?;
                MetaFile::create(&dir, record)?
            }
        };
        set_aside(&dir, generation)?;
        Storage::open_current(dir, meta, options)
    }

    fn open_current(
        dir: DataDir<D>,
        meta: MetaFile<D>,
        options: &Options,
    ) -> Result<(Storage<D>, Recovered), OpenError> {
        let Meta { generation, cluster_id, durable_batch, .. } = *meta.get();
        dir.remove_other_generations(generation)?;
        let (log, found) = Log::open(&dir, log_identity(meta.get()), options.segment_bytes, durable_batch)?;
        let snapshot_options =
            SnapshotOptions { kept_min: options.snapshots_kept, flush_bytes: options.snapshot_flush_bytes };
        let mut snapshots = Snapshots::open(&dir, cluster_id, generation, snapshot_options)?;
        let snapshot = newest_connected(&mut snapshots, &log)?;
        let at_snapshot = snapshot.as_ref().map_or(Zxid::ZERO, |(info, ..)| info.position.zxid);
        let mut epochs = snapshot
            .as_ref()
            .map_or(EpochTable::default(), |(_, header, _)| EpochTable { entries: header.epochs.clone() });
        for (epoch, counter) in found.epochs {
            let zxid = Zxid::new(epoch, counter);
            if zxid > at_snapshot {
                epochs.record(zxid);
            }
        }
        let recovered = Recovered {
            meta: meta.get().clone(),
            snapshot,
            start: log.start(),
            last: log.last(),
            epochs: epochs.entries,
            commit: found.hints.commit.min(log.last().zxid).max(at_snapshot),
            digest: (found.hints.digest_zxid, found.hints.digest),
            clean: found.clean,
            truncated: found.torn.map(|(file, offset, reason)| Truncated { file, offset, reason }),
            damaged_snapshots: snapshots.damaged().to_vec(),
        };
        Ok((Storage { log, meta, snapshots }, recovered))
    }
}

impl<D: Disk> Log<D> {
    /// Makes the generation current that begins with an installed snapshot: an empty log after it, and the meta record
    /// that points there. A crash finds either generation, whole. The snapshots follow with [`Snapshots::adopt`].
    ///
    /// # Errors
    /// All are fatal but [`LogError::Full`], which leaves everything as it was.
    pub fn switch_generation(&mut self, meta: &mut MetaFile<D>, installed: &SnapshotInfo) -> Result<(), LogError> {
        let SnapshotInfo { generation, position, .. } = *installed;
        let identity = LogIdentity { generation, ..log_identity(meta.get()) };
        assert_eq!(generation, meta.get().generation + 1, "{installed:?} is not of the next generation");
        let dir = self.dir().clone();
        match Log::create(&dir, identity, position) {
            Err(error) if error.is_full() => return Err(LogError::Full(error)),
            created => created?,
        }
        let (log, _) = Log::open(&dir, identity, self.segment_bytes(), 0)?;
        meta.write(&Meta { generation, durable_batch: 0, ..meta.get().clone() })?;
        *self = log;
        Ok(())
    }
}

impl From<MetaError> for OpenError {
    fn from(error: MetaError) -> Self {
        match error {
            MetaError::Io(error) => OpenError::Io(error),
            MetaError::Missing | MetaError::Damaged | MetaError::Format(_) => OpenError::Meta(error),
        }
    }
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io(error) => OpenError::Io(error),
            LogError::Corrupt(corruption) => OpenError::Corrupt(corruption),
            LogError::Full(error) => OpenError::Full(error),
            LogError::NotInLog(zxid) => unreachable!("a start reads only what its scan found, not {zxid}"),
        }
    }
}

pub(crate) fn log_identity(meta: &Meta) -> LogIdentity {
    LogIdentity { cluster_id: meta.cluster_id, generation: meta.generation, salt: meta.salt }
}

fn first_meta(cluster_id: ClusterId, server_id: ServerId, salt: Salt, standing: Standing, generation: u64) -> Meta {
    Meta {
        cluster_id,
        server_id,
        accepted_epoch: Epoch(0),
        accepted_leader: None,
        standing,
        generation,
        durable_batch: 0,
        salt,
    }
}

/// The locked directory, `None` if it is locked already.
fn lock<D: Disk>(disk: D) -> Result<Option<DataDir<D>>, IoError> {
    match DataDir::lock(disk) {
        Err(error) if error.source.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        locked => locked.map(Some),
    }
}

/// A file of a generation that is more than an interrupted initialization leaves behind.
fn precious_file<D: Disk>(dir: &DataDir<D>, generation: u64) -> Result<Option<String>, IoError> {
    let generation_dir = layout::generation_dir(generation);
    for name in dir.disk.list(&generation_dir).during("list", &generation_dir)? {
        let path = format!("{generation_dir}/{name}");
        let is_first_segment = Name::parse(&name) == Name::Segment(1);
        if !is_first_segment || !Log::is_unused(dir, &path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Renames every generation but the current one to what an operator may look at or remove.
fn set_aside<D: Disk>(dir: &DataDir<D>, current: u64) -> Result<(), IoError> {
    for generation in dir.generations()? {
        if generation != current {
            let (from, to) = (layout::generation_dir(generation), layout::damaged_dir(generation));
            dir.disk.rename(&from, &to).during("rename", &from)?;
        }
    }
    dir.sync_dir("")
}

/// The newest snapshot that is whole and lies within the log.
///
/// One beyond the end of the log does not count: a snapshot is only ever taken of what the log holds durably, so then
/// the log has lost its end, and with it what was acknowledged after the snapshot.
fn newest_connected<D: Disk>(
    snapshots: &mut Snapshots<D>,
    log: &Log<D>,
) -> Result<Option<(SnapshotInfo, SnapshotHeader, SnapshotFooter)>, OpenError> {
    let newest_first: Vec<SnapshotInfo> = snapshots.list().rev().cloned().collect();
    for info in newest_first {
        let position = info.position;
        let footer = match snapshots.verify(position.zxid) {
            Ok(footer) => footer,
            Err(SnapshotError::Corrupt(_) | SnapshotError::NotFound(_)) => continue,
            Err(SnapshotError::Io(error) | SnapshotError::Full(error)) => return Err(error.into()),
        };
        let lost = |reason: String| {
            let file = layout::snapshot(info.generation, position.zxid);
            OpenError::Corrupt(Corruption { file, offset: 0, batch: None, after: log.last().zxid, reason })
        };
        if position.zxid < log.start().zxid {
            break;
        }
        match log.position(position.zxid)? {
            Some(found) if found == position => {}
            Some(_) => return Err(lost("the log has another history than this snapshot".to_owned())),
            None => return Err(lost("the log does not hold the record at which this snapshot was taken".to_owned())),
        }
        let header = match snapshots.read(position.zxid) {
            Ok(reader) => reader.header().clone(),
            Err(SnapshotError::Io(error) | SnapshotError::Full(error)) => return Err(error.into()),
            Err(SnapshotError::Corrupt(corruption)) => return Err(OpenError::Corrupt(corruption)),
            Err(SnapshotError::NotFound(_)) => continue,
        };
        return Ok(Some((SnapshotInfo { verified: true, ..info }, header, footer)));
    }
    if log.start().zxid == Zxid::ZERO {
        return Ok(None);
    }
    Err(OpenError::Corrupt(Corruption {
        file: layout::generation_dir(snapshots.generation()),
        offset: 0,
        batch: None,
        after: Zxid::ZERO,
        reason: format!("the log begins after zxid {} and no snapshot reaches there", log.start().zxid),
    }))
}
