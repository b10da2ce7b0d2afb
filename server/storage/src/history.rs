//! `History`: the records of a data directory, for whoever only looks: nothing is locked, and nothing is written.
//!
//! A server may go on writing meanwhile. Then this ends where the log ended at some moment of the opening; or it fails,
//! if the server has removed a segment just then.

use quorate_types::{Frame, Zxid};

use crate::Disk;
use crate::layout::DataDir;
use crate::log::{LogError, Position, ReadError, Scan, Segment, visit_after};
use crate::meta::{self, Meta};
use crate::storage::{OpenError, Truncated, log_identity};

/// Bytes read at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// What the log of a data directory holds.
pub struct History<D: Disk> {
    meta: Meta,
    segments: Vec<Segment<D::File>>,
    last: Position,
    torn: Option<Truncated>,
}

impl<D: Disk> History<D> {
    /// Reads all of the log once, verifying its checksums.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] if records are missing that were durable once, as a start would say.
    pub fn open(disk: D) -> Result<History<D>, OpenError> {
        let dir = DataDir::unlocked(disk);
        let meta = meta::peek(&dir)?;
        let scan = Scan::run(&dir, log_identity(&meta), meta.durable_batch).map_err(|error| match error {
            ReadError::Io(error) => OpenError::Io(error),
            ReadError::Corrupt(corruption) => OpenError::Corrupt(corruption),
        })?;
        let torn =
            scan.damage.map(|damage| Truncated { file: damage.file, offset: damage.offset, reason: damage.reason });
        Ok(History { meta, segments: scan.segments, last: scan.last, torn })
    }

    /// Whose it is, and what it has promised.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The place before the first record.
    #[must_use]
    pub fn start(&self) -> Position {
        self.segments.first().map_or(Position::default(), |segment| segment.start)
    }

    /// The place after the last record.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// What the next start will drop: the trace of a write that was interrupted, or of one that is under way.
    #[must_use]
    pub fn torn(&self) -> Option<&Truncated> {
        self.torn.as_ref()
    }

    /// Shows the records from `from` on, in order, until `visit` says that it has seen enough.
    ///
    /// # Errors
    /// What was read before is not there any more, or not as it was.
    pub fn visit(&self, from: Zxid, mut visit: impl FnMut(Frame) -> bool) -> Result<(), LogError> {
        let before = self.segments.iter().rev().find(|segment| segment.start.zxid < from);
        let after = before.or(self.segments.first()).map_or(Zxid::ZERO, |segment| segment.start.zxid);
        visit_after(&self.segments, after, PIECE_BYTES, |frame| frame.zxid() < from || visit(frame))?;
        Ok(())
    }

    /// Bytes that the log occupies on the disk, and in how many files.
    #[must_use]
    pub fn size(&self) -> (u64, usize) {
        (self.segments.iter().map(|segment| segment.allocated).sum(), self.segments.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Faults, SimDisk};
    use crate::storage::{Options, Storage};
    use crate::{Hints, Salt, Standing};
    use quorate_types::{ClusterId, Epoch, FrameKind, ServerId};

    fn seen(history: &History<SimDisk>, from: u32) -> Vec<u32> {
        let mut counters = Vec::new();
        history
            .visit(Zxid::new(Epoch(1), from), |frame| {
                counters.push(frame.zxid().counter());
                true
            })
            .unwrap();
        counters
    }

    #[test]
    fn the_records_of_a_server_that_runs_can_be_seen() {
        let disk = SimDisk::new(7, Faults::default());
        let (cluster, server) = (ClusterId(3), ServerId(1));
        Storage::initialize(disk.clone(), cluster, server, Standing::Voter, Salt(9)).unwrap();
        let options = Options { segment_bytes: 64 * 1024, ..Options::default() };
        let (mut storage, _) = Storage::open(disk.clone(), &options).unwrap();
        let mut at = Position::default();
        for counter in 0..100u32 {
            let payload = vec![counter as u8; 5_000];
            let frame = Frame::encode(FrameKind::Txn, Zxid::new(Epoch(1), counter), at.chain, &payload);
            at = Position { zxid: frame.zxid(), chain: frame.chain() };
            storage.log.append(&[frame], &Hints::default()).unwrap();
        }
        storage.log.truncate_after(Zxid::new(Epoch(1), 89)).unwrap();
        let history = History::open(disk.clone()).unwrap();
        assert!(history.size().1 > 3, "{:?}", history.size());
        assert_eq!((history.meta().cluster_id, history.start(), history.torn()), (cluster, Position::default(), None));
        assert_eq!(history.last().zxid, Zxid::new(Epoch(1), 89));
        assert_eq!(seen(&history, 0), (0..90).collect::<Vec<_>>());
        assert_eq!(seen(&history, 50), (50..90).collect::<Vec<_>>());
        assert_eq!(seen(&history, 90), Vec::<u32>::new());
        let mut first = Vec::new();
        history.visit(Zxid::ZERO, |frame| (first.push(frame.zxid()), first.len() < 3).1).unwrap();
        assert_eq!(first.len(), 3);
        // The server goes on undisturbed, and who looks again sees that.
        let frame = Frame::encode(FrameKind::Txn, Zxid::new(Epoch(1), 90), storage.log.last().chain, b"");
        storage.log.append(&[frame], &Hints::default()).unwrap();
        assert_eq!(seen(&History::open(disk).unwrap(), 89), [89, 90]);
    }
}
