//! `Segment`: one preallocated file of the log, and the header that says where in the history it begins.
//!
//! The header stands twice in the first block. A header that begins *before* the end of the preceding segments takes
//! the place of all that they hold after that point: this is how the log is truncated, and how a tail of doubtful
//! durability is moved to where it is certain. Ids only grow, and the file with the greatest id is removed only after
//! a greater one is durable, so no id is ever used twice.

use quorate_types::{ClusterId, Zxid};

use super::Position;
use crate::bytes_le::{Put, Take, crc32c};
use crate::salt::Mark;

/// Where batches begin.
pub(crate) const DATA_OFFSET: u64 = 4096;

/// Batch bytes between two entries of a segment's index: what a read has to skip at most, besides one batch.
const INDEX_STEP_BYTES: u64 = 64 * 1024;

/// The greatest sequence of a batch, and id of a segment, that is believed: no log gets there, and nothing that counts
/// on from there overflows.
pub(crate) const SEQUENCE_MAX: u64 = u64::MAX / 2;

const HEADER_COPY_OFFSETS: [usize; 2] = [0, 2048];
const HEADER_BYTES: usize = 64;
const MAGIC: u64 = u64::from_le_bytes(*b"QRTE-LOG");
const VERSION: u32 = 1;

/// What the first block of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) cluster_id: ClusterId,
    pub(crate) segment_id: u64,
    /// The sequence of this segment's first batch. All before it are durable, or replaced.
    pub(crate) first_sequence: u64,
    /// The record before this segment's first.
    pub(crate) start: Position,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; DATA_OFFSET as usize] {
        let mut block = [0; DATA_OFFSET as usize];
        for offset in HEADER_COPY_OFFSETS {
            let copy = &mut block[offset..offset + HEADER_BYTES];
            Put::at(copy, 12)
                .u32(VERSION)
                .u64(self.cluster_id.0)
                .u64(self.segment_id)
                .u64(self.first_sequence)
                .u64(self.start.zxid.0)
                .u64(self.start.chain);
            let crc = crc32c(&copy[12..]);
            Put::at(copy, 0).u64(MAGIC).u32(crc);
        }
        block
    }

    /// The header of the first block, from whichever copy is whole.
    pub(crate) fn decode(block: &[u8]) -> Option<SegmentHeader> {
        HEADER_COPY_OFFSETS.iter().find_map(|&offset| {
            let copy = block.get(offset..offset + HEADER_BYTES)?;
            let mut take = Take::from(copy);
            if take.u64() != MAGIC || take.u32() != crc32c(&copy[12..]) || take.u32() != VERSION {
                return None;
            }
            let header = SegmentHeader {
                cluster_id: ClusterId(take.u64()),
                segment_id: take.u64(),
                first_sequence: take.u64(),
                start: Position { zxid: Zxid(take.u64()), chain: take.u64() },
            };
            // Half of it is left for the batches to come: whoever opens a log has to be able to write on.
            (1..=SEQUENCE_MAX / 2).contains(&header.first_sequence).then_some(header)
        })
    }
}

/// Where a batch begins, for reads that start in the middle of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) prev: Position,
    pub(crate) offset: u64,
}

/// A sparse index of the batches of one segment, in order.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Vec<IndexEntry>,
}

impl Index {
    /// Notes a batch, unless the last one noted is close enough before it.
    pub(crate) fn note(&mut self, prev: Position, offset: u64) {
        if self.entries.last().is_none_or(|entry| offset >= entry.offset + INDEX_STEP_BYTES) {
            self.entries.push(IndexEntry { prev, offset });
        }
    }

    /// The nearest noted batch at or before the first record after `zxid`.
    pub(crate) fn find(&self, zxid: Zxid) -> Option<IndexEntry> {
        let after = self.entries.partition_point(|entry| entry.prev.zxid <= zxid);
        self.entries[..after].last().copied()
    }
}

/// One file of the log, and what of it counts.
pub(crate) struct Segment<F> {
    pub(crate) id: u64,
    /// Of its batches.
    pub(crate) mark: Mark,
    pub(crate) path: String,
    pub(crate) file: F,
    /// The record before the first one here.
    pub(crate) start: Position,
    /// The last record that counts here; what the file holds after it was truncated.
    pub(crate) last: Position,
    /// Where the batch with `last` ends: a new batch is written here if this is the newest segment.
    pub(crate) end: u64,
    /// Bytes of the file that are reserved on the device.
    pub(crate) allocated: u64,
    /// Bytes of the file that were written before, if only with zeros.
    pub(crate) filled: u64,
    pub(crate) index: Index,
}

impl<F> Segment<F> {
    /// Bytes that a batch may still occupy.
    pub(crate) fn room(&self) -> u64 {
        self.allocated.saturating_sub(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            cluster_id: ClusterId(9),
            segment_id: 4,
            first_sequence: 77,
            start: Position { zxid: Zxid(0x2_0000_0005), chain: 1 },
        }
    }

    #[test]
    fn either_copy_of_the_header_is_enough() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Some(header()));
        for bit in 0..HEADER_BYTES * 8 {
            for offset in HEADER_COPY_OFFSETS {
                let mut block = header().encode();
                block[offset + bit / 8] ^= 1 << (bit % 8);
                assert_eq!(SegmentHeader::decode(&block), Some(header()), "bit {bit} of the copy at {offset}");
            }
        }
        let mut block = header().encode();
        HEADER_COPY_OFFSETS.iter().for_each(|offset| block[offset + 30] ^= 1);
        assert_eq!(SegmentHeader::decode(&block), None);
        assert_eq!(SegmentHeader::decode(&block[..10]), None);
    }

    #[test]
    fn the_index_leads_to_the_batch_at_or_before_a_record() {
        let mut index = Index::default();
        let position = |zxid| Position { zxid: Zxid(zxid), chain: 0 };
        assert!(index.find(Zxid(5)).is_none());
        for batch in 0..10u64 {
            index.note(position(batch * 10), DATA_OFFSET + batch * INDEX_STEP_BYTES / 2);
        }
        assert!(index.find(Zxid(0)).is_some_and(|entry| entry.offset == DATA_OFFSET));
        assert!(index.find(Zxid(19)).is_some_and(|entry| entry.prev.zxid == Zxid(0)));
        assert!(index.find(Zxid(20)).is_some_and(|entry| entry.prev.zxid == Zxid(20)));
        assert!(index.find(Zxid(1000)).is_some_and(|entry| entry.prev.zxid == Zxid(80)));
    }
}
