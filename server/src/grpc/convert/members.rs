//! Who belongs to the ensemble: contract -> core and back. Addresses travel through the core as the bytes that the other
//! servers read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::{peer, v1};
use quorate_types::limits::ADDRESS_BYTES_MAX;
use quorate_types::{
    Ensemble, Member, MemberRole, MemberState, MemberStatus, MembersChange, NewMember, Op, Reply, Role, ServerId, Zxid,
};

use super::reply::Shape;
use super::stat::role;
use super::{Asked, Refusal};

type Header = Option<v1::ReplyHeader>;

/// A change of the members.
pub(in crate::grpc) fn reconfigure(request: v1::ReconfigureRequest) -> Result<Asked, Refusal> {
    use v1::reconfigure_request::Change;
    let v1::ReconfigureRequest { change, version } = request;
    let change = match change {
        None => return Err(Refusal::bad("change", "say either `members` or `steps`")),
        Some(Change::Members(v1::MemberList { members })) => {
            MembersChange::Whole(specs("members", members).map_err(|refusal| refusal.within("members"))?)
        }
        Some(Change::Steps(v1::MemberSteps { add, remove_ids })) => {
            let ids = remove_ids.into_iter().map(|id| server("remove_ids", id));
            let steps = specs("add", add)
                .and_then(|add| Ok(MembersChange::Steps { add, remove: ids.collect::<Result<BTreeSet<_>, _>>()? }));
            steps.map_err(|refusal| refusal.within("steps"))?
        }
    };
    Ok(Asked { op: Op::Reconfigure { change, if_version: version.map(Zxid) }, options: None })
}

/// A transfer of leadership.
pub(in crate::grpc) fn transfer_leadership(request: v1::TransferLeadershipRequest) -> Result<Asked, Refusal> {
    let target = request.server_id.map(|id| server("server_id", id)).transpose()?;
    Ok(Asked { op: Op::TransferLeadership { target }, options: None })
}

/// A question for the members.
pub(in crate::grpc) fn members(v1::MembersRequest {}: v1::MembersRequest) -> Result<Asked, Refusal> {
    Ok(Asked { op: Op::Members, options: None })
}

fn specs(field: &'static str, specs: Vec<v1::MemberSpec>) -> Result<BTreeMap<ServerId, NewMember>, Refusal> {
    let mut servers = BTreeMap::new();
    for (index, spec) in specs.into_iter().enumerate() {
        let at = |refusal: Refusal| refusal.within(format_args!("{field}[{index}]"));
        let (id, member) = new_member(spec).map_err(at)?;
        if servers.insert(id, member).is_some() {
            return Err(at(Refusal::bad("server_id", format!("server {id} is named twice"))));
        }
    }
    Ok(servers)
}

fn new_member(spec: v1::MemberSpec) -> Result<(ServerId, NewMember), Refusal> {
    let v1::MemberSpec { server_id, membership, address } = spec;
    let role = match v1::Membership::try_from(membership) {
        Ok(v1::Membership::Unspecified | v1::Membership::Participant) => MemberRole::Participant,
        Ok(v1::Membership::Observer) => MemberRole::Observer,
        Err(_) => return Err(Refusal::bad("membership", format!("{membership} is none that this server knows"))),
    };
    let address = address.map(|address| self::address(address).map_err(|refusal| refusal.within("address")));
    Ok((server("server_id", server_id)?, NewMember { role, address: address.transpose()? }))
}

fn server(field: &'static str, id: u32) -> Result<ServerId, Refusal> {
    let known = u8::try_from(id).ok().map(ServerId).filter(|id| (ServerId::MIN..=ServerId::MAX).contains(id));
    known.ok_or_else(|| Refusal::bad(field, format!("{id} is no server id: these are 1 to 254")))
}

fn address(address: v1::MemberAddress) -> Result<Bytes, Refusal> {
    let v1::MemberAddress { peer, grpc, http } = address;
    if peer.is_empty() {
        return Err(Refusal::bad("peer", "the other servers have to reach it"));
    }
    for (field, text) in [("peer", &peer), ("grpc", &grpc), ("http", &http)] {
        let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !text.is_empty() && !matches!(port, Some(Ok(1..))) {
            return Err(Refusal::bad(field, format!("{text:?} is not `host:port`")));
        }
    }
    let bytes = peer::v1::MemberAddress { peer, grpc, http }.encode_to_vec();
    if bytes.len() > ADDRESS_BYTES_MAX {
        return Err(Refusal::bad(
            "peer",
            format!("the addresses have {} bytes; {ADDRESS_BYTES_MAX} are allowed", bytes.len()),
        ));
    }
    Ok(bytes.into())
}

/// The answer to a question for the members.
pub(in crate::grpc) fn ensemble(reply: Reply, _: &Shape, header: Header) -> Option<v1::MembersResponse> {
    let Reply::Ensemble(ensemble) = reply else { return None };
    let Ensemble { told_by, leader, epoch: _, version, pending, quorum, members } = *ensemble;
    Some(v1::MembersResponse {
        header,
        told_by_id: told_by.0.into(),
        leader_id: leader.0.into(),
        version: version.0,
        pending_version: pending.map(|version| version.0),
        quorum: quorum.into(),
        members: members.into_iter().map(member).collect(),
    })
}

/// The answer to a change of the members.
pub(in crate::grpc) fn reconfigured(reply: Reply, _: &Shape, header: Header) -> Option<v1::ReconfigureResponse> {
    let Reply::Reconfigured(members) = reply else { return None };
    let spec = |(id, Member { role, address }): (ServerId, Member)| v1::MemberSpec {
        server_id: id.0.into(),
        membership: membership(Some(role)).into(),
        address: shown(address),
    };
    let version = members.version.0;
    Some(v1::ReconfigureResponse { header, version, members: members.servers.into_iter().map(spec).collect() })
}

/// The answer to a transfer of leadership.
pub(in crate::grpc) fn transferred(reply: Reply, _: &Shape, header: Header) -> Option<v1::TransferLeadershipResponse> {
    let Reply::LeadershipTransferred { leader } = reply else { return None };
    Some(v1::TransferLeadershipResponse { header, leader_id: leader.0.into() })
}

fn member(status: MemberStatus) -> v1::Member {
    let does = match status.state {
        MemberState::Unknown | MemberState::Unreachable => v1::Role::Unspecified,
        MemberState::Looking => role(Role::Looking),
        MemberState::Following => role(Role::Following),
        MemberState::Leading => role(Role::Leading),
        MemberState::Observing => role(Role::Observing),
    };
    v1::Member {
        server_id: status.server.0.into(),
        role: does.into(),
        zxid: status.zxid.map(|zxid| zxid.0),
        membership: membership(status.role).into(),
        address: shown(status.address),
        unreachable: status.state == MemberState::Unreachable,
        amnesiac: status.is_amnesiac,
        synchronizing: status.is_synchronizing,
        behind: status.behind,
        lag_ms: status.lag_ms,
        latency_ms: status.latency_ms,
    }
}

fn membership(role: Option<MemberRole>) -> v1::Membership {
    match role {
        None => v1::Membership::Unspecified,
        Some(MemberRole::Participant) => v1::Membership::Participant,
        Some(MemberRole::Observer) => v1::Membership::Observer,
    }
}

/// Addresses that cannot be read are those of a later version: as good as not said.
fn shown(address: Bytes) -> Option<v1::MemberAddress> {
    let peer::v1::MemberAddress { peer, grpc, http } = peer::v1::MemberAddress::decode(address).ok()?;
    (!peer.is_empty()).then_some(v1::MemberAddress { peer, grpc, http })
}
