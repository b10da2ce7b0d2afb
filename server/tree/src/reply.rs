//! Replies: what the asker is told once his txn is applied, and the form in which that is remembered.

use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::codec::response::{put_response, response};
use quorate_types::codec::{DecodeError, Reader};
use quorate_types::txn::{self, Shape};
use quorate_types::{Code, Error, Reply, Response, Txn, TxnBody, TxnOp, Zxid};

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
        TxnBody::Restore(_) => Reply::RestoreStep { zxid },
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

/// The form in which the reply to a write is remembered.
pub(crate) fn encode(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    put_response(&mut out, Ok(reply));
    out
}

/// Reads a remembered reply back.
pub(crate) fn decode(bytes: &[u8]) -> Result<Reply, DecodeError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    let response = response(&mut reader)?;
    reader.finish()?;
    response.map_err(|_| DecodeError::Invalid("remembered failure"))
}
