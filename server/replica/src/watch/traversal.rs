//! `Traversal`: a subtree as of one zxid, read a slice at a time while writes go on.

use alloc::string::String;

use quorate_tree::{Tree, ViewId, Walk, WalkItem};
use quorate_types::{Zxid, path};

use super::slice::Slice;

/// An open view and how far it was read. To be ended with [`Traversal::close`]: until then it pins what changes.
#[derive(Debug)]
pub(super) struct Traversal {
    view: ViewId,
    zxid: Zxid,
    walk: Option<Walk>,
    /// Everything below this znode is passed over.
    hidden: Option<String>,
    has_begun: bool,
}

impl Traversal {
    /// Begins one; it shows nothing at all if there is no such znode.
    pub(super) fn open(tree: &mut Tree, path: &str) -> Traversal {
        let view = tree.open_view();
        Traversal { view, zxid: tree.applied(), walk: tree.walk(view, path), hidden: None, has_begun: false }
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

    /// The next znode, parents first, or `None` at the end. Znodes that are passed over use the slice up too: the
    /// caller asks only while it has room.
    pub(super) fn next(&mut self, tree: &Tree, slice: &mut Slice) -> Step {
        self.has_begun = true;
        let Some(item) = self.walk.as_mut().and_then(|walk| tree.walk_next(walk)) else {
            self.walk = None;
            return Step::End;
        };
        slice.charge_bytes(1, 0);
        if self.hidden.as_ref().is_some_and(|hidden| path::is_at_or_below(&item.path, hidden)) {
            return Step::PassedOver;
        }
        self.hidden = None;
        Step::Znode(item)
    }

    /// Passes over everything below `path`, the znode that came last.
    pub(super) fn skip_below(&mut self, path: &str) {
        self.hidden = Some(String::from(path));
    }

    /// Nothing more is wanted.
    pub(super) fn finish(&mut self) {
        self.walk = None;
    }
}

/// What [`Traversal::next`] came upon.
#[derive(Debug)]
pub(super) enum Step {
    Znode(WalkItem),
    PassedOver,
    End,
}
