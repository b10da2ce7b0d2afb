//! Everything that a replica wants done, as plain data: one list for each kind of destination.
//!
//! Within a destination (the log, the snapshot writer, one outbox) effects are to be carried out in their order;
//! across destinations there is none. What must wait for the disk is simply not emitted before the disk reported.

use alloc::vec::Vec;
use bytes::Bytes;
use quorate_types::{
    ChangeKind, Epoch, Error, Event, Frame, OutboxId, Response, ServerId, SessionId, Tag, TreeNode, WatchId, Zxid,
};
use quorate_zab::{Halt, PeerOutput, Position};
use smallvec::SmallVec;

/// What one or more steps want done. Cleared and used again by the driver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// For the log thread, in order.
    pub disk: Vec<DiskOp>,
    /// What a batch made of `disk` says about the state besides its records.
    pub hint: Hint,
    /// For the snapshot thread, in order.
    pub snapshot: Vec<SnapshotOp>,
    /// For the outboxes, in order for each of them.
    pub outbox: Vec<(OutboxId, Delivery)>,
    /// For the links to other servers, in order for each link and session.
    pub peers: Vec<PeerOutput>,
    /// This server must not go on: see [`Halted`].
    pub halted: Option<Halted>,
}

/// Why a server must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halted {
    /// Agreement says so.
    Agreement(Halt),
    /// Its state differs from the leader's after this record, though both have applied the same. What it holds is wrong, and
    /// it has to begin anew from a copy of another server's.
    Diverged(Zxid),
}

impl Effects {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.disk.clear();
        self.snapshot.clear();
        self.outbox.clear();
        self.peers.clear();
    }
}

/// An operation on the log or the meta record. Tokens grow; [`crate::DiskInput::Synced`] with a token covers all
/// operations up to it.
#[derive(Clone, Debug, PartialEq)]
pub enum DiskOp {
    /// Append a record.
    Append {
        /// Covers this operation.
        token: u64,
        /// The record.
        frame: Frame,
    },
    /// Replace the promise in the meta record, before any later operation takes effect.
    Promise {
        /// Covers this operation.
        token: u64,
        /// The greatest epoch that this server has promised to a prospective leader.
        accepted_epoch: Epoch,
        /// That leader.
        accepted_leader: ServerId,
    },
    /// Remove every record after this one, durably.
    Truncate {
        /// Covers this operation.
        token: u64,
        /// The last record to keep.
        after: Zxid,
    },
    /// Make it durable that this server counts again.
    Readmit {
        /// Covers this operation.
        token: u64,
    },
    /// Begin a new generation with the snapshot that was received: the log is empty after it.
    Install {
        /// Covers this operation.
        token: u64,
        /// The snapshot's place.
        base: Position,
    },
    /// Read records for another server. Answered by [`crate::DiskInput::LogRead`].
    Read {
        /// Comes back with the answer; covers nothing.
        token: u64,
        /// Read what follows this record ...
        after: Zxid,
        /// ... up to so many bytes, and at least one record if there is one.
        bytes_max: usize,
    },
    /// Remove the records that are not needed after this snapshot. Needs no answer.
    Purge {
        /// The oldest snapshot that is kept.
        oldest_kept: Zxid,
    },
}

impl DiskOp {
    /// What [`crate::DiskInput::Synced`] has to reach for this operation to be durable; `None` if nobody waits for that.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        match self {
            DiskOp::Append { token, .. }
            | DiskOp::Promise { token, .. }
            | DiskOp::Truncate { token, .. }
            | DiskOp::Readmit { token }
            | DiskOp::Install { token, .. } => Some(*token),
            DiskOp::Read { .. } | DiskOp::Purge { .. } => None,
        }
    }
}

/// What the header of a log batch says, for a faster and safer restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// Everything up to here is committed.
    pub commit: Zxid,
    /// The digest of the state ...
    pub digest: u128,
    /// ... at this zxid.
    pub digest_zxid: Zxid,
}

/// An operation on the snapshots. At most one is being written, and after each chunk the replica waits for
/// [`crate::DiskInput::SnapshotReady`].
#[derive(Clone, Debug, PartialEq)]
pub enum SnapshotOp {
    /// Begin one.
    Begin {
        /// The state that it will hold.
        zxid: Zxid,
        /// The chain hash of the history up to there.
        chain: u64,
        /// Every epoch so far with its last counter.
        epochs: Vec<(Epoch, u32)>,
        /// The configurations of the ensemble that are active there, as agreement writes them.
        configs: Bytes,
    },
    /// A part of the state.
    Chunk(Bytes),
    /// The state is complete: make it durable, read it back, verify it, give it its name.
    Finish {
        /// The digest of the state.
        digest: u128,
        /// Its znodes.
        znodes: u64,
    },
    /// The snapshot that was received from a leader is the current generation since its [`DiskOp::Install`] is durable:
    /// what was there before may go, and so may whatever was being written of it.
    Adopt {
        /// The state that it holds.
        zxid: Zxid,
    },
}

/// Something for a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// The answer to a request.
    Reply {
        /// The request's.
        tag: Tag,
        /// For a write, its txn; for a read, the state that it saw.
        zxid: Zxid,
        /// The answer.
        response: Response,
    },
    /// For streaming watches.
    Watch {
        /// Which; never empty.
        watches: SmallVec<[WatchId; 4]>,
        /// What they are told.
        item: WatchItem,
    },
    /// For a ZooKeeper client's watch.
    Notify {
        /// The change; [`ZkEvent::ChildrenChanged`] is told of the parent.
        event: ZkEvent,
        /// Where.
        path: alloc::string::String,
        /// The txn that did it; [`Zxid::ZERO`] for one that happened while the client was away.
        zxid: Zxid,
    },
    /// Part of a streamed tree.
    Tree {
        /// The `StreamTree` request's.
        tag: Tag,
        /// The state that the whole stream shows.
        zxid: Zxid,
        /// Some of its znodes.
        nodes: Vec<TreeNode>,
    },
    /// The session that the outbox is attached to is no longer what it was.
    Session {
        /// Which.
        id: SessionId,
        /// What became of it.
        end: SessionEnd,
    },
    /// Nothing more will come: deliver what is queued and close the connection.
    Close(Error),
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Nothing was heard of it for its timeout.
    Expired,
    /// It was closed.
    Closed,
    /// Another outbox speaks for it now.
    Moved,
}

/// What a streaming watch is told.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchItem {
    /// It has begun: every matching change after this txn will be told. Comes first.
    Created(Zxid),
    /// Changes of one txn that match, or a part of the initial state. Shared by all whom it goes to.
    Events(alloc::sync::Arc<[Event]>),
    /// The initial state, exact at this txn, is complete.
    Synced(Zxid),
    /// Everything up to this txn was told.
    Progress(Zxid),
    /// It has ended. Comes last.
    Canceled {
        /// Why; `None` if the client asked for it.
        error: Option<Error>,
        /// Everything up to this txn was told: another watch may go on from here.
        resume: Zxid,
        /// For [`quorate_types::Code::Compacted`]: the oldest zxid to resume from that is left.
        compacted: Option<Zxid>,
    },
}

/// What a ZooKeeper watch is told (`org.apache.zookeeper.Watcher.Event.EventType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZkEvent {
    /// The znode was created, deleted, or its data was set.
    Node(ChangeKind),
    /// A child was created or deleted.
    ChildrenChanged,
}
