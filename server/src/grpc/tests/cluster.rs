//! What concerns the ensemble.

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::{peer, v1};
use quorate_types::{
    Code, Ensemble, Epoch, Error, Member, MemberRole, MemberState, MemberStatus, Members, MembersChange, NewMember, Op,
    Reply, ServerId, Status, Zxid,
};
use tonic_types::StatusExt as _;

use super::check_status;
use super::script::{Client, Script};

const FOUR: ServerId = ServerId(4);

async fn connected() -> (Script, ClusterServiceClient<Client>) {
    let (script, client) = Script::connected().await;
    (script, ClusterServiceClient::new(client))
}

/// The addresses of a server as the ensemble keeps them, and as clients see them.
fn addresses() -> (Bytes, v1::MemberAddress) {
    let (peer, grpc, http) = ("s4:7182".to_owned(), "s4:7181".to_owned(), String::new());
    let kept = peer::v1::MemberAddress { peer: peer.clone(), grpc: grpc.clone(), http: http.clone() };
    (kept.encode_to_vec().into(), v1::MemberAddress { peer, grpc, http })
}

fn told(server: u8, state: MemberState) -> MemberStatus {
    MemberStatus {
        server: ServerId(server),
        role: Some(MemberRole::Participant),
        address: Bytes::new(),
        state,
        is_amnesiac: false,
        is_synchronizing: false,
        zxid: None,
        behind: None,
        lag_ms: None,
        latency_ms: None,
    }
}

fn ensemble() -> Reply {
    let behind = MemberStatus {
        role: Some(MemberRole::Observer),
        address: addresses().0,
        is_synchronizing: true,
        zxid: Some(Zxid(4)),
        behind: Some(2),
        lag_ms: Some(300),
        latency_ms: Some(1),
        ..told(4, MemberState::Observing)
    };
    let joiner = MemberStatus { role: None, is_amnesiac: true, ..told(9, MemberState::Observing) };
    Reply::Ensemble(Box::new(Ensemble {
        told_by: ServerId(1),
        leader: ServerId(1),
        epoch: Epoch(1),
        version: Zxid(3),
        pending: Some(Zxid(5)),
        quorum: 2,
        members: vec![told(1, MemberState::Leading), told(2, MemberState::Unreachable), behind, joiner],
    }))
}

#[tokio::test]
async fn status_tells_of_the_replica_and_of_the_members() {
    let (mut script, mut cluster) = connected().await;
    let replica = async {
        for _ in 0..2 {
            let (tag, request) = script.call().await;
            let (applied, leader) = (Zxid(5), ServerId(1));
            let status = Status { serving: true, leader, applied, znodes: 12, digest: 1, ..Status::default() };
            let reply = match request.op {
                Op::Status => Reply::Status(Box::new(status)),
                Op::Members => ensemble(),
                other => panic!("{other:?}"),
            };
            script.answer(tag, Zxid(6), Ok(reply));
        }
    };
    let (response, ()) = tokio::join!(cluster.status(v1::StatusRequest {}), replica);
    let response = response.unwrap().into_inner();
    assert!(response.serving && response.leader_id == 1);
    assert_eq!(response.header.unwrap().zxid, 5, "the state that is told of, and not what came since");
    assert_eq!(response.members.len(), 4);
    let state = response.state.unwrap();
    assert_eq!((state.znodes, state.digest.len(), state.digest[15]), (12, 16, 1));
}

