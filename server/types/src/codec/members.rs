//! The binary form of what is said about the ensemble's servers.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};

use crate::codec::{self, DecodeError, Reader};
use crate::limits::ADDRESS_BYTES_MAX;
use crate::{Ensemble, Epoch, MemberRole, MemberState, MemberStatus, MembersChange, NewMember, ServerId, Zxid};

/// The server with this id.
///
/// # Errors
/// [`DecodeError::Invalid`] if no server can have it.
pub(crate) fn server(id: u8) -> Result<ServerId, DecodeError> {
    match (ServerId::MIN..=ServerId::MAX).contains(&ServerId(id)) {
        true => Ok(ServerId(id)),
        false => Err(DecodeError::Invalid("server id")),
    }
}

/// What a member is for.
///
/// # Errors
/// [`DecodeError::Invalid`]
pub(crate) fn role(number: u8) -> Result<MemberRole, DecodeError> {
    match number {
        1 => Ok(MemberRole::Participant),
        2 => Ok(MemberRole::Observer),
        _ => Err(DecodeError::Invalid("role of a member")),
    }
}

/// How a server is reached, behind its length.
///
/// # Errors
/// [`DecodeError`]
pub(crate) fn address(reader: &mut Reader) -> Result<Bytes, DecodeError> {
    match reader.u32()? as usize {
        length if length <= ADDRESS_BYTES_MAX => reader.raw(length),
        _ => Err(DecodeError::Invalid("length of an address")),
    }
}

const WHOLE: u8 = 1;
const STEPS: u8 = 2;

pub(super) fn put_change(out: &mut Vec<u8>, change: &MembersChange) {
    match change {
        MembersChange::Whole(servers) => {
            out.put_u8(WHOLE);
            put_new_members(out, servers);
        }
        MembersChange::Steps { add, remove } => {
            out.put_u8(STEPS);
            put_new_members(out, add);
            out.put_u32_le(remove.len() as u32);
            remove.iter().for_each(|server| out.put_u8(server.0));
        }
    }
}

pub(super) fn change(reader: &mut Reader) -> Result<MembersChange, DecodeError> {
    Ok(match reader.u8()? {
        WHOLE => MembersChange::Whole(new_members(reader)?),
        STEPS => {
            let add = new_members(reader)?;
            let mut remove = BTreeSet::new();
            for _ in 0..reader.count(1)? {
                if !remove.insert(server(reader.u8()?)?) {
                    return Err(DecodeError::Invalid("server named twice"));
                }
            }
            MembersChange::Steps { add, remove }
        }
        _ => return Err(DecodeError::Invalid("change of the members")),
    })
}

fn put_new_members(out: &mut Vec<u8>, servers: &BTreeMap<ServerId, NewMember>) {
    out.put_u32_le(servers.len() as u32);
    for (server, NewMember { role, address }) in servers {
        out.put_u8(server.0);
        out.put_u8(*role as u8);
        match address {
            None => out.put_u8(0),
            Some(address) => {
                out.put_u8(1);
                codec::put_buffer(out, address);
            }
        }
    }
}

fn new_members(reader: &mut Reader) -> Result<BTreeMap<ServerId, NewMember>, DecodeError> {
    let mut servers = BTreeMap::new();
    for _ in 0..reader.count(3)? {
        let id = server(reader.u8()?)?;
        let role = role(reader.u8()?)?;
        let address = if flag(reader)? { Some(address(reader)?) } else { None };
        if servers.insert(id, NewMember { role, address }).is_some() {
            return Err(DecodeError::Invalid("server named twice"));
        }
    }
    Ok(servers)
}

/// Appends what a server knows of its ensemble.
pub(super) fn put_ensemble(out: &mut Vec<u8>, ensemble: &Ensemble) {
    out.put_u8(ensemble.told_by.0);
    out.put_u8(ensemble.leader.0);
    out.put_u32_le(ensemble.epoch.0);
    out.put_u64_le(ensemble.version.0);
    put_number(out, ensemble.pending.map(|version| version.0));
    out.put_u8(ensemble.quorum);
    out.put_u32_le(ensemble.members.len() as u32);
    for member in &ensemble.members {
        out.put_u8(member.server.0);
        out.put_u8(member.role.map_or(0, |role| role as u8));
        codec::put_buffer(out, &member.address);
        out.put_u8(member.state as u8);
        out.put_u8(u8::from(member.is_amnesiac));
        out.put_u8(u8::from(member.is_synchronizing));
        put_number(out, member.zxid.map(|zxid| zxid.0));
        put_number(out, member.behind);
        put_number(out, member.lag_ms);
        put_number(out, member.latency_ms);
    }
}

pub(super) fn ensemble(reader: &mut Reader) -> Result<Ensemble, DecodeError> {
    let mut ensemble = Ensemble {
        told_by: ServerId(reader.u8()?),
        leader: ServerId(reader.u8()?),
        epoch: Epoch(reader.u32()?),
        version: reader.zxid()?,
        pending: number(reader)?.map(Zxid),
        quorum: reader.u8()?,
        members: Vec::new(),
    };
    for _ in 0..reader.count(13)? {
        ensemble.members.push(MemberStatus {
            server: server(reader.u8()?)?,
            role: match reader.u8()? {
                0 => None,
                number => Some(role(number)?),
            },
            address: address(reader)?,
            state: state(reader.u8()?)?,
            is_amnesiac: flag(reader)?,
            is_synchronizing: flag(reader)?,
            zxid: number(reader)?.map(Zxid),
            behind: number(reader)?,
            lag_ms: number(reader)?,
            latency_ms: number(reader)?,
        });
    }
    Ok(ensemble)
}

fn state(number: u8) -> Result<MemberState, DecodeError> {
    Ok(match number {
        0 => MemberState::Unknown,
        1 => MemberState::Unreachable,
        2 => MemberState::Looking,
        3 => MemberState::Following,
        4 => MemberState::Leading,
        5 => MemberState::Observing,
        _ => return Err(DecodeError::Invalid("state of a member")),
    })
}

fn put_number(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        None => out.put_u8(0),
        Some(number) => {
            out.put_u8(1);
            out.put_u64_le(number);
        }
    }
}

fn number(reader: &mut Reader) -> Result<Option<u64>, DecodeError> {
    if flag(reader)? { reader.u64().map(Some) } else { Ok(None) }
}

/// One byte that says yes or no.
///
/// # Errors
/// [`DecodeError`]
pub(super) fn flag(reader: &mut Reader) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("flag")),
    }
}
