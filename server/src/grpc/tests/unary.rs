//! Unary calls.

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use quorate_proto::v1;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_types::{
    Code, Consistency, Error, Op, Path, ReadOp, Reply, RequestId, SessionId, SessionSecret, Stat, WriteOp, Zxid,
};
use tonic::metadata::{BinaryMetadataValue, MetadataValue};
use tonic_types::StatusExt;

use super::check_status;
use super::script::{CLUSTER, Script};

fn get(path: &str) -> v1::GetRequest {
    v1::GetRequest { path: path.into(), options: None }
}

#[tokio::test]
async fn a_get_is_answered_with_data_stat_and_header() {
    let (mut script, client) = Script::connected().await;
    let mut znodes = ZnodeServiceClient::new(client);
    let replica = async {
        let (tag, request) = script.call().await;
        assert_eq!(request.op, Op::Read { op: ReadOp::Get { path: Path::new("/a").unwrap() }, watch: false });
        assert_eq!((request.session, request.consistency), (None, Consistency::Session));
        assert_eq!(request.deadline_ms, u64::MAX);
        let stat = Stat { mzxid: Zxid(5), version: -3, ..Stat::default() };
        script.answer(tag, Zxid(6), Ok(Reply::Data { data: Some(Bytes::from_static(b"x")), stat }));
    };
    let (response, ()) = tokio::join!(znodes.get(get("/a")), replica);
    let response = response.unwrap().into_inner();
    let header = response.header.unwrap();
    assert_eq!((header.cluster_id, header.server_id, header.epoch, header.zxid), (CLUSTER.0, 1, 1, 0x1_0000_0007));
    assert_eq!(header.role(), v1::Role::Leading);
    assert_eq!(response.data.as_deref(), Some(&b"x"[..]));
    assert_eq!((response.stat.unwrap().mzxid, response.stat.unwrap().version), (5, -3));
}

#[tokio::test]
async fn a_request_says_which_session_how_fresh_and_how_long() {
    let (mut script, client) = Script::connected().await;
    let mut znodes = ZnodeServiceClient::new(client);
    let options = v1::RequestOptions {
        min_zxid: Some(v1::ZxidBound { cluster_id: CLUSTER.0, zxid: 9 }),
        request_id: Some(v1::RequestId { client_id: Bytes::new(), sequence: 4, acknowledged_through: 3 }),
        ..v1::RequestOptions::default()
    };
    let mut request = tonic::Request::new(v1::SetDataRequest {
        path: "/a".into(),
        options: Some(options),
        ..v1::SetDataRequest::default()
    });
    request.metadata_mut().insert("quorate-session-id", MetadataValue::from_static("0x2a"));
    request.metadata_mut().insert_bin("quorate-session-secret-bin", BinaryMetadataValue::from_bytes(&[7; 16]));
    request.set_timeout(Duration::from_secs(60));
    let replica = async {
        let (tag, request) = script.call().await;
        assert_eq!(request.session, Some((SessionId(0x2a), SessionSecret([7; 16]))));
        assert_eq!((request.min_zxid, request.consistency), (Zxid(9), Consistency::Session));
        assert_eq!(request.request_id, Some(RequestId { client: 0, sequence: 4, acknowledged_through: 3 }));
        assert!((60_000..=70_000).contains(&request.deadline_ms), "{}", request.deadline_ms);
        script.answer(tag, Zxid(6), Ok(Reply::Created { path: "/a".into(), stat: Stat::default() }));
    };
    let (response, ()) = tokio::join!(znodes.set_data(request), replica);
    assert!(response.unwrap().into_inner().created);
}

#[tokio::test]
async fn an_error_of_the_core_is_a_status_with_details() {
    let (mut script, client) = Script::connected().await;
    let mut znodes = ZnodeServiceClient::new(client);
    let replica = async {
        let (tag, _) = script.call().await;
        script.answer(tag, Zxid(6), Err(Error::at(Code::NoNode, "/a", "there is no /a")));
    };
    let (response, ()) = tokio::join!(znodes.get(get("/a")), replica);
    let status = response.unwrap_err();
    check_status(&status, tonic::Code::NotFound, "NO_NODE");
    assert_eq!(status.message(), "there is no /a");
    assert_eq!(status.get_error_details().error_info().unwrap().metadata["zxid"], "0x6");
}

#[tokio::test]
async fn what_breaks_the_contract_does_not_reach_the_core() {
    let (_script, client) = Script::connected().await;
    let mut znodes = ZnodeServiceClient::new(client);

    let status = znodes.get(get("/a//b")).await.unwrap_err();
    check_status(&status, tonic::Code::InvalidArgument, "INVALID_PATH");
    assert_eq!(status.message(), "path: an empty component at byte 3");
    assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, "path");

    let options = v1::RequestOptions {
        min_zxid: Some(v1::ZxidBound { cluster_id: 0xbad, zxid: 9 }),
        ..v1::RequestOptions::default()
    };
    let status = znodes.get(v1::GetRequest { path: "/a".into(), options: Some(options) }).await.unwrap_err();
    check_status(&status, tonic::Code::OutOfRange, "ZXID_UNKNOWN");

    let mut request = tonic::Request::new(get("/a"));
    request.metadata_mut().insert("quorate-session-id", MetadataValue::from_static("2a"));
    let status = znodes.get(request).await.unwrap_err();
    check_status(&status, tonic::Code::InvalidArgument, "BAD_ARGUMENTS");

    let mut request = tonic::Request::new(get("/a"));
    request.metadata_mut().insert("grpc-timeout", MetadataValue::from_static("soon"));
    check_status(&znodes.get(request).await.unwrap_err(), tonic::Code::InvalidArgument, "BAD_ARGUMENTS");
}

