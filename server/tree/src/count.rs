//! `Count`: how many znodes lie below one, found a slice at a time.
//!
//! A count kept at every znode would cost each write its depth, so the subtree is walked: a million znodes take longer
//! than anybody should wait for somebody else's question. Between two slices a view holds the state that is counted.

use quorate_types::{Caller, Error, Path, Perms, Zxid};
use smallvec::SmallVec;

use crate::children::Position;
use crate::znode::{Znode, ZnodeId};
use crate::{Tree, ViewId};

/// A count of what lies below a znode. One that was counted on and is not finished has to be [dropped](Tree::drop_count)
/// or finished.
#[derive(Debug)]
pub struct Count {
    /// The state that is counted.
    zxid: Zxid,
    /// Open from the end of the first slice to that of the last.
    view: Option<ViewId>,
    /// The znodes from the top down whose children are being looked at: the children themselves are counted.
    stack: SmallVec<[(ZnodeId, Position); 8]>,
    found: u64,
}

impl Count {
    fn below(tree: &Tree, top: ZnodeId) -> Count {
        let mut count = Count { zxid: tree.applied, view: None, stack: SmallVec::new(), found: 0 };
        if top == ZnodeId::ROOT {
            count.found = tree.slab.len() as u64 - 1;
        } else {
            count.enter(tree, top);
        }
        count
    }

    fn enter(&mut self, tree: &Tree, id: ZnodeId) {
        let children = tree.as_counted(self.view, id).num_children();
        if children > 0 {
            self.found += u64::from(children);
            self.stack.push((id, Position::default()));
        }
    }

    /// Looks at no more than `znodes_max` znodes. Whether that was all.
    fn go_on(&mut self, tree: &Tree, znodes_max: usize) -> bool {
        for _ in 0..znodes_max {
            let Some((parent, position)) = self.stack.last_mut() else { return true };
            match tree.as_counted(self.view, *parent).children().and_then(|children| children.next(position)) {
                Some(child) => self.enter(tree, child),
                None => {
                    self.stack.pop();
                }
            }
        }
        self.stack.is_empty()
    }
}

impl Tree {
    /// Begins a count of the present state: its first slice has to come before the next change.
    ///
    /// # Errors
    /// What the client is told: no such znode, no permission.
    pub fn count(&self, path: &Path, caller: &Caller) -> Result<Count, Error> {
        Ok(Count::below(self, self.readable(path, caller, Perms::READ)?))
    }

    /// Goes on with a count, looking at no more than `znodes_max` znodes; the answer, with the zxid at which it is true,
    /// once it is known.
    ///
    /// # Panics
    /// If the state has changed before the first slice.
    pub fn count_on(&mut self, count: &mut Count, znodes_max: usize) -> Option<(u64, Zxid)> {
        let is_held = count.view.is_some() || count.zxid == self.applied;
        assert!(is_held, "a count of {:?} begins at {:?}", count.zxid, self.applied);
        if !count.go_on(self, znodes_max) {
            count.view.get_or_insert_with(|| self.open_view());
            return None;
        }
        self.drop_count(count);
        Some((count.found, count.zxid))
    }

    /// Bytes that may only be kept because of this count.
    #[must_use]
    pub fn count_bytes(&self, count: &Count) -> usize {
        count.view.map_or(0, |view| self.view_bytes(view))
    }

    /// Lets go of what a count holds.
    pub fn drop_count(&mut self, count: &mut Count) {
        if let Some(view) = count.view.take() {
            self.close_view(view);
        }
    }

    /// The count, if looking at `znodes_max` znodes is enough for it.
    pub(crate) fn count_at_once(&self, top: ZnodeId, znodes_max: usize) -> Option<u64> {
        let mut count = Count::below(self, top);
        count.go_on(self, znodes_max).then_some(count.found)
    }

    fn as_counted(&self, view: Option<ViewId>, id: ZnodeId) -> &Znode {
        let replaced = view.and_then(|view| self.views.find(view, id));
        replaced.map_or_else(|| &self.slab[id], |(znode, _)| znode)
    }
}
