//! What a request is charged while it waits somewhere: about the memory that it holds.

use crate::{AclEntry, MembersChange, NewMember, Op, Path, ReadOp, Request, ServerId, WatchOp, WriteOp};

/// The charge of a request besides what it points to.
const REQUEST_BYTES: usize = size_of::<Request>();

impl Request {
    /// What it is charged while it waits, in bytes.
    #[must_use]
    pub fn charge(&self) -> usize {
        REQUEST_BYTES + op_bytes(&self.op)
    }
}

fn op_bytes(op: &Op) -> usize {
    match op {
        Op::Write(op) => write_bytes(op),
        Op::Multi(ops) => ops.iter().map(|op| size_of::<WriteOp>() + write_bytes(op)).sum(),
        Op::Read { op, .. } => read_bytes(op),
        Op::MultiRead(ops) => ops.iter().map(|op| size_of::<ReadOp>() + read_bytes(op)).sum(),
        Op::DeleteTree { path, .. } => path.as_str().len(),
        Op::StreamTree(wanted) => wanted.path.as_str().len(),
        Op::Watch(op) => watch_bytes(op),
        Op::Reconfigure { change, .. } => change_bytes(change),
        Op::Restore(step) => step.encoded_len(),
        Op::Sync
        | Op::OpenSession { .. }
        | Op::AttachSession { .. }
        | Op::CloseSession
        | Op::Touch
        | Op::Snapshot
        | Op::Status
        | Op::Members
        | Op::TransferLeadership { .. } => 0,
    }
}

fn write_bytes(op: &WriteOp) -> usize {
    let (data, acl) = match op {
        WriteOp::Create { data, acl, .. } => (data.as_ref(), acl.as_slice()),
        WriteOp::SetData { data, create, .. } => (data.as_ref(), create.as_deref().unwrap_or_default()),
        WriteOp::SetAcl { acl, .. } => (None, acl.as_slice()),
        WriteOp::Delete { .. } | WriteOp::Check { .. } => (None, &[][..]),
    };
    let entry = |entry: &AclEntry| size_of::<AclEntry>() + entry.scheme.len() + entry.id.len();
    op.path().as_str().len() + data.map_or(0, |data| data.len()) + acl.iter().map(entry).sum::<usize>()
}

fn change_bytes(change: &MembersChange) -> usize {
    let (added, removed) = match change {
        MembersChange::Whole(servers) => (servers, 0),
        MembersChange::Steps { add, remove } => (add, remove.len() * size_of::<ServerId>()),
    };
    let member = |member: &NewMember| {
        size_of::<(ServerId, NewMember)>() + member.address.as_ref().map_or(0, |address| address.len())
    };
    added.values().map(member).sum::<usize>() + removed
}

fn read_bytes(op: &ReadOp) -> usize {
    match op {
        ReadOp::Get { path }
        | ReadOp::Exists { path }
        | ReadOp::GetAcl { path }
        | ReadOp::Access { path }
        | ReadOp::CountDescendants { path } => path.as_str().len(),
        ReadOp::Children { path, after, .. } => path.as_str().len() + after.len(),
        ReadOp::Ephemerals { prefix } => prefix.len(),
    }
}

fn watch_bytes(op: &WatchOp) -> usize {
    match op {
        WatchOp::Create(watch) => watch.path.as_str().len(),
        WatchOp::Cancel(_) => 0,
        WatchOp::AddPersistent { path, .. } | WatchOp::RemovePersistent { path, .. } => path.as_str().len(),
        WatchOp::Restore { data, exists, children, persistent, recursive, .. } => {
            let paths =
                |paths: &[Path]| paths.iter().map(|path| size_of::<Path>() + path.as_str().len()).sum::<usize>();
            [data, exists, children, persistent, recursive].into_iter().map(|list| paths(list)).sum()
        }
    }
}
