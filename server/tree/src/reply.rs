//! Replies: what the asker is told once his txn is applied, and the form in which that is remembered.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes};
use quorate_types::codec::{self, DecodeError, Reader};
use quorate_types::txn::{self, Shape};
use quorate_types::{Code, Error, Reply, Response, SessionId, Txn, TxnBody, TxnOp, Zxid, limits};

/// What the asker is told once the txn is applied at `zxid`.
#[must_use]
pub fn reply(zxid: Zxid, txn: &Txn) -> Reply {
    match &txn.body {
        TxnBody::Ops { shape: Shape::Single, ops } => ops.last().map_or(Reply::Checked, |op| of_op(zxid, txn, op)),
        TxnBody::Ops { shape: Shape::Multi, ops } => {
            Reply::Multi(ops.iter().map(|op| Ok(of_op(zxid, txn, op))).collect())
        }
        TxnBody::Ops { shape: Shape::Tree, ops } => Reply::TreeDeleted { count: ops.len() as u32 },
        TxnBody::OpenSession { id, timeout_ms, secret: _ } => Reply::Session { id: *id, timeout_ms: *timeout_ms },
        TxnBody::CloseSession { .. } => Reply::SessionClosed,
    }
}

fn of_op(zxid: Zxid, txn: &Txn, op: &TxnOp) -> Reply {
    match op {
        TxnOp::Create { path, data, kind, .. } => {
            let stat = txn::stat_at_birth(zxid, txn.time_ms, data.as_ref(), *kind);
            Reply::Created { path: path.clone(), stat }
        }
        TxnOp::Delete { .. } => Reply::Deleted,
        TxnOp::SetData { stat, .. } | TxnOp::SetAcl { stat, .. } => Reply::Changed { stat: *stat },
        TxnOp::Check => Reply::Checked,
    }
}

/// The answer to a multi of `count` operations of which one failed: none was made.
pub(crate) fn failed_multi(count: usize, failed: usize, error: &Error) -> Response {
    let answer = |at| match at == failed {
        true => Err(error.clone()),
        false => Err(Error::new(Code::NotApplied, "another operation of the multi failed")),
    };
    Ok(Reply::Multi((0..count).map(answer).collect()))
}

const CREATED: u8 = 1;
const DELETED: u8 = 2;
const TREE_DELETED: u8 = 3;
const CHANGED: u8 = 4;
const CHECKED: u8 = 5;
const MULTI: u8 = 6;
const SESSION: u8 = 7;

/// The form in which the reply to a write is remembered.
pub(crate) fn encode(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    match reply {
        Reply::Multi(results) => {
            out.put_u8(MULTI);
            out.put_u32_le(results.len() as u32);
            for result in results {
                put_single(&mut out, result.as_ref().expect("only what succeeded is remembered"));
            }
        }
        single => put_single(&mut out, single),
    }
    out
}

fn put_single(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::Created { path, stat } => {
            out.put_u8(CREATED);
            codec::put_text(out, path);
            codec::put_stat(out, stat);
        }
        Reply::Deleted => out.put_u8(DELETED),
        Reply::TreeDeleted { count } => {
            out.put_u8(TREE_DELETED);
            out.put_u32_le(*count);
        }
        Reply::Changed { stat } => {
            out.put_u8(CHANGED);
            codec::put_stat(out, stat);
        }
        Reply::Checked => out.put_u8(CHECKED),
        Reply::Session { id, timeout_ms } => {
            out.put_u8(SESSION);
            out.put_u64_le(id.0);
            out.put_u32_le(*timeout_ms);
        }
        other => unreachable!("{other:?} answers no write that is remembered"),
    }
}

/// Reads a remembered reply back.
pub(crate) fn decode(bytes: &[u8]) -> Result<Reply, DecodeError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    let reply = match reader.u8()? {
        MULTI => {
            let count = reader.count(1)?;
            if count > limits::MULTI_OPS_MAX {
                return Err(DecodeError::Invalid("count of a multi's results"));
            }
            let mut results = Vec::with_capacity(count);
            for _ in 0..count {
                let tag = reader.u8()?;
                results.push(Ok(single(tag, &mut reader)?));
            }
            Reply::Multi(results)
        }
        tag => single(tag, &mut reader)?,
    };
    reader.finish()?;
    Ok(reply)
}

fn single(tag: u8, reader: &mut Reader) -> Result<Reply, DecodeError> {
    Ok(match tag {
        CREATED => Reply::Created { path: reader.text()?, stat: reader.stat()? },
        DELETED => Reply::Deleted,
        TREE_DELETED => Reply::TreeDeleted { count: reader.u32()? },
        CHANGED => Reply::Changed { stat: reader.stat()? },
        CHECKED => Reply::Checked,
        SESSION => Reply::Session { id: SessionId(reader.u64()?), timeout_ms: reader.u32()? },
        _ => return Err(DecodeError::Invalid("remembered reply")),
    })
}
