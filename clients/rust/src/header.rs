//! `Header`: who answered, and from which state.

use quorate_proto::v1;

use crate::ZxidBound;

/// Comes with every answer: who gave it, and from which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The ensemble. Never changes while the ensemble's data lives.
    pub cluster_id: u64,
    /// The server, 1 to 254.
    pub server_id: u32,
    /// What that server was doing.
    pub role: Role,
    /// The epoch of the leader that it followed (or was).
    pub epoch: u32,
    /// The last txn that it had applied.
    pub zxid: u64,
}

impl Header {
    /// The state as a bound for a later call, to any server.
    #[must_use]
    pub fn bound(&self) -> ZxidBound {
        ZxidBound { cluster_id: self.cluster_id, zxid: self.zxid }
    }
}

impl From<&v1::ReplyHeader> for Header {
    fn from(header: &v1::ReplyHeader) -> Header {
        Header {
            cluster_id: header.cluster_id,
            server_id: header.server_id,
            role: header.role().into(),
            epoch: header.epoch,
            zxid: header.zxid,
        }
    }
}

/// What a server does in its ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Not said.
    #[default]
    Unknown,
    /// It looks for a leader and answers no writes.
    Looking,
    /// It follows a leader and votes.
    Following,
    /// It leads.
    Leading,
    /// It follows a leader and does not vote.
    Observing,
}

impl Role {
    /// In lower case, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Unknown => "unknown",
            Role::Looking => "looking",
            Role::Following => "following",
            Role::Leading => "leading",
            Role::Observing => "observing",
        }
    }
}

impl From<v1::Role> for Role {
    fn from(role: v1::Role) -> Role {
        match role {
            v1::Role::Unspecified => Role::Unknown,
            v1::Role::Looking => Role::Looking,
            v1::Role::Following => Role::Following,
            v1::Role::Leading => Role::Leading,
            v1::Role::Observing => Role::Observing,
        }
    }
}
