//! `Change`: what a committed txn did to one znode, and `Event`: what a watch is told of it.

use alloc::string::String;
use bytes::Bytes;

use crate::{Acl, Stat, Zxid};

/// What happened to a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChangeKind {
    /// It was created.
    Created = 1,
    /// It was deleted, by a request, by the end of its session, or by the leader's reaper.
    Deleted = 2,
    /// Its data was set.
    DataChanged = 3,
}

/// One change of one znode, with everything that is needed to tell any watch of it, now or later: the tree need
/// not be asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The txn that did it.
    pub zxid: Zxid,
    /// The position among the changes of that txn.
    pub index: u32,
    /// The znode.
    pub path: String,
    /// Its stat after the change; for a deletion, its last one.
    pub stat: Stat,
    /// Its data after the change; `None` is null data. For a deletion `None`.
    pub data: Option<Bytes>,
    /// Its data before the change, as far as that is known: after a restart it may not be.
    pub previous_data: Option<Bytes>,
    /// The ACL in force for the change: that of the znode; for a deletion, its last one.
    pub acl: Acl,
    /// The ACL of the parent, which decides who may be told that its children changed.
    pub parent_acl: Acl,
}

/// What a watch is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: ChangeKind,
    /// The txn that did it.
    pub zxid: Zxid,
    /// The position among the changes of that txn.
    pub index: u32,
    /// The znode.
    pub path: String,
    /// Its stat after the change; for a deletion, its last one.
    pub stat: Stat,
    /// Its data after the change.
    pub data: Option<Bytes>,
    /// Its data before the change, where known.
    pub previous_data: Option<Bytes>,
}
