//! `Scan`: reads the segments of a log after a start and tells what counts.
//!
//! A batch that is not whole is either the *torn tail* of a write that was never reported, or *corruption* of one that
//! was. It is corruption when anything proves that it was once durable: a later batch or segment (each is written only
//! after everything before it was synced and says so) or the watermark in the meta record. Without proof it is torn,
//! and what was to be there was never acknowledged to anyone.

use std::collections::VecDeque;

use quorate_types::{ClusterId, Epoch, Zxid};

use super::batch::{ALIGN, BatchHeader, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use super::find::{ReadError, find_position};
use super::reader::{Batch, BatchReader, NoBatch, PieceReader};
use super::replace::cut_segments;
use super::segment::{DATA_OFFSET, Index, Segment, SegmentHeader};
use super::{Hints, LogIdentity, Position};
use crate::error::{Corruption, During};
use crate::layout::{self, DataDir, Name};
use crate::{Disk, DiskFile};

/// Bytes read at once: large enough for the device, small enough for the processor's cache.
const PIECE_BYTES: usize = 1024 * 1024;

/// A run of zeros this long ends the search for later batches: no batch is long enough to have left such a gap.
const BLANK_BYTES_MAX: u64 = PAYLOAD_BYTES_MAX as u64 + 2 * DATA_OFFSET;

/// The place after the last whole batch of a segment, if something is there.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) reason: String,
    /// The checksums are right and the content is not: no crash does that.
    certain: bool,
}

/// The last counter of every epoch in a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EpochTable {
    pub(crate) entries: Vec<(Epoch, u32)>,
}

impl EpochTable {
    pub(crate) fn record(&mut self, zxid: Zxid) {
        match self.entries.last_mut() {
            Some((epoch, counter)) if *epoch == zxid.epoch() => *counter = zxid.counter(),
            _ => self.entries.push((zxid.epoch(), zxid.counter())),
        }
    }

    fn cut_after(&mut self, zxid: Zxid) {
        while self.entries.last().is_some_and(|(epoch, _)| *epoch > zxid.epoch()) {
            self.entries.pop();
        }
        if let Some((epoch, counter)) = self.entries.last_mut()
            && *epoch == zxid.epoch()
        {
            *counter = zxid.counter();
        }
    }
}

/// A batch of which nothing proves yet that it is durable.
struct Unproven {
    sequence: u64,
    prev: Position,
}

/// What the segments of one generation hold.
pub(crate) struct Scan<F> {
    /// The segments that count, in order.
    pub(crate) segments: Vec<Segment<F>>,
    /// Files that do not: spares, torn beginnings of segments, and what a truncation had yet to remove.
    pub(crate) leftovers: Vec<Segment<F>>,
    pub(crate) last: Position,
    pub(crate) next_sequence: u64,
    /// Where the last batches begin that nothing proves to be durable; `last` if there are none.
    pub(crate) proven_to: Position,
    pub(crate) epochs: EpochTable,
    pub(crate) hints: Hints,
    /// The process that wrote the log ended it as it should.
    pub(crate) clean: bool,
    /// The torn tail.
    pub(crate) damage: Option<Damage>,
    proven: u64,
    unproven: VecDeque<Unproven>,
    /// Segments whose header is unreadable and which nevertheless continue the log: id and first batch.
    headless: Vec<(u64, u64)>,
}

impl<F: DiskFile> Scan<F> {
    /// Reads all segments of a generation.
    pub(crate) fn run<D: Disk<File = F>>(
        dir: &DataDir<D>,
        identity: LogIdentity,
        watermark: u64,
    ) -> Result<Scan<F>, ReadError> {
        let LogIdentity { cluster_id, generation, salt } = identity;
        let mut ids: Vec<u64> = dir
            .names(&layout::generation_dir(generation))?
            .into_iter()
            .filter_map(|name| if let Name::Segment(id) = name { Some(id) } else { None })
            .collect();
        ids.sort_unstable();
        let mut scan = Scan {
            segments: Vec::new(),
            leftovers: Vec::new(),
            last: Position::default(),
            next_sequence: 1,
            proven_to: Position::default(),
            epochs: EpochTable::default(),
            hints: Hints::default(),
            clean: false,
            damage: None,
            proven: watermark,
            unproven: VecDeque::new(),
            headless: Vec::new(),
        };
        for id in ids {
            let path = layout::segment(generation, id);
            let file = dir.disk.open(&path).during("open", &path)?;
            let allocated = file.len().during("measure", &path)?;
            let start = Position::default();
            let index = Index::default();
            let (mark, last, end, filled) = (salt.mark(id), start, DATA_OFFSET, 0);
            let segment = Segment { id, mark, path, file, start, last, end, allocated, filled, index };
            scan.segment(segment, cluster_id)?;
        }
        scan.conclude(generation)
    }

