//! The bytes of a snapshot file.
//!
//! ```text
//! header: magic u64 | crc32c u32 | version u32 | cluster_id u64 | zxid u64 | chain u64 | epochs u32 | config bytes u32
//!         then (epoch u32, counter u32) for each epoch, then the config; the checksum covers all that follows it
//! chunk:  tag u32 | crc32c u32 | snapshot u32 | index u32 | bytes u32, then the content
//! footer: tag u32 | crc32c u32 | snapshot u32 | chunks u32 | content bytes u64 | crc32c of the chunks' checksums u32 |
//!         digest u128 | counts u64 x 4; the file ends here
//! ```
//! `snapshot` repeats the checksum of the header, so that no chunk of another file passes.

use bytes::{BufMut, Bytes, BytesMut};
use quorate_types::{ClusterId, Epoch, Zxid};

use super::SnapshotHeader;
use crate::bytes_le::{Put, Take, crc32c, crc32c_parts};
use crate::log::Position;

/// Bytes of the largest chunk: what a reader has to hold at once.
pub const CHUNK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of the largest configuration.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// Epochs in the largest table: an election every second for twelve days between two of its compactions would be
/// needed to reach it.
pub const EPOCHS_MAX: usize = 1024 * 1024;

/// Numbers in a footer that its writer uses as it likes.
pub const COUNTS: usize = 4;

pub(crate) const HEADER_BYTES: usize = 48;
pub(crate) const CHUNK_HEADER_BYTES: usize = 20;
pub(crate) const FOOTER_BYTES: usize = 76;
const EPOCH_BYTES: usize = 8;
const MAGIC: u64 = u64::from_le_bytes(*b"QRTESNAP");
const VERSION: u32 = 1;
const CHUNK_TAG: u32 = u32::from_le_bytes(*b"CHNK");
const FOOTER_TAG: u32 = u32::from_le_bytes(*b"FOOT");

/// What a snapshot says after its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFooter {
    /// The digest of the state, to compare with what was loaded.
    pub digest: u128,
    /// Whatever the writer counted, to compare with what was loaded.
    pub counts: [u64; COUNTS],
}

/// The lengths that the fixed part of a header announces.
pub(crate) struct HeaderLengths {
    pub(crate) epochs: usize,
    pub(crate) config: usize,
}

impl HeaderLengths {
    pub(crate) fn body_bytes(&self) -> usize {
        self.epochs * EPOCH_BYTES + self.config
    }
}

/// The header with its checksum, which also names the snapshot.
pub(crate) fn encode_header(header: &SnapshotHeader) -> (Bytes, u32) {
    assert!(header.epochs.len() <= EPOCHS_MAX, "{} epochs", header.epochs.len());
    assert!(header.config.len() <= CONFIG_BYTES_MAX, "config of {} bytes", header.config.len());
    let mut bytes = BytesMut::zeroed(HEADER_BYTES);
    Put::at(&mut bytes, 12)
        .u32(VERSION)
        .u64(header.cluster_id.0)
        .u64(header.position.zxid.0)
        .u64(header.position.chain)
        .u32(header.epochs.len() as u32)
        .u32(header.config.len() as u32);
    for (epoch, counter) in &header.epochs {
        bytes.put_u32_le(epoch.0);
        bytes.put_u32_le(*counter);
    }
    bytes.put_slice(&header.config);
    let crc = crc32c(&bytes[12..]);
    Put::at(&mut bytes, 0).u64(MAGIC).u32(crc);
    (bytes.freeze(), crc)
}

/// What the fixed part of a header announces, if it could be one.
pub(crate) fn decode_lengths(bytes: &[u8]) -> Option<HeaderLengths> {
    let mut take = Take::from(bytes.get(..HEADER_BYTES)?);
    let (magic, _crc, version) = (take.u64(), take.u32(), take.u32());
    let [_cluster_id, _zxid, _chain] = [take.u64(), take.u64(), take.u64()];
    let lengths = HeaderLengths { epochs: take.u32() as usize, config: take.u32() as usize };
    let legal =
        magic == MAGIC && version == VERSION && lengths.epochs <= EPOCHS_MAX && lengths.config <= CONFIG_BYTES_MAX;
    legal.then_some(lengths)
}

