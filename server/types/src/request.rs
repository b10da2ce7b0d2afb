//! `Request`: what a client asks for, with everything that the core needs to decide it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

use crate::{
    AclEntry, Caller, CreateMode, MembersChange, Path, Restore, ServerId, SessionId, SessionSecret, WatchId, Zxid,
};

/// A request as a front door hands it to the replica.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What is to be done.
    pub op: Op,
    /// Who asks, as established at the door.
    pub caller: Arc<Caller>,
    /// The session that the request belongs to, if any; its secret has to match. On an outbox that is bound to a
    /// session, `None` means that session.
    pub session: Option<(SessionId, SessionSecret)>,
    /// The server must have applied at least this before it answers.
    pub min_zxid: Zxid,
    /// How fresh a read must be.
    pub consistency: Consistency,
    /// Makes a write idempotent.
    pub request_id: Option<RequestId>,
    /// When the client stops waiting, in [`crate::Now::monotonic_ms`]; `u64::MAX` for never.
    pub deadline_ms: u64,
}

impl Request {
    /// A request of `caller` with no session, no condition and no deadline.
    #[must_use]
    pub fn new(op: Op, caller: Arc<Caller>) -> Request {
        Request {
            op,
            caller,
            session: None,
            min_zxid: Zxid::ZERO,
            consistency: Consistency::default(),
            request_id: None,
            deadline_ms: u64::MAX,
        }
    }
}

/// How fresh the state that a read sees must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Whatever this server has applied, however old: also when it has lost touch with its ensemble.
    Local,
    /// At least the session's own earlier writes and `min_zxid`, and nothing that the ensemble has left behind for more
    /// than some seconds.
    #[default]
    Session,
    /// Every write that was acknowledged to anybody before the read was sent.
    Linearizable,
}

/// The name of a write within its session (or, without one, for its caller), after RIFL (Lee et al., SOSP 2015): the
/// server remembers the result of `sequence` until the client says that it has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// Distinguishes clients that share an identity and have no session; 0 within a session.
    pub client: u128,
    /// Grows with every new request of the client.
    pub sequence: u64,
    /// The client has seen the results of all requests up to and including this one.
    pub acknowledged_through: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// One change of the tree.
    Write(WriteOp),
    /// Several, all or nothing; later ones see what earlier ones did.
    Multi(Vec<WriteOp>),
    /// Deletes a znode and all below it in one txn.
    DeleteTree {
        /// The top of what is deleted.
        path: Path,
        /// Refuse with [`crate::Code::TooMany`] if more znodes than this would go; at most
        /// [`crate::limits::DELETE_TREE_MAX`].
        max: u32,
    },
    /// One read of the tree; leaves a one-shot watch if `watch` is set (a ZooKeeper client's `watch` flag).
    Read {
        /// What to read.
        op: ReadOp,
        /// Leave a one-shot watch.
        watch: bool,
    },
    /// Several reads of one state; each succeeds or fails by itself.
    MultiRead(Vec<ReadOp>),
    /// Waits until this server has applied everything that was committed when the request arrived at the leader.
    Sync,
    /// Opens a session.
    OpenSession {
        /// Asked for, in milliseconds; what is granted lies within the server's bounds.
        timeout_ms: u32,
        /// Drawn at random by the door.
        secret: SessionSecret,
    },
    /// Tells the outbox when the request's session ends.
    AttachSession {
        /// Makes the outbox the one that speaks for the session, and fences the one that did so far.
        exclusive: bool,
    },
    /// Ends the request's session and deletes its ephemerals.
    CloseSession,
    /// Keeps the request's session alive, as any other request of it does.
    Touch,
    /// Begins, ends or asks after watches of this outbox.
    Watch(WatchOp),
    /// Streams a znode and everything below it as of one zxid, parents first; the reply comes last.
    StreamTree(StreamTree),
    /// Waits until a snapshot on this server's disk holds everything that was applied here when the request was looked at.
    Snapshot,
    /// A step in replacing the whole state by that of a backup.
    Restore(Restore),
    /// What this server is, does and holds.
    Status,
    /// The ensemble's servers, as its leader knows them; as this server does, if the leader cannot be asked.
    Members,
    /// Changes which servers the ensemble has. Answered once the new configuration is the only one that counts.
    Reconfigure {
        /// How.
        change: MembersChange,
        /// The configuration has this version. If it is what it is to become, that does not matter: nothing is done.
        if_version: Option<Zxid>,
    },
    /// Hands leadership over. Answered once somebody else leads.
    TransferLeadership {
        /// To whom; `None` for whoever has come furthest.
        target: Option<ServerId>,
    },
}

/// What has to hold of a znode for a change of it to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// Its version (of the data; for `SetAcl`, of the ACL) is this one.
    Version(i32),
    /// It was last changed by this txn. Unlike a version, this also notices that it was deleted and created again.
    Mzxid(Zxid),
    /// It does not exist ([`WriteOp::Check`] only: in a multi, a guard against its creation).
    NotExists,
}

