//! `Txn`: a change that the leader has fully decided. Whoever applies it decides nothing.
//!
//! A txn also says everything that watchers need (the resulting stats and the ACLs in force), so that the watch
//! history can be rebuilt from the log alone, and everything that the asker's reply needs.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

use crate::codec::{self, DecodeError, Reader};
use crate::{
    Acl, Change, ChangeKind, NodeKind, OutboxId, RequestId, Restore, ServerId, SessionId, SessionSecret, Stat, Tag,
    Zxid,
};

/// The format of encoded txns that this version writes.
const FORMAT: u8 = 1;

/// One decided change of the replicated state: the payload of a [`crate::FrameKind::Txn`] record.
#[derive(Clone, Debug, PartialEq)]
pub struct Txn {
    /// The leader's wall clock at preparation, never going back along the history, in ms since the Unix epoch.
    pub time_ms: i64,
    /// The session that asked; [`SessionId::NONE`] if none did.
    pub session: SessionId,
    /// Makes the request behind it idempotent.
    pub request: Option<RequestMark>,
    /// Where the reply goes.
    pub route: Route,
    /// What changes.
    pub body: TxnBody,
}

/// How a remembered request is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestMark {
    /// As the client sent it.
    pub id: RequestId,
    /// A hash of who sent it, for requests without a session; 0 within one.
    pub caller: u64,
    /// A hash of what was asked: the same id with another operation is refused.
    pub operation: u64,
}

/// The place that waits for a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Route {
    /// The server whose client asked; `ServerId(0)` if nobody waits.
    pub server: ServerId,
    /// Its outbox.
    pub outbox: OutboxId,
    /// The request within it.
    pub tag: Tag,
}

/// What changes.
#[derive(Clone, Debug, PartialEq)]
pub enum TxnBody {
    /// Znodes do, all of them at once.
    Ops {
        /// How the client asked, and so how it is answered.
        shape: Shape,
        /// In order.
        ops: SmallVec<[TxnOp; 1]>,
    },
    /// A session begins to be.
    OpenSession {
        /// New, never used before.
        id: SessionId,
        /// Granted, in milliseconds.
        timeout_ms: u32,
        /// What its client proves itself with.
        secret: SessionSecret,
    },
    /// A session ceases to be; its ephemerals go with it, whichever they are when this is applied.
    CloseSession {
        /// Which.
        id: SessionId,
        /// The ephemerals that will go, for the watch history; `None` if listing them would make the txn too large,
        /// in which case the history that is rebuilt from a log begins after this txn.
        deleted: Option<Vec<Deleted>>,
    },
    /// A step in replacing the whole state by that of a backup.
    Restore(Restore),
}

/// How a client asked for a list of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// One operation; what it needs besides (missing parents) stands before it.
    Single = 0,
    /// A multi: each operation has a result.
    Multi = 1,
    /// A recursive delete: the number of operations is the result.
    Tree = 2,
}

/// One change of one znode.
#[derive(Clone, Debug, PartialEq)]
pub enum TxnOp {
    /// It comes to be.
    Create {
        /// With the sequence suffix.
        path: String,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL, resolved.
        acl: Acl,
        /// What makes it go away.
        kind: NodeKind,
        /// Children ever created under its parent, with this one.
        parent_creations: u64,
        /// The parent's ACL, for watchers.
        parent_acl: Acl,
    },
    /// It goes away.
    Delete {
        /// Which.
        path: String,
        /// Its last stat.
        stat: Stat,
        /// Its last ACL.
        acl: Acl,
        /// The parent's ACL, for watchers.
        parent_acl: Acl,
    },
    /// Its data is replaced.
    SetData {
        /// Which.
        path: String,
        /// The new data.
        data: Option<Bytes>,
        /// After the change.
        stat: Stat,
        /// Its ACL, for watchers.
        acl: Acl,
    },
    /// Its ACL is replaced.
    SetAcl {
        /// Which.
        path: String,
        /// The new one, resolved.
        acl: Acl,
        /// After the change.
        stat: Stat,
    },
    /// A guard held: nothing changes, but a multi has a result for it.
    Check,
}

