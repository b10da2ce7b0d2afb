//! A session belongs to whoever has its secret, and speaks through one Channel at a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use quorate_proto::v1;
use quorate_proto::v1::channel_item::Item;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Reply;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_proto::v1::{CreateMode, EventType, SessionState};
use quorate_tests::harness::Server;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::calls::{Calls, PATIENCE, Watcher, reason, within};

/// A Channel that speaks for a session.
struct Attached {
    requests: mpsc::Sender<v1::ChannelRequest>,
    responses: Streaming<v1::ChannelResponse>,
    items: VecDeque<Item>,
    next_id: u64,
}

impl Attached {
    async fn to(server: &Server, session: &v1::SessionCredential) -> Attached {
        let (requests, receiver) = mpsc::channel(16);
        let attach = v1::ChannelRequest { attach: Some(session.clone()), operations: vec![] };
        requests.send(attach).await.unwrap();
        let mut sessions = SessionServiceClient::new(server.grpc().await);
        let responses = sessions.channel(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Attached { requests, responses, items: VecDeque::new(), next_id: 1 }
    }

    /// A Channel whose session is known to be attached.
    async fn alive(server: &Server, session: &v1::SessionCredential) -> Attached {
        let mut channel = Attached::to(server, session).await;
        assert_eq!(channel.state().await, SessionState::Alive);
        channel
    }

    /// The next item; `None` at the end.
    async fn item(&mut self) -> Result<Option<Item>, Status> {
        while self.items.is_empty() {
            let message = tokio::time::timeout(PATIENCE, self.responses.message()).await;
            let Some(message) = message.expect("the Channel is silent")? else { return Ok(None) };
            self.items.extend(message.items.into_iter().filter_map(|item| item.item));
        }
        Ok(self.items.pop_front())
    }

    /// What the Channel is told of its session.
    async fn state(&mut self) -> SessionState {
        match self.item().await.unwrap() {
            Some(Item::Session(session)) => session.state(),
            other => panic!("nothing of the session, but {other:?}"),
        }
    }

    /// The Channel ends with this state of its session, in order.
    async fn ends_with(mut self, state: SessionState) {
        assert_eq!(self.state().await, state);
        assert_eq!(self.item().await.unwrap(), None, "the Channel ends after that");
    }

    async fn ask(&mut self, operation: Operation) -> Reply {
        let id = self.next_id;
        self.next_id += 1;
        let operations = vec![v1::ChannelOperation { id, timeout_ms: 0, operation: Some(operation) }];
        self.requests.send(v1::ChannelRequest { attach: None, operations }).await.unwrap();
        match self.item().await.unwrap() {
            Some(Item::Reply(reply)) if reply.id == id => reply.result.unwrap(),
            other => panic!("no reply, but {other:?}"),
        }
    }

    async fn create_ephemeral(&mut self, path: &str) {
        let (path, mode) = (path.to_owned(), CreateMode::Ephemeral.into());
        let create = v1::CreateRequest { path, mode, ..v1::CreateRequest::default() };
        let reply = self.ask(Operation::Create(create)).await;
        assert!(matches!(reply, Reply::Create(_)), "{reply:?}");
    }

    async fn ephemerals(&mut self) -> Vec<String> {
        match self.ask(Operation::GetEphemerals(v1::GetEphemeralsRequest::default())).await {
            Reply::GetEphemerals(owned) => owned.paths,
            other => panic!("no list, but {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_second_channel_takes_a_session_over_with_its_ephemerals() {
    let mut server = Server::start();
    let session = Calls::to(&server).await.open_session(30_000).await;
    let mut first = Attached::alive(&server, &session).await;
    first.create_ephemeral("/first").await;
    let mut second = Attached::alive(&server, &session).await;
    first.ends_with(SessionState::Moved).await;
    assert_eq!(second.ephemerals().await, ["/first"]);
    second.create_ephemeral("/second").await;

    // A restarted server knows the session, its secret and what it owns.
    server.kill();
    server.restart();
    let mut third = Attached::alive(&server, &session).await;
    assert_eq!(third.ephemerals().await, ["/first", "/second"]);
    let mut watcher = Watcher::below(&server, "/", None).await;
    let close = v1::CloseRequest { session: Some(session.clone()) };
    Calls::to(&server).await.sessions.close(close).await.unwrap();
    third.ends_with(SessionState::Closed).await;
    let mut deleted = watcher.events().await;
    deleted.sort_by(|a, b| a.1.cmp(&b.1));
    let gone = |path: &str| (EventType::Deleted, path.to_owned());
    assert_eq!(deleted, [gone("/first"), gone("/second")], "both in one txn");
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_takes_nothing_over() {
    let server = Server::start();
    let mut calls = Calls::to(&server).await;
    let session = calls.open_session(30_000).await;
    let mut owner = Attached::alive(&server, &session).await;
    let mut secret = session.secret.to_vec();
    secret[15] ^= 1;
    let forged = v1::SessionCredential { secret: secret.into(), ..session.clone() };

    check(Attached::to(&server, &forged).await.item().await, Code::Unauthenticated, "AUTH_FAILED");
    let request = v1::GetRequest { path: "/".to_owned(), options: within(&forged) };
    check(calls.znodes.get(request).await, Code::Unauthenticated, "AUTH_FAILED");
    let create =
        v1::CreateRequest { path: "/forged".to_owned(), options: within(&forged), ..v1::CreateRequest::default() };
    check(calls.znodes.create(create).await, Code::Unauthenticated, "AUTH_FAILED");
    let close = v1::CloseRequest { session: Some(forged.clone()) };
    check(calls.sessions.close(close).await, Code::Unauthenticated, "AUTH_FAILED");
    let keep_alive = Operation::KeepAlive(v1::KeepAliveRequest { session: Some(forged) });
    let refused = owner.ask(keep_alive).await;
    let Reply::Error(error) = &refused else { panic!("{refused:?}") };
    assert_eq!(error.reason(), v1::ErrorReason::AuthFailed);
    // The owner still speaks for its session, and nothing was done.
    owner.create_ephemeral("/owned").await;
    assert_eq!(owner.ephemerals().await, ["/owned"]);
    assert_eq!(calls.children("/").await, ["owned", "zookeeper"]);
}

#[tokio::test]
async fn a_session_that_nobody_keeps_alive_expires_for_everybody() {
    let server = Server::start();
    let mut calls = Calls::to(&server).await;
    let session = calls.open_session(1_000).await;
    let mut watcher = Watcher::below(&server, "/", None).await;
    let mut channel = Attached::alive(&server, &session).await;
    let began = Instant::now();
    channel.create_ephemeral("/lease").await;
    assert_eq!(watcher.events().await, [(EventType::Created, "/lease".to_owned())]);
    // A Channel that says nothing keeps nothing alive.
    channel.ends_with(SessionState::Expired).await;
    let lived = began.elapsed();
    assert!(lived >= Duration::from_millis(1_000), "expired after {lived:?}");
    assert_eq!(watcher.events().await, [(EventType::Deleted, "/lease".to_owned())]);

    let expired = "SESSION_EXPIRED";
    check(Attached::to(&server, &session).await.item().await, Code::FailedPrecondition, expired);
    let request = v1::GetRequest { path: "/".to_owned(), options: within(&session) };
    check(calls.znodes.get(request).await, Code::FailedPrecondition, expired);
    check(calls.sessions.close(v1::CloseRequest { session: Some(session) }).await, Code::FailedPrecondition, expired);
}

#[track_caller]
fn check<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{status:?}");
}
