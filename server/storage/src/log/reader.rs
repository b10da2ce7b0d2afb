//! `BatchReader`: the batches of one segment, in order, each verified by its checksums.

use std::io;

use bytes::{Bytes, BytesMut};
use quorate_types::Frame;

use super::Position;
use super::batch::{BatchHeader, HEADER_BYTES};
use super::segment::Segment;
use crate::DiskFile;
use crate::bytes_le::crc32c;
use crate::salt::Mark;

/// One batch as it stands in the file.
pub(crate) struct Batch {
    pub(crate) header: BatchHeader,
    pub(crate) payload: Bytes,
    pub(crate) offset: u64,
}

impl Batch {
    /// Decodes the frames, checking that they lead from the position before the batch to the one after it.
    ///
    /// # Errors
    /// Why they do not.
    pub(crate) fn visit(mut self, mut visit: impl FnMut(Frame)) -> Result<(), String> {
        let mut last = self.header.prev;
        let mut count = 0;
        while !self.payload.is_empty() {
            let frame = Frame::decode(&mut self.payload).map_err(|error| format!("record {count}: {error:?}"))?;
            if !frame.continues(last.zxid, last.chain) {
                return Err(format!("zxid {} does not continue the history after {}", frame.zxid(), last.zxid));
            }
            last = Position { zxid: frame.zxid(), chain: frame.chain() };
            count += 1;
            visit(frame);
        }
        if (count, last) == (self.header.count, self.header.last) {
            Ok(())
        } else {
            Err(format!("the batch ends at {last:?} after {count} records, its header says otherwise"))
        }
    }
}

/// Reads a file in large pieces and hands out slices of them.
pub(crate) struct PieceReader<'a, F> {
    file: &'a F,
    file_bytes: u64,
    piece_bytes: usize,
    piece: Bytes,
    piece_offset: u64,
}

impl<'a, F: DiskFile> PieceReader<'a, F> {
    pub(crate) fn new(file: &'a F, file_bytes: u64, piece_bytes: usize) -> PieceReader<'a, F> {
        PieceReader { file, file_bytes, piece_bytes, piece: Bytes::new(), piece_offset: 0 }
    }

    /// `len` bytes from `offset` on, fewer at the end of the file.
    pub(crate) fn get(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        let within = offset.checked_sub(self.piece_offset).map(|start| start as usize);
        match within {
            Some(start) if start + len <= self.piece.len() => Ok(self.piece.slice(start..start + len)),
            _ => {
                self.fill(offset, len.max(self.piece_bytes))?;
                Ok(self.piece.slice(..len.min(self.piece.len())))
            }
        }
    }

    /// Reads a new piece, into the memory of the old one when nobody holds a slice of it any more.
    fn fill(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let len = self.file_bytes.saturating_sub(offset).min(len as u64) as usize;
        let mut memory = std::mem::take(&mut self.piece).try_into_mut().unwrap_or_else(|_| BytesMut::new());
        memory.resize(len, 0);
        let read = self.file.read_at(&mut memory, offset)?;
        memory.truncate(read);
        self.piece = memory.freeze();
        self.piece_offset = offset;
        Ok(())
    }
}

/// The batches of one segment from an offset on.
pub(crate) struct BatchReader<'a, F> {
    pieces: PieceReader<'a, F>,
    mark: Mark,
    offset: u64,
}

/// Why there is no batch where one was looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoBatch {
    /// Only zeros, or the end of the file: nothing was written here.
    Blank,
    /// Something else than a header.
    Header,
    /// A header whose payload is not what it announces.
    Payload {
        /// The sequence that the header states.
        sequence: u64,
    },
}

impl<'a, F: DiskFile> BatchReader<'a, F> {
    pub(crate) fn new(segment: &'a Segment<F>, offset: u64, piece_bytes: usize) -> BatchReader<'a, F> {
        let pieces = PieceReader::new(&segment.file, segment.allocated, piece_bytes);
        BatchReader { pieces, mark: segment.mark, offset }
    }

    /// Where the next batch is looked for.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next batch, or why there is none; then the reader stays where it is.
    pub(crate) fn next(&mut self) -> io::Result<Result<Batch, NoBatch>> {
        let offset = self.offset;
        let bytes = self.pieces.get(offset, HEADER_BYTES)?;
        let Some(header) = BatchHeader::decode(&bytes, self.mark) else {
            let blank = bytes.iter().all(|byte| *byte == 0);
            return Ok(Err(if blank { NoBatch::Blank } else { NoBatch::Header }));
        };
        drop(bytes);
        let payload = self.pieces.get(offset + HEADER_BYTES as u64, header.payload_bytes as usize)?;
        if payload.len() != header.payload_bytes as usize || crc32c(&payload) != header.payload_crc {
            return Ok(Err(NoBatch::Payload { sequence: header.sequence }));
        }
        self.offset += header.total_bytes();
        Ok(Ok(Batch { header, payload, offset }))
    }
}