/// A znode that goes with its session.
#[derive(Clone, Debug, PartialEq)]
pub struct Deleted {
    /// Which.
    pub path: String,
    /// Its last stat.
    pub stat: Stat,
    /// Its last ACL.
    pub acl: Acl,
    /// The parent's ACL, for watchers.
    pub parent_acl: Acl,
}

/// The stat of a znode that has just been created.
#[must_use]
pub fn stat_at_birth(zxid: Zxid, time_ms: i64, data: Option<&Bytes>, kind: NodeKind) -> Stat {
    Stat {
        czxid: zxid,
        mzxid: zxid,
        pzxid: zxid,
        ctime_ms: time_ms,
        mtime_ms: time_ms,
        ephemeral_owner: kind.owner(),
        data_length: data.map_or(0, |data| data.len() as u32),
        ..Stat::default()
    }
}

impl Txn {
    /// Bytes that [`Txn::encode`] writes, without writing them.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let request = self.request.map_or(0, |_| 16 + 4 * 8);
        1 + 8 + 8 + 1 + 8 + 8 + 1 + request + self.body.encoded_len()
    }

    /// The payload of the record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.put_u8(FORMAT);
        out.put_i64_le(self.time_ms);
        out.put_u64_le(self.session.0);
        out.put_u8(self.route.server.0);
        out.put_u64_le(self.route.outbox.0);
        out.put_u64_le(self.route.tag.0);
        match &self.request {
            None => out.put_u8(0),
            Some(mark) => {
                out.put_u8(1);
                out.put_u128_le(mark.id.client);
                out.put_u64_le(mark.id.sequence);
                out.put_u64_le(mark.id.acknowledged_through);
                out.put_u64_le(mark.caller);
                out.put_u64_le(mark.operation);
            }
        }
        self.body.encode(&mut out);
        out
    }

    /// Reads a payload back; data shares its memory.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Txn::encode`] does not write.
    pub fn decode(payload: Bytes) -> Result<Txn, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != FORMAT {
            return Err(DecodeError::Invalid("txn format"));
        }
        let txn = Txn {
            time_ms: reader.i64()?,
            session: SessionId(reader.u64()?),
            route: Route { server: ServerId(reader.u8()?), outbox: OutboxId(reader.u64()?), tag: Tag(reader.u64()?) },
            request: match reader.u8()? {
                0 => None,
                1 => Some(RequestMark {
                    id: RequestId {
                        client: reader.u128()?,
                        sequence: reader.u64()?,
                        acknowledged_through: reader.u64()?,
                    },
                    caller: reader.u64()?,
                    operation: reader.u64()?,
                }),
                _ => return Err(DecodeError::Invalid("request mark")),
            },
            body: TxnBody::decode(&mut reader)?,
        };
        reader.finish()?;
        Ok(txn)
    }

    /// Whether the whole state is another one after it.
    #[must_use]
    pub fn replaces_state(&self) -> bool {
        matches!(self.body, TxnBody::Restore(Restore::Finish { .. }))
    }

    /// The changes that watches may be told of, as far as the txn says them itself: without previous data. `None` if
    /// it leaves some out (see [`TxnBody::CloseSession`]), or replaces the state.
    #[must_use]
    pub fn changes(&self, zxid: Zxid) -> Option<Vec<Change>> {
        let mut changes = Vec::new();
        match &self.body {
            TxnBody::Ops { ops, .. } => {
                for op in ops {
                    changes.extend(op.change(zxid, changes.len() as u32, self.time_ms));
                }
            }
            TxnBody::OpenSession { .. } => {}
            TxnBody::Restore(Restore::Finish { .. }) => return None,
            TxnBody::Restore(Restore::Begin { .. } | Restore::Chunk { .. } | Restore::Abort { .. }) => {}
            TxnBody::CloseSession { deleted, .. } => {
                for node in deleted.as_ref()? {
                    changes.push(Change {
                        kind: ChangeKind::Deleted,
                        zxid,
                        index: changes.len() as u32,
                        path: node.path.clone(),
                        stat: node.stat,
                        data: None,
                        previous_data: None,
                        acl: node.acl.clone(),
                        parent_acl: node.parent_acl.clone(),
                    });
                }
            }
        }
        Some(changes)
    }
}

