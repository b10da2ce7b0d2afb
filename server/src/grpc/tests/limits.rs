//! What the door refuses, cuts off and bounds.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http_body::Body as _;
use quorate_proto::v1;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_replica::Delivery;
use quorate_types::{Reply, Stat, Zxid};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::check_status;
use super::script::{self, Client, Script, requests};
use crate::connection::Connection;
use crate::grpc::Config;

fn create(data: Bytes) -> v1::CreateRequest {
    v1::CreateRequest { path: "/a".into(), data: Some(data), ..Default::default() }
}

#[tokio::test]
async fn too_large_a_message_fails_alone() {
    let (mut script, door) = Script::new(Config { message_bytes_max: 1_000, ..Config::default() });
    let mut znodes =
        ZnodeServiceClient::new(script::connect(&door, Connection::new(None, &CancellationToken::new())).await);
    let status = znodes.create(create(Bytes::from(vec![0; 2_000]))).await.unwrap_err();
    check_status(&status, tonic::Code::InvalidArgument, "TOO_LARGE");
    // The connection goes on.
    let replica = async {
        let (tag, _) = script.call().await;
        script.answer(tag, Zxid(6), Ok(Reply::Created { path: "/a".into(), stat: Stat::default() }));
    };
    let (response, ()) = tokio::join!(znodes.create(create(Bytes::new())), replica);
    assert!(response.is_ok());
}

