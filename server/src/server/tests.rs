//! A whole server in this process: started, used, stopped, and started again on the same data.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use quorate_replica::{Delivery, Order, WatchItem};
use quorate_types::{
    Caller, ChangeFilter, Code, CreateMode, Op, Path as ZnodePath, Precondition, ReadOp, Reply, Request, Response,
    StreamWatch, Tag, WatchId, WatchOp, WatchScope, WriteOp,
};

use super::*;
use crate::config::Settings;
use crate::inbox::{Answer, OutboxReceiver};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn config(dir: &Path) -> Config {
    let free = || Some("127.0.0.1:0".to_owned());
    let settings = Settings {
        data_dir: Some(dir.to_owned()),
        http: free(),
        grpc: free(),
        segment_bytes: Some("1MiB".parse().unwrap()),
        ..Settings::default()
    };
    settings.resolve(std::iter::empty()).unwrap()
}

async fn start(dir: &Path) -> Server {
    let server = Server::start(&config(dir)).await.unwrap();
    server.serving(PATIENCE).await;
    server
}

fn request(op: Op) -> Request {
    Request::new(op, Arc::new(Caller::anonymous()))
}

fn create(path: &str, data: impl Into<Bytes>) -> Request {
    request(Op::Write(WriteOp::Create {
        path: ZnodePath::new(path).unwrap(),
        data: Some(data.into()),
        acl: quorate_types::Acl::OPEN.entries(),
        mode: CreateMode::Persistent,
        parents: false,
    }))
}

fn set(path: &str, data: impl Into<Bytes>) -> Request {
    request(Op::Write(WriteOp::SetData {
        path: ZnodePath::new(path).unwrap(),
        data: Some(data.into()),
        precondition: Precondition::None,
        create: None,
    }))
}

fn get(path: &str) -> Request {
    request(Op::Read { op: ReadOp::Get { path: ZnodePath::new(path).unwrap() }, watch: false })
}

fn watch(id: u64, path: &str) -> Request {
    request(Op::Watch(WatchOp::Create(StreamWatch {
        id: WatchId(id),
        path: ZnodePath::new(path).unwrap(),
        scope: WatchScope::Node,
        start: None,
        send_initial: false,
        with_data: true,
        with_previous_data: false,
        exclude: ChangeFilter::default(),
        progress_ms: 0,
    })))
}

fn data_of(response: &Response) -> Bytes {
    match response {
        Ok(Reply::Data { data: Some(data), .. }) => data.clone(),
        other => panic!("{other:?} is no data"),
    }
}

async fn next(receiver: &mut OutboxReceiver) -> Option<Vec<Delivery>> {
    let mut deliveries = Vec::new();
    let more = tokio::time::timeout(PATIENCE, receiver.next(&mut deliveries, 64 * 1024)).await.unwrap();
    more.map(|()| deliveries)
}

/// Reads until `count` replies have come, and returns their tags and responses.
async fn replies(receiver: &mut OutboxReceiver, count: usize) -> Vec<(u64, Response)> {
    let mut replies = Vec::new();
    while replies.len() < count {
        for delivery in next(receiver).await.unwrap() {
            if let Delivery::Reply { tag, response, .. } = delivery {
                replies.push((tag.0, response));
            }
        }
    }
    replies
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_stop_and_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let cluster = server.inbox().header().cluster;
    let Answer { zxid, response } = server.inbox().call(create("/a", "1")).await;
    assert!(matches!(response, Ok(Reply::Created { .. })), "{response:?}");
    assert!(server.inbox().header().zxid >= zxid);
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.inbox().header().cluster, cluster);
    assert!(server.inbox().header().zxid > zxid);
    assert_eq!(data_of(&server.inbox().call(get("/a")).await.response), "1");
    server.stop().await;
}