impl TxnOp {
    fn change(&self, zxid: Zxid, index: u32, time_ms: i64) -> Option<Change> {
        let (kind, path, stat, data, acl, parent_acl) = match self {
            TxnOp::Create { path, data, acl, kind, parent_acl, .. } => {
                let stat = stat_at_birth(zxid, time_ms, data.as_ref(), *kind);
                (ChangeKind::Created, path, stat, data.clone(), acl, parent_acl)
            }
            TxnOp::Delete { path, stat, acl, parent_acl } => (ChangeKind::Deleted, path, *stat, None, acl, parent_acl),
            TxnOp::SetData { path, data, stat, acl } => (ChangeKind::DataChanged, path, *stat, data.clone(), acl, acl),
            TxnOp::SetAcl { .. } | TxnOp::Check => return None,
        };
        let (path, acl, parent_acl) = (path.clone(), acl.clone(), parent_acl.clone());
        Some(Change { kind, zxid, index, path, stat, data, previous_data: None, acl, parent_acl })
    }

    /// Bytes that this adds to an encoded txn.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let data_len = |data: &Option<Bytes>| 4 + data.as_ref().map_or(0, Bytes::len);
        match self {
            TxnOp::Create { path, data, acl, kind, parent_creations: _, parent_acl } => {
                let kind_len = if matches!(kind, NodeKind::Ephemeral(_) | NodeKind::Ttl { .. }) { 9 } else { 1 };
                let acls = codec::acl_len(acl) + codec::acl_len(parent_acl);
                1 + 4 + path.len() + data_len(data) + kind_len + 8 + acls
            }
            TxnOp::Delete { path, stat: _, acl, parent_acl } => 1 + deleted_len(path, acl, parent_acl),
            TxnOp::SetData { path, data, stat: _, acl } => {
                1 + 4 + path.len() + data_len(data) + codec::STAT_BYTES + codec::acl_len(acl)
            }
            TxnOp::SetAcl { path, acl, stat: _ } => 1 + 4 + path.len() + codec::acl_len(acl) + codec::STAT_BYTES,
            TxnOp::Check => 1,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            TxnOp::Create { path, data, acl, kind, parent_creations, parent_acl } => {
                out.put_u8(1);
                codec::put_text(out, path);
                codec::put_data(out, data.as_deref());
                codec::put_acl(out, acl);
                codec::put_kind(out, *kind);
                out.put_u64_le(*parent_creations);
                codec::put_acl(out, parent_acl);
            }
            TxnOp::Delete { path, stat, acl, parent_acl } => {
                out.put_u8(2);
                encode_deleted(out, path, stat, acl, parent_acl);
            }
            TxnOp::SetData { path, data, stat, acl } => {
                out.put_u8(3);
                codec::put_text(out, path);
                codec::put_data(out, data.as_deref());
                codec::put_stat(out, stat);
                codec::put_acl(out, acl);
            }
            TxnOp::SetAcl { path, acl, stat } => {
                out.put_u8(4);
                codec::put_text(out, path);
                codec::put_acl(out, acl);
                codec::put_stat(out, stat);
            }
            TxnOp::Check => out.put_u8(5),
        }
    }

    fn decode(reader: &mut Reader) -> Result<TxnOp, DecodeError> {
        Ok(match reader.u8()? {
            1 => TxnOp::Create {
                path: reader.text()?,
                data: reader.data()?,
                acl: reader.acl()?,
                kind: reader.kind()?,
                parent_creations: reader.u64()?,
                parent_acl: reader.acl()?,
            },
            2 => {
                let Deleted { path, stat, acl, parent_acl } = Deleted::decode(reader)?;
                TxnOp::Delete { path, stat, acl, parent_acl }
            }
            3 => {
                TxnOp::SetData { path: reader.text()?, data: reader.data()?, stat: reader.stat()?, acl: reader.acl()? }
            }
            4 => TxnOp::SetAcl { path: reader.text()?, acl: reader.acl()?, stat: reader.stat()? },
            5 => TxnOp::Check,
            _ => return Err(DecodeError::Invalid("operation")),
        })
    }
}

