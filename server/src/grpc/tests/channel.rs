//! The Channel.

use std::time::Duration;

use bytes::Bytes;
use quorate_proto::v1;
use quorate_proto::v1::channel_item::Item;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Outcome;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_replica::{Delivery, Order, SessionEnd, WatchItem};
use quorate_types::{
    ChangeKind, Code, Consistency, Error, Event, Op, Reply, Request, SessionId, SessionSecret, Stat, Tag, WatchId, Zxid,
};
use tonic::{Status, Streaming};

use super::check_status;
use super::script::{Client, Peer, Requests, Script, requests};

/// A Channel that is open, with both of its ends.
struct Fixture {
    script: Script,
    peer: Peer,
    requests: Requests<v1::ChannelRequest>,
    responses: Streaming<v1::ChannelResponse>,
}

impl Fixture {
    async fn open() -> Fixture {
        let (script, client) = Script::connected().await;
        Fixture::open_on(script, client, None).await
    }

    async fn open_on(mut script: Script, client: Client, timeout: Option<Duration>) -> Fixture {
        let (requests, stream) = requests();
        let mut request = tonic::Request::new(stream);
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let mut sessions = SessionServiceClient::new(client);
        let (responses, (peer, order)) = tokio::join!(sessions.channel(request), script.opened());
        assert_eq!(order, Order::Fifo);
        Fixture { script, peer, requests, responses: responses.unwrap().into_inner() }
    }

    fn send(&self, operations: impl IntoIterator<Item = (u64, Operation)>) {
        let operation = |(id, operation)| v1::ChannelOperation { id, timeout_ms: 0, operation: Some(operation) };
        let operations = operations.into_iter().map(operation).collect();
        self.requests.send(v1::ChannelRequest { attach: None, operations });
    }

    async fn message(&mut self) -> Vec<Item> {
        let message = self.responses.message().await.unwrap().expect("the stream goes on");
        assert!(message.header.is_some());
        message.items.into_iter().map(|one| one.item.unwrap()).collect()
    }

    async fn status(&mut self) -> Status {
        self.responses.message().await.unwrap_err()
    }
}

fn get(path: &str) -> Operation {
    Operation::Get(v1::GetRequest { path: path.into(), options: None })
}

fn set(path: &str) -> Operation {
    Operation::SetData(v1::SetDataRequest { path: path.into(), ..Default::default() })
}

fn reply(item: &Item) -> (u64, u64, &Outcome) {
    let Item::Reply(reply) = item else { panic!("{item:?}") };
    (reply.id, reply.zxid, reply.result.as_ref().unwrap())
}

fn deliver(tag: Tag, zxid: u64, response: quorate_types::Response) -> Delivery {
    Delivery::Reply { tag, zxid: Zxid(zxid), response }
}

#[tokio::test]
async fn a_message_is_one_batch_and_its_replies_are_one_message() {
    let mut channel = Fixture::open().await;
    channel.send([(10, set("/a")), (10, get("/a")), (u64::MAX, get("/b"))]);
    let batch = channel.script.batch().await;
    let tags: Vec<_> = batch.iter().map(|(tag, _)| *tag).collect();
    assert_eq!(batch.len(), 3);
    channel.peer.deliver([
        deliver(tags[0], 5, Ok(Reply::Changed { stat: Stat::default() })),
        deliver(tags[1], 5, Ok(Reply::Data { data: Some(Bytes::new()), stat: Stat::default() })),
        deliver(tags[2], 5, Err(Error::at(Code::NoNode, "/b", "gone"))),
    ]);
    let items = channel.message().await;
    assert!(matches!(reply(&items[0]), (10, 5, Outcome::SetData(set)) if !set.created));
    assert!(matches!(reply(&items[1]), (10, 5, Outcome::Get(get)) if get.data == Some(Bytes::new())));
    assert!(matches!(reply(&items[2]), (u64::MAX, 5, Outcome::Error(error)) if error.path.as_deref() == Some("/b")));
}

#[tokio::test]
async fn an_operation_that_is_refused_is_answered_in_its_turn() {
    let mut channel = Fixture::open().await;
    channel.send([(1, get("bad")), (2, get("/a")), (3, get("/a/")), (4, get("/b"))]);
    let batch = channel.script.batch().await;
    assert_eq!(batch.len(), 2);
    let items = channel.message().await;
    assert_eq!(items.len(), 1, "3 waits for 2: {items:?}");
    assert!(
        matches!(reply(&items[0]), (1, 0, Outcome::Error(error)) if error.reason() == v1::ErrorReason::InvalidPath)
    );
    let exists = || Ok(Reply::Data { data: None, stat: Stat::default() });
    channel.peer.reply(batch[0].0, Zxid(5), exists());
    let items = channel.message().await;
    assert_eq!(items.iter().map(|item| reply(item).0).collect::<Vec<_>>(), [2, 3]);
    channel.peer.reply(batch[1].0, Zxid(5), exists());
    assert_eq!(reply(&channel.message().await[0]).0, 4);
}

