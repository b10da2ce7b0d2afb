//! Deciding deletions: of one znode, and of a whole subtree.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use quorate_types::txn::Deleted;
use quorate_types::{Acl, Code, Error, NodeKind, Path, Perms, Precondition, TxnOp, limits, path};

use super::overlay::ZnodeState;
use super::step::{self, Step};
use crate::reserved;
use crate::znode::{self, ZnodeId};

impl Step<'_> {
    pub(super) fn delete(&mut self, path: &str, precondition: Precondition) -> Result<(), Error> {
        if reserved::contains(path) {
            return Err(Error::at(Code::BadArguments, path, "this znode cannot be deleted"));
        }
        let (parent_path, parent) = self.parent_of_existing(path)?;
        self.permit(parent_path, &parent, Perms::DELETE)?;
        let state = self.existing(path)?;
        step::check_precondition(path, precondition, state.stat.version, state.stat.mzxid)?;
        if state.stat.num_children > 0 {
            let children = state.stat.num_children;
            let detail = format!("it still has children ({children}): delete them first, or the whole subtree");
            return Err(Error::at(Code::NotEmpty, path, detail));
        }
        let Deleted { path, stat, acl, parent_acl } = self.remove(path, state, parent_path, parent);
        self.ops.push(TxnOp::Delete { path, stat, acl, parent_acl });
        Ok(())
    }

    /// Deletes `top` and all below it, children before parents.
    pub(super) fn delete_tree(&mut self, top: &Path, max: u32) -> Result<(), Error> {
        let top = top.as_str();
        if reserved::lies_at_or_below(top) {
            return Err(Error::at(Code::BadArguments, top, "it is, or contains, a znode that cannot be deleted"));
        }
        let (parent_path, parent) = self.parent_of_existing(top)?;
        self.permit(parent_path, &parent, Perms::DELETE)?;
        self.existing(top)?;
        let max = max.min(limits::DELETE_TREE_MAX) as usize;
        let Some(mut paths) = self.paths_below(top, max) else {
            let detail = format!("more than {max} znodes would go; delete its parts one by one");
            return Err(Error::at(Code::TooMany, top, detail));
        };
        // A parent's path is a prefix of its children's, so it comes after them.
        paths.sort_unstable_by(|a, b| b.cmp(a));
        self.ops.reserve_exact(paths.len());
        for path in paths {
            self.delete(&path, Precondition::None)?;
        }
        Ok(())
    }

    /// The paths at and below `top`, unless there are more than `max`.
    fn paths_below(&self, top: &str, max: usize) -> Option<Vec<String>> {
        let mut paths: Vec<String> = self.overlay.pending_below(top).map(|path| path.to_string()).collect();
        let mut open: Vec<(ZnodeId, String)> = Vec::new();
        open.extend(self.tree.lookup(top).map(|id| (id, String::from(top))));
        while let Some((id, path)) = open.pop() {
            // A child that is alive keeps its parent alive, so what is gone has nothing alive below it in the tree
            // that the pending paths do not name.
            if !self.overlay.is_pending(&path) {
                paths.push(path.clone());
            } else if self.znode(&path).is_none() {
                continue;
            }
            if paths.len() > max {
                return None;
            }
            for child in self.tree.slab[id].children().into_iter().flat_map(|children| children.iter()) {
                open.push((child, path::join(&path, self.tree.slab[child].name_str())));
                if open.len() > max + self.overlay.len() {
                    return None;
                }
            }
        }
        (paths.len() <= max).then_some(paths)
    }

    /// The parent of a znode that is to be deleted. That it is missing says that the znode is.
    fn parent_of_existing<'p>(&self, path: &'p str) -> Result<(&'p str, ZnodeState), Error> {
        let parent_path = path::parent(path).unwrap_or("/");
        match self.znode(parent_path) {
            Some(parent) => Ok((parent_path, parent)),
            None => Err(Error::at(Code::NoNode, path, "there is no such znode, nor its parent")),
        }
    }

    /// Takes a childless znode out of the pending state, and says what watchers need.
    fn remove(&mut self, path: &str, state: ZnodeState, parent_path: &str, mut parent: ZnodeState) -> Deleted {
        if let NodeKind::Ephemeral(owner) = state.kind {
            self.overlay.disown(self.zxid, self.tree, owner, 1);
        }
        let deleted = self.take_out(path, state, &mut parent);
        self.set(parent_path, Some(parent));
        deleted
    }

    /// Likewise, but leaves it to the caller to take it from its owner, and to set its parent.
    pub(super) fn take_out(&mut self, path: &str, state: ZnodeState, parent: &mut ZnodeState) -> Deleted {
        parent.stat.num_children -= 1;
        parent.stat.pzxid = self.zxid;
        parent.stat.cversion = znode::cversion(parent.creations, parent.stat.num_children);
        self.set(path, None);
        let parent_acl: Acl = parent.acl.clone();
        Deleted { path: String::from(path), stat: state.stat, acl: state.acl, parent_acl }
    }
}
