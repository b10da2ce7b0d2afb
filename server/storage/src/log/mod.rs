//! `Log`: the history of txns on disk.
//!
//! The log is a sequence of preallocated segments; a segment is a sequence of batches; a batch holds the frames of one
//! [`Log::append`], which is one write and one sync. Nothing is ever overwritten: a truncation, and a start, begin a new
//! segment that takes the place of what follows its starting point (see `segment`), so a crash at any moment leaves
//! either the old history or the new one.
//!
//! Invariant: `last` is durable, and every record from `start` to `last` continues the one before it.

mod batch;
mod find;
mod grow;
mod reader;
mod recover;
mod replace;
mod segment;
mod write;

#[cfg(test)]
mod tests;

use quorate_types::mutation::mutated;
use quorate_types::{ClusterId, Epoch, Frame, Zxid};
use thiserror::Error;

use self::batch::BatchHeader;
use self::find::find_position;
pub(crate) use self::find::{ReadError, visit_after};
pub(crate) use self::recover::{EpochTable, Scan};
pub(crate) use self::segment::Segment;
use self::segment::{DATA_OFFSET, SegmentHeader};
use self::write::BatchWriter;
use crate::error::{Corruption, During, IoError};
use crate::layout::{self, DataDir};
use crate::{Disk, DiskFile, Salt};

/// The default size of a segment.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes read from a segment at once: at least what the index makes a search skip, at most what a cache likes.
const READ_PIECE_BYTES_MIN: usize = 64 * 1024;
const READ_PIECE_BYTES_MAX: usize = 1024 * 1024;

/// A place in the history: after the record `zxid`, with the chain hash of everything up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last record before this place; [`Zxid::ZERO`] at the beginning of all history.
    pub zxid: Zxid,
    /// The hash of the history up to and including that record.
    pub chain: u64,
}

/// What a batch says besides its records, to help the next start: nothing depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Known to be committed when the batch was written; a follower may hear of commits before it has the records.
    pub commit: Zxid,
    /// The zxid to which `digest` belongs.
    pub digest_zxid: Zxid,
    /// The digest of the replicated state at `digest_zxid`, as the leader stated it.
    pub digest: u128,
}

impl Hints {
    /// What remains true when the records after `zxid` are gone.
    fn cut_after(self, zxid: Zxid) -> Hints {
        let commit = self.commit.min(zxid);
        if self.digest_zxid > zxid { Hints { commit, ..Hints::default() } } else { Hints { commit, ..self } }
    }
}

/// How much room the log has to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// A spare segment is prepared.
    Ready,
    /// The spare is being prepared: call [`Log::prepare_spare`] again when there is nothing else to do.
    Unfinished,
    /// There is no room for a spare. What is in flight still fits; nothing new should be accepted until a later call
    /// finds room again.
    Low,
}

/// Why an operation on the log did not succeed.
#[derive(Debug, Error)]
pub enum LogError {
    /// The disk is full, and nothing was written: the log is as it was, and the call may be repeated.
    #[error("no room on the device for the log: {0}")]
    Full(#[source] IoError),
    /// The history on this disk does not hold the record: it was purged, or never there.
    #[error("zxid {0} is not in the log")]
    NotInLog(Zxid),
    /// What was written before is not what is read now. The process has to end.
    #[error(transparent)]
    Corrupt(Corruption),
    /// The file system failed. The process has to end: the kernel may have dropped what it was given, and reports that
    /// only once.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl From<ReadError> for LogError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => LogError::Io(error),
            ReadError::Corrupt(corruption) => LogError::Corrupt(corruption),
        }
    }
}

impl LogError {
    /// Whether the process has to end.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            LogError::Full(_) | LogError::NotInLog(_) => false,
            LogError::Corrupt(_) | LogError::Io(_) => true,
        }
    }
}

/// The place of a log within the data directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogIdentity {
    pub(crate) cluster_id: ClusterId,
    pub(crate) generation: u64,
    pub(crate) salt: Salt,
}

/// What the scan of the log at a start has found.
pub(crate) struct LogRecovered {
    pub(crate) epochs: Vec<(Epoch, u32)>,
    pub(crate) hints: Hints,
    pub(crate) clean: bool,
    /// File, offset and reason of a torn tail.
    pub(crate) torn: Option<(String, u64, String)>,
}

/// The history of txns on disk. Belongs to the one thread that writes it.
pub struct Log<D: Disk> {
    dir: DataDir<D>,
    identity: LogIdentity,
    segment_bytes: u64,
    /// In order; the last one is written to. Never empty.
    segments: Vec<Segment<D::File>>,
    spare: Option<Segment<D::File>>,
    space: Space,
    last: Position,
    next_sequence: u64,
    /// Whether the last batch holds no record: all that do are then followed by one that says they are durable.
    is_at_rest: bool,
    next_segment_id: u64,
    hints: Hints,
    writer: BatchWriter,
    /// A write or a sync failed: what is on disk is unknown, and nothing may be done any more.
    failed: bool,
}