#[tokio::test]
async fn operations_wait_until_the_session_is_attached() {
    let mut channel = Fixture::open().await;
    let secret = Bytes::from_static(&[7; 16]);
    let operations = vec![v1::ChannelOperation { id: 1, timeout_ms: 0, operation: Some(get("/a")) }];
    channel
        .requests
        .send(v1::ChannelRequest { attach: Some(v1::SessionCredential { session_id: 0x2a, secret }), operations });
    channel.send([(2, get("/a"))]);
    let attach = channel.script.batch().await;
    assert_eq!(attach.len(), 1);
    let (tag, Request { op, session, .. }) = &attach[0];
    assert_eq!(*op, Op::AttachSession { exclusive: true });
    assert_eq!(*session, Some((SessionId(0x2a), SessionSecret([7; 16]))));

    channel.peer.reply(*tag, Zxid(5), Ok(Reply::Session { id: SessionId(0x2a), timeout_ms: 9_000 }));
    let items = channel.message().await;
    let Item::Session(session) = &items[0] else { panic!("{items:?}") };
    assert_eq!((session.state(), session.timeout_ms), (v1::SessionState::Alive, 9_000));
    let mut batch = channel.script.batch().await;
    if batch.len() == 1 {
        batch.extend(channel.script.batch().await);
    }
    // The outbox is bound: its operations need not name the session.
    assert!(batch.iter().all(|(_, request)| request.session.is_none()));
    assert!(batch.iter().all(|(_, request)| request.consistency == Consistency::Session));
    assert_eq!(batch.len(), 2);

    channel.peer.deliver([Delivery::Session { id: SessionId(0x2a), end: SessionEnd::Moved }]);
    let items = channel.message().await;
    let Item::Session(session) = &items[0] else { panic!("{items:?}") };
    assert_eq!(session.state(), v1::SessionState::Moved);
    assert!(channel.responses.message().await.unwrap().is_none());
    assert_eq!(channel.script.closed().await, channel.peer.id());
}

#[tokio::test]
async fn a_session_that_cannot_be_attached_ends_the_channel() {
    let mut channel = Fixture::open().await;
    channel.requests.send(v1::ChannelRequest {
        attach: Some(v1::SessionCredential { session_id: 0x2a, secret: Bytes::from_static(&[7; 16]) }),
        operations: vec![v1::ChannelOperation { id: 1, timeout_ms: 0, operation: Some(set("/a")) }],
    });
    let attach = channel.script.batch().await;
    channel.peer.reply(attach[0].0, Zxid(5), Err(Error::new(Code::SessionExpired, "")));
    check_status(&channel.status().await, tonic::Code::FailedPrecondition, "SESSION_EXPIRED");
    // What was to be done under that session was not done without it.
    assert_eq!(channel.script.closed().await, channel.peer.id());
}

#[tokio::test]
async fn a_second_attachment_is_refused() {
    let mut channel = Fixture::open().await;
    channel.send([]);
    let attach = Some(v1::SessionCredential { session_id: 0x2a, secret: Bytes::from_static(&[7; 16]) });
    channel.requests.send(v1::ChannelRequest { attach, operations: vec![] });
    check_status(&channel.status().await, tonic::Code::InvalidArgument, "BAD_ARGUMENTS");
}

#[tokio::test]
async fn watches_share_the_channel_and_its_order() {
    let mut channel = Fixture::open().await;
    let watch =
        |id, path: &str| Operation::Watch(v1::WatchCreate { watch_id: id, path: path.into(), ..Default::default() });
    channel.send([(1, watch(70, "/a")), (2, watch(71, "a")), (3, set("/a")), (4, watch(72, "/c"))]);
    let batch = channel.script.batch().await;
    assert_eq!(batch.len(), 3);
    let stat = Stat::default();
    let event = Event {
        kind: ChangeKind::DataChanged,
        zxid: Zxid(6),
        index: 0,
        path: "/a".into(),
        stat,
        data: None,
        previous_data: None,
    };
    channel.peer.deliver([
        Delivery::Watch { watches: [WatchId(70)].into_iter().collect(), item: WatchItem::Created(Zxid(5)) },
        Delivery::Watch { watches: [WatchId(70)].into_iter().collect(), item: WatchItem::Events([event].into()) },
        deliver(batch[1].0, 6, Ok(Reply::Changed { stat })),
        // The replica is too busy for the last watch.
        deliver(batch[2].0, 6, Err(Error::new(Code::Throttled, "busy"))),
    ]);
    let mut items = channel.message().await;
    while items.len() < 5 {
        items.extend(channel.message().await);
    }
    use v1::watch_item::Item as Told;
    let told = |item: &Item| {
        let Item::Watch(watch) = item else { panic!("{item:?}") };
        (watch.watch_ids.clone(), watch.item.clone().unwrap())
    };
    // The refused watch has no reply to wait for.
    assert!(matches!(told(&items[0]), (ids, Told::Canceled(why)) if ids == [71] && why.error.is_some()));
    assert!(matches!(told(&items[1]), (ids, Told::Created(_)) if ids == [70]));
    assert!(matches!(told(&items[2]), (ids, Told::Events(events)) if ids == [70] && events.events[0].path == "/a"));
    assert_eq!(reply(&items[3]).0, 3);
    assert!(matches!(told(&items[4]), (ids, Told::Canceled(why))
        if ids == [72] && why.error.as_ref().unwrap().reason() == v1::ErrorReason::Throttled));
}

