//! Watches, sessions kept alive, streamed trees, health, reflection.

use bytes::Bytes;
use quorate_proto::v1;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_proto::v1::watch_request::Action;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_replica::{Delivery, Order, SessionEnd, WatchItem};
use quorate_types::{
    Acl, ChangeFilter, ChangeKind, Code, Error, NodeKind, Op, Reply, Resume, SessionId, Stat, StreamWatch, TreeNode,
    WatchId, WatchOp, WatchScope, Zxid,
};
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::check_status;
use super::script::{Script, requests};

fn told(watches: &[u64], item: WatchItem) -> Delivery {
    Delivery::Watch { watches: watches.iter().map(|id| WatchId(*id)).collect(), item }
}

fn canceled(error: Option<Code>) -> WatchItem {
    let error = error.map(|code| Error::new(code, ""));
    WatchItem::Canceled { error, resume: Zxid(7), compacted: None }
}

fn create(id: u64, path: &str) -> v1::WatchCreate {
    v1::WatchCreate { watch_id: id, path: path.into(), ..Default::default() }
}

#[tokio::test]
async fn a_malformed_watch_ends_the_one_that_has_its_name() {
    let (mut script, client) = Script::connected().await;
    let (requests, stream) = requests();
    let mut watches = WatchServiceClient::new(client);
    let (responses, (peer, _)) = tokio::join!(watches.watch(stream), script.opened());
    let mut responses = responses.unwrap().into_inner();
    requests.send(v1::WatchRequest { action: Some(Action::Create(create(1, "/a"))) });
    script.batch().await;
    peer.deliver([told(&[1], WatchItem::Created(Zxid(5)))]);
    assert_eq!(responses.message().await.unwrap().unwrap().items.len(), 1);
    requests.send(v1::WatchRequest { action: Some(Action::Create(create(1, "relative"))) });
    let batch = script.batch().await;
    assert!(matches!(batch[0].1.op, Op::Watch(WatchOp::Cancel(WatchId(1)))), "{batch:?}");
    // What it still tells comes before its end.
    peer.deliver([told(&[1], WatchItem::Progress(Zxid(6))), told(&[1], canceled(None))]);
    let mut items = Vec::new();
    while items.len() < 2 {
        items.extend(responses.message().await.unwrap().unwrap().items);
    }
    let Some(v1::watch_item::Item::Canceled(end)) = &items[1].item else { panic!("{items:?}") };
    assert_eq!(end.error.as_ref().unwrap().reason(), v1::ErrorReason::InvalidPath);
    assert_eq!(end.resume_zxid, 7);
}

#[tokio::test]
async fn a_watch_stream_lasts_as_long_as_its_watches() {
    let (mut script, client) = Script::connected().await;
    let (requests, stream) = requests();
    let mut watches = WatchServiceClient::new(client);
    let (responses, (peer, order)) = tokio::join!(watches.watch(stream), script.opened());
    assert_eq!(order, Order::None);
    let mut responses = responses.unwrap().into_inner();

    let wanted = v1::WatchCreate {
        kind: v1::WatchKind::Recursive.into(),
        start_zxid: Some(5),
        with_data: true,
        exclude: vec![v1::EventType::Deleted.into()],
        ..create(1, "/a")
    };
    requests.send(v1::WatchRequest { action: Some(Action::Create(wanted)) });
    let batch = script.batch().await;
    let Op::Watch(WatchOp::Create(watch)) = &batch[0].1.op else { panic!("{batch:?}") };
    let expected = StreamWatch {
        id: WatchId(1),
        path: quorate_types::Path::new("/a").unwrap(),
        scope: WatchScope::Recursive,
        start: Some(Resume { zxid: Zxid(5), index: u32::MAX }),
        send_initial: false,
        with_data: true,
        with_previous_data: false,
        exclude: ChangeFilter::default().with(ChangeKind::Deleted),
        progress_ms: 0,
    };
    assert_eq!(*watch, expected);
    peer.deliver([told(&[1], WatchItem::Created(Zxid(5)))]);
    let message = responses.message().await.unwrap().unwrap();
    assert!(message.header.is_some());
    assert_eq!(message.items[0].watch_ids, [1]);

    requests.send(v1::WatchRequest { action: Some(Action::Cancel(v1::WatchCancel { watch_id: 9 })) });
    script.batch().await;
    peer.deliver([told(&[9], canceled(Some(Code::NoWatcher)))]);
    responses.message().await.unwrap().unwrap();

    // Half-closed: what goes on is told.
    drop(requests);
    peer.deliver([told(&[1], WatchItem::Progress(Zxid(6)))]);
    responses.message().await.unwrap().unwrap();
    peer.deliver([told(&[1], canceled(None))]);
    let message = responses.message().await.unwrap().unwrap();
    let Some(v1::watch_item::Item::Canceled(end)) = &message.items[0].item else { panic!("{message:?}") };
    assert_eq!((end.error.is_none(), end.resume_zxid), (true, 7));
    assert!(responses.message().await.unwrap().is_none());
    assert_eq!(script.closed().await, peer.id());
}

