//! `Message`: everything that two servers say to each other, and `Notification`, what a server says while it looks for
//! a leader.
//!
//! Messages travel on sessions: a learner dials its leader, and the connection is the session. It delivers in order and
//! without loss until it ends; when it ends, any suffix in either direction may be lost, and nothing of it arrives
//! afterwards. Notifications travel on links that are always kept up between any two members; there only the newest
//! matters, and old ones may be dropped.
//!
//! What a transport adds, and agreement therefore does not repeat: both ends have proven which server and which
//! ensemble they are before [`crate::Input::Connected`] or [`crate::Input::Notified`] names them.
//!
//! Property of every message: receiving it twice, or after what it belongs to has ended, changes nothing.

use alloc::vec::Vec;
use bytes::Bytes;
use quorate_types::{Epoch, Frame, Members, Role, ServerId, Zxid};

/// One session between two servers. The shell chooses the number and never uses it again in the life of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A place in the history: after the record `zxid`, with the chain hash of everything up to it. Two logs that agree on
/// a position are identical up to there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last record before this place; [`Zxid::ZERO`] at the beginning of all history.
    pub zxid: Zxid,
    /// The hash of the history up to and including that record; 0 at the beginning.
    pub chain: u64,
}

/// Whether what a server says may be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its disk has kept everything that it ever promised or acknowledged.
    Voter,
    /// It lost, or may have lost, something: it follows, but counts in no quorum until it is readmitted.
    Amnesiac,
}

/// The digest of the replicated state at one zxid. Agreement carries it and never looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// The state after this record; [`Zxid::ZERO`] if none is stated.
    pub zxid: Zxid,
    /// The digest of that state.
    pub value: u128,
}

/// How the learner's history becomes a prefix of the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Its log is a prefix already: it ends at the base.
    Diff,
    /// It has to remove everything after the base.
    Trunc,
    /// It has to install the snapshot taken at the base, in the place of everything that it has.
    Snap,
}

/// Why a leader does not want a learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server asked does not lead, or not any more.
    NotLeading {
        /// The leader, as far as it knows.
        hint: Option<ServerId>,
    },
    /// The learner was removed from the ensemble by a configuration that is committed.
    Removed {
        /// That configuration's.
        version: Zxid,
    },
    /// The learner has applied what the leader's history does not hold. One of the two disks lies; the learner must
    /// stop, and a human has to decide.
    Diverged {
        /// Where the two histories part.
        common: Zxid,
    },
}