    fn segment(&mut self, mut segment: Segment<F>, cluster_id: ClusterId) -> Result<(), ReadError> {
        let mut block = [0; DATA_OFFSET as usize];
        let read = segment.file.read_at(&mut block, 0).during("read", &segment.path)?;
        let header = SegmentHeader::decode(&block[..read]);
        match &header {
            Some(header) => {
                if (header.segment_id, header.cluster_id) != (segment.id, cluster_id) {
                    let SegmentHeader { segment_id, cluster_id, .. } = header;
                    let reason = format!("it is segment {segment_id} of ensemble {cluster_id}");
                    return Err(self.corrupt(&segment.path, 0, reason));
                }
                self.begin_at(header, &segment.path)?;
            }
            None if self.segments.is_empty() => {
                let reason = "the header of the oldest segment is not readable".to_owned();
                return Err(self.corrupt(&segment.path, 0, reason));
            }
            None => {}
        }
        (segment.start, segment.last) = (self.last, self.last);
        let first_sequence = self.next_sequence;
        if self.damage.is_none() {
            self.batches(&mut segment, header.is_some())?;
        }
        self.search_for_proof(&segment)?;
        if header.is_some() {
            self.segments.push(segment);
        } else if segment.last.zxid > segment.start.zxid {
            self.headless.push((segment.id, first_sequence));
            self.segments.push(segment);
        } else {
            self.clean &= block[..read].iter().all(|byte| *byte == 0);
            self.leftovers.push(segment);
        }
        Ok(())
    }

    /// Continues at the beginning of a segment, which may replace what the segments before it hold after that point.
    fn begin_at(&mut self, header: &SegmentHeader, path: &str) -> Result<(), ReadError> {
        let start = header.start;
        if self.segments.is_empty() {
            self.last = start;
        } else if start.zxid > self.last.zxid {
            return Err(match self.damage.take() {
                Some(damage) => self.corrupt(&damage.file, damage.offset, damage.reason),
                None => {
                    let reason = format!("the segment begins after {}, what lies between is missing", start.zxid);
                    self.corrupt(path, 0, reason)
                }
            });
        } else if header.first_sequence < self.next_sequence {
            let reason = format!("the segment begins with batch {} again", header.first_sequence);
            return Err(self.corrupt(path, 0, reason));
        }
        if start != self.last {
            self.cut_after(start, path)?;
        }
        self.damage = None;
        self.next_sequence = header.first_sequence;
        self.proven = self.proven.max(header.first_sequence - 1);
        self.unproven.clear();
        self.clean = false;
        Ok(())
    }

    fn cut_after(&mut self, start: Position, path: &str) -> Result<(), ReadError> {
        match find_position(&self.segments, start.zxid, PIECE_BYTES)? {
            Some(found) if found == start => {}
            _ => {
                let reason = format!("the segment begins after {start:?}, which is not in the history before it");
                return Err(self.corrupt(path, 0, reason));
            }
        }
        cut_segments(&mut self.segments, start, &mut self.leftovers);
        self.last = start;
        self.epochs.cut_after(start.zxid);
        self.hints = self.hints.cut_after(start.zxid);
        Ok(())
    }

    /// Takes in the batches of a segment up to the first place where there is none. A file without a header may hold
    /// a copy of batches known already, written by a start that did not get to the header: that is no damage.
    fn batches(&mut self, segment: &mut Segment<F>, has_header: bool) -> Result<(), ReadError> {
        let mut index = Index::default();
        let mut reader = BatchReader::new(segment, DATA_OFFSET, PIECE_BYTES);
        let damage = loop {
            match reader.next().during("read", &segment.path)? {
                Ok(batch) => {
                    let (prev, offset) = (batch.header.prev, batch.offset);
                    match self.batch(batch) {
                        Ok(()) => index.note(prev, offset),
                        Err(reason) => break Some((offset, reason, has_header || offset > DATA_OFFSET)),
                    }
                }
                Err(NoBatch::Blank) => break None,
                Err(NoBatch::Header) => break Some((reader.offset(), "no batch begins here".to_owned(), false)),
                Err(NoBatch::Payload { sequence }) => {
                    let reason = format!("the records of batch {sequence} do not match their checksum");
                    break Some((reader.offset(), reason, false));
                }
            }
        };
        segment.end = damage.as_ref().map_or(reader.offset(), |(offset, ..)| *offset);
        (segment.last, segment.index) = (self.last, index);
        self.damage =
            damage.map(|(offset, reason, certain)| Damage { file: segment.path.clone(), offset, reason, certain });
        Ok(())
    }

