//! `Step`: one request while it is being decided.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use quorate_types::txn::Shape;
use quorate_types::{
    Caller, Code, CreateMode, Error, Perms, Precondition, Reply, SessionId, TxnBody, TxnOp, WriteOp, Zxid, limits,
};
use smallvec::SmallVec;

use super::overlay::{Overlay, ZnodeState};
use super::{Decision, Prepare};
use crate::{Tree, acl};

/// One request, the state that it sees and changes, and the operations decided so far.
pub(super) struct Step<'a> {
    pub(super) overlay: &'a mut Overlay,
    pub(super) tree: &'a Tree,
    pub(super) caller: &'a Caller,
    pub(super) session: SessionId,
    pub(super) zxid: Zxid,
    pub(super) time_ms: i64,
    pub(super) ops: SmallVec<[TxnOp; 1]>,
}

impl<'a> Step<'a> {
    pub(super) fn new(overlay: &'a mut Overlay, tree: &'a Tree, request: &Prepare<'a>, time_ms: i64) -> Step<'a> {
        let Prepare { caller, session, zxid, .. } = *request;
        Step { overlay, tree, caller, session, zxid, time_ms, ops: SmallVec::new() }
    }

    /// Decides one operation whose arguments have been checked.
    pub(super) fn write(&mut self, op: &WriteOp, shape: Shape) -> Result<(), Error> {
        match op {
            WriteOp::Create { path, data, acl, mode, parents } => self.create(&super::create::Create {
                path,
                data: data.as_ref(),
                acl,
                mode: *mode,
                parents: *parents,
                shape,
            }),
            WriteOp::Delete { path, precondition } => self.delete(path.as_str(), *precondition),
            WriteOp::SetData { path, data, precondition, create } => {
                self.set_data(path, data.as_ref(), *precondition, create.as_deref(), shape)
            }
            WriteOp::SetAcl { path, acl, precondition } => self.set_acl(path.as_str(), acl, *precondition),
            WriteOp::Check { path, precondition } => self.check(path.as_str(), *precondition),
        }
    }

    /// The operations as a txn; those that change nothing are answered at once.
    pub(super) fn into_decision(self, shape: Shape) -> Decision {
        if !self.ops.iter().all(|op| matches!(op, TxnOp::Check)) {
            return Decision::Body(TxnBody::Ops { shape, ops: self.ops });
        }
        Decision::Answer(Ok(match shape {
            Shape::Single => Reply::Checked,
            Shape::Multi => Reply::Multi(self.ops.iter().map(|_| Ok(Reply::Checked)).collect::<Vec<_>>()),
            Shape::Tree => Reply::TreeDeleted { count: 0 },
        }))
    }

    pub(super) fn znode(&self, path: &str) -> Option<ZnodeState> {
        self.overlay.znode(self.tree, path)
    }

    pub(super) fn existing(&self, path: &str) -> Result<ZnodeState, Error> {
        self.znode(path).ok_or_else(|| Error::at(Code::NoNode, path, "there is no such znode"))
    }

    pub(super) fn set(&mut self, path: &str, state: Option<ZnodeState>) {
        self.overlay.set(self.zxid, path, state);
    }

    /// The one check of every operation on one znode.
    pub(super) fn permit(&self, path: &str, state: &ZnodeState, wanted: Perms) -> Result<(), Error> {
        if acl::permits(&state.acl, self.caller, wanted) {
            return Ok(());
        }
        Err(Error::at(Code::NoAuth, path, format!("the ACL of {path} does not grant you {}", name_of(wanted))))
    }
}

fn name_of(wanted: Perms) -> &'static str {
    match wanted {
        Perms::READ => "READ",
        Perms::WRITE => "WRITE",
        Perms::CREATE => "CREATE",
        Perms::DELETE => "DELETE",
        Perms::ADMIN => "ADMIN",
        _ => "any of what this needs",
    }
}

/// Checks what can be said of an operation without knowing any state.
pub(super) fn check_arguments(op: &WriteOp) -> Result<(), Error> {
    let path = op.path().as_str();
    let refuse = |code, detail: String| Err(Error::at(code, path, detail));
    match op {
        WriteOp::Create { data, mode, .. } => {
            if let CreateMode::Ttl { ttl_ms } | CreateMode::TtlSequential { ttl_ms } = mode
                && !(1..=limits::TTL_MS_MAX).contains(ttl_ms)
            {
                let detail = format!("a time to live is 1 to {} ms, not {ttl_ms}", limits::TTL_MS_MAX);
                return refuse(Code::BadArguments, detail);
            }
            check_data(path, data.as_ref().map_or(0, |data| data.len()))
        }
        WriteOp::SetData { data, precondition, create, .. } => {
            if create.is_some() && *precondition != Precondition::None {
                return refuse(
                    Code::BadArguments,
                    "set or create has no precondition: what is missing has none".to_string(),
                );
            }
            check_precondition_kind(path, *precondition)?;
            check_data(path, data.as_ref().map_or(0, |data| data.len()))
        }
        WriteOp::Delete { precondition, .. } | WriteOp::SetAcl { precondition, .. } => {
            check_precondition_kind(path, *precondition)
        }
        WriteOp::Check { .. } => Ok(()),
    }
}

fn check_data(path: &str, bytes: usize) -> Result<(), Error> {
    if bytes <= limits::DATA_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("{bytes} bytes of data; a znode has at most {}", limits::DATA_BYTES_MAX);
    Err(Error::at(Code::TooLarge, path, detail))
}

fn check_precondition_kind(path: &str, precondition: Precondition) -> Result<(), Error> {
    match precondition {
        Precondition::None | Precondition::Version(_) | Precondition::Mzxid(_) => Ok(()),
        Precondition::NotExists => {
            Err(Error::at(Code::BadArguments, path, "only a check can demand that nothing exists"))
        }
    }
}

/// Checks a precondition on an existing znode; `version` is the one that is meant, of the data or of the ACL.
pub(super) fn check_precondition(path: &str, wanted: Precondition, version: i32, mzxid: Zxid) -> Result<(), Error> {
    let (wanted, found) = match wanted {
        Precondition::Version(wanted) if wanted != version => (format!("version {wanted}"), format!("{version}")),
        Precondition::Mzxid(wanted) if wanted != mzxid => (format!("mzxid {wanted}"), format!("{mzxid}")),
        Precondition::NotExists => return Err(Error::at(Code::NodeExists, path, "the znode exists")),
        Precondition::None | Precondition::Version(_) | Precondition::Mzxid(_) => return Ok(()),
    };
    Err(Error::at(Code::BadVersion, path, format!("expected {wanted}, found {found}")))
}
