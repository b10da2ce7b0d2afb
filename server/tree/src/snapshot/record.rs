//! The records of a snapshot, byte by byte.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes};
use quorate_types::codec::Reader;
use quorate_types::{Acl, SessionId, SessionSecret, Zxid};

use super::SnapshotError;
use crate::Session;
use crate::requests::{ClientKey, Remembered};
use crate::znode::Znode;

/// The format that this version writes.
pub(super) const FORMAT: u32 = 1;

/// Kind and length.
pub(super) const HEAD_BYTES: usize = 1 + 4;

/// Bytes of the longest body: the remembered reply to the largest multi that fits a txn.
pub(super) const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Header = 1,
    Session = 2,
    Client = 3,
    Result = 4,
    Acl = 5,
    Znode = 6,
    End = 7,
}

impl Kind {
    pub(super) fn from_byte(byte: u8) -> Result<Kind, SnapshotError> {
        Ok(match byte {
            1 => Kind::Header,
            2 => Kind::Session,
            3 => Kind::Client,
            4 => Kind::Result,
            5 => Kind::Acl,
            6 => Kind::Znode,
            7 => Kind::End,
            _ => return Err(SnapshotError::Invalid("kind of record")),
        })
    }

    /// Whether a record of this kind may come after one of `before`.
    pub(super) fn may_follow(self, before: Option<Kind>) -> bool {
        match self {
            Kind::Header => before.is_none(),
            Kind::Session => matches!(before, Some(Kind::Header | Kind::Session)),
            Kind::Client => matches!(before, Some(Kind::Header | Kind::Session | Kind::Client | Kind::Result)),
            Kind::Result => matches!(before, Some(Kind::Client | Kind::Result)),
            Kind::Acl | Kind::Znode => before.is_some_and(|before| before < Kind::End),
            Kind::End => matches!(before, Some(Kind::Znode)),
        }
    }
}

/// Appends a record whose body `put` writes.
pub(super) fn put(out: &mut Vec<u8>, kind: Kind, put: impl FnOnce(&mut Vec<u8>)) {
    out.put_u8(kind as u8);
    let at = out.len();
    out.put_u32_le(0);
    put(out);
    let len = out.len() - at - 4;
    assert!(len <= BODY_BYTES_MAX, "a {kind:?} record of {len} bytes");
    out[at..at + 4].copy_from_slice(&(len as u32).to_le_bytes());
}

/// What stands before everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) zxid: Zxid,
    pub(super) last_time_ms: i64,
    pub(super) znodes: u64,
    pub(super) sessions: u64,
    pub(super) results: u64,
    pub(super) digest: u128,
}

impl Header {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u32_le(FORMAT);
        out.put_u64_le(self.zxid.0);
        out.put_i64_le(self.last_time_ms);
        out.put_u64_le(self.znodes);
        out.put_u64_le(self.sessions);
        out.put_u64_le(self.results);
        out.put_u128_le(self.digest);
    }

    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Header, SnapshotError> {
        let format = fields.u32()?;
        if format != FORMAT {
            return Err(SnapshotError::UnknownFormat(format));
        }
        Ok(Header {
            zxid: Zxid(fields.u64()?),
            last_time_ms: fields.i64()?,
            znodes: fields.u64()?,
            sessions: fields.u64()?,
            results: fields.u64()?,
            digest: fields.u128()?,
        })
    }
}

pub(super) fn put_session(out: &mut Vec<u8>, session: &Session) {
    out.put_u64_le(session.id.0);
    out.put_u32_le(session.timeout_ms);
    out.put_slice(&session.secret.0);
}

pub(super) fn take_session(fields: &mut Fields<'_>) -> Result<Session, SnapshotError> {
    let (id, timeout_ms) = (SessionId(fields.u64()?), fields.u32()?);
    Ok(Session { id, timeout_ms, secret: SessionSecret(fields.array()?), ephemerals: 0 })
}

pub(super) fn put_client(out: &mut Vec<u8>, key: &ClientKey, forgotten_through: u64) {
    out.put_u64_le(key.session.0);
    out.put_u64_le(key.caller);
    out.put_u128_le(key.client);
    out.put_u64_le(forgotten_through);
}

pub(super) fn take_client(fields: &mut Fields<'_>) -> Result<(ClientKey, u64), SnapshotError> {
    let key = ClientKey { session: SessionId(fields.u64()?), caller: fields.u64()?, client: fields.u128()? };
    Ok((key, fields.u64()?))
}