#[tokio::test]
async fn after_its_last_message_a_client_is_told_everything_that_is_under_way() {
    let mut channel = Fixture::open().await;
    channel.send([(1, get("/a"))]);
    let batch = channel.script.batch().await;
    drop(channel.requests);
    channel.peer.reply(batch[0].0, Zxid(5), Ok(Reply::Data { data: None, stat: Stat::default() }));
    let message = channel.responses.message().await.unwrap().unwrap();
    assert_eq!(message.items.len(), 1);
    assert!(channel.responses.message().await.unwrap().is_none());
    assert_eq!(channel.script.closed().await, channel.peer.id());
}

#[tokio::test]
async fn an_outbox_that_is_lost_ends_the_channel_with_its_error() {
    let mut channel = Fixture::open().await;
    channel.send([(1, get("/a"))]);
    let batch = channel.script.batch().await;
    channel.peer.deliver([
        deliver(batch[0].0, 5, Ok(Reply::Data { data: None, stat: Stat::default() })),
        Delivery::Close(Error::new(Code::Unavailable, "no quorum")),
    ]);
    assert_eq!(channel.message().await.len(), 1);
    let status = channel.status().await;
    check_status(&status, tonic::Code::Unavailable, "UNAVAILABLE");
    assert_eq!(status.message(), "no quorum");
}

#[tokio::test]
async fn an_operation_has_its_own_deadline() {
    let mut channel = Fixture::open().await;
    channel.requests.send(v1::ChannelRequest {
        attach: None,
        operations: vec![v1::ChannelOperation { id: 1, timeout_ms: 60_000, operation: Some(get("/a")) }],
    });
    channel.send([(2, get("/a"))]);
    let mut batch = channel.script.batch().await;
    if batch.len() == 1 {
        batch.extend(channel.script.batch().await);
    }
    assert!((60_000..=70_000).contains(&batch[0].1.deadline_ms), "{}", batch[0].1.deadline_ms);
    assert_eq!(batch[1].1.deadline_ms, u64::MAX);
}

#[tokio::test(start_paused = true)]
async fn a_channel_with_a_deadline_ends_when_it_has_passed() {
    let (script, client) = Script::connected().await;
    let mut channel = Fixture::open_on(script, client, Some(Duration::from_millis(700))).await;
    channel.send([(1, get("/a"))]);
    let begun = tokio::time::Instant::now();
    check_status(&channel.status().await, tonic::Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert!((699..=701).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    let batch = channel.script.batch().await;
    assert_eq!(batch.len(), 1);
    assert_eq!(channel.script.closed().await, channel.peer.id());
}

#[tokio::test]
async fn a_client_that_goes_away_closes_its_outbox() {
    let mut channel = Fixture::open().await;
    channel.send([(1, get("/a"))]);
    channel.script.batch().await;
    drop((channel.requests, channel.responses));
    assert_eq!(channel.script.closed().await, channel.peer.id());
}

#[tokio::test]
async fn what_waits_behind_an_unanswered_operation_has_an_end() {
    const SENT: usize = 10 * 4_096;
    let mut fixture = Fixture::open().await;
    let get = Operation::Get(v1::GetRequest { path: "/a".into(), options: None });
    fixture.send([(0, get)]);
    let first = fixture.script.batch().await[0].0;
    // Each is refused by the door, but none before the first is answered.
    for _ in 0..10 {
        let operations = vec![v1::ChannelOperation { id: 1, timeout_ms: 0, operation: None }; 4_096];
        fixture.requests.send(v1::ChannelRequest { attach: None, operations });
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    fixture.peer.reply(first, Zxid(5), Err(Error::new(Code::NoNode, "")));
    let first = fixture.message().await.len();
    assert!((2..=1 + 5 * 4_096).contains(&first), "{first} were held");
    let mut told = first;
    while told < 1 + SENT {
        told += fixture.message().await.len();
    }
    assert_eq!(told, 1 + SENT);
}
