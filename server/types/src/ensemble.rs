//! `Ensemble`: its servers, as one of them knows them.

use alloc::vec::Vec;
use bytes::Bytes;

use crate::{Epoch, MemberRole, ServerId, Zxid};

/// The ensemble, as one of its servers knows it: the leader, if it can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ensemble {
    /// Whose knowledge this is.
    pub told_by: ServerId,
    /// The leader that it knows; `ServerId(0)` if it knows none.
    pub leader: ServerId,
    /// Of the last record in its log.
    pub epoch: Epoch,
    /// The version of the configuration.
    pub version: Zxid,
    /// The version of the configuration that is being introduced: until that is done, every decision needs a quorum of
    /// both.
    pub pending: Option<Zxid>,
    /// How many voters are a quorum; of the configuration that is being introduced, if one is.
    pub quorum: u8,
    /// Those who belong to a configuration, and those who learn from the leader without belonging to one, in the order of
    /// their ids.
    pub members: Vec<MemberStatus>,
}

/// One server of an ensemble. What is absent is not known to whoever tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Which.
    pub server: ServerId,
    /// What it is in the newest configuration; `None` if it is in none: it has come to learn, and may be added.
    pub role: Option<MemberRole>,
    /// How it is reached; opaque here, and empty if the configuration does not say.
    pub address: Bytes,
    /// What it does.
    pub state: MemberState,
    /// It is not sure to remember everything that it has acknowledged, and does not count until it is readmitted.
    pub is_amnesiac: bool,
    /// It is being brought to the leader's history, and does not count for anything that needs to be up to date.
    pub is_synchronizing: bool,
    /// The last record that it is known to have durably.
    pub zxid: Option<Zxid>,
    /// How many committed records it lacks.
    pub behind: Option<u64>,
    /// For how long, in milliseconds, something has been committed that it lacks, to within a ping's interval; 0 if it
    /// lacks nothing.
    pub lag_ms: Option<u64>,
    /// How long the last ping and its answer took, in milliseconds.
    pub latency_ms: Option<u64>,
}

/// What a server does, as another one, or it itself, sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum MemberState {
    /// Whoever tells does not know.
    #[default]
    Unknown = 0,
    /// Whoever tells has no connection with it.
    Unreachable = 1,
    /// It looks for a leader.
    Looking = 2,
    /// It follows the leader and votes.
    Following = 3,
    /// It leads.
    Leading = 4,
    /// It learns from the leader and does not vote.
    Observing = 5,
}
