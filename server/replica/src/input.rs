//! Everything that can happen to a replica, as plain data.

use alloc::boxed::Box;

use quorate_tree::Tree;
use quorate_types::{OutboxId, Request, Tag, WatchId, Zxid};
use quorate_zab::{ConnectionId, LogRead, SnapshotBase};

/// Something that happened outside, to be stepped.
#[derive(Debug)]
pub enum Input {
    /// Time passed. The shell steps one at least every [`crate::limits::TICK_MS`].
    Tick {
        /// Whatever a client had sent before this moment, on the monotonic clock, was stepped. A shell that holds clients
        /// up, because the disk is behind, says so here: nobody's session ends for want of a request that waits.
        heard_ms: u64,
    },
    /// A disk thread has something to report.
    Disk(DiskInput),
    /// A client, by way of its front door.
    Client(ClientInput),
    /// Another server, or the link to one.
    Peer(quorate_zab::Input),
    /// The snapshot that a leader has sent is whole, verified and decoded.
    SnapshotReceived {
        /// The session that it belongs to.
        connection: ConnectionId,
        /// What it begins with.
        base: SnapshotBase,
        /// The state that it holds.
        tree: Box<Tree>,
    },
}

/// What the disk threads report.
#[derive(Clone, Debug, PartialEq)]
pub enum DiskInput {
    /// All [`crate::effect::DiskOp`]s with a token up to this one are durable. What an earlier incarnation of this
    /// process asked for is ignored.
    Synced {
        /// That of the process that submitted the operations.
        incarnation: u64,
        /// The greatest token that is durable.
        token: u64,
    },
    /// The log has, or no longer has, room for more than what is already under way.
    Space {
        /// Refuse writes.
        low: bool,
    },
    /// The snapshot writer has taken the last chunk and can take another.
    SnapshotReady,
    /// A snapshot is on disk, was read back, and verified.
    SnapshotWritten {
        /// Of the state that it holds.
        zxid: Zxid,
        /// The chain hash of the history up to there.
        chain: u64,
        /// The oldest snapshot that is kept, once there are as many as are to be: the log before it is not needed.
        oldest_kept: Option<Zxid>,
    },
    /// Answers [`crate::DiskOp::Read`].
    LogRead {
        /// Of the operation.
        token: u64,
        /// What was read.
        read: LogRead,
    },
    /// A snapshot could not be written; what was written of it is gone. Not fatal: the log still has everything.
    SnapshotFailed,
}

/// What the front doors bring.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and is moved on at once")]
pub enum ClientInput {
    /// A new outbox, before anything else of it.
    Open {
        /// Never used before.
        outbox: OutboxId,
        /// How its replies are ordered.
        order: Order,
    },
    /// A request.
    Request {
        /// Where the reply goes.
        outbox: OutboxId,
        /// What the reply is matched with.
        tag: Tag,
        /// The request.
        request: Request,
    },
    /// The outbox has been read down to its low-water mark: what waits for room in it may go on.
    Ready {
        /// Which.
        outbox: OutboxId,
    },
    /// The outbox has canceled a watch that was read too slowly.
    Lagged {
        /// Which outbox.
        outbox: OutboxId,
        /// Which watch.
        watch: WatchId,
    },
    /// The client is gone. Nothing is delivered to this outbox any more.
    Closed {
        /// Which.
        outbox: OutboxId,
    },
}

/// How the replies of an outbox relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order of the requests; a read waits for the writes before it.
    Fifo,
    /// Each as soon as it is known: the requests came by themselves (unary calls).
    None,
}