#[tokio::test]
async fn a_watch_that_is_refused_does_not_end_the_others() {
    let (mut script, client) = Script::connected().await;
    let (requests, stream) = requests();
    let mut watches = WatchServiceClient::new(client);
    let (responses, (peer, _)) = tokio::join!(watches.watch(stream), script.opened());
    let mut responses = responses.unwrap().into_inner();
    requests.send(v1::WatchRequest { action: Some(Action::Create(create(1, "/a"))) });
    requests.send(v1::WatchRequest { action: Some(Action::Create(v1::WatchCreate { kind: 77, ..create(2, "/a") })) });
    let message = responses.message().await.unwrap().unwrap();
    let Some(v1::watch_item::Item::Canceled(end)) = &message.items[0].item else { panic!("{message:?}") };
    assert_eq!(message.items[0].watch_ids, [2]);
    assert_eq!(end.error.as_ref().unwrap().reason(), v1::ErrorReason::BadArguments);
    script.batch().await;
    peer.deliver([told(&[1], WatchItem::Created(Zxid(5)))]);
    assert_eq!(responses.message().await.unwrap().unwrap().items[0].watch_ids, [1]);
}

#[tokio::test]
async fn a_subscription_ends_with_its_last_watch() {
    let (mut script, client) = Script::connected().await;
    let mut watches = WatchServiceClient::new(client);
    let request = v1::SubscribeRequest { watches: vec![create(1, "/a"), create(2, "/b")] };
    let (responses, (peer, _)) = tokio::join!(watches.subscribe(request), script.opened());
    let mut responses = responses.unwrap().into_inner();
    assert_eq!(script.batch().await.len(), 2);
    peer.deliver([
        told(&[1], WatchItem::Created(Zxid(5))),
        told(&[2], WatchItem::Created(Zxid(5))),
        told(&[1], canceled(Some(Code::Lagged))),
    ]);
    assert_eq!(responses.message().await.unwrap().unwrap().items.len(), 3);
    peer.deliver([told(&[2], canceled(Some(Code::Compacted)))]);
    assert_eq!(responses.message().await.unwrap().unwrap().items.len(), 1);
    assert!(responses.message().await.unwrap().is_none());

    let status = watches.subscribe(v1::SubscribeRequest { watches: vec![] }).await.unwrap_err();
    check_status(&status, tonic::Code::InvalidArgument, "BAD_ARGUMENTS");
    let request = v1::SubscribeRequest { watches: vec![create(1, "/a"), create(2, "b")] };
    let status = watches.subscribe(request).await.unwrap_err();
    check_status(&status, tonic::Code::InvalidArgument, "INVALID_PATH");
    assert_eq!(status.message(), "watches[1].path: a path begins with '/'");
}

