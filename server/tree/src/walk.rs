//! `Walk`: a subtree of a view in depth-first order, one znode at a time.

use alloc::string::String;

use bytes::Bytes;
use quorate_types::{Acl, NodeKind, Stat, Zxid};
use smallvec::SmallVec;

use crate::children::Position;
use crate::znode::{Znode, ZnodeId};
use crate::{Tree, ViewId};

/// A depth-first walk over a subtree of a view: parents first, siblings in the order of their names. It holds nothing
/// of the tree: between two steps anything may happen to it but the end of the view.
#[derive(Debug)]
pub struct Walk {
    view: ViewId,
    /// Of the znode that was visited last.
    path: String,
    /// Not visited yet.
    root: Option<ZnodeId>,
    /// The znodes above the one visited last, from the root down.
    stack: SmallVec<[Frame; 8]>,
    /// The znode visited last, if its children are to be visited next.
    below: Option<Frame>,
}

/// A znode whose children are being visited.
#[derive(Debug)]
struct Frame {
    id: ZnodeId,
    next: Position,
    /// Of this znode's own path; 0 for `/`, whose children's paths begin with the slash.
    path_len: usize,
}

/// One znode of a walk.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkItem {
    /// Where it is.
    pub path: String,
    /// Its stat.
    pub stat: Stat,
    /// Its data; `None` is null.
    pub data: Option<Bytes>,
    /// Its ACL.
    pub acl: Acl,
    /// What makes it go away.
    pub kind: NodeKind,
    /// Children ever created under it.
    pub creations: u64,
}

/// A znode as a view sees it, in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) znode: &'a Znode,
    pub(crate) acl: &'a Acl,
    /// Below the root of the walk.
    pub(crate) depth: usize,
}

impl Walk {
    /// Passes over everything below the znode that was visited last: the walk goes on with what follows its subtree,
    /// whose size costs nothing.
    pub fn skip_below(&mut self) {
        self.below = None;
    }
}

impl Tree {
    /// Holds on to the present state: walks over the view see it whatever is applied later.
    pub fn open_view(&mut self) -> ViewId {
        self.views.open(self.applied)
    }

    /// Lets the state of a view go.
    ///
    /// # Panics
    /// If the view is not open.
    pub fn close_view(&mut self, view: ViewId) {
        self.views.close(view);
    }

    /// Which state a view sees.
    ///
    /// # Panics
    /// If the view is not open.
    #[must_use]
    pub fn view_zxid(&self, view: ViewId) -> Zxid {
        self.views.zxid(view)
    }

    /// Bytes that may only be kept because of this view: what was replaced since it was opened.
    ///
    /// # Panics
    /// If the view is not open.
    #[must_use]
    pub fn view_bytes(&self, view: ViewId) -> usize {
        self.views.bytes(view)
    }

    /// Views that are open.
    #[must_use]
    pub fn view_count(&self) -> usize {
        self.views.len()
    }

    /// Frees at most `max` old versions of closed views, and some of a state that was replaced; whether more are left. Every
    /// txn does a little of it: this is for a server without writes.
    pub fn sweep(&mut self, max: usize) -> bool {
        let (views, replaced) = (self.views.sweep(max), self.replaced.let_go());
        views || replaced
    }

    /// Begins a walk over the subtree at `root`; `None` if the view has no such znode.
    ///
    /// # Panics
    /// If the view is not open.
    #[must_use]
    pub fn walk(&self, view: ViewId, root: &str) -> Option<Walk> {
        let mut id = ZnodeId::ROOT;
        for name in root.strip_prefix('/')?.split('/').filter(|_| root.len() > 1) {
            id = self.child_in_view(view, id, name.as_bytes())?;
        }
        Some(Walk { view, path: String::from(root), root: Some(id), stack: SmallVec::new(), below: None })
    }

    /// The next znode of a walk, `None` at its end.
    ///
    /// # Panics
    /// If the view has been closed.
    pub fn walk_next(&self, walk: &mut Walk) -> Option<WalkItem> {
        let Visit { znode, acl, depth: _ } = self.visit_next(walk)?;
        Some(WalkItem {
            path: walk.path.clone(),
            stat: znode.stat(),
            data: znode.data_copy(),
            acl: acl.clone(),
            kind: znode.kind(),
            creations: znode.creations(),
        })
    }

    pub(crate) fn visit_next(&self, walk: &mut Walk) -> Option<Visit<'_>> {
        if let Some(root) = walk.root.take() {
            let (znode, acl) = self.in_view(walk.view, root);
            let path_len = if walk.path.len() == 1 { 0 } else { walk.path.len() };
            walk.below = Some(Frame { id: root, next: Position::default(), path_len });
            return Some(Visit { znode, acl, depth: 0 });
        }
        walk.stack.extend(walk.below.take());
        loop {
            let depth = walk.stack.len();
            let frame = walk.stack.last_mut()?;
            let (parent, _) = self.in_view(walk.view, frame.id);
            let child = parent.children().and_then(|children| children.next(&mut frame.next));
            let Some(id) = child else {
                walk.stack.pop();
                continue;
            };
            let (znode, acl) = self.in_view(walk.view, id);
            walk.path.truncate(frame.path_len);
            walk.path.push('/');
            walk.path.push_str(znode.name_str());
            if znode.num_children() > 0 {
                walk.below = Some(Frame { id, next: Position::default(), path_len: walk.path.len() });
            }
            return Some(Visit { znode, acl, depth });
        }
    }

    fn in_view(&self, view: ViewId, id: ZnodeId) -> (&Znode, &Acl) {
        self.views.find(view, id).unwrap_or_else(|| (&self.slab[id], self.acl_of(id)))
    }

    fn child_in_view(&self, view: ViewId, parent: ZnodeId, name: &[u8]) -> Option<ZnodeId> {
        let children = self.in_view(view, parent).0.children()?;
        let mut before = children.search(name, |id| self.in_view(view, id).0.name()).ok()?;
        children.next(&mut before)
    }
}
