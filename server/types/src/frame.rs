//! `Frame`: one record of the history, in the bytes that are the same on every disk and every link.
//!
//! ```text
//! len u32 | kind u8 | zxid u64 | chain u64 | payload          (little-endian; len counts all that follows it)
//! ```
//! The chain hash covers the whole history up to and including the record, so two logs that agree on
//! `(zxid, chain)` are identical up to there.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Zxid;

/// Bytes of a frame besides its payload.
pub const HEADER_BYTES: usize = 4 + 1 + 8 + 8;

/// Bytes of the largest frame: the largest txn and the header.
pub const FRAME_BYTES_MAX: usize = HEADER_BYTES + crate::limits::TXN_BYTES_MAX;

/// What a record means to agreement; its payload is opaque there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// The beginning of an epoch: the new-leader record, `(e, 0)`.
    Marker = 1,
    /// A txn of the replicated state.
    Txn = 2,
    /// A txn that begins the joint phase of a reconfiguration.
    Reconfig = 3,
    /// The end of that joint phase.
    ConfigFinal = 4,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<FrameKind> {
        match byte {
            1 => Some(FrameKind::Marker),
            2 => Some(FrameKind::Txn),
            3 => Some(FrameKind::Reconfig),
            4 => Some(FrameKind::ConfigFinal),
            _ => None,
        }
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// There are fewer bytes than the length field promises.
    Short,
    /// The length field is below the header's or above [`FRAME_BYTES_MAX`].
    BadLength(u32),
    /// The kind is none that this version knows.
    UnknownKind(u8),
}

/// One record of the history, encoded once by the leader and then only passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    kind: FrameKind,
    zxid: Zxid,
    chain: u64,
    bytes: Bytes,
}

impl Frame {
    /// Encodes a record that follows one whose chain hash is `prev_chain` (0 at the beginning of history).
    ///
    /// # Panics
    /// If the payload exceeds [`crate::limits::TXN_BYTES_MAX`]; what prepares a txn has refused it before.
    #[must_use]
    pub fn encode(kind: FrameKind, zxid: Zxid, prev_chain: u64, payload: &[u8]) -> Frame {
        assert!(payload.len() <= crate::limits::TXN_BYTES_MAX, "payload of {} bytes", payload.len());
        let chain = chain(prev_chain, kind, zxid, payload);
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + payload.len());
        bytes.put_u32_le((HEADER_BYTES - 4 + payload.len()) as u32);
        bytes.put_u8(kind as u8);
        bytes.put_u64_le(zxid.0);
        bytes.put_u64_le(chain);
        bytes.put_slice(payload);
        Frame { kind, zxid, chain, bytes: bytes.freeze() }
    }

    /// Takes the first frame off `input`, sharing its memory. Does not verify the chain: see [`Frame::continues`].
    ///
    /// # Errors
    /// [`FrameError`], with `input` unchanged.
    pub fn decode(input: &mut Bytes) -> Result<Frame, FrameError> {
        let Some(len) = input.get(..4) else { return Err(FrameError::Short) };
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]);
        let total = 4 + len as usize;
        if !(HEADER_BYTES..=FRAME_BYTES_MAX).contains(&total) {
            return Err(FrameError::BadLength(len));
        }
        if input.len() < total {
            return Err(FrameError::Short);
        }
        let kind = FrameKind::from_byte(input[4]).ok_or(FrameError::UnknownKind(input[4]))?;
        let bytes = input.split_to(total);
        let mut header = &bytes[5..HEADER_BYTES];
        let zxid = Zxid(header.get_u64_le());
        let chain = header.get_u64_le();
        Ok(Frame { kind, zxid, chain, bytes })
    }

    /// Whether this frame is the legal successor of a record `(prev, prev_chain)`: contiguous zxid and intact chain.
    #[must_use]
    pub fn continues(&self, prev: Zxid, prev_chain: u64) -> bool {
        self.zxid.follows(prev) && self.chain == chain(prev_chain, self.kind, self.zxid, self.payload_slice())
    }

    /// What the record means to agreement.
    #[must_use]
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// The record's position in the history.
    #[must_use]
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// The hash of the whole history up to and including this record.
    #[must_use]
    pub fn chain(&self) -> u64 {
        self.chain
    }

    /// The whole record as it is logged and sent.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The content, sharing the record's memory.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    fn payload_slice(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }
}

fn chain(prev_chain: u64, kind: FrameKind, zxid: Zxid, payload: &[u8]) -> u64 {
    let seed = prev_chain.rotate_left(23) ^ zxid.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ kind as u64;
    xxhash_rust::xxh3::xxh3_64_with_seed(payload, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    #[test]
    fn a_frame_survives_its_encoding_and_continues_its_predecessor() {
        let marker = Frame::encode(FrameKind::Marker, Zxid::new(Epoch(1), 0), 0, b"");
        let txn = Frame::encode(FrameKind::Txn, Zxid::new(Epoch(1), 1), marker.chain(), b"payload");
        let mut wire = Bytes::from([marker.bytes().as_ref(), txn.bytes().as_ref()].concat());
        assert_eq!(Frame::decode(&mut wire), Ok(marker.clone()));
        assert_eq!(Frame::decode(&mut wire), Ok(txn.clone()));
        assert_eq!(Frame::decode(&mut wire), Err(FrameError::Short));
        assert!(marker.continues(Zxid::ZERO, 0));
        assert!(txn.continues(marker.zxid(), marker.chain()));
        assert!(!txn.continues(marker.zxid(), marker.chain() ^ 1));
        assert_eq!(txn.payload(), &b"payload"[..]);
    }

    #[test]
    fn hostile_bytes_are_refused_with_a_reason_and_left_alone() {
        let check = |input: &[u8], expected| {
            let mut bytes = Bytes::copy_from_slice(input);
            assert_eq!(Frame::decode(&mut bytes), Err(expected));
            assert_eq!(bytes.len(), input.len());
        };
        check(&[1, 2], FrameError::Short);
        check(&[3, 0, 0, 0, 1, 1, 1], FrameError::BadLength(3));
        check(&[0xff, 0xff, 0xff, 0x7f], FrameError::BadLength(0x7fff_ffff));
        check(&[17, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], FrameError::UnknownKind(9));
    }
}