#[tokio::test]
async fn a_session_is_kept_alive_and_its_end_is_told() {
    let (mut script, client) = Script::connected().await;
    let (requests, stream) = requests();
    let mut sessions = SessionServiceClient::new(client);
    let (responses, (peer, order)) = tokio::join!(sessions.keep_alive(stream), script.opened());
    assert_eq!(order, Order::Fifo);
    let mut responses = responses.unwrap().into_inner();
    let session = v1::SessionCredential { session_id: 0x2a, secret: Bytes::from_static(&[7; 16]) };
    requests.send(v1::KeepAliveRequest { session: Some(session) });
    let batch = script.batch().await;
    assert_eq!(batch[0].1.op, Op::AttachSession { exclusive: false });
    assert_eq!(batch[1].1.op, Op::Touch);
    assert!(batch.iter().all(|(_, request)| request.session.unwrap().0 == SessionId(0x2a)));
    peer.reply(batch[0].0, Zxid(5), Ok(Reply::Session { id: SessionId(0x2a), timeout_ms: 9_000 }));
    peer.reply(batch[1].0, Zxid(5), Ok(Reply::Touched { timeout_ms: 9_000 }));
    let message = responses.message().await.unwrap().unwrap();
    assert_eq!((message.state(), message.timeout_ms), (v1::SessionState::Alive, 9_000));
    assert!(message.header.is_some());

    requests.send(v1::KeepAliveRequest { session: None });
    assert_eq!(script.batch().await.len(), 1);
    peer.deliver([Delivery::Session { id: SessionId(0x2a), end: SessionEnd::Expired }]);
    assert_eq!(responses.message().await.unwrap().unwrap().state(), v1::SessionState::Expired);
    assert!(responses.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_that_names_no_session_keeps_none_alive() {
    let (_script, client) = Script::connected().await;
    let (requests, stream) = requests();
    requests.send(v1::KeepAliveRequest { session: None });
    let mut sessions = SessionServiceClient::new(client);
    let mut responses = sessions.keep_alive(stream).await.unwrap().into_inner();
    let status = responses.message().await.unwrap_err();
    check_status(&status, tonic::Code::FailedPrecondition, "SESSION_REQUIRED");
}

#[tokio::test]
async fn a_tree_is_streamed_in_parts_with_acls_only_if_asked() {
    for with_acl in [false, true] {
        let (mut script, client) = Script::connected().await;
        let mut znodes = ZnodeServiceClient::new(client);
        let request = v1::StreamTreeRequest { path: "/a".into(), with_data: true, with_acl, ..Default::default() };
        let (responses, (peer, _)) = tokio::join!(znodes.stream_tree(request), script.opened());
        let mut responses = responses.unwrap().into_inner();
        let batch = script.batch().await;
        let tag = batch[0].0;
        let node = |path: &str| TreeNode {
            path: path.into(),
            stat: Stat::default(),
            data: Some(Bytes::new()),
            acl: Acl::OPEN,
            kind: NodeKind::Ttl { ttl_ms: 5 },
        };
        peer.deliver([Delivery::Tree { tag, zxid: Zxid(5), nodes: vec![node("/a")] }]);
        let message = responses.message().await.unwrap().unwrap();
        let (first, header) = (&message.nodes[0], message.header.unwrap());
        assert_eq!((message.zxid, header.server_id, first.path.as_str(), first.ttl_ms), (5, 1, "/a", 5));
        assert_eq!((first.mode(), first.acl.is_some()), (v1::CreateMode::Ttl, with_acl));
        peer.deliver([Delivery::Tree { tag, zxid: Zxid(5), nodes: vec![node("/a/b")] }]);
        peer.reply(tag, Zxid(5), Ok(Reply::TreeStreamed { zxid: Zxid(5) }));
        assert_eq!(responses.message().await.unwrap().unwrap().nodes[0].path, "/a/b");
        assert!(responses.message().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_tree_that_breaks_off_ends_with_an_error() {
    let (mut script, client) = Script::connected().await;
    let mut znodes = ZnodeServiceClient::new(client);
    let request = v1::StreamTreeRequest { path: "/a".into(), ..Default::default() };
    let (responses, (peer, _)) = tokio::join!(znodes.stream_tree(request), script.opened());
    let batch = script.batch().await;
    peer.reply(batch[0].0, Zxid(5), Err(Error::new(Code::Lagged, "")));
    let status = responses.unwrap().into_inner().message().await.unwrap_err();
    check_status(&status, tonic::Code::Aborted, "LAGGED");
}

#[tokio::test(start_paused = true)]
async fn health_is_serving_while_writes_are_served() {
    let (script, client) = Script::connected().await;
    let mut health = HealthClient::new(client);
    let ask = |service: &str| HealthCheckRequest { service: service.into() };
    let status = health.check(ask("")).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
    let mut watch = health.watch(ask("quorate.v1.ZnodeService")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    script.publish(Zxid(9), false);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let status = health.check(ask("quorate.v1.WatchService")).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
    assert_eq!(health.check(ask("other")).await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_all_services() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as OldClient;
    let (_script, client) = Script::connected().await;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(client.clone());
    let stream = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut responses = reflection.server_reflection_info(stream).await.unwrap().into_inner();
    let response = responses.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else { panic!("{response:?}") };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "quorate.v1.ClusterService",
        "quorate.v1.SessionService",
        "quorate.v1.WatchService",
        "quorate.v1.ZnodeService",
    ];
    assert_eq!(names, expected);

    let mut old = OldClient::new(client);
    let request = tonic_reflection::pb::v1alpha::ServerReflectionRequest::default();
    let stream = tokio_stream::once(request).chain(tokio_stream::pending());
    assert!(old.server_reflection_info(stream).await.is_ok());
}
