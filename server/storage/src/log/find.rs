//! Finding records by zxid in the segments of a log.

use quorate_types::{Frame, Zxid};

use super::Position;
use super::reader::{BatchReader, NoBatch};
use super::segment::{DATA_OFFSET, IndexEntry, Segment};
use crate::DiskFile;
use crate::error::{Corruption, During, IoError};

/// Why records could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(IoError),
    Corrupt(Corruption),
}

impl From<IoError> for ReadError {
    fn from(error: IoError) -> Self {
        ReadError::Io(error)
    }
}

/// The place after the record `zxid`, or `None` if no segment holds it.
pub(crate) fn find_position<F: DiskFile>(
    segments: &[Segment<F>],
    zxid: Zxid,
    piece_bytes: usize,
) -> Result<Option<Position>, ReadError> {
    let Some(segment) = segments.iter().rev().find(|segment| segment.start.zxid <= zxid) else { return Ok(None) };
    let entry = entry_before(segment, zxid);
    let known = [segment.start, segment.last, entry.prev];
    if let Some(position) = known.into_iter().find(|position| position.zxid == zxid) {
        return Ok(Some(position));
    }
    let mut found = None;
    visit_segment(segment, entry, piece_bytes, &mut |frame| {
        if frame.zxid() == zxid {
            found = Some(Position { zxid, chain: frame.chain() });
        }
        frame.zxid() < zxid
    })?;
    Ok(found)
}

/// Shows the records after `after` to `visit`, in order, until it has seen enough. `None` if `after` is not here.
pub(crate) fn visit_after<F: DiskFile>(
    segments: &[Segment<F>],
    after: Zxid,
    piece_bytes: usize,
    mut visit: impl FnMut(Frame) -> bool,
) -> Result<Option<()>, ReadError> {
    let holding = segments.partition_point(|segment| segment.start.zxid <= after);
    let Some(first) = holding.checked_sub(1) else { return Ok(None) };
    let mut found = false;
    for segment in &segments[first..] {
        let entry = entry_before(segment, after);
        found |= entry.prev.zxid == after;
        let more = visit_segment(segment, entry, piece_bytes, &mut |frame| {
            if frame.zxid() <= after {
                found |= frame.zxid() == after;
                true
            } else {
                found && visit(frame)
            }
        })?;
        if !more {
            break;
        }
    }
    Ok(found.then_some(()))
}

fn entry_before<F>(segment: &Segment<F>, zxid: Zxid) -> IndexEntry {
    segment.index.find(zxid).unwrap_or(IndexEntry { prev: segment.start, offset: DATA_OFFSET })
}

/// Shows the records of a segment from `entry` on, until `visit` has seen enough: then the answer is false.
fn visit_segment<F: DiskFile>(
    segment: &Segment<F>,
    entry: IndexEntry,
    piece_bytes: usize,
    visit: &mut impl FnMut(Frame) -> bool,
) -> Result<bool, ReadError> {
    let mut reader = BatchReader::new(segment, entry.offset, piece_bytes);
    let mut at = entry.prev;
    let mut more = true;
    while more && at.zxid < segment.last.zxid {
        let offset = reader.offset();
        let corrupt = |batch, reason| {
            ReadError::Corrupt(Corruption { file: segment.path.clone(), offset, batch, after: at.zxid, reason })
        };
        let batch = match reader.next().during("read", &segment.path)? {
            Ok(batch) => batch,
            Err(NoBatch::Payload { sequence }) => {
                return Err(corrupt(Some(sequence), "the records do not match their checksum".to_owned()));
            }
            Err(NoBatch::Blank | NoBatch::Header) => {
                return Err(corrupt(None, "no batch begins here".to_owned()));
            }
        };
        let header = batch.header.clone();
        if header.prev != at {
            return Err(corrupt(Some(header.sequence), format!("it follows {:?}", header.prev)));
        }
        // Where the log was cut, a batch may go on behind the end of its segment.
        let visited = batch.visit(|frame| more = more && (frame.zxid() > segment.last.zxid || visit(frame)));
        visited.map_err(|reason| corrupt(Some(header.sequence), reason))?;
        at = header.last;
    }
    Ok(more)
}