/// The header in exactly these bytes, and its checksum.
pub(crate) fn decode_header(bytes: &Bytes) -> Option<(SnapshotHeader, u32)> {
    let lengths = decode_lengths(bytes)?;
    let crc = Take::from(&bytes[8..]).u32();
    if bytes.len() != HEADER_BYTES + lengths.body_bytes() || crc != crc32c(&bytes[12..]) {
        return None;
    }
    let mut take = Take::from(&bytes[16..]);
    let cluster_id = ClusterId(take.u64());
    let position = Position { zxid: Zxid(take.u64()), chain: take.u64() };
    let mut take = Take::from(&bytes[HEADER_BYTES..]);
    let epochs = (0..lengths.epochs).map(|_| (Epoch(take.u32()), take.u32())).collect();
    let config = bytes.slice(bytes.len() - lengths.config..);
    Some((SnapshotHeader { cluster_id, position, epochs, config }, crc))
}

/// What stands before the content of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    pub(crate) crc: u32,
    pub(crate) snapshot: u32,
    pub(crate) index: u32,
    pub(crate) bytes: u32,
}

/// What follows another in a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Chunk,
    Footer,
    Unknown,
}

impl Tag {
    pub(crate) fn of(bytes: &[u8]) -> Tag {
        match bytes.first_chunk().map(|tag| u32::from_le_bytes(*tag)) {
            Some(CHUNK_TAG) => Tag::Chunk,
            Some(FOOTER_TAG) => Tag::Footer,
            _ => Tag::Unknown,
        }
    }
}

impl ChunkHeader {
    /// The header of a chunk, encoded, and the checksum of the whole.
    pub(crate) fn encode(snapshot: u32, index: u32, content: &[u8]) -> ([u8; CHUNK_HEADER_BYTES], u32) {
        assert!(content.len() <= CHUNK_BYTES_MAX, "chunk of {} bytes", content.len());
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        Put::at(&mut bytes, 8).u32(snapshot).u32(index).u32(content.len() as u32);
        let crc = crc32c_parts([&bytes[8..], content].into_iter());
        Put::at(&mut bytes, 0).u32(CHUNK_TAG).u32(crc);
        (bytes, crc)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<ChunkHeader> {
        let mut take = Take::from(bytes.get(..CHUNK_HEADER_BYTES)?);
        let tag = take.u32();
        let header = ChunkHeader { crc: take.u32(), snapshot: take.u32(), index: take.u32(), bytes: take.u32() };
        (tag == CHUNK_TAG && header.bytes as usize <= CHUNK_BYTES_MAX).then_some(header)
    }

    pub(crate) fn is_of(&self, content: &[u8]) -> bool {
        let (_, crc) = ChunkHeader::encode(self.snapshot, self.index, content);
        crc == self.crc
    }
}

/// What a footer says of the chunks before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) snapshot: u32,
    pub(crate) chunks: u32,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

impl Totals {
    pub(crate) fn add(&mut self, content: &[u8], crc: u32) {
        self.chunks = self.chunks.checked_add(1).expect("four billion chunks are more than a file can hold");
        self.bytes += content.len() as u64;
        self.crc = crc32c_parts([&self.crc.to_le_bytes()[..], &crc.to_le_bytes()].into_iter());
    }
}

pub(crate) fn encode_footer(totals: &Totals, footer: &SnapshotFooter) -> [u8; FOOTER_BYTES] {
    let mut bytes = [0; FOOTER_BYTES];
    let put = Put::at(&mut bytes, 8)
        .u32(totals.snapshot)
        .u32(totals.chunks)
        .u64(totals.bytes)
        .u32(totals.crc)
        .u128(footer.digest);
    footer.counts.iter().fold(put, |put, count| put.u64(*count));
    let crc = crc32c(&bytes[8..]);
    Put::at(&mut bytes, 0).u32(FOOTER_TAG).u32(crc);
    bytes
}

pub(crate) fn decode_footer(bytes: &[u8]) -> Option<(Totals, SnapshotFooter)> {
    let bytes = bytes.get(..FOOTER_BYTES)?;
    let mut take = Take::from(bytes);
    if take.u32() != FOOTER_TAG || take.u32() != crc32c(&bytes[8..]) {
        return None;
    }
    let totals = Totals { snapshot: take.u32(), chunks: take.u32(), bytes: take.u64(), crc: take.u32() };
    let digest = take.u128();
    Some((totals, SnapshotFooter { digest, counts: std::array::from_fn(|_| take.u64()) }))
}
