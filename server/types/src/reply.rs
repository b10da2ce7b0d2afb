//! `Reply`: what a request is answered with.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

use crate::{AclEntry, Error, SessionId, Stat};

/// The answer to one request.
pub type Response = Result<Reply, Error>;

/// The answer to a request that did not fail.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To a create, or to a `SetData` that created.
    Created {
        /// With the sequence suffix, if any.
        path: String,
        /// Of the new znode.
        stat: Stat,
    },
    /// To a delete.
    Deleted,
    /// To a recursive delete.
    TreeDeleted {
        /// Znodes that went.
        count: u32,
    },
    /// To a `SetData` or `SetAcl` of a znode that existed.
    Changed {
        /// After the change.
        stat: Stat,
    },
    /// To a check that held.
    Checked,
    /// To a multi. If any operation failed, none was made: the failing one has its own error and every other one
    /// [`crate::Code::NotApplied`].
    Multi(Vec<Response>),
    /// To a `Get`.
    Data {
        /// `None` is null, which differs from empty.
        data: Option<Bytes>,
        /// Of the znode.
        stat: Stat,
    },
    /// To an `Exists`; `None` says that there is no such znode.
    Exists(Option<Stat>),
    /// To a `Children`.
    Children {
        /// In the order of their names' bytes.
        children: Vec<Child>,
        /// Of the parent.
        stat: Stat,
        /// There are more after the last one.
        more: bool,
    },
    /// To a `GetAcl`.
    Acl {
        /// Digests are masked for callers who may not change the ACL.
        acl: Vec<AclEntry>,
        /// Of the znode.
        stat: Stat,
    },
    /// To an `Ephemerals`: paths in the order of their bytes.
    Ephemerals(Vec<String>),
    /// To a `CountDescendants`.
    Count(u64),
    /// To a multi-read.
    MultiRead(Vec<Response>),
    /// To a `Sync`.
    Synced,
    /// To `OpenSession` and `AttachSession`.
    Session {
        /// Which.
        id: SessionId,
        /// Granted, in milliseconds.
        timeout_ms: u32,
    },
    /// To a `Touch`.
    Touched {
        /// Granted, in milliseconds: the session lives at least so long from now.
        timeout_ms: u32,
    },
    /// To `CloseSession`.
    SessionClosed,
    /// To a [`crate::WatchOp`] that succeeded.
    WatchDone,
}

/// A child in a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its name, without the parent's path.
    pub name: String,
    /// Its stat, if asked for.
    pub stat: Option<Stat>,
    /// Its data, if asked for; the outer `None` says that it was not, or that the ACL forbids reading it.
    pub data: Option<Option<Bytes>>,
}