#[tokio::test(start_paused = true)]
async fn an_expired_deadline_is_deadline_exceeded() {
    let (mut script, client) = Script::connected().await;
    let mut znodes = ZnodeServiceClient::new(client);
    let mut request = tonic::Request::new(get("/a"));
    request.set_timeout(Duration::from_millis(1_500));
    let begun = tokio::time::Instant::now();
    let status = znodes.get(request).await.unwrap_err();
    check_status(&status, tonic::Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert_eq!(begun.elapsed().as_millis(), 1_500);
    script.call().await;
}

#[tokio::test]
async fn sessions_are_opened_with_a_secret_of_their_own_and_closed() {
    let (mut script, client) = Script::connected().await;
    let mut sessions = SessionServiceClient::new(client);
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let replica = async {
            let (tag, request) = script.call().await;
            let Op::OpenSession { timeout_ms: 30_000, secret } = request.op else { panic!("{:?}", request.op) };
            script.answer(tag, Zxid(6), Ok(Reply::Session { id: SessionId(0x2a), timeout_ms: 20_000 }));
            secret
        };
        let (response, secret) = tokio::join!(sessions.open(v1::OpenRequest::default()), replica);
        let response = response.unwrap().into_inner();
        assert_eq!((response.session_id, response.timeout_ms), (0x2a, 20_000));
        assert_eq!(response.secret.as_ref(), secret.0);
        secrets.push(secret);
    }
    assert_ne!(secrets[0], secrets[1]);

    let session = v1::SessionCredential { session_id: 0x2a, secret: Bytes::copy_from_slice(&secrets[1].0) };
    let replica = async {
        let (tag, request) = script.call().await;
        assert_eq!((request.op, request.session), (Op::CloseSession, Some((SessionId(0x2a), secrets[1]))));
        script.answer(tag, Zxid(8), Ok(Reply::SessionClosed));
    };
    let (response, ()) = tokio::join!(sessions.close(v1::CloseRequest { session: Some(session) }), replica);
    assert!(response.unwrap().into_inner().header.is_some());
}

#[tokio::test]
async fn a_multi_tells_what_became_of_each_operation() {
    use v1::multi_operation::Operation;
    use v1::multi_result::Result as Outcome;
    let (mut script, client) = Script::connected().await;
    let mut znodes = ZnodeServiceClient::new(client);
    let operation = |operation| v1::MultiOperation { operation: Some(operation) };
    let acl = v1::Acl { entries: vec![v1::AclEntry { perms: 31, scheme: "world".into(), id: "anyone".into() }] };
    let operations = vec![
        operation(Operation::SetData(v1::SetDataRequest { path: "/a".into(), ..Default::default() })),
        operation(Operation::SetAcl(v1::SetAclRequest { path: "/a".into(), acl: Some(acl), ..Default::default() })),
        operation(Operation::Check(v1::CheckRequest { path: "/a".into(), precondition: None })),
    ];
    let replica = async {
        let (tag, request) = script.call().await;
        assert!(matches!(&request.op, Op::Multi(ops) if matches!(ops[2], WriteOp::Check { .. })));
        let changed = || Ok(Reply::Changed { stat: Stat::default() });
        script.answer(tag, Zxid(6), Ok(Reply::Multi(vec![changed(), changed(), Ok(Reply::Checked)])));
    };
    let (response, ()) = tokio::join!(znodes.multi(v1::MultiRequest { operations, options: None }), replica);
    let response = response.unwrap().into_inner();
    assert!(response.committed);
    let outcomes: Vec<_> = response.results.into_iter().map(|one| one.result.unwrap()).collect();
    assert!(matches!(outcomes[..], [Outcome::SetData(_), Outcome::SetAcl(_), Outcome::Check(_)]), "{outcomes:?}");
}

/// The paths of all methods of the contract.
fn methods() -> Vec<PathAndQuery> {
    let descriptors = prost_types::FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
    let mut methods = Vec::new();
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.push(path.parse().unwrap());
            }
        }
    }
    methods
}

#[tokio::test]
async fn every_method_of_the_contract_is_known() {
    let (mut script, client) = Script::connected().await;
    let replica = tokio::spawn(async move {
        loop {
            let (tag, _) = script.call().await;
            script.answer(tag, Zxid(6), Err(Error::new(Code::Unavailable, "")));
        }
    });
    let paths = methods();
    assert!(paths.len() >= 20, "{paths:?}");
    for path in paths {
        // These wait for messages of the client, of which there are none.
        let mut grpc = tonic::client::Grpc::new(client.clone());
        if ["/Channel", "/KeepAlive", "/Watch"].iter().any(|stream| path.path().ends_with(stream)) {
            continue;
        }
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let status = grpc.unary(tonic::Request::new(()), path.clone(), codec).await.unwrap_err();
        assert_ne!(status.code(), tonic::Code::Unimplemented, "{path}");
    }
    replica.abort();

    let mut grpc = tonic::client::Grpc::new(client);
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = PathAndQuery::from_static("/quorate.v1.ZnodeService/Frobnicate");
    let status = grpc.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
    check_status(&status, tonic::Code::Unimplemented, "UNIMPLEMENTED");
}