/// What the two ends of a session say to each other. Every message but the first ones carries the epoch that it
/// belongs to; one of another epoch than the session's ends the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    // ---- From learner to leader -----------------------------------------------------------------------------------
    /// FOLLOWERINFO, OBSERVERINFO; CEPOCH in the paper. The first message of every session.
    FollowerInfo {
        /// The greatest epoch that the learner has promised (durably, as everything that a message states).
        accepted_epoch: Epoch,
        /// The version of the newest configuration that it knows to be committed.
        config_version: Zxid,
        /// Whether it counts, if the leader's own log says that it votes.
        standing: Standing,
    },
    /// ACKEPOCH; ACK-E in the paper. The promise is durable, and so is everything up to `last`.
    AckEpoch {
        /// The promised epoch.
        epoch: Epoch,
        /// `false`: it has promised this epoch to another leader before and cannot count for this one.
        counts: bool,
        /// The end of its log.
        last: Position,
        /// What it has applied; no snapshot of it is newer.
        delivered: Zxid,
        /// The epochs in its log from that of `delivered` on, each with its last counter, oldest first.
        epochs: Vec<(Epoch, u32)>,
    },
    /// It has promised an epoch above the leader's and cannot follow. The leader may begin a new epoch in place.
    NeedEpoch {
        /// The greatest epoch that it has promised.
        at_least: Epoch,
    },
    /// ACK, cumulative; with `durable` at or above the marker also the acknowledgement of NEWLEADER.
    Ack {
        /// The session's epoch.
        epoch: Epoch,
        /// Everything up to here is durable, and is a prefix of the leader's history.
        durable: Zxid,
        /// Amnesiac until its readmission is durable.
        standing: Standing,
    },
    /// Answers a ping at once.
    Pong {
        /// The ping's.
        epoch: Epoch,
        /// The ping's.
        seq: u64,
        /// What it has applied.
        delivered: Zxid,
        /// Grows whenever what it does for its synchronization gets on, also if nothing else shows it: bytes of the
        /// snapshot that it receives, for example. A leader gives up learners without progress.
        progress: u64,
    },
    /// A linearizable read, or a `sync`, wants to know what it has to wait for.
    ReadIndex {
        /// The session's epoch.
        epoch: Epoch,
        /// Chosen by the learner; a batch.
        ids: Vec<u64>,
    },
    /// Opaque: what the learner's replica says to the leader's, a forwarded request for example.
    ToLeader {
        /// The session's epoch.
        epoch: Epoch,
        /// Never looked at here.
        payload: Bytes,
    },

    // ---- From leader to learner -----------------------------------------------------------------------------------
    /// LEADERINFO; NEWEPOCH in the paper. Promise me this epoch. Comes again, within a session, when the leader begins
    /// a new epoch in place.
    LeaderInfo {
        /// Above everything that a quorum has promised. The leader's own promise of it is durable.
        epoch: Epoch,
    },
    /// DIFF, TRUNC or SNAP: how the learner's history becomes a prefix of the leader's. What follows `base` comes in
    /// appends, the marker of the epoch (NEWLEADER) among them; after a `Snap` not before the learner has acknowledged.
    SyncPlan {
        /// The session's epoch.
        epoch: Epoch,
        /// What is to be done.
        plan: Plan,
        /// For `Diff` and `Trunc` the longest common prefix of the two histories; for `Snap` the snapshot's place.
        base: Position,
        /// The learner joined before the epoch's discovery was finished: if it is amnesiac, the marker of this epoch in
        /// its log makes it a voter again, once the leader is established.
        readmits: bool,
    },
    /// PROPOSAL to followers, INFORM to observers (then all records are committed): records, in order.
    Append {
        /// The session's epoch.
        epoch: Epoch,
        /// What the first record continues: the end of what this session has sent so far.
        prev: Position,
        /// One after another. Never empty.
        frames: Vec<Frame>,
        /// COMMIT: everything up to here is committed.
        commit: Zxid,
        /// Of the leader's state.
        digest: Digest,
    },
    /// COMMIT, when there is no append that it could travel with.
    Commit {
        /// The session's epoch.
        epoch: Epoch,
        /// Everything up to here is committed.
        commit: Zxid,
        /// Of the leader's state.
        digest: Digest,
    },
    /// UPTODATE: the leader is established, and the learner has its marker.
    UpToDate {
        /// The session's epoch.
        epoch: Epoch,
        /// The leader's commit when it says so.
        commit: Zxid,
    },
    /// PING: answer at once.
    Ping {
        /// The session's epoch.
        epoch: Epoch,
        /// Grows with every ping of this leader.
        seq: u64,
        /// Everything up to here is committed.
        commit: Zxid,
        /// Of the leader's state.
        digest: Digest,
    },
    /// Answers reads: whoever has applied everything up to `zxid` may answer them.
    ReadIndexOk {
        /// The session's epoch.
        epoch: Epoch,
        /// The learner's.
        ids: Vec<u64>,
        /// Covers every write that was acknowledged to anyone before the reads arrived.
        zxid: Zxid,
    },
    /// Leadership goes to `target`: it begins discovery, and all others follow it, without an election.
    Handoff {
        /// The session's epoch.
        epoch: Epoch,
        /// Has everything that this leader has proposed.
        target: ServerId,
    },
    /// The learner is not wanted. The session ends.
    Refused(Refusal),
    /// Opaque: what the leader's replica says to the learner's.
    ToLearner {
        /// The session's epoch.
        epoch: Epoch,
        /// Never looked at here.
        payload: Bytes,
    },
}

/// What a server believes about who leads, or should. Only the newest of a sender matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// What the sender does.
    pub role: Role,
    /// The sender's logical clock of elections.
    pub round: u64,
    /// While looking, its vote, `None` from a server that does not vote; otherwise the leader that it follows or is.
    pub vote: Option<Vote>,
    /// The epoch of the leader that it follows or is; `None` while looking, and before the leader has one.
    pub epoch: Option<Epoch>,
    /// The newest configuration in the sender's log. Helps to find a leader, and never to count a quorum.
    pub members: Members,
    /// The sender looks for a leader, and has never logged anything nor promised anything to anybody: it is there for
    /// an ensemble to begin with. True when it is said; of use to nobody who started later.
    pub is_blank: bool,
    /// This answers a notification, so it is not answered again.
    pub is_answer: bool,
}

/// Who should lead. Ordered by what makes a better leader: the longer log first, then the priority, then the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// The end of the nominated server's durable log.
    pub last: Zxid,
    /// Its configured priority. Breaks ties, and only ties.
    pub priority: u8,
    /// The nominated server.
    pub leader: ServerId,
}

impl Message {
    /// The epoch that the message belongs to; `None` for those that come before there is one.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        match self {
            Message::FollowerInfo { .. } | Message::NeedEpoch { .. } | Message::Refused(_) => None,
            Message::AckEpoch { epoch, .. }
            | Message::Ack { epoch, .. }
            | Message::Pong { epoch, .. }
            | Message::ReadIndex { epoch, .. }
            | Message::ToLeader { epoch, .. }
            | Message::LeaderInfo { epoch }
            | Message::SyncPlan { epoch, .. }
            | Message::Append { epoch, .. }
            | Message::Commit { epoch, .. }
            | Message::UpToDate { epoch, .. }
            | Message::Ping { epoch, .. }
            | Message::ReadIndexOk { epoch, .. }
            | Message::Handoff { epoch, .. }
            | Message::ToLearner { epoch, .. } => Some(*epoch),
        }
    }
}
