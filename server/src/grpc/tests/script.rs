//! `Script`: stands where the driver and its replica stand, sees what the door sent and says what is delivered.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use quorate_replica::outbox::OutboxLimits;
use quorate_replica::{Delivery, Order};
use quorate_storage::{Options, RealDisk, Salt, SnapshotDir, Storage};
use quorate_types::{ClusterId, Epoch, OutboxId, Request, Response, Role, ServerId, Tag, Zxid};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::grpc::{Config, Door};
use crate::inbox::{ClientItem, Drained, Inbox};
use crate::mailbox::Mailbox;

/// What the tests' ensemble is called.
pub(super) const CLUSTER: ClusterId = ClusterId(0xc1);

/// What a client lets the door send ahead of what it reads.
const WINDOW_BYTES: u32 = 65_535;

/// Those of a directory that is gone.
fn snapshots() -> SnapshotDir<RealDisk> {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(dir.path()).unwrap();
    Storage::initialize(disk.clone(), CLUSTER, ServerId(1), quorate_storage::Standing::Voter, Salt(1)).unwrap();
    let (storage, _) = Storage::open(disk, &Options::default()).unwrap();
    storage.snapshots.dir().clone()
}

/// The other end of the inbox.
pub(super) struct Script {
    inbox: Inbox,
    arrived: VecDeque<ClientItem>,
}

impl Script {
    /// A door on a server that leads, and the other end of its inbox.
    pub(super) fn new(config: Config) -> (Script, Door) {
        let inbox = Inbox::new(CLUSTER, ServerId(1), 1, Clock::start(), OutboxLimits::default());
        let script = Script { inbox: inbox.clone(), arrived: VecDeque::new() };
        script.publish(Zxid(0x1_0000_0007), true);
        (script, Door::new(inbox, config, snapshots()))
    }

    /// The same, with a client that is connected.
    pub(super) async fn connected() -> (Script, Client) {
        let (script, door) = Script::new(Config::default());
        (script, connect(&door, Connection::new(None, &CancellationToken::new())).await)
    }

    /// Lets everybody know how the server is.
    pub(super) fn publish(&self, zxid: Zxid, serving: bool) {
        self.inbox.shared().published.set(Role::Leading, Epoch(1), zxid, serving);
    }

    async fn next(&mut self) -> ClientItem {
        while self.arrived.is_empty() {
            let mut drained = Drained::default();
            std::future::poll_fn(|cx| self.inbox.shared().poll_drain(cx, true, &mut drained)).await;
            self.arrived.extend(drained.clients);
        }
        self.arrived.pop_front().unwrap()
    }

    /// The next thing that happens is a unary call.
    pub(super) async fn call(&mut self) -> (Tag, Request) {
        match self.next().await {
            ClientItem::Call { tag, request } => (tag, request),
            other => panic!("not a call: {}", name(&other)),
        }
    }

    /// Answers a unary call.
    pub(super) fn answer(&self, tag: Tag, zxid: Zxid, response: Response) {
        self.inbox.shared().calls.deliver([Delivery::Reply { tag, zxid, response }].into_iter());
    }

    /// The next thing that happens is a new outbox.
    pub(super) async fn opened(&mut self) -> (Peer, Order) {
        match self.next().await {
            ClientItem::Open { mailbox, order } => (Peer { mailbox }, order),
            other => panic!("no outbox is opened: {}", name(&other)),
        }
    }

    /// The next thing that happens is a batch of requests.
    pub(super) async fn batch(&mut self) -> Vec<(Tag, Request)> {
        match self.next().await {
            ClientItem::Requests { batch, .. } => batch,
            other => panic!("no requests: {}", name(&other)),
        }
    }

    /// The next thing that happens is the end of an outbox.
    pub(super) async fn closed(&mut self) -> OutboxId {
        match self.next().await {
            ClientItem::Closed(outbox) => outbox,
            other => panic!("no end: {}", name(&other)),
        }
    }
}

fn name(item: &ClientItem) -> &'static str {
    match item {
        ClientItem::Open { .. } => "an outbox is opened",
        ClientItem::Requests { .. } => "requests",
        ClientItem::Call { .. } => "a call",
        ClientItem::Unpark(_) => "an outbox was read",
        ClientItem::Closed(_) => "an outbox is closed",
    }
}

/// One outbox, as the replica has it.
pub(super) struct Peer {
    mailbox: Arc<Mailbox>,
}

impl Peer {
    pub(super) fn id(&self) -> OutboxId {
        self.mailbox.id()
    }

    /// Whether more is unread than a client may leave unread before it is no longer listened to (1 MiB).
    pub(super) fn is_full(&self) -> bool {
        self.mailbox.park_if_full()
    }

    pub(super) fn deliver(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        self.mailbox.push(deliveries.into_iter(), 0, &mut Vec::new());
    }

    pub(super) fn reply(&self, tag: Tag, zxid: Zxid, response: Response) {
        self.deliver([Delivery::Reply { tag, zxid, response }]);
    }
}

/// A client's end of a connection within the process.
#[derive(Clone)]
pub(super) struct Client(SendRequest<Body>);

/// Connects to `door`.
pub(super) async fn connect(door: &Door, connection: Connection) -> Client {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let door = door.clone();
    tokio::spawn(async move { door.serve(far, connection, CancellationToken::new()).await });
    let (send, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .handshake(TokioIo::new(near))
        .await
        .unwrap();
    tokio::spawn(connection);
    Client(send)
}

impl tower::Service<http::Request<Body>> for Client {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().unwrap().clone();
        let uri = http::Uri::builder().scheme("http").authority("test").path_and_query(path).build();
        *request.uri_mut() = uri.unwrap();
        Box::pin(self.0.send_request(request))
    }
}

/// A stream of requests that a test feeds.
pub(super) fn requests<M: Send + 'static>() -> (Requests<M>, tokio_stream::wrappers::UnboundedReceiverStream<M>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (Requests(sender), tokio_stream::wrappers::UnboundedReceiverStream::new(receiver))
}

/// Dropping it ends the client's side of the stream.
pub(super) struct Requests<M>(tokio::sync::mpsc::UnboundedSender<M>);

impl<M> Requests<M> {
    pub(super) fn send(&self, message: M) {
        assert!(self.0.send(message).is_ok(), "the call is over");
    }
}
