//! Deciding a create: who is the parent, what is the name, may it be.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use bytes::Bytes;
use quorate_types::txn::{self, Shape};
use quorate_types::{Acl, AclEntry, Code, CreateMode, Error, NodeKind, Path, Perms, TxnOp, limits, path};

use super::overlay::ZnodeState;
use super::step::Step;
use crate::{acl, znode};

/// The arguments of a create.
pub(super) struct Create<'a> {
    pub(super) path: &'a Path,
    pub(super) data: Option<&'a Bytes>,
    pub(super) acl: &'a [AclEntry],
    pub(super) mode: CreateMode,
    pub(super) parents: bool,
    pub(super) shape: Shape,
}

impl Step<'_> {
    pub(super) fn create(&mut self, create: &Create<'_>) -> Result<(), Error> {
        let text = create.path.as_str();
        if create.mode.is_ephemeral() && !self.session.is_some() {
            return Err(Error::at(Code::SessionRequired, text, "an ephemeral belongs to a session; name yours"));
        }
        if !create.mode.is_sequential() {
            check_complete(create.path)?;
        }
        let acl = acl::normalize(create.acl, self.caller)?;
        let Some(parent) = parent_of(create) else {
            return Err(Error::at(Code::NodeExists, text, "the root always exists"));
        };
        if self.znode(parent).is_none() {
            match (create.parents, create.shape) {
                (true, Shape::Single | Shape::Tree) => self.create_ancestors(parent, &acl)?,
                (true, Shape::Multi) => {
                    let detail = "in a multi, create each missing ancestor by an operation of its own";
                    return Err(Error::at(Code::BadArguments, text, detail));
                }
                (false, _) => {
                    let detail = format!("its parent {parent} does not exist");
                    return Err(Error::at(Code::NoParent, text, detail));
                }
            }
        }
        let data = create.data.map(|data| Bytes::copy_from_slice(data));
        self.make(parent, text, create.mode, data, acl)
    }

    /// Creates what is missing of `lowest` and above it. Each is a create of its own, subject to the same checks.
    fn create_ancestors(&mut self, lowest: &str, acl: &Acl) -> Result<(), Error> {
        let mut missing = Vec::new();
        let mut at = Some(lowest);
        while let Some(path) = at.filter(|path| self.znode(path).is_none()) {
            missing.push(path);
            at = path::parent(path);
        }
        for ancestor in missing.into_iter().rev() {
            let parent = path::parent(ancestor).expect("the root exists, so it is not missing");
            self.make(parent, ancestor, CreateMode::Persistent, None, acl.clone())?;
        }
        Ok(())
    }

    fn make(
        &mut self,
        parent_path: &str,
        text: &str,
        mode: CreateMode,
        data: Option<Bytes>,
        acl: Acl,
    ) -> Result<(), Error> {
        let mut parent = self.existing(parent_path)?;
        self.permit(parent_path, &parent, Perms::CREATE)?;
        let path = full_path(text, mode, parent.creations)?;
        if self.znode(&path).is_some() {
            return Err(Error::at(Code::NodeExists, path, "the znode exists already"));
        }
        if parent.kind.owner().is_some() {
            let detail = format!("{parent_path} is ephemeral, and ephemerals have no children");
            return Err(Error::at(Code::NoChildrenForEphemerals, path, detail));
        }
        let kind = mode.kind(self.session);
        if kind.owner().is_some() {
            self.check_ephemeral_cap(&path)?;
        }

        let stat = txn::stat_at_birth(self.zxid, self.time_ms, data.as_ref(), kind);
        self.set(&path, Some(ZnodeState { stat, creations: 0, kind, acl: acl.clone() }));
        if let NodeKind::Ephemeral(session) = kind {
            self.overlay.own(self.zxid, self.tree, session, &path);
        }
        parent.creations += 1;
        parent.stat.num_children += 1;
        parent.stat.pzxid = self.zxid;
        parent.stat.cversion = znode::cversion(parent.creations, parent.stat.num_children);
        let (parent_creations, parent_acl) = (parent.creations, parent.acl.clone());
        self.set(parent_path, Some(parent));
        self.ops.push(TxnOp::Create { path, data, acl, kind, parent_creations, parent_acl });
        Ok(())
    }

    fn check_ephemeral_cap(&self, path: &str) -> Result<(), Error> {
        if self.overlay.ephemeral_count(self.tree, self.session) < limits::EPHEMERALS_PER_SESSION_MAX {
            return Ok(());
        }
        let detail = format!("a session owns at most {} ephemerals", limits::EPHEMERALS_PER_SESSION_MAX);
        Err(Error::at(Code::QuotaExceeded, path, detail))
    }
}

/// The parent of what is to be created. The root may be a prefix, and then is its own parent.
fn parent_of<'a>(create: &Create<'a>) -> Option<&'a str> {
    let text = create.path.as_str();
    if create.path.is_root() && create.mode.is_sequential() { Some(text) } else { path::parent(text) }
}

/// A path that was checked as the prefix of a sequential one may not be complete without digits.
fn check_complete(path: &Path) -> Result<(), Error> {
    if path.is_root() || !matches!(path.name(), "" | "." | "..") {
        return Ok(());
    }
    Err(Error::at(Code::InvalidPath, path.as_str(), "only a sequential create completes such a name"))
}

/// The path with its sequence suffix, if it is to have one: the parent's creations before this one.
fn full_path(text: &str, mode: CreateMode, creations: u64) -> Result<String, Error> {
    const DIGITS: usize = 10;
    let mut path = String::with_capacity(text.len() + if mode.is_sequential() { DIGITS } else { 0 });
    path.push_str(text);
    if mode.is_sequential() {
        write!(path, "{creations:010}").expect("writing to a string does not fail");
    }
    if path.len() > limits::PATH_BYTES_MAX {
        let detail = format!("{} bytes with its suffix; a path has at most {}", path.len(), limits::PATH_BYTES_MAX);
        return Err(Error::at(Code::InvalidPath, path, detail));
    }
    Ok(path)
}
