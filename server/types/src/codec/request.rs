//! The binary form of what a follower passes on to its leader: writes, and what concerns the ensemble. Reads never leave
//! the server that was asked, and have none.

use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::BufMut;

use crate::codec::members::{change, flag, put_change, server};
use crate::codec::{self, DecodeError, Reader};
use crate::{
    AclEntry, Caller, CreateMode, Identity, Op, Path, Perms, Precondition, Request, RequestId, Restore, SessionId,
    SessionSecret, WriteOp, Zxid, limits,
};

/// Identities of one caller: doors establish a few.
const IDENTITIES_MAX: usize = 64;

/// Appends a request. Its deadline is left to the caller: clocks differ.
///
/// # Panics
/// If the request is a read, or what else the server answers by itself.
pub fn put_request(out: &mut Vec<u8>, request: &Request) {
    out.put_u32_le(request.caller.identities.len() as u32);
    for identity in &request.caller.identities {
        codec::put_text(out, &identity.scheme);
        codec::put_text(out, &identity.id);
    }
    match &request.session {
        None => out.put_u8(0),
        Some((id, secret)) => {
            out.put_u8(1);
            out.put_u64_le(id.0);
            out.put_slice(&secret.0);
        }
    }
    match &request.request_id {
        None => out.put_u8(0),
        Some(id) => {
            out.put_u8(1);
            out.put_u128_le(id.client);
            out.put_u64_le(id.sequence);
            out.put_u64_le(id.acknowledged_through);
        }
    }
    put_op(out, &request.op);
}

/// Takes a request off a reader; it has no deadline, and asks for no `min_zxid`.
///
/// # Errors
/// [`DecodeError`] for anything that [`put_request`] does not write.
pub fn request(reader: &mut Reader) -> Result<Request, DecodeError> {
    let count = reader.count(8)?;
    if count > IDENTITIES_MAX {
        return Err(DecodeError::Invalid("count of identities"));
    }
    let mut identities = Vec::with_capacity(count);
    for _ in 0..count {
        identities.push(Identity { scheme: reader.text()?, id: reader.text()? });
    }
    let session = match reader.u8()? {
        0 => None,
        1 => Some((SessionId(reader.u64()?), secret(reader)?)),
        _ => return Err(DecodeError::Invalid("session of a request")),
    };
    let request_id = match reader.u8()? {
        0 => None,
        1 => Some(RequestId { client: reader.u128()?, sequence: reader.u64()?, acknowledged_through: reader.u64()? }),
        _ => return Err(DecodeError::Invalid("id of a request")),
    };
    let op = op(reader)?;
    Ok(Request { session, request_id, ..Request::new(op, Arc::new(Caller { identities })) })
}

fn secret(reader: &mut Reader) -> Result<SessionSecret, DecodeError> {
    let mut secret = SessionSecret::default();
    let bytes = reader.raw(secret.0.len())?;
    secret.0.copy_from_slice(&bytes);
    Ok(secret)
}

const WRITE: u8 = 1;
const MULTI: u8 = 2;
const DELETE_TREE: u8 = 3;
const OPEN_SESSION: u8 = 4;
const CLOSE_SESSION: u8 = 5;
const MEMBERS: u8 = 6;
const RECONFIGURE: u8 = 7;
const TRANSFER_LEADERSHIP: u8 = 8;
const RESTORE: u8 = 9;