#[tokio::test]
async fn members_are_told_with_what_is_known_of_them() {
    let (mut script, mut cluster) = connected().await;
    let replica = async {
        let (tag, request) = script.call().await;
        assert_eq!(request.op, Op::Members);
        script.answer(tag, Zxid(6), Ok(ensemble()));
    };
    let (response, ()) = tokio::join!(cluster.members(v1::MembersRequest {}), replica);
    let response = response.unwrap().into_inner();
    assert_eq!((response.told_by_id, response.leader_id, response.quorum), (1, 1, 2));
    assert_eq!((response.version, response.pending_version), (3, Some(5)));
    let [leader, gone, behind, joiner] = &response.members[..] else { panic!("{:?}", response.members) };
    assert_eq!(
        (leader.role(), leader.unreachable, leader.lag_ms, leader.address.is_none()),
        (v1::Role::Leading, false, None, true)
    );
    assert_eq!((gone.role(), gone.unreachable, gone.zxid), (v1::Role::Unspecified, true, None));
    assert_eq!(behind.membership(), v1::Membership::Observer);
    assert_eq!((behind.zxid, behind.behind, behind.lag_ms, behind.latency_ms), (Some(4), Some(2), Some(300), Some(1)));
    assert_eq!((behind.synchronizing, behind.address.as_ref()), (true, Some(&addresses().1)));
    assert_eq!((joiner.membership(), joiner.amnesiac), (v1::Membership::Unspecified, true));
}

#[tokio::test]
async fn a_change_of_the_members_reaches_the_core_as_it_was_meant() {
    let (mut script, mut cluster) = connected().await;
    let spec = |server_id, membership: v1::Membership, address| v1::MemberSpec {
        server_id,
        membership: membership.into(),
        address,
    };
    let add = vec![spec(4, v1::Membership::Observer, Some(addresses().1)), spec(2, v1::Membership::Unspecified, None)];
    let steps = v1::MemberSteps { add: add.clone(), remove_ids: vec![3, 3] };
    let whole = v1::MemberList { members: add };
    use v1::reconfigure_request::Change;
    let asked = [(Change::Steps(steps), Some(3)), (Change::Members(whole), None)];
    let new = [
        (ServerId(2), NewMember { role: MemberRole::Participant, address: None }),
        (FOUR, NewMember { role: MemberRole::Observer, address: Some(addresses().0) }),
    ];
    let expected = [
        MembersChange::Steps { add: new.clone().into(), remove: [ServerId(3)].into() },
        MembersChange::Whole(new.into()),
    ];
    for ((change, version), expected) in asked.into_iter().zip(expected) {
        let replica = async {
            let (tag, request) = script.call().await;
            assert_eq!(request.op, Op::Reconfigure { change: expected, if_version: version.map(Zxid) });
            let four = Member { role: MemberRole::Observer, address: addresses().0 };
            let members = Members { version: Zxid(8), servers: [(FOUR, four)].into() };
            script.answer(tag, Zxid(9), Ok(Reply::Reconfigured(members)));
        };
        let request = v1::ReconfigureRequest { change: Some(change), version };
        let (response, ()) = tokio::join!(cluster.reconfigure(request), replica);
        let response = response.unwrap().into_inner();
        assert_eq!(response.version, 8);
        assert_eq!(response.members, [spec(4, v1::Membership::Observer, Some(addresses().1))]);
    }
}

