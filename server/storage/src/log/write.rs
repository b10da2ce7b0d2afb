//! `BatchWriter`: turns frames into a batch and writes it with one vectored write.

use quorate_types::Frame;

use super::batch::{BatchHeader, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use super::segment::{DATA_OFFSET, Segment};
use super::{Hints, Position};
use crate::DiskFile;
use crate::bytes_le::{crc32c, crc32c_parts};
use crate::error::{During, IoError};
use crate::salt::Mark;

/// Frames of this size on average are written from where they are; smaller ones are first copied together, which costs
/// less than a long list of pieces.
const FRAME_BYTES_UNCOPIED: usize = 4096;

/// Memory kept between two batches: what an ordinary batch needs.
const SCRATCH_BYTES_KEPT: usize = 1024 * 1024;

/// How many of the frames fit into one batch. At least one: a batch has room for the largest frame.
pub(crate) fn fitting(frames: &[Frame]) -> usize {
    let mut bytes = 0;
    let fits = |frame: &&Frame| {
        bytes += frame.bytes().len();
        bytes <= PAYLOAD_BYTES_MAX
    };
    frames.iter().take_while(fits).count()
}

/// The header of a batch with these frames after `prev`; its mark and sequences are left to whoever writes it.
///
/// # Panics
/// If a frame does not continue the one before it.
pub(crate) fn describe(prev: Position, frames: &[Frame], hints: &Hints) -> BatchHeader {
    let mut last = prev;
    let mut payload_bytes = 0;
    for frame in frames {
        let zxid = frame.zxid();
        assert!(frame.continues(last.zxid, last.chain), "{zxid:?} does not continue the log after {last:?}");
        last = Position { zxid, chain: frame.chain() };
        payload_bytes += frame.bytes().len() as u32;
    }
    BatchHeader {
        mark: Mark::default(),
        sequence: 0,
        durable_sequence: 0,
        prev,
        last,
        hints: *hints,
        clean: false,
        count: frames.len() as u32,
        payload_bytes,
        payload_crc: 0,
    }
}

/// Writes batches, reusing the memory in which small frames are gathered.
#[derive(Default)]
pub(crate) struct BatchWriter {
    scratch: Vec<u8>,
}

impl BatchWriter {
    /// Writes the batch behind the last one of the segment, together with the segment's header if that is given.
    pub(crate) fn write<F: DiskFile>(
        &mut self,
        segment: &mut Segment<F>,
        mut batch: BatchHeader,
        frames: &[Frame],
        header: Option<&[u8; DATA_OFFSET as usize]>,
    ) -> Result<(), IoError> {
        batch.mark = segment.mark;
        let offset = segment.end;
        assert!(offset >= DATA_OFFSET && (header.is_none() || offset == DATA_OFFSET), "segment ends at {offset}");
        let copied = batch.payload_bytes as usize <= frames.len() * FRAME_BYTES_UNCOPIED;
        let mut parts: Vec<&[u8]> = Vec::with_capacity(if copied { 2 } else { 2 + frames.len() });
        parts.extend(header.map(|block| &block[..]));
        let head;
        if copied {
            self.scratch.clear();
            self.scratch.resize(HEADER_BYTES, 0);
            frames.iter().for_each(|frame| self.scratch.extend_from_slice(frame.bytes()));
            batch.payload_crc = crc32c(&self.scratch[HEADER_BYTES..]);
            self.scratch[..HEADER_BYTES].copy_from_slice(&batch.encode());
            parts.push(&self.scratch);
        } else {
            batch.payload_crc = crc32c_parts(frames.iter().map(|frame| frame.bytes().as_ref()));
            head = batch.encode();
            parts.push(&head);
            parts.extend(frames.iter().map(|frame| frame.bytes().as_ref()));
        }
        let file_offset = if header.is_some() { 0 } else { offset };
        segment.file.write_at(&parts, file_offset).during("write", &segment.path)?;
        segment.index.note(batch.prev, offset);
        segment.last = batch.last;
        segment.end = offset + batch.total_bytes();
        self.scratch.shrink_to(SCRATCH_BYTES_KEPT);
        Ok(())
    }
}
