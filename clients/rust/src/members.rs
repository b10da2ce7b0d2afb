//! `Members`: the servers of an ensemble, and what is known of them.

use std::time::Duration;

use bytes::Bytes;
use quorate_proto::v1;

use crate::{Header, Role};

/// The ensemble's servers, as its leader knows them; as the server that was asked does, if the leader cannot be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Who answered.
    pub header: Header,
    /// The server whose knowledge this is.
    pub told_by_id: u32,
    /// The leader that it knows; 0 if it knows none.
    pub leader_id: u32,
    /// The version of the configuration: the zxid of the change that led to it, 0 for that which the ensemble began with.
    pub version: u64,
    /// The version of the configuration that is being introduced, if one is.
    pub pending_version: Option<u64>,
    /// How many voters are a quorum.
    pub quorum: u32,
    /// Those who belong to the configuration, and those who learn without belonging to it, by their ids.
    pub members: Vec<Member>,
}

/// One server of the ensemble. What whoever tells does not know is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub server_id: u32,
    /// What it does.
    pub state: MemberState,
    /// What it is in the configuration; `None` if it is not in it: it has come to learn, and may be added.
    pub membership: Option<Membership>,
    /// How it is reached, if the configuration says so.
    pub address: Option<MemberAddress>,
    /// The last txn that it is known to have durably.
    pub zxid: Option<u64>,
    /// It is not sure to remember everything that it has acknowledged, and does not count until it has caught up.
    pub amnesiac: bool,
    /// It is being brought to the leader's state.
    pub synchronizing: bool,
    /// How many committed txns it lacks.
    pub behind: Option<u64>,
    /// For how long something has been committed that it lacks, to within 100 ms.
    pub lag: Option<Duration>,
    /// How long the leader's last ping and its answer took, to within a millisecond.
    pub latency: Option<Duration>,
}

/// What a server does, as another one sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// That is not known.
    #[default]
    Unknown,
    /// Whoever tells has no connection with it.
    Unreachable,
    /// It looks for a leader.
    Looking,
    /// It follows the leader and votes.
    Following,
    /// It leads.
    Leading,
    /// It learns from the leader and does not vote.
    Observing,
}

impl MemberState {
    /// In lower case, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MemberState::Unknown => "unknown",
            MemberState::Unreachable => "unreachable",
            MemberState::Looking => "looking",
            MemberState::Following => "following",
            MemberState::Leading => "leading",
            MemberState::Observing => "observing",
        }
    }
}

/// What a server is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Membership {
    /// It votes.
    #[default]
    Participant,
    /// It learns what was decided.
    Observer,
}

impl Membership {
    /// In lower case, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Membership::Participant => "participant",
            Membership::Observer => "observer",
        }
    }
}

/// The addresses of a server, each a name or an IP address with a port: `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberAddress {
    /// For the other servers.
    pub peer: String,
    /// For clients that speak gRPC.
    pub grpc: Option<String>,
    /// For clients that speak HTTP.
    pub http: Option<String>,
}

/// What a server is in a configuration, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSpec {
    /// Its id, 1 to 254.
    pub server_id: u32,
    /// What it is for.
    pub membership: Membership,
    /// How it is reached; `None` leaves that as it is, for a server that belongs to the ensemble already.
    pub address: Option<MemberAddress>,
}

/// A configuration that has come into force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconfigured {
    /// Who answered.
    pub header: Header,
    /// Its version.
    pub version: u64,
    /// All who belong to it, by their ids.
    pub members: Vec<MemberSpec>,
}

/// A hash of a server's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Which server's.
    pub header: Header,
    /// The last txn that it had applied.
    pub zxid: u64,
    /// 16 bytes, equal on all servers at the same zxid.
    pub digest: Bytes,
}

impl From<v1::MembersResponse> for Members {
    fn from(response: v1::MembersResponse) -> Members {
        Members {
            header: response.header.as_ref().map(Header::from).unwrap_or_default(),
            told_by_id: response.told_by_id,
            leader_id: response.leader_id,
            version: response.version,
            pending_version: response.pending_version,
            quorum: response.quorum,
            members: response.members.into_iter().map(Member::from).collect(),
        }
    }
}

impl From<v1::Member> for Member {
    fn from(member: v1::Member) -> Member {
        let state = match member.role().into() {
            _ if member.unreachable => MemberState::Unreachable,
            Role::Unknown => MemberState::Unknown,
            Role::Looking => MemberState::Looking,
            Role::Following => MemberState::Following,
            Role::Leading => MemberState::Leading,
            Role::Observing => MemberState::Observing,
        };
        Member {
            server_id: member.server_id,
            state,
            membership: membership(member.membership()),
            address: member.address.map(MemberAddress::from),
            zxid: member.zxid,
            amnesiac: member.amnesiac,
            synchronizing: member.synchronizing,
            behind: member.behind,
            lag: member.lag_ms.map(Duration::from_millis),
            latency: member.latency_ms.map(Duration::from_millis),
        }
    }
}

fn membership(membership: v1::Membership) -> Option<Membership> {
    match membership {
        v1::Membership::Unspecified => None,
        v1::Membership::Participant => Some(Membership::Participant),
        v1::Membership::Observer => Some(Membership::Observer),
    }
}

impl From<v1::MemberAddress> for MemberAddress {
    fn from(address: v1::MemberAddress) -> MemberAddress {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        MemberAddress { peer: address.peer, grpc: given(address.grpc), http: given(address.http) }
    }
}

impl From<MemberSpec> for v1::MemberSpec {
    fn from(spec: MemberSpec) -> v1::MemberSpec {
        let membership = match spec.membership {
            Membership::Participant => v1::Membership::Participant,
            Membership::Observer => v1::Membership::Observer,
        };
        let address = |address: MemberAddress| v1::MemberAddress {
            peer: address.peer,
            grpc: address.grpc.unwrap_or_default(),
            http: address.http.unwrap_or_default(),
        };
        v1::MemberSpec { server_id: spec.server_id, membership: membership.into(), address: spec.address.map(address) }
    }
}

impl From<v1::ReconfigureResponse> for Reconfigured {
    fn from(response: v1::ReconfigureResponse) -> Reconfigured {
        let spec = |spec: v1::MemberSpec| MemberSpec {
            server_id: spec.server_id,
            membership: membership(spec.membership()).unwrap_or_default(),
            address: spec.address.map(MemberAddress::from),
        };
        Reconfigured {
            header: response.header.as_ref().map(Header::from).unwrap_or_default(),
            version: response.version,
            members: response.members.into_iter().map(spec).collect(),
        }
    }
}

impl From<v1::DigestResponse> for Digest {
    fn from(response: v1::DigestResponse) -> Digest {
        Digest {
            header: response.header.as_ref().map(Header::from).unwrap_or_default(),
            zxid: response.zxid,
            digest: response.digest,
        }
    }
}