/// A txn names the outbox that waits for its reply, and a later process may be the one to apply it.
#[tokio::test]
async fn no_two_processes_of_a_server_number_their_outboxes_alike() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let first = server.inbox().shared().calls_outbox;
    server.stop().await;
    let server = start(dir.path()).await;
    let second = server.inbox().shared().calls_outbox;
    assert!(first.0.abs_diff(second.0) > u64::from(u32::MAX), "{first:?} and {second:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_data_directory_has_one_server_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let second = Server::start(&config(dir.path())).await.err().map(|error| format!("{:#}", anyhow::Error::new(error)));
    assert!(second.as_deref().is_some_and(|error| error.contains("in use by another process")), "{second:?}");
    server.stop().await;
    start(dir.path()).await.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order_and_by_few_syncs() {
    const COUNT: u64 = 2_000;
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let (sender, mut receiver) = server.inbox().open(Order::Fifo);
    for batch in 0..COUNT / 100 {
        let requests = (0..50).flat_map(|index| {
            let number = batch * 50 + index;
            let path = format!("/n{number}");
            [(Tag(2 * number), create(&path, number.to_string())), (Tag(2 * number + 1), get(&path))]
        });
        sender.send(requests.collect()).await.unwrap();
    }
    for (expected, (tag, response)) in replies(&mut receiver, COUNT as usize).await.into_iter().enumerate() {
        assert_eq!(tag, expected as u64);
        match tag % 2 {
            0 => assert!(matches!(response, Ok(Reply::Created { .. })), "{response:?}"),
            _ => assert_eq!(data_of(&response), (tag / 2).to_string()),
        }
    }
    let mut text = String::new();
    let shared = server.inbox().shared();
    shared.metrics.encode(None, shared.queues(), &mut text).unwrap();
    let syncs = text.lines().find_map(|line| line.strip_prefix("quorate_log_batch_records_count "));
    assert!(syncs.is_some_and(|syncs| syncs.parse::<u64>().unwrap() < COUNT / 4), "{syncs:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_call_is_answered_when_its_deadline_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    // Nothing at this zxid will ever happen.
    let min_zxid = Zxid(server.inbox().header().zxid.0 + 1_000);
    let deadline_ms = server.inbox().deadline_ms(Duration::from_millis(20));
    let late = Request { min_zxid, deadline_ms, ..get("/") };
    let answer = tokio::time::timeout(PATIENCE, server.inbox().call(late)).await.unwrap();
    let code = answer.response.unwrap_err().code();
    assert!([Code::DeadlineExceeded, Code::ZxidUnknown].contains(&code), "{code:?}");
    assert_eq!(server.inbox().shared().calls.len(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    for number in 0..100 {
        let path = format!("/n{number}");
        let call = server.inbox().call(create(&path, ""));
        let mut call = std::pin::pin!(call);
        assert!(futures_util::poll!(call.as_mut()).is_pending());
    }
    assert_eq!(server.inbox().shared().calls.len(), 0);
    // The replies to what was given up find nobody, least of all those who came after.
    for _ in 0..100 {
        assert!(server.inbox().call(get("/")).await.response.is_ok());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_held_back_and_loses_nothing() {
    const REPLIES: usize = 400;
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let large = Bytes::from(vec![7; 500_000]);
    assert!(server.inbox().call(create("/large", large.clone())).await.response.is_ok());
    let (sender, mut receiver) = server.inbox().open(Order::Fifo);
    sender.send((0..REPLIES as u64).map(|tag| (Tag(tag), get("/large"))).collect()).await.unwrap();
    // Somebody else is served meanwhile.
    for _ in 0..20 {
        assert!(server.inbox().call(get("/")).await.response.is_ok());
    }
    let got = replies(&mut receiver, REPLIES).await;
    assert!(got.iter().map(|(tag, _)| *tag).eq(0..REPLIES as u64));
    assert!(got.iter().all(|(_, response)| data_of(response).len() == large.len()));
    server.stop().await;
}

#[tokio::test]
async fn a_watch_that_is_not_read_is_canceled_and_says_from_where_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    assert!(server.inbox().call(create("/a", "")).await.response.is_ok());
    let (sender, mut receiver) = server.inbox().open(Order::None);
    sender.send(vec![(Tag(1), watch(9, "/a"))]).await.unwrap();
    let first = next(&mut receiver).await.unwrap();
    let began = matches!(first.first(), Some(Delivery::Watch { item: WatchItem::Created(_), .. }));
    assert!(began, "{first:?}");
    let mut zxids = Vec::new();
    for _ in 0..12 {
        zxids.push(server.inbox().call(set("/a", vec![1; 200_000])).await.zxid);
    }
    let deliveries = next(&mut receiver).await.unwrap();
    let canceled = deliveries.iter().find_map(|delivery| match delivery {
        Delivery::Watch { item: WatchItem::Canceled { error: Some(error), resume, .. }, .. } => {
            Some((error.code(), *resume))
        }
        _ => None,
    });
    assert_eq!(canceled, Some((Code::Lagged, Zxid(zxids[0].0 - 1))));
    server.stop().await;
}

#[tokio::test]
async fn a_stop_answers_what_was_accepted_and_tells_every_stream() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let (sender, mut receiver) = server.inbox().open(Order::Fifo);
    sender.send((0..100).map(|tag| (Tag(tag), create(&format!("/n{tag}"), ""))).collect()).await.unwrap();
    let inbox = server.inbox().clone();
    server.stop().await;
    let mut replies = 0;
    let mut closed = None;
    while let Some(deliveries) = next(&mut receiver).await {
        for delivery in deliveries {
            match delivery {
                Delivery::Reply { response, .. } => {
                    assert!(response.is_ok(), "{response:?}");
                    replies += 1;
                }
                Delivery::Close(error) => closed = Some(error.code()),
                other => panic!("{other:?} was not asked for"),
            }
        }
    }
    assert_eq!((replies, closed), (100, Some(Code::Unavailable)));
    assert!(sender.send(vec![(Tag(1), get("/"))]).await.is_err());
    assert_eq!(inbox.call(get("/")).await.response.unwrap_err().code(), Code::Unavailable);
    // What came too late for its reply is durable all the same.
    let server = start(dir.path()).await;
    assert!(server.inbox().call(get("/n99")).await.response.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn who_asks_for_a_lot_at_once_takes_turns_with_the_others() {
    const ASKED: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let secret = quorate_types::SessionSecret([7; 16]);
    let opened = server.inbox().call(request(Op::OpenSession { timeout_ms: 60_000, secret })).await.response;
    let Ok(Reply::Session { id, .. }) = opened else { panic!("{opened:?}") };
    let in_session = |op| Request { session: Some((id, secret)), ..request(op) };
    for some in 0..8 {
        let create = |i| WriteOp::Create {
            path: ZnodePath::new(format!("/{some}-{i}")).unwrap(),
            data: None,
            acl: quorate_types::Acl::OPEN.entries(),
            mode: CreateMode::Ephemeral,
            parents: false,
        };
        server.inbox().call(in_session(Op::Multi((0..4_000).map(create).collect()))).await.response.unwrap();
    }
    // Each of these looks at 32,000 znodes and answers next to nothing.
    let none = ReadOp::Ephemerals { prefix: "/none".to_owned() };
    let (sender, mut receiver) = server.inbox().open(Order::Fifo);
    let batch = (0..ASKED).map(|tag| (Tag(tag), in_session(Op::Read { op: none.clone(), watch: false })));
    sender.send(batch.collect()).await.unwrap();
    server.inbox().call(get("/")).await.response.unwrap();
    let mut answered = Vec::new();
    tokio::time::timeout(PATIENCE, receiver.next(&mut answered, usize::MAX)).await.unwrap().unwrap();
    assert!(answered.len() < ASKED as usize / 2, "{} were answered first", answered.len());
    while answered.len() < ASKED as usize {
        receiver.next(&mut answered, usize::MAX).await.unwrap();
    }
    let tags = answered.iter().map(|delivery| match delivery {
        Delivery::Reply { tag, response: Ok(Reply::Ephemerals(paths)), .. } if paths.is_empty() => tag.0,
        other => panic!("{other:?}"),
    });
    assert!(tags.eq(0..ASKED), "in order");
    server.stop().await;
}
