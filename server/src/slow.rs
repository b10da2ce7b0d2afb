//! `Subject`: what the log of slow requests says of an operation that took long.
//!
//! It is noted when the operation comes, as far as it is a few bytes: the operation itself is gone when it is answered.
//! Nothing else happens to what is fast. Paths may tell what the log's readers are not to know, so it is their length
//! that is told: together with the operation it mostly says enough.

use std::time::Duration;

use quorate_types::{Op, Path, ReadOp, Response, Zxid};

use crate::metrics;

/// An operation that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    op: u8,
    /// Of the path that it is about; 0 if there is none, or more than one.
    path_bytes: u16,
}

impl Subject {
    pub(crate) fn of(op: &Op) -> Subject {
        // There are fewer operations than fit, and a path has 4,096 bytes at most.
        let path_bytes = path_of(op).map_or(0, |path| path.as_str().len() as u16);
        Subject { op: metrics::op_index(op) as u8, path_bytes }
    }

    /// Says that this was slow. Apart, so that what is fast does not carry what is slow with it.
    #[cold]
    pub(crate) fn was_slow(self, door: &'static str, took: Duration, zxid: Zxid, response: &Response) {
        let (op, path_bytes) = (metrics::op_name(self.op.into()), self.path_bytes);
        let result = response.as_ref().err().map_or("OK", |error| error.code().reason());
        tracing::warn!(door, op, path_bytes, ?took, result, %zxid, "a slow request");
    }
}

/// The one znode that an operation is about.
fn path_of(op: &Op) -> Option<&Path> {
    match op {
        Op::Write(write) => Some(write.path()),
        Op::DeleteTree { path, .. } => Some(path),
        Op::Read { op, .. } => match op {
            ReadOp::Get { path }
            | ReadOp::Exists { path }
            | ReadOp::Children { path, .. }
            | ReadOp::GetAcl { path }
            | ReadOp::Access { path }
            | ReadOp::CountDescendants { path } => Some(path),
            ReadOp::Ephemerals { .. } => None,
        },
        Op::StreamTree(tree) => Some(&tree.path),
        Op::Multi(_)
        | Op::MultiRead(_)
        | Op::Sync
        | Op::OpenSession { .. }
        | Op::AttachSession { .. }
        | Op::CloseSession
        | Op::Touch
        | Op::Watch(_)
        | Op::Status
        | Op::Members
        | Op::Reconfigure { .. }
        | Op::TransferLeadership { .. }
        | Op::Snapshot
        | Op::Restore(_) => None,
    }
}
