//! `Marks`: the request ids of pending txns, and what a request is recognized by.

use alloc::format;
use alloc::vec::Vec;

use bytes::BufMut;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quorate_types::mutation::mutated;
use quorate_types::txn::RequestMark;
use quorate_types::{AclEntry, Code, CreateMode, Error, Op, Precondition, RequestId, SessionId, WriteOp, Zxid, codec};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{Prepare, Prepared};
use crate::requests::{ClientKey, Recall};
use crate::{Tree, acl, reply};

/// Request ids by client and sequence.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Marks {
    pending: HashMap<(ClientKey, u64), PendingMark, FixedState>,
    /// What each client has acknowledged by a pending request, and the last such request.
    acknowledged: HashMap<ClientKey, (u64, Zxid), FixedState>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
struct PendingMark {
    zxid: Zxid,
    operation: u64,
}

impl Marks {
    pub(super) fn new(hash_seed: u64) -> Marks {
        let hasher = FixedState::with_seed(hash_seed);
        Marks { pending: HashMap::with_hasher(hasher.clone()), acknowledged: HashMap::with_hasher(hasher) }
    }

    /// What becomes of a request that was sent before; `None` if it is new.
    pub(super) fn recall(
        &self,
        tree: &Tree,
        session: SessionId,
        mark: &RequestMark,
    ) -> Result<Option<Prepared>, Error> {
        let RequestId { sequence, acknowledged_through, .. } = mark.id;
        if acknowledged_through >= sequence {
            let detail =
                format!("request {sequence} acknowledges requests through {acknowledged_through}, itself among them");
            return Err(Error::new(Code::BadArguments, detail));
        }
        let key = ClientKey::new(session, mark);
        let acknowledged = self.acknowledged.get(&key).map_or(0, |(through, _)| *through);
        if sequence <= acknowledged {
            return Err(forgotten(sequence, acknowledged.max(tree.requests.forgotten_through(key))));
        }
        match self.pending.get(&(key, sequence)) {
            _ if mutated("pending-executed-again") => {}
            Some(pending) if pending.operation == mark.operation => return Ok(Some(Prepared::Pending(pending.zxid))),
            Some(pending) => return Err(reused(sequence, pending.zxid)),
            None => {}
        }
        match tree.requests.recall(key, mark) {
            _ if mutated("done-executed-again") => Ok(None),
            Recall::New => Ok(None),
            Recall::Done(result) => {
                let reply = reply::decode(&result.reply).expect("what is remembered was encoded here or checked");
                Ok(Some(Prepared::Answer(Ok(reply))))
            }
            Recall::Reused(result) => Err(reused(sequence, result.zxid)),
            Recall::Forgotten => Err(forgotten(sequence, acknowledged.max(tree.requests.forgotten_through(key)))),
        }
    }

    pub(super) fn add(&mut self, zxid: Zxid, key: ClientKey, mark: &RequestMark) -> (ClientKey, u64) {
        let RequestId { sequence, acknowledged_through, .. } = mark.id;
        self.pending.insert((key, sequence), PendingMark { zxid, operation: mark.operation });
        let (through, last) = self.acknowledged.entry(key).or_default();
        (*through, *last) = (acknowledged_through.max(*through), zxid);
        (key, sequence)
    }

    pub(super) fn forget(&mut self, zxid: Zxid, key: ClientKey, sequence: u64) {
        self.pending.remove(&(key, sequence));
        if self.acknowledged.get(&key).is_some_and(|(_, last)| *last <= zxid) {
            self.acknowledged.remove(&key);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.acknowledged.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.pending.clear();
        self.acknowledged.clear();
    }
}

fn reused(sequence: u64, zxid: Zxid) -> Error {
    let detail = format!("request {sequence} was a different operation, at zxid {zxid}");
    Error::new(Code::RequestIdReused, detail)
}

fn forgotten(sequence: u64, through: u64) -> Error {
    let detail = format!("results through request {through} are forgotten, that of request {sequence} among them");
    Error::new(Code::RequestIdForgotten, detail)
}

/// What the request is recognized by when it is sent again.
pub(super) fn mark(request: &Prepare<'_>, id: RequestId) -> RequestMark {
    let caller = if request.session.is_some() { 0 } else { acl::caller_hash(request.caller) };
    RequestMark { id, caller, operation: operation_hash(request.op) }
}

/// A hash of everything that a client wrote.
fn operation_hash(op: &Op) -> u64 {
    let mut out = Vec::with_capacity(128);
    match op {
        Op::Write(op) => {
            out.put_u8(1);
            put_write(&mut out, op);
        }
        Op::Multi(ops) => {
            out.put_u8(2);
            out.put_u32_le(ops.len() as u32);
            ops.iter().for_each(|op| put_write(&mut out, op));
        }
        Op::DeleteTree { path, max } => {
            out.put_u8(3);
            codec::put_text(&mut out, path.as_str());
            out.put_u32_le(*max);
        }
        Op::OpenSession { timeout_ms, secret } => {
            out.put_u8(4);
            out.put_u32_le(*timeout_ms);
            out.put_slice(&secret.0);
        }
        Op::CloseSession => out.put_u8(5),
        // Whatever else there is changes nothing, and is refused before its mark could matter.
        _ => out.put_u8(0),
    }
    xxh3_64(&out)
}

fn put_write(out: &mut Vec<u8>, op: &WriteOp) {
    match op {
        WriteOp::Create { path, data, acl, mode, parents } => {
            out.put_u8(1);
            codec::put_text(out, path.as_str());
            put_data(out, data.as_deref());
            put_acl(out, acl);
            put_mode(out, *mode);
            out.put_u8(u8::from(*parents));
        }
        WriteOp::Delete { path, precondition } => {
            out.put_u8(2);
            codec::put_text(out, path.as_str());
            put_precondition(out, *precondition);
        }
        WriteOp::SetData { path, data, precondition, create } => {
            out.put_u8(3);
            codec::put_text(out, path.as_str());
            put_data(out, data.as_deref());
            put_precondition(out, *precondition);
            out.put_u8(u8::from(create.is_some()));
            put_acl(out, create.as_deref().unwrap_or_default());
        }
        WriteOp::SetAcl { path, acl, precondition } => {
            out.put_u8(4);
            codec::put_text(out, path.as_str());
            put_acl(out, acl);
            put_precondition(out, *precondition);
        }
        WriteOp::Check { path, precondition } => {
            out.put_u8(5);
            codec::put_text(out, path.as_str());
            put_precondition(out, *precondition);
        }
    }
}

/// Data may be long: its hash stands for it.
fn put_data(out: &mut Vec<u8>, data: Option<&[u8]>) {
    out.put_u8(u8::from(data.is_some()));
    out.put_u128_le(data.map_or(0, xxh3_128));
}

fn put_acl(out: &mut Vec<u8>, acl: &[AclEntry]) {
    out.put_u32_le(acl.len() as u32);
    for AclEntry { perms, scheme, id } in acl {
        out.put_u32_le(perms.0);
        codec::put_text(out, scheme);
        codec::put_text(out, id);
    }
}

fn put_mode(out: &mut Vec<u8>, mode: CreateMode) {
    out.put_u8(u8::from(mode.is_sequential()));
    codec::put_kind(out, mode.kind(SessionId::NONE));
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
