//! `TreeStream`: a znode and everything below it, as of one zxid, for a client that asked once.

use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_tree::{Tree, WalkItem, acl};
use quorate_types::{Acl, Caller, Code, Error, Perms, StreamTree, Tag, TreeNode};

use super::slice::{self, Slice};
use super::traversal::Traversal;

/// A tree that is to be streamed.
#[derive(Debug)]
pub(super) struct TreeStream {
    pub(super) tag: Tag,
    pub(super) wanted: StreamTree,
    caller: Arc<Caller>,
    /// The top was found and may be read.
    pub(super) has_top: bool,
}

impl TreeStream {
    pub(super) fn new(tag: Tag, caller: Arc<Caller>, wanted: &StreamTree) -> TreeStream {
        TreeStream { tag, wanted: wanted.clone(), caller, has_top: false }
    }

    /// The next znodes, and whether they are the last ones.
    ///
    /// # Errors
    /// [`Code::NoNode`] and [`Code::NoAuth`] about the top. What may not be read further down is left out.
    pub(super) fn read(
        &mut self,
        traversal: &mut Traversal,
        tree: &Tree,
        slice: &mut Slice,
    ) -> Result<(Vec<TreeNode>, bool), Error> {
        let mut nodes = Vec::new();
        while slice.has_room() {
            let Some(item) = traversal.next(tree, slice) else {
                let missing = || Error::at(Code::NoNode, self.wanted.path.as_str(), "there is no such znode to stream");
                return if self.has_top { Ok((nodes, true)) } else { Err(missing()) };
            };
            if acl::permits(&item.acl, &self.caller, Perms::READ) {
                if self.is_deepest(&item.path) {
                    traversal.skip_below();
                }
                let node = self.node(item);
                slice.charge_bytes(0, slice::node_bytes(&node));
                nodes.push(node);
            } else if self.has_top {
                traversal.skip_below();
            } else {
                return Err(Error::at(
                    Code::NoAuth,
                    self.wanted.path.as_str(),
                    "streaming a tree needs READ on its top",
                ));
            }
            self.has_top = true;
        }
        Ok((nodes, false))
    }

    /// Whether nothing below the znode at `path` is wanted.
    fn is_deepest(&self, path: &str) -> bool {
        let depth = |path: &str| if path == "/" { 0 } else { path.matches('/').count() };
        let StreamTree { path: top, depth_max, .. } = &self.wanted;
        // Unlimited as most are, they are not measured.
        *depth_max != u32::MAX && depth(path) - depth(top.as_str()) >= *depth_max as usize
    }

    fn node(&self, item: WalkItem) -> TreeNode {
        let WalkItem { path, stat, data, acl, kind, creations: _ } = item;
        let acl = if acl.is_open() { acl } else { Acl::new(acl::visible(&acl, &self.caller)) };
        TreeNode { path, stat, data: data.filter(|_| self.wanted.with_data), acl, kind }
    }
}