#[tokio::test]
async fn data_beyond_the_limit_of_all_doors_is_refused() {
    let (_script, client) = Script::connected().await;
    let status = ZnodeServiceClient::new(client).create(create(Bytes::from(vec![0; 1_000_001]))).await.unwrap_err();
    check_status(&status, tonic::Code::InvalidArgument, "TOO_LARGE");
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_clients_fault() {
    let (_script, client) = Script::connected().await;
    let mut grpc = tonic::client::Grpc::new(client);
    // It has a number where a GetRequest has its path.
    let codec = tonic_prost::ProstCodec::<v1::WatchCancel, v1::GetResponse>::default();
    let path = PathAndQuery::from_static("/quorate.v1.ZnodeService/Get");
    let status = grpc.unary(tonic::Request::new(v1::WatchCancel { watch_id: 1 }), path, codec).await.unwrap_err();
    check_status(&status, tonic::Code::InvalidArgument, "BAD_ARGUMENTS");
}

#[tokio::test]
async fn more_elements_than_a_message_may_have_are_refused_before_they_take_memory() {
    let (_script, client) = Script::connected().await;
    let mut znodes = ZnodeServiceClient::new(client.clone());
    let many = v1::MultiReadRequest { operations: vec![v1::ReadOperation::default(); 2_000_000], options: None };
    check_status(&znodes.multi_read(many).await.unwrap_err(), tonic::Code::InvalidArgument, "TOO_LARGE");
    let watches = vec![v1::WatchCreate { path: "/a".into(), ..Default::default() }; 4_097];
    let subscribed = WatchServiceClient::new(client.clone()).subscribe(v1::SubscribeRequest { watches }).await;
    check_status(&subscribed.unwrap_err(), tonic::Code::InvalidArgument, "TOO_LARGE");
    for count in [4_097, 2_000_000] {
        let operations = vec![v1::ChannelOperation::default(); count];
        let messages = tokio_stream::once(v1::ChannelRequest { attach: None, operations });
        let answers = SessionServiceClient::new(client.clone()).channel(messages).await;
        let status = answers.unwrap().into_inner().message().await.unwrap_err();
        check_status(&status, tonic::Code::InvalidArgument, "TOO_LARGE");
    }
}

/// A request of which so many bytes come, and nothing more.
struct Half(Option<Bytes>);

impl Half {
    /// Of a message that is announced with `announced` bytes.
    fn new(announced: u32, sent: usize) -> Half {
        Half(Some([&[0], &announced.to_be_bytes()[..], &vec![0; sent]].concat().into()))
    }
}

impl http_body::Body for Half {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, tonic::Status>>> {
        match self.0.take().filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Poll::Ready(Some(Ok(http_body::Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

/// The `grpc-status` of a call whose request does not become complete.
async fn status_of_half(mut client: Client, path: &str, body: Half) -> String {
    let request = http::Request::post(path).header("content-type", "application/grpc").body(Body::new(body));
    let mut response = client.call(request.unwrap()).await.unwrap();
    let mut headers = response.headers().clone();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(response.body_mut()).poll_frame(cx)).await {
        if let Ok(trailers) = frame.unwrap().into_trailers() {
            headers.extend(trailers);
        };
    }
    headers["grpc-status"].to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_arrive_is_not_waited_for() {
    let (mut script, client) = Script::connected().await;
    for (path, half) in [
        ("/quorate.v1.ZnodeService/SetData", Half::new(1_000, 10)),
        ("/quorate.v1.ZnodeService/SetData", Half(None)),
        ("/quorate.v1.WatchService/Subscribe", Half::new(1_000, 10)),
    ] {
        let begun = tokio::time::Instant::now();
        assert_eq!(status_of_half(client.clone(), path, half).await, "4");
        assert_eq!(begun.elapsed().as_secs(), 20, "{path}");
    }
    let begun = tokio::time::Instant::now();
    let channel = status_of_half(client.clone(), "/quorate.v1.SessionService/Channel", Half::new(1_000, 10));
    let (status, (peer, _)) = tokio::join!(channel, script.opened());
    assert_eq!((status.as_str(), begun.elapsed().as_secs()), ("4", 20));
    assert_eq!(script.closed().await, peer.id());
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_silent_between_its_messages() {
    let (mut script, client) = Script::connected().await;
    let (requests, stream) = requests();
    let mut sessions = SessionServiceClient::new(client);
    let (responses, (peer, _)) = tokio::join!(sessions.channel(stream), script.opened());
    let mut responses = responses.unwrap().into_inner();
    for id in 0..3 {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        let operation = Some(v1::channel_operation::Operation::Sync(v1::SyncRequest { options: None }));
        let operations = vec![v1::ChannelOperation { id, timeout_ms: 0, operation }];
        requests.send(v1::ChannelRequest { attach: None, operations });
        peer.reply(script.batch().await[0].0, Zxid(5), Ok(Reply::Synced));
        assert_eq!(responses.message().await.unwrap().unwrap().items.len(), 1);
    }
}

#[tokio::test]
async fn incomplete_messages_share_one_room() {
    let (mut script, door) = Script::new(Config { receive_bytes_max: 100_000, ..Config::default() });
    let client = script::connect(&door, Connection::new(None, &CancellationToken::new())).await;
    let path = "/quorate.v1.ZnodeService/SetData";
    // 150,000 bytes, of which the call's own are 65,536.
    let half = || Half::new(1_000_000, 150_000);
    let first = tokio::spawn(status_of_half(client.clone(), path, half()));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!first.is_finished());
    assert_eq!(status_of_half(client.clone(), path, half()).await, "8", "THROTTLED");
    // What is short, or complete at once, needs none.
    let mut znodes = ZnodeServiceClient::new(client.clone());
    let replica = async {
        let (tag, _) = script.call().await;
        script.answer(tag, Zxid(6), Ok(Reply::Created { path: "/a".into(), stat: Stat::default() }));
    };
    let (response, ()) = tokio::join!(znodes.create(create(vec![0; 50_000].into())), replica);
    response.unwrap();
    first.abort();
    let _ = first.await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let third = tokio::spawn(status_of_half(client, path, half()));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!third.is_finished(), "the first has left its room");
    third.abort();
}

#[tokio::test]
async fn what_is_not_grpc_is_told_so_in_http() {
    let (_script, mut client) = Script::connected().await;
    let mut check = async |request: http::request::Builder, expected: u16| {
        let request = request.uri("/quorate.v1.ZnodeService/Get").body(Body::empty()).unwrap();
        assert_eq!(client.call(request).await.unwrap().status(), expected);
    };
    check(http::Request::get("/"), 405).await;
    check(http::Request::post("/").header("content-type", "application/json"), 415).await;
    for understood in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
        check(http::Request::post("/").header("content-type", understood), 200).await;
    }
    for other in ["application/grpc+json", "application/grpcfoo", "application/grpc-web+json"] {
        check(http::Request::post("/").header("content-type", other), 415).await;
    }
}

#[tokio::test]
async fn compressed_messages_are_not_understood_and_said_not_to_be() {
    let (_script, client) = Script::connected().await;
    let mut request = tonic::Request::new(v1::GetRequest { path: "/a".into(), options: None });
    request.metadata_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    let status = ZnodeServiceClient::new(client).get(request).await.unwrap_err();
    check_status(&status, tonic::Code::Unimplemented, "UNIMPLEMENTED");
}

#[tokio::test]
async fn headers_beyond_their_limit_are_refused() {
    let (_script, door) = Script::new(Config { header_list_bytes_max: 1_000, ..Config::default() });
    let mut znodes =
        ZnodeServiceClient::new(script::connect(&door, Connection::new(None, &CancellationToken::new())).await);
    let mut request = tonic::Request::new(v1::GetRequest { path: "/a".into(), options: None });
    request.metadata_mut().insert("x-long", "x".repeat(2_000).parse().unwrap());
    assert!(znodes.get(request).await.is_err());
}

#[tokio::test]
async fn a_client_that_does_not_read_leaves_everything_in_its_outbox() {
    const COUNT: u64 = 40;
    let (mut script, client) = Script::connected().await;
    let (requests, stream) = requests();
    let mut sessions = SessionServiceClient::new(client);
    let (responses, (peer, _)) = tokio::join!(sessions.channel(stream), script.opened());
    let operation = v1::channel_operation::Operation::Get(v1::GetRequest { path: "/a".into(), options: None });
    let operations: Vec<_> =
        (0..COUNT).map(|id| v1::ChannelOperation { id, timeout_ms: 0, operation: Some(operation.clone()) }).collect();
    requests.send(v1::ChannelRequest { attach: None, operations });
    let batch = script.batch().await;
    let data = Some(Bytes::from(vec![0; 50_000]));
    for (tag, _) in &batch {
        let response = Ok(Reply::Data { data: data.clone(), stat: Stat::default() });
        peer.deliver([Delivery::Reply { tag: *tag, zxid: Zxid(5), response }]);
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    // Windows and buffers hold some hundred KiB of the 2 MB; the rest waits where it is bounded.
    assert!(peer.is_full());

    let mut responses = responses.unwrap().into_inner();
    let mut ids = Vec::new();
    while ids.len() < COUNT as usize {
        for item in responses.message().await.unwrap().unwrap().items {
            let Some(v1::channel_item::Item::Reply(reply)) = item.item else { panic!("{item:?}") };
            ids.push(reply.id);
        }
    }
    assert!(ids.iter().copied().eq(0..COUNT));
}

#[tokio::test]
async fn a_connection_that_is_cut_ends_at_once() {
    let (mut script, door) = Script::new(Config::default());
    let connection = Connection::new(None, &CancellationToken::new());
    let client = script::connect(&door, connection.clone()).await;
    let (_requests, stream) = requests::<v1::ChannelRequest>();
    let mut sessions = SessionServiceClient::new(client);
    let (responses, (peer, _)) = tokio::join!(sessions.channel(stream), script.opened());
    connection.cut();
    assert!(responses.unwrap().into_inner().message().await.is_err());
    assert_eq!(script.closed().await, peer.id());
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_asked_to_go_and_then_ended() {
    let config = Config {
        connection_age_max: Some(std::time::Duration::from_secs(60)),
        connection_age_grace: std::time::Duration::from_secs(5),
        ..Config::default()
    };
    let (mut script, door) = Script::new(config);
    let client = script::connect(&door, Connection::new(None, &CancellationToken::new())).await;
    let begun = tokio::time::Instant::now();
    let (_requests, stream) = requests::<v1::ChannelRequest>();
    let mut sessions = SessionServiceClient::new(client);
    let (responses, (peer, _)) = tokio::join!(sessions.channel(stream), script.opened());
    assert!(responses.unwrap().into_inner().message().await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 65);
    assert_eq!(script.closed().await, peer.id());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_loses_its_place() {
    let (_script, door) = Script::new(Config::default());
    let (near, far) = tokio::io::duplex(1_024);
    let begun = tokio::time::Instant::now();
    let served = door.serve(far, Connection::new(None, &CancellationToken::new()), CancellationToken::new()).await;
    assert!(served.is_ok() && begun.elapsed().as_secs() == 10, "{served:?} {:?}", begun.elapsed());
    drop(near);
}
