//! `Changes`: the changes of one txn, just applied or out of the history.

use quorate_types::{Acl, Change, ChangeKind, Event, Zxid};

use super::segment::{Packed, PackedChange};

/// Some changes of one txn, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Changes<'a> {
    /// As the tree told them.
    Applied(&'a [Change]),
    /// As the history keeps them.
    Packed(Packed<'a>),
}

/// One of them: what a watch is matched with is at hand, and the rest is made when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangeRef<'a> {
    /// What happened.
    pub(crate) kind: ChangeKind,
    /// The znode.
    pub(crate) path: &'a str,
    source: Source<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Applied(&'a Change),
    Packed(PackedChange<'a>),
}

impl<'a> Changes<'a> {
    #[inline]
    pub(crate) fn len(self) -> usize {
        match self {
            Changes::Applied(changes) => changes.len(),
            Changes::Packed(changes) => changes.len(),
        }
    }

    /// The txn, if the history keeps it and this is its only change.
    pub(crate) fn packed_alone(self) -> Option<Zxid> {
        match self {
            Changes::Applied(_) => None,
            Changes::Packed(changes) => changes.alone(),
        }
    }

    /// # Panics
    /// If there are not so many.
    #[inline]
    pub(crate) fn get(self, at: usize) -> ChangeRef<'a> {
        match self {
            Changes::Applied(changes) => {
                let change = &changes[at];
                ChangeRef { kind: change.kind, path: &change.path, source: Source::Applied(change) }
            }
            Changes::Packed(changes) => {
                let change = changes.get(at);
                ChangeRef { kind: change.kind, path: change.path, source: Source::Packed(change) }
            }
        }
    }
}

impl<'a> ChangeRef<'a> {
    /// The ACL in force for the change.
    #[inline]
    pub(crate) fn acl(self) -> &'a Acl {
        match self.source {
            Source::Applied(change) => &change.acl,
            Source::Packed(change) => change.acl(),
        }
    }

    /// The ACL of the parent, which decides who may be told that its children changed.
    #[inline]
    pub(crate) fn parent_acl(self) -> &'a Acl {
        match self.source {
            Source::Applied(change) => &change.parent_acl,
            Source::Packed(change) => change.parent_acl(),
        }
    }

    /// What a watch is told of it.
    #[inline]
    pub(crate) fn event(self, with_data: bool, with_previous_data: bool) -> Event {
        match self.source {
            Source::Packed(change) => change.event(with_data, with_previous_data),
            Source::Applied(change) => Event {
                kind: change.kind,
                zxid: change.zxid,
                index: change.index,
                path: change.path.clone(),
                stat: change.stat,
                data: change.data.clone().filter(|_| with_data),
                previous_data: change.previous_data.clone().filter(|_| with_previous_data),
            },
        }
    }
}