/// One change of the tree, or a guard in a multi.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteOp {
    /// Creates a znode.
    Create {
        /// Where; a sequential mode appends to it. It may then end with `/`: see [`Path::new_sequential_prefix`].
        path: Path,
        /// `None` is null, which differs from empty.
        data: Option<Bytes>,
        /// As the client wrote it: the leader resolves `auth` and refuses what is invalid.
        acl: Vec<AclEntry>,
        /// What kind of znode.
        mode: CreateMode,
        /// Create missing ancestors as persistent znodes with the same ACL.
        parents: bool,
    },
    /// Deletes a znode that has no children.
    Delete {
        /// Which.
        path: Path,
        /// What has to hold.
        precondition: Precondition,
    },
    /// Sets a znode's data.
    SetData {
        /// Which.
        path: Path,
        /// `None` is null, which differs from empty.
        data: Option<Bytes>,
        /// What has to hold.
        precondition: Precondition,
        /// If there is no such znode and no precondition, create it: persistent, with this ACL.
        create: Option<Vec<AclEntry>>,
    },
    /// Sets a znode's ACL.
    SetAcl {
        /// Which.
        path: Path,
        /// As the client wrote it: the leader resolves `auth` and refuses what is invalid.
        acl: Vec<AclEntry>,
        /// What has to hold; [`Precondition::Version`] is that of the ACL.
        precondition: Precondition,
    },
    /// Changes nothing; in a multi, the others are made only if this holds.
    Check {
        /// Which.
        path: Path,
        /// What has to hold; [`Precondition::None`] means that the znode exists.
        precondition: Precondition,
    },
}

impl WriteOp {
    /// The znode that is to be changed.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            WriteOp::Create { path, .. }
            | WriteOp::Delete { path, .. }
            | WriteOp::SetData { path, .. }
            | WriteOp::SetAcl { path, .. }
            | WriteOp::Check { path, .. } => path,
        }
    }
}

/// One read of the tree.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadOp {
    /// Data and stat.
    Get {
        /// Which.
        path: Path,
    },
    /// The stat, or that there is no such znode.
    Exists {
        /// Which.
        path: Path,
    },
    /// A page of the children, in the order of their names' bytes.
    Children {
        /// Whose.
        path: Path,
        /// Only names after this one; empty for the first page.
        after: String,
        /// At most so many, up to [`crate::limits::CHILDREN_PAGE_MAX`]; 0 for that maximum.
        limit: u32,
        /// With each child's stat.
        with_stat: bool,
        /// With each child's data (and stat), where its ACL lets the caller read it.
        with_data: bool,
    },
    /// ACL and stat.
    GetAcl {
        /// Whose.
        path: Path,
    },
    /// What the caller may do with a znode, and by which entries of its ACL.
    Access {
        /// Which.
        path: Path,
    },
    /// The paths of the session's ephemerals that begin with `prefix`.
    Ephemerals {
        /// A prefix of the string, not of the path's components; empty for all.
        prefix: String,
    },
    /// How many znodes lie below the path.
    CountDescendants {
        /// Below which.
        path: Path,
    },
}

/// Begins, ends or asks after watches.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchOp {
    /// Begins a streaming watch.
    Create(StreamWatch),
    /// Ends one.
    Cancel(WatchId),
    /// Adds a ZooKeeper watch that stays until it is removed.
    AddPersistent {
        /// Which znode.
        path: Path,
        /// All below it too; then without child events.
        recursive: bool,
    },
    /// Removes ZooKeeper watches of this outbox at exactly this path.
    RemovePersistent {
        /// Where.
        path: Path,
        /// Which of them.
        class: WatchClass,
        /// Only ask whether there are any.
        check_only: bool,
    },
    /// Restores ZooKeeper watches after a reconnect; those that missed a change fire at once.
    Restore {
        /// What the client had seen.
        since: Zxid,
        /// One-shot watches on data.
        data: Vec<Path>,
        /// One-shot watches on existence of what did not exist.
        exists: Vec<Path>,
        /// One-shot watches on children.
        children: Vec<Path>,
        /// Persistent ones.
        persistent: Vec<Path>,
        /// Persistent recursive ones.
        recursive: Vec<Path>,
    },
}

/// A set of ZooKeeper watches (`org.apache.zookeeper.Watcher.WatcherType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchClass {
    /// One-shot, on children.
    Children,
    /// One-shot, on data or existence.
    Data,
    /// All of them.
    Any,
    /// Persistent.
    Persistent,
    /// Persistent and recursive.
    PersistentRecursive,
}

/// What a streaming watch is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchScope {
    /// The znode itself: creation, change of data, deletion.
    #[default]
    Node,
    /// The znode's direct children coming and going, and the znode itself doing so.
    Children,
    /// The znode and everything below it.
    Recursive,
}

/// A streaming watch as a client asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamWatch {
    /// Chosen by the client.
    pub id: WatchId,
    /// Which znode; it need not exist.
    pub path: Path,
    /// What about it.
    pub scope: WatchScope,
    /// Begin after this change: `None` begins with what happens from now on.
    pub start: Option<Resume>,
    /// First the present state as `Created` events at one zxid, then a marker, then changes. Not with `start`.
    pub send_initial: bool,
    /// Events carry the znode's data.
    pub with_data: bool,
    /// Events carry the data before the change, where known.
    pub with_previous_data: bool,
    /// Kinds of change that are not wanted.
    pub exclude: ChangeFilter,
    /// A progress marker at least this often when nothing else is sent, in milliseconds; 0 for the server's default.
    pub progress_ms: u32,
}

/// A tree that is to be streamed, as a client asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamTree {
    /// The top.
    pub path: Path,
    /// With each znode's data.
    pub with_data: bool,
    /// Nothing that lies more levels below the top; `u32::MAX` for everything.
    pub depth_max: u32,
}

/// Where a resumed watch goes on: strictly after the change `(zxid, index)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resume {
    /// The txn of the last change seen.
    pub zxid: Zxid,
    /// The change's index within it; `u32::MAX` when the whole txn was seen.
    pub index: u32,
}

/// A set of [`crate::ChangeKind`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeFilter(pub u8);

impl ChangeFilter {
    /// The set with `kind` added.
    #[must_use]
    pub const fn with(self, kind: crate::ChangeKind) -> ChangeFilter {
        ChangeFilter(self.0 | 1 << kind as u8)
    }

    /// Whether `kind` is in the set.
    #[must_use]
    pub const fn contains(self, kind: crate::ChangeKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}