pub(super) fn put_result(out: &mut Vec<u8>, result: &Remembered) {
    out.put_u64_le(result.sequence);
    out.put_u64_le(result.zxid.0);
    out.put_u64_le(result.operation);
    out.put_slice(&result.reply);
}

pub(super) fn take_result(fields: &mut Fields<'_>) -> Result<Remembered, SnapshotError> {
    let (sequence, zxid, operation) = (fields.u64()?, Zxid(fields.u64()?), fields.u64()?);
    Ok(Remembered { sequence, zxid, operation, reply: fields.rest().into() })
}

pub(super) fn take_acl(fields: &mut Fields<'_>) -> Result<Acl, SnapshotError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(fields.rest()));
    let acl = reader.acl().map_err(|_| SnapshotError::Invalid("ACL"))?;
    reader.finish().map_err(|_| SnapshotError::Invalid("ACL"))?;
    Ok(acl)
}

/// A znode's record. Its data is what follows the name.
pub(super) struct ZnodeRecord<'a> {
    pub(super) depth: u16,
    pub(super) acl: u32,
    pub(super) kind_tag: u8,
    pub(super) kind_value: u64,
    pub(super) num_children: u32,
    pub(super) version: i32,
    pub(super) aversion: i32,
    pub(super) creations: u64,
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) ctime_ms: i64,
    pub(super) mtime_ms: i64,
    pub(super) name: &'a [u8],
    pub(super) data: Option<&'a [u8]>,
}

pub(super) fn put_znode(out: &mut Vec<u8>, depth: usize, acl: u32, znode: &Znode) {
    let (kind_tag, kind_value) = znode.kind_parts();
    out.reserve(96 + znode.body_len());
    out.put_u16_le(u16::try_from(depth).expect("a path of 4096 bytes has at most 2048 components"));
    out.put_u32_le(acl);
    out.put_u8(kind_tag);
    out.put_u64_le(kind_value);
    out.put_u32_le(znode.num_children());
    out.put_i32_le(znode.version);
    out.put_i32_le(znode.aversion);
    out.put_u64_le(znode.creations());
    out.put_u64_le(znode.czxid.0);
    out.put_u64_le(znode.mzxid.0);
    out.put_u64_le(znode.pzxid().0);
    out.put_i64_le(znode.ctime_ms);
    out.put_i64_le(znode.mtime_ms);
    out.put_u8(u8::from(znode.data_is_null()));
    out.put_u16_le(znode.name().len() as u16);
    out.put_slice(znode.name());
    out.put_slice(znode.bytes());
}

impl<'a> ZnodeRecord<'a> {
    pub(super) fn take(fields: &mut Fields<'a>) -> Result<ZnodeRecord<'a>, SnapshotError> {
        let mut record = ZnodeRecord {
            depth: fields.u16()?,
            acl: fields.u32()?,
            kind_tag: fields.u8()?,
            kind_value: fields.u64()?,
            num_children: fields.u32()?,
            version: fields.i32()?,
            aversion: fields.i32()?,
            creations: fields.u64()?,
            czxid: Zxid(fields.u64()?),
            mzxid: Zxid(fields.u64()?),
            pzxid: Zxid(fields.u64()?),
            ctime_ms: fields.i64()?,
            mtime_ms: fields.i64()?,
            name: &[],
            data: None,
        };
        let is_null = fields.u8()?;
        let name_len = fields.u16()?;
        record.name = fields.take(usize::from(name_len))?;
        let data = fields.rest();
        record.data = match is_null {
            0 => Some(data),
            1 if data.is_empty() => None,
            _ => return Err(SnapshotError::Invalid("null data")),
        };
        Ok(record)
    }
}

/// Takes values off the front of a record's body.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(SnapshotError::Invalid("length of a record"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// Demands that the body holds nothing more.
    pub(super) fn finish(&self) -> Result<(), SnapshotError> {
        if self.0.is_empty() { Ok(()) } else { Err(SnapshotError::Invalid("length of a record")) }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(SnapshotError::Invalid("length of a record"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, SnapshotError> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, SnapshotError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.array().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, SnapshotError> {
        self.array().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, SnapshotError> {
        self.array().map(i64::from_le_bytes)
    }

    fn u128(&mut self) -> Result<u128, SnapshotError> {
        self.array().map(u128::from_le_bytes)
    }
}
