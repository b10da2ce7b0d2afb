//! `Input`: what can happen to agreement, as plain data.

use alloc::vec::Vec;
use bytes::Bytes;
use quorate_types::{Epoch, Frame, ServerId, Zxid};

use crate::message::{ConnectionId, Message, Notification, Position};

/// Something that happened outside, to be stepped.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time has passed. Due at [`crate::Zab::wake_ms`] at the latest; earlier or later does no harm but delay.
    Tick,
    /// Every disk operation that was submitted with a token up to this one is durable.
    Synced(u64),
    /// Answers [`crate::Output::ReadLog`].
    LogRead {
        /// Of the request.
        token: u64,
        /// What was read.
        read: LogRead,
    },
    /// The log holds nothing at or before this zxid any more: it was purged.
    Purged(Zxid),
    /// A snapshot of this server's state was written and verified, and can be sent to learners.
    SnapshotTaken(Position),
    /// The link to a server came up: what is sent to it now will probably arrive.
    LinkUp(ServerId),
    /// The link to a server broke, or cannot be opened.
    LinkDown(ServerId),
    /// A server has said this on its link to this one.
    Notified {
        /// Who.
        from: ServerId,
        /// What.
        notification: Notification,
    },
    /// A session began.
    Connected {
        /// Its number.
        connection: ConnectionId,
        /// The server at the other end, proven.
        peer: ServerId,
        /// Who began it.
        origin: Origin,
    },
    /// [`crate::PeerOutput::Dial`] did not succeed.
    DialFailed {
        /// Who was dialed.
        peer: ServerId,
    },
    /// A session ended. Nothing more of it comes in.
    Disconnected(ConnectionId),
    /// Something was said in a session.
    Message {
        /// The session.
        connection: ConnectionId,
        /// What was said.
        message: Message,
    },
    /// Bytes of the snapshot that [`crate::PeerOutput::ReceiveSnapshot`] asked for have come in, or were verified.
    SnapshotProgress(ConnectionId),
    /// That snapshot is complete and durable aside, verified, and readable by the replica.
    SnapshotReceived {
        /// The session that it belongs to.
        connection: ConnectionId,
        /// What it begins with.
        base: SnapshotBase,
    },
    /// That snapshot, or, on the leader's side, the one of [`crate::PeerOutput::SendSnapshot`], cannot be had. The learner
    /// will come again and ask for one, so whoever reports this should have paused before.
    SnapshotFailed(ConnectionId),
}

/// Who began a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This server: it wants to learn from the other one.
    Dialed,
    /// The other server.
    Accepted,
}

/// What a read of the log led to.
#[derive(Clone, Debug, PartialEq)]
pub enum LogRead {
    /// The records after `after`, in order; none if it is the last one that is durable.
    Found {
        /// The record that was named in the request, with its chain hash.
        after: Position,
        /// What follows it.
        frames: Vec<Frame>,
    },
    /// The log does not hold the place: it was purged, or never was there.
    NotInLog,
}

/// What agreement has to know of a snapshot: the same that it says of its own state, see
/// [`crate::History::snapshot_base`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotBase {
    /// The state is exactly that after this record.
    pub position: Position,
    /// Every epoch up to there with its last counter.
    pub epochs: Vec<(Epoch, u32)>,
    /// The configurations that are active there: [`crate::Configs::encode`].
    pub configs: Bytes,
}
