//! `BatchHeader`: what stands before the frames that were written and synced together.
//!
//! ```text
//! magic u32 | crc32c of all that follows in the header u32 | crc32c(payload) u32 | payload bytes u32 | count u32 |
//! flags u32 | mark u64 | sequence u64 | durable_sequence u64 | prev zxid u64, chain u64 | last zxid u64,
//! chain u64 | commit u64 | digest_zxid u64 | digest u128                                             (little-endian)
//! ```
//! Batches follow one another at multiples of [`ALIGN`]; the mark, which is the segment's id and the log's salt, keeps
//! bytes of another file, and bytes that a client stored, from ever being taken for a batch of this one.

use quorate_types::frame::{FRAME_BYTES_MAX, HEADER_BYTES as FRAME_HEADER_BYTES};

use super::segment::SEQUENCE_MAX;
use super::{Hints, Position};
use crate::bytes_le::{Put, Take, crc32c};
use crate::salt::Mark;
use quorate_types::Zxid;

/// Bytes of an encoded header.
pub(crate) const HEADER_BYTES: usize = 120;

/// Where batches begin, so that a search for one need not try every byte.
pub(crate) const ALIGN: u64 = 8;

/// Bytes of the frames of one batch: room for the largest frame and as much again to share its sync.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

const MAGIC: u32 = u32::from_le_bytes(*b"QBAT");
const FLAG_CLEAN: u32 = 1;

/// The header of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) mark: Mark,
    /// Position among all batches and truncations of this log; gaps are where a truncation or a start was.
    pub(crate) sequence: u64,
    /// The greatest sequence known to be durable when this batch was written; below `sequence`.
    pub(crate) durable_sequence: u64,
    pub(crate) prev: Position,
    /// Equals `prev` in a batch without frames.
    pub(crate) last: Position,
    pub(crate) hints: Hints,
    /// This batch ends the log of a process that stopped as it should.
    pub(crate) clean: bool,
    pub(crate) count: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) payload_crc: u32,
}

impl BatchHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        Put::at(&mut bytes, 8)
            .u32(self.payload_crc)
            .u32(self.payload_bytes)
            .u32(self.count)
            .u32(if self.clean { FLAG_CLEAN } else { 0 })
            .u64(self.mark.0)
            .u64(self.sequence)
            .u64(self.durable_sequence)
            .u64(self.prev.zxid.0)
            .u64(self.prev.chain)
            .u64(self.last.zxid.0)
            .u64(self.last.chain)
            .u64(self.hints.commit.0)
            .u64(self.hints.digest_zxid.0)
            .u128(self.hints.digest);
        let crc = crc32c(&bytes[8..]);
        Put::at(&mut bytes, 0).u32(MAGIC).u32(crc);
        bytes
    }

    /// The header at the beginning of `bytes`, `None` if there is no whole one of this segment.
    pub(crate) fn decode(bytes: &[u8], mark: Mark) -> Option<BatchHeader> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let mut take = Take::from(bytes);
        if take.u32() != MAGIC || take.u32() != crc32c(&bytes[8..]) {
            return None;
        }
        let payload_crc = take.u32();
        let payload_bytes = take.u32();
        let count = take.u32();
        let flags = take.u32();
        let header = BatchHeader {
            mark: Mark(take.u64()),
            sequence: take.u64(),
            durable_sequence: take.u64(),
            prev: Position { zxid: Zxid(take.u64()), chain: take.u64() },
            last: Position { zxid: Zxid(take.u64()), chain: take.u64() },
            hints: Hints { commit: Zxid(take.u64()), digest_zxid: Zxid(take.u64()), digest: take.u128() },
            clean: flags & FLAG_CLEAN != 0,
            count,
            payload_bytes,
            payload_crc,
        };
        let legal = header.mark == mark
            && header.durable_sequence < header.sequence
            && header.sequence <= SEQUENCE_MAX
            && payload_bytes as usize <= PAYLOAD_BYTES_MAX
            && count as usize <= payload_bytes as usize / FRAME_HEADER_BYTES
            && (count == 0) == (payload_bytes == 0);
        legal.then_some(header)
    }

    /// Bytes from the beginning of this batch to where the next one may begin.
    pub(crate) fn total_bytes(&self) -> u64 {
        batch_bytes(self.payload_bytes as usize)
    }
}

/// Bytes that a batch with this payload occupies in a segment.
pub(crate) fn batch_bytes(payload_bytes: usize) -> u64 {
    ((HEADER_BYTES + payload_bytes) as u64).next_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Salt;

    fn header() -> BatchHeader {
        BatchHeader {
            mark: Salt(77).mark(3),
            sequence: 18,
            durable_sequence: 17,
            prev: Position { zxid: Zxid(0x1_0000_0001), chain: 5 },
            last: Position { zxid: Zxid(0x1_0000_0002), chain: 6 },
            hints: Hints { commit: Zxid(0x1_0000_0001), digest_zxid: Zxid(0x1_0000_0000), digest: u128::MAX - 1 },
            clean: true,
            count: 1,
            payload_bytes: 30,
            payload_crc: 0xdead_beef,
        }
    }

    #[test]
    fn a_header_survives_its_encoding() {
        assert_eq!(BatchHeader::decode(&header().encode(), Salt(77).mark(3)), Some(header()));
        assert_eq!(header().total_bytes(), 152);
    }

    #[test]
    fn no_changed_bit_no_other_segment_and_no_other_log_passes() {
        assert_eq!(BatchHeader::decode(&header().encode(), Salt(77).mark(4)), None);
        assert_eq!(BatchHeader::decode(&header().encode(), Salt(78).mark(3)), None);
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHeader::decode(&bytes, Salt(77).mark(3)), None, "bit {bit}");
        }
        assert_eq!(BatchHeader::decode(&header().encode()[..HEADER_BYTES - 1], Salt(77).mark(3)), None);
    }

    #[test]
    fn a_header_with_a_valid_checksum_and_absurd_fields_does_not_pass() {
        let check = |header: BatchHeader| {
            assert_eq!(BatchHeader::decode(&header.encode(), Salt(77).mark(3)), None, "{header:?}")
        };
        check(BatchHeader { payload_bytes: PAYLOAD_BYTES_MAX as u32 + 1, ..header() });
        check(BatchHeader { count: 0, ..header() });
        check(BatchHeader { count: 2, ..header() });
        check(BatchHeader { durable_sequence: 18, ..header() });
        check(BatchHeader { sequence: u64::MAX, ..header() });
    }
}
