//! `Output`: what agreement wants done, or has decided, as plain data.
//!
//! Outputs are to be carried out in their order within a destination: the log, each connection, each link, the
//! replica. What depends on the disk is not there before the disk has reported.

use alloc::collections::BTreeMap;

use bytes::Bytes;
use quorate_types::{Epoch, Frame, Member, ServerId, Zxid};

use crate::message::{ConnectionId, Digest, Message, Notification, Position};

/// The promise of a server, durable before anybody hears of it: it will follow no leader of an epoch below
/// `epoch`, and in `epoch` none but `leader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// ZooKeeper's `acceptedEpoch`, f.p in the paper.
    pub epoch: Epoch,
    /// To whom; `None` before the first promise.
    pub leader: Option<ServerId>,
}

/// What is to be done or was decided, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    // ---- For the disk that holds log and meta record, in this order. Tokens come back through `Input::Synced`. ----
    /// Append this record to the log.
    Append {
        /// Comes back once it is durable.
        token: u64,
        /// The record.
        frame: Frame,
    },
    /// Make this promise durable.
    Promise {
        /// Comes back once it is durable.
        token: u64,
        /// The promise.
        promise: Promise,
    },
    /// Remove every record after this one.
    Truncate {
        /// Comes back once that is durable.
        token: u64,
        /// The last record to keep.
        after: Zxid,
    },
    /// Make it durable that this server counts again: it was amnesiac and is readmitted.
    Readmit {
        /// Comes back once it is durable.
        token: u64,
    },
    /// Make the received snapshot of this position, and an empty log after it, the current generation. The state of
    /// the replica becomes the snapshot's when the token has come back: see [`Output::Restored`].
    InstallSnapshot {
        /// Comes back once the switch is durable.
        token: u64,
        /// The position of the snapshot that [`crate::Input::SnapshotReceived`] has named.
        base: Position,
    },
    /// Read records, for a learner. Answered by [`crate::Input::LogRead`].
    ReadLog {
        /// Comes back with the answer. Not from the same sequence as the tokens of what is synced.
        token: u64,
        /// Read what follows this record ...
        after: Zxid,
        /// ... up to so many bytes, and at least one record if there is one.
        bytes_max: usize,
    },

    // ---- For the replica -------------------------------------------------------------------------------------------
    /// This record is committed and durable here: apply it.
    Deliver(Frame),
    /// The installed snapshot at this position is durable: its state takes the place of the present one.
    Restored(Position),
    /// This server leads in this epoch: everything before its marker is delivered. Comes again when an epoch ends in
    /// place and the next begins; in between [`crate::Zab::next_zxid`] says "later".
    Established(Epoch),
    /// This server follows, or observes, an established leader and has what the leader had committed by then.
    Following {
        /// The leader.
        leader: ServerId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// This server has no leader any more, and is none. Whatever was forwarded or proposed and not yet answered has an
    /// unknown outcome.
    Looking,
    /// A read, by the id that [`crate::Zab::read_index`] was given, may be answered once everything up to `zxid` is
    /// applied.
    ReadIndex {
        /// The caller's.
        id: u64,
        /// What the state has to contain.
        zxid: Zxid,
    },
    /// A learner's replica says this; its session is `connection`.
    FromLearner {
        /// Where an answer goes: see [`crate::Zab::to_learner`].
        connection: ConnectionId,
        /// Who says it.
        server: ServerId,
        /// Opaque.
        payload: Bytes,
    },
    /// The leader's replica says this.
    FromLeader(Bytes),
    /// What the leader states of its replicated state, to be compared with one's own at the same zxid.
    Digest(Digest),

    // ---- For the links ---------------------------------------------------------------------------------------------
    /// See there.
    Peer(PeerOutput),

    // ---- For everybody ---------------------------------------------------------------------------------------------
    /// This server must stop taking part until somebody has looked at it. No output follows.
    Halt(Halt),
}

/// What is to be done with the links to other servers and the sessions with them.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerOutput {
    /// These are the servers to keep a link with from now on, this one among them or not.
    MembersChanged(BTreeMap<ServerId, Member>),
    /// Say this on the link to a server. If the link is slow, only the newest need be kept; if it is down, nothing
    /// may be: whoever is at its other end next was not there when it was said.
    Notify {
        /// The other server.
        to: ServerId,
        /// What to say.
        notification: Notification,
    },
    /// Open a session with a server; ends in [`crate::Input::Connected`] or [`crate::Input::DialFailed`].
    Dial {
        /// The leader to be.
        to: ServerId,
    },
    /// Say this in a session.
    Send {
        /// The session.
        connection: ConnectionId,
        /// What to say.
        message: Message,
    },
    /// End a session, after what was to be said in it so far. Nothing more is to come in from it.
    Close {
        /// The session.
        connection: ConnectionId,
    },
    /// Stream the snapshot taken at `zxid` to the learner at the other end of this session, on a stream of its own.
    /// Until the session ends, neither it nor the log after it should be removed.
    SendSnapshot {
        /// Belongs to this session and ends with it.
        connection: ConnectionId,
        /// The learner.
        to: ServerId,
        /// The snapshot's.
        zxid: Zxid,
    },
    /// Receive the snapshot taken at `base` from the leader, put it aside, verify it. Answered by
    /// [`crate::Input::SnapshotProgress`] and [`crate::Input::SnapshotReceived`]. To be given up when the session ends.
    ReceiveSnapshot {
        /// Belongs to this session.
        connection: ConnectionId,
        /// The leader.
        from: ServerId,
        /// The snapshot's.
        base: Position,
    },
}

/// Why a server stops taking part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A committed configuration does not name this server any more.
    Removed {
        /// That configuration's.
        version: Zxid,
    },
    /// This server's history and an established leader's contradict each other where both are final.
    Diverged {
        /// The last place up to which they may agree.
        common: Zxid,
    },
}