fn put_op(out: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(op) => {
            out.put_u8(WRITE);
            put_write(out, op);
        }
        Op::Multi(ops) => {
            out.put_u8(MULTI);
            out.put_u32_le(ops.len() as u32);
            ops.iter().for_each(|op| put_write(out, op));
        }
        Op::DeleteTree { path, max } => {
            out.put_u8(DELETE_TREE);
            codec::put_text(out, path.as_str());
            out.put_u32_le(*max);
        }
        Op::OpenSession { timeout_ms, secret } => {
            out.put_u8(OPEN_SESSION);
            out.put_u32_le(*timeout_ms);
            out.put_slice(&secret.0);
        }
        Op::CloseSession => out.put_u8(CLOSE_SESSION),
        Op::Members => out.put_u8(MEMBERS),
        Op::Reconfigure { change, if_version } => {
            out.put_u8(RECONFIGURE);
            put_change(out, change);
            match if_version {
                None => out.put_u8(0),
                Some(version) => {
                    out.put_u8(1);
                    out.put_u64_le(version.0);
                }
            }
        }
        Op::TransferLeadership { target } => {
            out.put_u8(TRANSFER_LEADERSHIP);
            // No server has the id 0.
            out.put_u8(target.map_or(0, |target| target.0));
        }
        Op::Restore(step) => {
            out.put_u8(RESTORE);
            step.encode(out);
        }
        Op::Read { .. }
        | Op::MultiRead(_)
        | Op::Sync
        | Op::AttachSession { .. }
        | Op::Touch
        | Op::Watch(_)
        | Op::StreamTree(_)
        | Op::Snapshot
        | Op::Status => panic!("{op:?} is nobody else's concern"),
    }
}

fn op(reader: &mut Reader) -> Result<Op, DecodeError> {
    Ok(match reader.u8()? {
        WRITE => Op::Write(write(reader)?),
        MULTI => {
            let count = reader.count(6)?;
            if count > limits::MULTI_OPS_MAX {
                return Err(DecodeError::Invalid("count of a multi's operations"));
            }
            let mut ops = Vec::with_capacity(count);
            for _ in 0..count {
                ops.push(write(reader)?);
            }
            Op::Multi(ops)
        }
        DELETE_TREE => Op::DeleteTree { path: path(reader)?, max: reader.u32()? },
        OPEN_SESSION => Op::OpenSession { timeout_ms: reader.u32()?, secret: secret(reader)? },
        CLOSE_SESSION => Op::CloseSession,
        MEMBERS => Op::Members,
        RECONFIGURE => {
            let change = change(reader)?;
            let if_version = if flag(reader)? { Some(reader.zxid()?) } else { None };
            Op::Reconfigure { change, if_version }
        }
        TRANSFER_LEADERSHIP => {
            let target = match reader.u8()? {
                0 => None,
                id => Some(server(id)?),
            };
            Op::TransferLeadership { target }
        }
        RESTORE => Op::Restore(Restore::decode(reader)?),
        _ => return Err(DecodeError::Invalid("operation")),
    })
}

const CREATE: u8 = 1;
const DELETE: u8 = 2;
const SET_DATA: u8 = 3;
const SET_ACL: u8 = 4;
const CHECK: u8 = 5;

fn put_write(out: &mut Vec<u8>, op: &WriteOp) {
    match op {
        WriteOp::Create { path, data, acl, mode, parents } => {
            out.put_u8(CREATE);
            codec::put_text(out, path.as_str());
            codec::put_data(out, data.as_deref());
            put_entries(out, acl);
            put_mode(out, *mode);
            out.put_u8(u8::from(*parents));
        }
        WriteOp::Delete { path, precondition } => {
            out.put_u8(DELETE);
            codec::put_text(out, path.as_str());
            put_precondition(out, *precondition);
        }
        WriteOp::SetData { path, data, precondition, create } => {
            out.put_u8(SET_DATA);
            codec::put_text(out, path.as_str());
            codec::put_data(out, data.as_deref());
            put_precondition(out, *precondition);
            match create {
                None => out.put_u8(0),
                Some(acl) => {
                    out.put_u8(1);
                    put_entries(out, acl);
                }
            }
        }
        WriteOp::SetAcl { path, acl, precondition } => {
            out.put_u8(SET_ACL);
            codec::put_text(out, path.as_str());
            put_entries(out, acl);
            put_precondition(out, *precondition);
        }
        WriteOp::Check { path, precondition } => {
            out.put_u8(CHECK);
            codec::put_text(out, path.as_str());
            put_precondition(out, *precondition);
        }
    }
}