impl<D: Disk> Log<D> {
    /// Creates the log of a new generation, which begins after `start`, durably.
    pub(crate) fn create(dir: &DataDir<D>, identity: LogIdentity, start: Position) -> Result<(), IoError> {
        let path = layout::segment(identity.generation, 1);
        let header =
            SegmentHeader { cluster_id: identity.cluster_id, segment_id: 1, first_sequence: 1, start }.encode();
        let mut file = dir.disk.create(&path).during("create", &path)?;
        let written = file.write_at(&[&header], 0).during("write", &path);
        if let Err(error) = written.and_then(|()| file.sync_data().during("sync", &path)) {
            // A full disk has it tried again, and what is there must not be in its way.
            dir.disk.remove(&path).during("remove", &path)?;
            return Err(error);
        }
        dir.sync_dir(&layout::generation_dir(identity.generation))
    }

    /// Reads the log, and makes durable what it found before anything is based on it: pages left in memory by a
    /// process whose sync failed look as good as any, so the records of doubtful durability are written anew.
    pub(crate) fn open(
        dir: &DataDir<D>,
        identity: LogIdentity,
        segment_bytes: u64,
        watermark: u64,
    ) -> Result<(Log<D>, LogRecovered), LogError> {
        let scan = Scan::run(dir, identity, watermark)?;
        let ids = scan.segments.iter().chain(&scan.leftovers).map(|segment| segment.id);
        let mut log = Log {
            dir: dir.clone(),
            identity,
            segment_bytes,
            next_segment_id: ids.max().expect("a scan without segments fails") + 1,
            segments: scan.segments,
            spare: None,
            space: Space::Unfinished,
            last: scan.last,
            next_sequence: scan.next_sequence,
            is_at_rest: false,
            hints: scan.hints,
            writer: BatchWriter::default(),
            failed: false,
        };
        log.trim()?;
        let tail = log.read(scan.proven_to.zxid, usize::MAX)?;
        log.begin_after(scan.proven_to, log.next_sequence, &tail, scan.leftovers)?;
        let recovered = LogRecovered {
            epochs: scan.epochs.entries,
            hints: scan.hints,
            clean: scan.clean,
            torn: scan.damage.map(|damage| (damage.file, damage.offset, damage.reason)),
        };
        Ok((log, recovered))
    }

    /// Whether a first segment was created and never written to.
    pub(crate) fn is_unused(dir: &DataDir<D>, path: &str) -> Result<bool, IoError> {
        let file = dir.disk.open(path).during("open", path)?;
        Ok(file.len().during("measure", path)? <= DATA_OFFSET)
    }

    pub(crate) fn dir(&self) -> &DataDir<D> {
        &self.dir
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// The place before the first record that is still here.
    #[must_use]
    pub fn start(&self) -> Position {
        self.segments[0].start
    }

    /// A place at which at least `bytes` of records lie before `zxid`, if there are so many: the beginning of a segment.
    #[must_use]
    pub fn start_before(&self, zxid: Zxid, bytes: u64) -> Position {
        let before = self.segments.partition_point(|segment| segment.start.zxid < zxid);
        let whole_segments = bytes.div_ceil(self.segment_bytes) as usize;
        self.segments[before.saturating_sub(1 + whole_segments)].start
    }

    /// The place after the last record. Durable.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// For [`crate::Meta::durable_batch`]: everything up to this batch is durable.
    #[must_use]
    pub fn durable_batch(&self) -> u64 {
        self.next_sequence - 1
    }

    /// How much room there was when [`Log::prepare_spare`] last looked, or since the spare was taken into use.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// Appends records and makes them durable: one write and one sync, unless they exceed the size of a batch.
    ///
    /// # Errors
    /// [`LogError::Full`] leaves the log as it was, or, if the records exceed one batch, with a prefix of them; see
    /// [`Log::last`]. Everything else is fatal.
    ///
    /// # Panics
    /// If a record does not continue the one before it, or after a fatal error.
    pub fn append(&mut self, frames: &[Frame], hints: &Hints) -> Result<(), LogError> {
        let mut rest = frames;
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(write::fitting(rest));
            self.append_batch(batch, hints, false)?;
            rest = later;
        }
        Ok(())
    }

