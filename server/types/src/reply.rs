//! `Reply`: what a request is answered with.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

use crate::{Acl, AclEntry, Ensemble, Epoch, Error, Members, NodeKind, Perms, ServerId, SessionId, Stat, Zxid};

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
    /// To an `Access`.
    Access {
        /// Everything that the caller may do.
        perms: Perms,
        /// The entries of the ACL that grant it; none if the caller passes every check. Digests are masked for callers
        /// who may not change the ACL.
        entries: Vec<AclEntry>,
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
    /// To a [`crate::WatchOp`] of a ZooKeeper client that succeeded.
    WatchDone,
    /// To a `StreamTree`, after its last znode.
    TreeStreamed {
        /// The state that the stream showed.
        zxid: Zxid,
    },
    /// To a `Snapshot`: it is on disk, and verified.
    SnapshotTaken {
        /// The state that it holds.
        zxid: Zxid,
    },
    /// To a step of a `Restore`: it is made.
    RestoreStep {
        /// By this txn; that of the first step names the restore.
        zxid: Zxid,
    },
    /// To a `Status`.
    Status(Box<Status>),
    /// To a `Members`.
    Ensemble(Box<Ensemble>),
    /// To a `Reconfigure`: the configuration, in force.
    Reconfigured(Members),
    /// To a `TransferLeadership`.
    LeadershipTransferred {
        /// Who leads now.
        leader: ServerId,
    },
}

/// One znode of a streamed tree.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeNode {
    /// The whole path.
    pub path: String,
    /// As of the stream's zxid.
    pub stat: Stat,
    /// If asked for; `None` is null.
    pub data: Option<Bytes>,
    /// Its ACL.
    pub acl: Acl,
    /// What makes it go away.
    pub kind: NodeKind,
}

/// What a server does in its ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It looks for a leader and answers no writes.
    #[default]
    Looking,
    /// It follows a leader and votes.
    Following,
    /// It leads.
    Leading,
    /// It follows a leader and does not vote.
    Observing,
}

/// What a server is, does and holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// What it does.
    pub role: Role,
    /// Of the leader that it follows, or is.
    pub epoch: Epoch,
    /// The leader that it knows; `ServerId(0)` if it knows none.
    pub leader: ServerId,
    /// Whether it can serve writes.
    pub serving: bool,
    /// The last txn in its log.
    pub logged: Zxid,
    /// The last txn that is durable here.
    pub durable: Zxid,
    /// The last txn that is committed, as far as it knows.
    pub committed: Zxid,
    /// The last txn that it has applied.
    pub applied: Zxid,
    /// Its newest snapshot.
    pub snapshot: Zxid,
    /// The oldest zxid from which a watch can resume.
    pub history: Zxid,
    /// Writes are refused for lack of space.
    pub disk_full: bool,
    /// The ensemble, as far as this server knows, has not begun, and begins when these servers, too, are there with empty
    /// disks.
    pub awaits: Vec<ServerId>,
    /// Znodes, those that are always there included.
    pub znodes: u64,
    /// Bytes of their data.
    pub data_bytes: u64,
    /// Ephemeral znodes.
    pub ephemerals: u64,
    /// Sessions that live.
    pub sessions: u64,
    /// Watches of this server's clients.
    pub watches: u64,
    /// Outboxes that are open.
    pub outboxes: u64,
    /// A hash of the replicated state.
    pub digest: u128,
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
