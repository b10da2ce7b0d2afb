//! `Job`: an initial state or a tree that is read for one outbox, a slice at a time.

use quorate_tree::Tree;
use quorate_types::{OutboxId, Reply, Zxid};

use super::initial::Initial;
use super::slice::Slice;
use super::streaming::single;
use super::traversal::Traversal;
use super::tree_stream::TreeStream;
use crate::history::{History, Position};
use crate::{Delivery, Effects, WatchItem};

/// Something that is read from the tree.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) what: What,
    open: Option<Open>,
}

/// What a job reads.
#[derive(Debug)]
pub(super) enum What {
    Initial(Initial),
    Tree(TreeStream),
}

/// How far a job has come that has begun.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) traversal: Traversal,
    /// What happens after the state that the traversal shows.
    pub(super) then: Position,
}

impl Job {
    pub(super) fn new(what: What) -> Job {
        Job { what, open: None }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.open.is_some()
    }

    /// The state that it shows, once it has begun.
    pub(super) fn zxid(&self) -> Option<Zxid> {
        self.open.as_ref().map(|open| open.traversal.zxid())
    }

    /// Fixes the state that it shows: the present one, which `then` lies behind.
    pub(super) fn begin(&mut self, tree: &mut Tree, then: Position) {
        let path = match &self.what {
            What::Initial(initial) => &*initial.key.path,
            What::Tree(stream) => stream.wanted.path.as_str(),
        };
        self.open = Some(Open { traversal: Traversal::open(tree, path), then });
    }

    /// As if it had not begun.
    pub(super) fn abandon(&mut self, tree: &mut Tree) {
        if let What::Tree(stream) = &mut self.what {
            stream.has_top = false;
        }
        if let Some(open) = self.open.take() {
            open.traversal.close(tree);
        }
    }

    /// Whether the history has moved past the state that it shows, which then is a beginning without continuation.
    pub(super) fn is_lost(&self, history: &History) -> bool {
        match (&self.what, &self.open) {
            (What::Initial(_), Some(open)) => history.read(open.then).is_none(),
            (What::Initial(_), None) | (What::Tree(_), _) => false,
        }
    }

    /// Bytes that are only kept because of it.
    pub(super) fn pinned_bytes(&self, tree: &Tree) -> usize {
        self.open.as_ref().map_or(0, |open| open.traversal.pinned_bytes(tree))
    }

    /// Emits the next part; whether that was the last one. Only for a job that has begun.
    pub(super) fn read(&mut self, outbox: OutboxId, tree: &Tree, slice: &mut Slice, out: &mut Effects) -> bool {
        let Some(Open { traversal, .. }) = &mut self.open else { return false };
        let zxid = traversal.zxid();
        match &mut self.what {
            What::Initial(initial) => {
                let mut emit = |item| out.outbox.push((outbox, single(initial.watch, item)));
                if !traversal.has_begun() {
                    emit(WatchItem::Created(zxid));
                }
                let (events, is_done) = initial.read(traversal, tree, slice);
                if !events.is_empty() {
                    emit(WatchItem::Events(events.into()));
                }
                if is_done {
                    emit(WatchItem::Synced(zxid));
                }
                is_done
            }
            What::Tree(stream) => {
                let (nodes, end) = match stream.read(traversal, tree, slice) {
                    Ok((nodes, is_done)) => (nodes, is_done.then_some(Ok(Reply::TreeStreamed { zxid }))),
                    Err(error) => (alloc::vec::Vec::new(), Some(Err(error))),
                };
                if !nodes.is_empty() {
                    out.outbox.push((outbox, Delivery::Tree { tag: stream.tag, zxid, nodes }));
                }
                let is_done = end.is_some();
                out.outbox.extend(end.map(|response| (outbox, Delivery::Reply { tag: stream.tag, zxid, response })));
                is_done
            }
        }
    }

    pub(super) fn into_parts(self) -> (What, Option<Open>) {
        (self.what, self.open)
    }

    pub(super) fn into_traversal(self) -> Option<Traversal> {
        self.open.map(|open| open.traversal)
    }
}
