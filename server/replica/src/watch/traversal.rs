//! `Traversal`: a subtree as of one zxid, read a slice at a time while writes go on.

use quorate_tree::{Tree, ViewId, Walk, WalkItem};
use quorate_types::Zxid;

use super::slice::Slice;

/// An open view and how far it was read. To be ended with [`Traversal::close`]: until then it pins what changes.
#[derive(Debug)]
pub(super) struct Traversal {
    view: ViewId,
    zxid: Zxid,
    walk: Option<Walk>,
    has_begun: bool,
}

impl Traversal {
    /// Begins one; it shows nothing at all if there is no such znode.
    pub(super) fn open(tree: &mut Tree, path: &str) -> Traversal {
        let view = tree.open_view();
        Traversal { view, zxid: tree.applied(), walk: tree.walk(view, path), has_begun: false }
    }

    pub(super) fn close(self, tree: &mut Tree) {
        tree.close_view(self.view);
    }

    /// The state that it shows.
    pub(super) fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// Whether it was asked for a znode yet.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Bytes that are only kept because of it.
    pub(super) fn pinned_bytes(&self, tree: &Tree) -> usize {
        tree.view_bytes(self.view)
    }

    /// The next znode, parents first, or `None` at the end. Each uses a slice up a little: the caller asks only while it
    /// has room.
    pub(super) fn next(&mut self, tree: &Tree, slice: &mut Slice) -> Option<WalkItem> {
        self.has_begun = true;
        let item = tree.walk_next(self.walk.as_mut()?);
        match &item {
            Some(_) => slice.charge_bytes(1, 0),
            None => self.walk = None,
        }
        item
    }

    /// Passes over everything below the znode that came last.
    pub(super) fn skip_below(&mut self) {
        if let Some(walk) = &mut self.walk {
            walk.skip_below();
        }
    }

    /// Nothing more is wanted.
    pub(super) fn finish(&mut self) {
        self.walk = None;
    }
}