impl Deleted {
    /// Bytes that this adds to an encoded txn.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        deleted_len(&self.path, &self.acl, &self.parent_acl)
    }

    fn decode(reader: &mut Reader) -> Result<Deleted, DecodeError> {
        Ok(Deleted { path: reader.text()?, stat: reader.stat()?, acl: reader.acl()?, parent_acl: reader.acl()? })
    }
}

fn deleted_len(path: &str, acl: &Acl, parent_acl: &Acl) -> usize {
    4 + path.len() + codec::STAT_BYTES + codec::acl_len(acl) + codec::acl_len(parent_acl)
}

fn encode_deleted(out: &mut Vec<u8>, path: &str, stat: &Stat, acl: &Acl, parent_acl: &Acl) {
    codec::put_text(out, path);
    codec::put_stat(out, stat);
    codec::put_acl(out, acl);
    codec::put_acl(out, parent_acl);
}

impl TxnBody {
    fn encoded_len(&self) -> usize {
        match self {
            TxnBody::Ops { shape: _, ops } => 1 + 1 + 4 + ops.iter().map(TxnOp::encoded_len).sum::<usize>(),
            TxnBody::OpenSession { .. } => 1 + 8 + 4 + 16,
            TxnBody::CloseSession { id: _, deleted } => {
                1 + 8 + 4 + deleted.iter().flatten().map(Deleted::encoded_len).sum::<usize>()
            }
            TxnBody::Restore(step) => 1 + step.encoded_len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            TxnBody::Ops { shape, ops } => {
                out.put_u8(1);
                out.put_u8(*shape as u8);
                out.put_u32_le(ops.len() as u32);
                ops.iter().for_each(|op| op.encode(out));
            }
            TxnBody::OpenSession { id, timeout_ms, secret } => {
                out.put_u8(2);
                out.put_u64_le(id.0);
                out.put_u32_le(*timeout_ms);
                out.put_slice(&secret.0);
            }
            TxnBody::CloseSession { id, deleted } => {
                out.put_u8(3);
                out.put_u64_le(id.0);
                match deleted {
                    None => out.put_u32_le(u32::MAX),
                    Some(deleted) => {
                        out.put_u32_le(deleted.len() as u32);
                        for node in deleted {
                            encode_deleted(out, &node.path, &node.stat, &node.acl, &node.parent_acl);
                        }
                    }
                }
            }
            TxnBody::Restore(step) => {
                out.put_u8(4);
                step.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader) -> Result<TxnBody, DecodeError> {
        match reader.u8()? {
            1 => {
                let shape = match reader.u8()? {
                    0 => Shape::Single,
                    1 => Shape::Multi,
                    2 => Shape::Tree,
                    _ => return Err(DecodeError::Invalid("shape")),
                };
                let count = reader.count(1)?;
                let mut ops = SmallVec::with_capacity(count.min(reader.remaining() / 8 + 1));
                for _ in 0..count {
                    ops.push(TxnOp::decode(reader)?);
                }
                Ok(TxnBody::Ops { shape, ops })
            }
            2 => {
                let (id, timeout_ms) = (SessionId(reader.u64()?), reader.u32()?);
                let mut secret = SessionSecret::default();
                secret.0.copy_from_slice(&reader.raw(16)?);
                Ok(TxnBody::OpenSession { id, timeout_ms, secret })
            }
            3 => {
                let id = SessionId(reader.u64()?);
                let count = match reader.u32()? {
                    u32::MAX => return Ok(TxnBody::CloseSession { id, deleted: None }),
                    count => count as usize,
                };
                let mut deleted = Vec::with_capacity(count.min(reader.remaining() / 92));
                for _ in 0..count {
                    deleted.push(Deleted::decode(reader)?);
                }
                Ok(TxnBody::CloseSession { id, deleted: Some(deleted) })
            }
            4 => Ok(TxnBody::Restore(Restore::decode(reader)?)),
            _ => Err(DecodeError::Invalid("txn body")),
        }
    }
}

#[cfg(test)]
mod tests;