    /// Whether the log says of all its records that they are durable; see [`Log::rest`].
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.is_at_rest
    }

    /// Says of all records that they are durable, in a batch without any. To be called when no more come for a while:
    /// damage to the last one could not be told from an unfinished write otherwise.
    ///
    /// # Errors
    /// See [`Log::append`].
    pub fn rest(&mut self, hints: &Hints) -> Result<(), LogError> {
        self.append_batch(&[], hints, false)
    }

    /// Ends the log as a process does that stops in order; the next start then need not doubt anything.
    ///
    /// # Errors
    /// See [`Log::append`].
    pub fn close(mut self) -> Result<(), LogError> {
        let hints = self.hints;
        self.append_batch(&[], &hints, true)
    }

    /// The records after `after`, sharing memory with one another, up to about `bytes_max` bytes but at least one, if
    /// there is one.
    ///
    /// # Errors
    /// [`LogError::NotInLog`] if the record `after` is not here. Everything else is fatal.
    pub fn read(&self, after: Zxid, bytes_max: usize) -> Result<Vec<Frame>, LogError> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        if after == self.last.zxid {
            return Ok(frames);
        }
        let piece_bytes = bytes_max.clamp(READ_PIECE_BYTES_MIN, READ_PIECE_BYTES_MAX);
        let found = visit_after(&self.segments, after, piece_bytes, |frame| {
            if !frames.is_empty() && bytes + frame.bytes().len() > bytes_max {
                return false;
            }
            bytes += frame.bytes().len();
            frames.push(frame);
            bytes < bytes_max
        })?;
        found.map(|_| frames).ok_or(LogError::NotInLog(after))
    }

    /// The place after the record `zxid`, with its chain hash; `None` if it is not here.
    ///
    /// # Errors
    /// All are fatal.
    pub fn position(&self, zxid: Zxid) -> Result<Option<Position>, LogError> {
        if zxid == self.last.zxid {
            return Ok(Some(self.last));
        }
        Ok(find_position(&self.segments, zxid, READ_PIECE_BYTES_MIN)?)
    }

    /// Removes all records after `zxid`, durably.
    ///
    /// # Errors
    /// [`LogError::NotInLog`] and [`LogError::Full`] leave the log as it was. Everything else is fatal.
    ///
    /// # Panics
    /// After a fatal error.
    pub fn truncate_after(&mut self, zxid: Zxid) -> Result<(), LogError> {
        let start = self.position(zxid)?.ok_or(LogError::NotInLog(zxid))?;
        if start == self.last {
            return Ok(());
        }
        // A sequence number is left out, so that the watermark of the meta record can also vouch for the truncation.
        let first_sequence = self.next_sequence + 1;
        self.begin_after(start, first_sequence, &[], Vec::new())?;
        self.hints = self.hints.cut_after(zxid);
        Ok(())
    }

    /// Removes the segments that hold nothing after `oldest_snapshot`, the oldest snapshot that is kept.
    ///
    /// # Errors
    /// All are fatal.
    pub fn purge(&mut self, oldest_snapshot: Zxid) -> Result<(), LogError> {
        while self.segments.get(1).is_some_and(|second| second.start.zxid <= oldest_snapshot) {
            let oldest = self.segments.remove(0);
            self.dir.remove(&oldest.path)?;
            // Each removal by itself: a loss of power must not leave a hole between segments.
            self.dir.sync_dir(&layout::generation_dir(self.identity.generation))?;
        }
        Ok(())
    }

    fn append_batch(&mut self, frames: &[Frame], hints: &Hints, clean: bool) -> Result<(), LogError> {
        assert!(!self.failed, "log used after a failed write");
        let sequence = self.next_sequence;
        let described = write::describe(self.last, frames, hints);
        let batch = BatchHeader { sequence, durable_sequence: sequence - 1, clean, ..described };
        if self.segments.last().expect("a log has a segment").room() >= batch.total_bytes() {
            self.failed = true;
            let segment = self.segments.last_mut().expect("a log has a segment");
            self.writer.write(segment, batch, frames, None)?;
        } else {
            let mut segment = self.take_segment(DATA_OFFSET + batch.total_bytes())?;
            (segment.start, segment.last) = (self.last, self.last);
            // The header of the segment travels with its first batch: rolling over costs no sync of its own.
            let block = self.header_of(&segment, sequence);
            self.failed = true;
            self.writer.write(&mut segment, batch, frames, Some(&block))?;
            self.segments.push(segment);
        }
        let segment = self.segments.last_mut().expect("a log has a segment");
        if !mutated("log-not-synced") {
            segment.file.sync_data().during("sync", &segment.path)?;
        }
        self.failed = false;
        self.last = segment.last;
        self.next_sequence += 1;
        self.is_at_rest = frames.is_empty();
        self.hints = *hints;
        Ok(())
    }

    fn header_of(&self, segment: &Segment<D::File>, first_sequence: u64) -> [u8; DATA_OFFSET as usize] {
        let cluster_id = self.identity.cluster_id;
        SegmentHeader { cluster_id, segment_id: segment.id, first_sequence, start: segment.start }.encode()
    }
}