fn write(reader: &mut Reader) -> Result<WriteOp, DecodeError> {
    Ok(match reader.u8()? {
        CREATE => {
            let (text, data, acl, mode) = (reader.text()?, reader.data()?, entries(reader)?, mode(reader)?);
            // Only there may a path end with a slash.
            let path = if mode.is_sequential() { Path::new_sequential_prefix(text) } else { Path::new(text) };
            let path = path.map_err(|_| DecodeError::Invalid("path"))?;
            WriteOp::Create { path, data, acl, mode, parents: flag(reader)? }
        }
        DELETE => WriteOp::Delete { path: path(reader)?, precondition: precondition(reader)? },
        SET_DATA => WriteOp::SetData {
            path: path(reader)?,
            data: reader.data()?,
            precondition: precondition(reader)?,
            create: if flag(reader)? { Some(entries(reader)?) } else { None },
        },
        SET_ACL => WriteOp::SetAcl { path: path(reader)?, acl: entries(reader)?, precondition: precondition(reader)? },
        CHECK => WriteOp::Check { path: path(reader)?, precondition: precondition(reader)? },
        _ => return Err(DecodeError::Invalid("write")),
    })
}

fn path(reader: &mut Reader) -> Result<Path, DecodeError> {
    Path::new(reader.text()?).map_err(|_| DecodeError::Invalid("path"))
}

fn put_entries(out: &mut Vec<u8>, acl: &[AclEntry]) {
    out.put_u32_le(acl.len() as u32);
    for entry in acl {
        out.put_u32_le(entry.perms.0);
        codec::put_text(out, &entry.scheme);
        codec::put_text(out, &entry.id);
    }
}

/// As a client wrote them: the leader judges them.
fn entries(reader: &mut Reader) -> Result<Vec<AclEntry>, DecodeError> {
    let count = reader.count(12)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(AclEntry { perms: Perms(reader.u32()?), scheme: reader.text()?, id: reader.text()? });
    }
    Ok(entries)
}

fn put_mode(out: &mut Vec<u8>, mode: CreateMode) {
    let (tag, ttl_ms) = match mode {
        CreateMode::Persistent => (0, None),
        CreateMode::PersistentSequential => (1, None),
        CreateMode::Ephemeral => (2, None),
        CreateMode::EphemeralSequential => (3, None),
        CreateMode::Container => (4, None),
        CreateMode::Ttl { ttl_ms } => (5, Some(ttl_ms)),
        CreateMode::TtlSequential { ttl_ms } => (6, Some(ttl_ms)),
    };
    out.put_u8(tag);
    if let Some(ttl_ms) = ttl_ms {
        out.put_u64_le(ttl_ms);
    }
}

fn mode(reader: &mut Reader) -> Result<CreateMode, DecodeError> {
    Ok(match reader.u8()? {
        0 => CreateMode::Persistent,
        1 => CreateMode::PersistentSequential,
        2 => CreateMode::Ephemeral,
        3 => CreateMode::EphemeralSequential,
        4 => CreateMode::Container,
        5 => CreateMode::Ttl { ttl_ms: reader.u64()? },
        6 => CreateMode::TtlSequential { ttl_ms: reader.u64()? },
        _ => return Err(DecodeError::Invalid("create mode")),
    })
}

fn put_precondition(out: &mut Vec<u8>, precondition: Precondition) {
    match precondition {
        Precondition::None => out.put_u8(0),
        Precondition::Version(version) => {
            out.put_u8(1);
            out.put_i32_le(version);
        }
        Precondition::Mzxid(zxid) => {
            out.put_u8(2);
            out.put_u64_le(zxid.0);
        }
        Precondition::NotExists => out.put_u8(3),
    }
}

fn precondition(reader: &mut Reader) -> Result<Precondition, DecodeError> {
    Ok(match reader.u8()? {
        0 => Precondition::None,
        1 => Precondition::Version(reader.i32()?),
        2 => Precondition::Mzxid(Zxid(reader.u64()?)),
        3 => Precondition::NotExists,
        _ => return Err(DecodeError::Invalid("precondition")),
    })
}

#[cfg(test)]
mod tests;