#[tokio::test]
async fn a_change_that_makes_no_sense_does_not_reach_the_core() {
    let (_script, mut cluster) = connected().await;
    let spec = |server_id, address| v1::MemberSpec { server_id, membership: 0, address };
    let addressed = |peer: &str| Some(v1::MemberAddress { peer: peer.to_owned(), ..v1::MemberAddress::default() });
    let strange = v1::MemberSpec { membership: 7, ..spec(4, None) };
    for (members, field) in [
        (vec![spec(0, None)], "members.members[0].server_id"),
        (vec![spec(1, None), spec(255, None)], "members.members[1].server_id"),
        (vec![spec(4, None), spec(4, None)], "members.members[1].server_id"),
        (vec![strange], "members.members[0].membership"),
        (vec![spec(4, addressed(""))], "members.members[0].address.peer"),
        (vec![spec(4, addressed("host"))], "members.members[0].address.peer"),
        (vec![spec(4, addressed("host:0"))], "members.members[0].address.peer"),
        (vec![spec(4, addressed(":7182"))], "members.members[0].address.peer"),
        (vec![spec(4, addressed(&format!("{}:1", "a".repeat(4_096))))], "members.members[0].address.peer"),
    ] {
        let change = v1::reconfigure_request::Change::Members(v1::MemberList { members });
        let request = v1::ReconfigureRequest { change: Some(change), version: None };
        let status = cluster.reconfigure(request).await.unwrap_err();
        check_status(&status, tonic::Code::InvalidArgument, "BAD_ARGUMENTS");
        assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, field);
    }
    let nothing = cluster.reconfigure(v1::ReconfigureRequest::default()).await.unwrap_err();
    check_status(&nothing, tonic::Code::InvalidArgument, "BAD_ARGUMENTS");
    let nobody = v1::TransferLeadershipRequest { server_id: Some(300) };
    check_status(
        &cluster.transfer_leadership(nobody).await.unwrap_err(),
        tonic::Code::InvalidArgument,
        "BAD_ARGUMENTS",
    );
}

#[tokio::test]
async fn a_transfer_says_who_leads_or_why_not() {
    let (mut script, mut cluster) = connected().await;
    let replica = async {
        let (tag, request) = script.call().await;
        assert_eq!(request.op, Op::TransferLeadership { target: Some(FOUR) });
        script.answer(tag, Zxid(6), Ok(Reply::LeadershipTransferred { leader: FOUR }));
        let (tag, request) = script.call().await;
        assert_eq!(request.op, Op::TransferLeadership { target: None });
        script.answer(tag, Zxid(6), Err(Error::new(Code::ServersNotReady, "no other voter is up to date")));
    };
    let client = async {
        let to_four = v1::TransferLeadershipRequest { server_id: Some(4) };
        assert_eq!(cluster.transfer_leadership(to_four).await.unwrap().into_inner().leader_id, 4);
        let to_anybody = v1::TransferLeadershipRequest { server_id: None };
        let refused = cluster.transfer_leadership(to_anybody).await.unwrap_err();
        check_status(&refused, tonic::Code::FailedPrecondition, "SERVERS_NOT_READY");
        let violated = refused.get_error_details();
        assert_eq!(violated.precondition_failure().unwrap().violations[0].r#type, "SERVERS_NOT_READY");
    };
    tokio::join!(client, replica);
}

#[tokio::test]
async fn a_digest_goes_with_the_state_that_it_is_of() {
    let (mut script, mut cluster) = connected().await;
    let replica = async {
        let (tag, _) = script.call().await;
        let status = Status { applied: Zxid(5), digest: 0xff << 120, ..Status::default() };
        script.answer(tag, Zxid(6), Ok(Reply::Status(Box::new(status))));
    };
    let (response, ()) = tokio::join!(cluster.digest(v1::DigestRequest {}), replica);
    let response = response.unwrap().into_inner();
    assert_eq!((response.zxid, response.digest[0], response.digest.len()), (5, 0xff, 16));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_had_is_refused_with_the_reason() {
    let (mut script, mut cluster) = connected().await;
    let mut refused = async |reply, code: tonic::Code, reason: &str| {
        let replica = async {
            let (tag, request) = script.call().await;
            assert_eq!(request.op, Op::Snapshot);
            script.answer(tag, Zxid(6), reply);
        };
        let (response, ()) = tokio::join!(cluster.snapshot(v1::SnapshotRequest::default()), replica);
        let status = response.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert_eq!(status.get_error_details().error_info().unwrap().reason, reason);
    };
    let full = Error::new(Code::DiskFull, "no room");
    refused(Err(full), tonic::Code::ResourceExhausted, "DISK_FULL").await;
    // One that is purged before it is read.
    refused(Ok(Reply::SnapshotTaken { zxid: Zxid(6) }), tonic::Code::Unavailable, "UNAVAILABLE").await;
}
