//! The binary form of what is logged, replicated and snapshotted: little-endian, length-prefixed, no tags.
//!
//! A [`Reader`] never panics and never allocates more than its input holds; a decoder built on it ends with
//! [`Reader::finish`], so that trailing bytes are an error and an encoding has exactly one reading.

pub(crate) mod members;
pub mod request;
pub mod response;

use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes};
use core::fmt;

use crate::{Acl, AclEntry, NodeKind, Perms, SessionId, Stat, Zxid, limits};

/// Bytes of an encoded stat.
pub const STAT_BYTES: usize = 5 * 8 + 3 * 4 + 8 + 2 * 4;

/// Why bytes could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They end too early.
    Short,
    /// More bytes follow than belong to the value.
    Trailing(usize),
    /// A tag, a count or a length has a value that this version never writes.
    Invalid(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Short => f.write_str("the bytes end too early"),
            DecodeError::Trailing(count) => write!(f, "{count} bytes too many"),
            DecodeError::Invalid(what) => write!(f, "invalid {what}"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Takes values off the front of shared bytes; data that it hands out shares their memory.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
}

impl Reader {
    /// Reads from the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Reader {
        Reader { bytes }
    }

    /// Demands that everything has been read.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] otherwise.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.bytes.len())) }
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn need(&self, count: usize) -> Result<(), DecodeError> {
        if self.bytes.len() < count { Err(DecodeError::Short) } else { Ok(()) }
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.need(1)?;
        Ok(self.bytes.get_u8())
    }

    /// A 32-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.need(4)?;
        Ok(self.bytes.get_u32_le())
    }

    /// A 64-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.need(8)?;
        Ok(self.bytes.get_u64_le())
    }

    /// A 128-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u128(&mut self) -> Result<u128, DecodeError> {
        self.need(16)?;
        Ok(self.bytes.get_u128_le())
    }

    /// A signed 32-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(self.u32()? as i32)
    }

    /// A signed 64-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(self.u64()? as i64)
    }

    /// A zxid.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn zxid(&mut self) -> Result<Zxid, DecodeError> {
        Ok(Zxid(self.u64()?))
    }

    /// `count` bytes, as they are.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn raw(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        self.need(count)?;
        Ok(self.bytes.split_to(count))
    }

    /// A count of elements that take at least `element_bytes` each, so that it can be trusted for an allocation.
    ///
    /// # Errors
    /// [`DecodeError::Short`] if the input cannot hold so many.
    pub fn count(&mut self, element_bytes: usize) -> Result<usize, DecodeError> {
        let count = self.u32()? as usize;
        self.need(count.saturating_mul(element_bytes.max(1)))?;
        Ok(count)
    }

    /// Length-prefixed bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn buffer(&mut self) -> Result<Bytes, DecodeError> {
        let len = self.u32()? as usize;
        self.raw(len)
    }

    /// Data of a znode: null, or length-prefixed bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn data(&mut self) -> Result<Option<Bytes>, DecodeError> {
        match self.u32()? {
            u32::MAX => Ok(None),
            len if len as usize <= limits::DATA_BYTES_MAX => self.raw(len as usize).map(Some),
            _ => Err(DecodeError::Invalid("data length")),
        }
    }

    /// Length-prefixed text.
    ///
    /// # Errors
    /// [`DecodeError`], also for bytes that are not UTF-8.
    pub fn text(&mut self) -> Result<String, DecodeError> {
        let bytes = self.buffer()?;
        core::str::from_utf8(&bytes).map(String::from).map_err(|_| DecodeError::Invalid("UTF-8"))
    }

    /// An ACL.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn acl(&mut self) -> Result<Acl, DecodeError> {
        let count = match self.u32()? {
            u32::MAX => return Ok(Acl::OPEN),
            count if count as usize <= limits::ACL_ENTRIES_MAX => count as usize,
            _ => return Err(DecodeError::Invalid("ACL entry count")),
        };
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(AclEntry { perms: Perms(self.u32()?), scheme: self.text()?, id: self.text()? });
        }
        Ok(Acl::new(entries))
    }

    /// A stat.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn stat(&mut self) -> Result<Stat, DecodeError> {
        Ok(Stat {
            czxid: self.zxid()?,
            mzxid: self.zxid()?,
            pzxid: self.zxid()?,
            ctime_ms: self.i64()?,
            mtime_ms: self.i64()?,
            version: self.i32()?,
            cversion: self.i32()?,
            aversion: self.i32()?,
            ephemeral_owner: SessionId(self.u64()?),
            data_length: self.u32()?,
            num_children: self.u32()?,
        })
    }

    /// A kind of znode.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn kind(&mut self) -> Result<NodeKind, DecodeError> {
        match self.u8()? {
            0 => Ok(NodeKind::Persistent),
            1 => Ok(NodeKind::Ephemeral(SessionId(self.u64()?))),
            2 => Ok(NodeKind::Container),
            3 => Ok(NodeKind::Ttl { ttl_ms: self.u64()? }),
            _ => Err(DecodeError::Invalid("kind of znode")),
        }
    }
}

/// Appends length-prefixed bytes.
pub fn put_buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32_le(bytes.len() as u32);
    out.put_slice(bytes);
}

/// Appends length-prefixed text.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_buffer(out, text.as_bytes());
}

/// Appends the data of a znode.
pub fn put_data(out: &mut Vec<u8>, data: Option<&[u8]>) {
    match data {
        None => out.put_u32_le(u32::MAX),
        Some(data) => put_buffer(out, data),
    }
}

/// Appends an ACL.
pub fn put_acl(out: &mut Vec<u8>, acl: &Acl) {
    let Some(entries) = acl.restricted() else { return out.put_u32_le(u32::MAX) };
    out.put_u32_le(entries.len() as u32);
    for entry in entries {
        out.put_u32_le(entry.perms.0);
        put_text(out, &entry.scheme);
        put_text(out, &entry.id);
    }
}

/// Bytes that [`put_acl`] appends.
#[must_use]
pub fn acl_len(acl: &Acl) -> usize {
    let entries = acl.restricted().unwrap_or_default();
    4 + entries.iter().map(|entry| 4 + 4 + entry.scheme.len() + 4 + entry.id.len()).sum::<usize>()
}

/// Appends a stat.
pub fn put_stat(out: &mut Vec<u8>, stat: &Stat) {
    out.put_u64_le(stat.czxid.0);
    out.put_u64_le(stat.mzxid.0);
    out.put_u64_le(stat.pzxid.0);
    out.put_i64_le(stat.ctime_ms);
    out.put_i64_le(stat.mtime_ms);
    out.put_i32_le(stat.version);
    out.put_i32_le(stat.cversion);
    out.put_i32_le(stat.aversion);
    out.put_u64_le(stat.ephemeral_owner.0);
    out.put_u32_le(stat.data_length);
    out.put_u32_le(stat.num_children);
}

/// Appends a kind of znode.
pub fn put_kind(out: &mut Vec<u8>, kind: NodeKind) {
    match kind {
        NodeKind::Persistent => out.put_u8(0),
        NodeKind::Ephemeral(session) => {
            out.put_u8(1);
            out.put_u64_le(session.0);
        }
        NodeKind::Container => out.put_u8(2),
        NodeKind::Ttl { ttl_ms } => {
            out.put_u8(3);
            out.put_u64_le(ttl_ms);
        }
    }
}