    fn batch(&mut self, batch: Batch) -> Result<(), String> {
        let header = batch.header.clone();
        if (header.sequence, header.prev) != (self.next_sequence, self.last) {
            return Err(format!("batch {} after {:?} does not belong here", header.sequence, header.prev));
        }
        let epochs = &mut self.epochs;
        batch.visit(|frame| epochs.record(frame.zxid()))?;
        self.last = header.last;
        self.next_sequence = header.sequence + 1;
        self.hints = header.hints;
        self.clean = header.clean;
        self.unproven.push_back(Unproven { sequence: header.sequence, prev: header.prev });
        self.prove(header.durable_sequence);
        Ok(())
    }

    fn prove(&mut self, sequence: u64) {
        self.proven = self.proven.max(sequence);
        while self.unproven.front().is_some_and(|batch| batch.sequence <= self.proven) {
            self.unproven.pop_front();
        }
    }

    /// Looks behind the last whole batch for a later one: its existence proves that all before it were durable.
    fn search_for_proof(&mut self, segment: &Segment<F>) -> Result<(), ReadError> {
        let mut pieces = PieceReader::new(&segment.file, segment.allocated, PIECE_BYTES);
        let (mut offset, mut blank) = (segment.end.max(DATA_OFFSET), 0);
        loop {
            let piece = pieces.get(offset, PIECE_BYTES).during("read", &segment.path)?;
            if piece.iter().all(|byte| *byte == 0) {
                blank += piece.len() as u64;
            } else {
                blank = 0;
                for at in (0..piece.len()).step_by(ALIGN as usize) {
                    if let Some(header) = BatchHeader::decode(&piece[at..], segment.mark) {
                        self.prove(header.durable_sequence);
                    }
                }
            }
            if piece.len() < PIECE_BYTES || blank > BLANK_BYTES_MAX {
                return Ok(());
            }
            // The pieces overlap so that a header across the boundary is seen whole.
            offset += (PIECE_BYTES - HEADER_BYTES.next_multiple_of(ALIGN as usize)) as u64;
        }
    }

    fn conclude(mut self, generation: u64) -> Result<Scan<F>, ReadError> {
        let Some(newest) = self.segments.last() else {
            let reason = "there is no segment".to_owned();
            return Err(self.corrupt(&layout::generation_dir(generation), 0, reason));
        };
        if self.proven >= self.next_sequence {
            let (file, offset, reason) = match &self.damage {
                Some(damage) => (damage.file.clone(), damage.offset, damage.reason.clone()),
                None => (newest.path.clone(), newest.end, "the log ends too early".to_owned()),
            };
            let reason = format!("{reason}, although batch {} was durable", self.proven);
            return Err(self.corrupt(&file, offset, reason));
        }
        if let Some(Damage { file, offset, reason, certain: true }) = &self.damage {
            return Err(self.corrupt(file, *offset, reason.clone()));
        }
        let proven = self.proven;
        let headless = |segment: &&Segment<F>| {
            self.headless.iter().any(|(id, first_sequence)| *id == segment.id && *first_sequence <= proven)
        };
        if let Some(segment) = self.segments.iter().find(headless) {
            return Err(self.corrupt(&segment.path, 0, "the header of the segment is not readable".to_owned()));
        }
        self.proven_to = self.unproven.front().map_or(self.last, |batch| batch.prev);
        self.clean &= self.damage.is_none();
        Ok(self)
    }

    fn corrupt(&self, file: &str, offset: u64, reason: String) -> ReadError {
        let batch = Some(self.next_sequence);
        ReadError::Corrupt(Corruption { file: file.to_owned(), offset, batch, after: self.last.zxid, reason })
    }
}
