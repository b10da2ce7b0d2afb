//! `Calls` and `Watcher`: short forms of what tests ask of the gRPC door.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_proto::v1;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_proto::v1::watch_item::Item;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::Server;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

/// Longer than anything takes that a test waits for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Larger than any answer in these tests.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One connection.
pub(super) struct Calls {
    pub(super) znodes: ZnodeServiceClient<Channel>,
    pub(super) sessions: SessionServiceClient<Channel>,
}

impl Calls {
    pub(super) async fn to(server: &Server) -> Calls {
        let channel = server.grpc().await;
        Calls {
            znodes: ZnodeServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            sessions: SessionServiceClient::new(channel),
        }
    }

    pub(super) async fn create(&mut self, path: &str, mode: v1::CreateMode) -> v1::Stat {
        let create = v1::CreateRequest { path: path.to_owned(), mode: mode.into(), ..v1::CreateRequest::default() };
        self.znodes.create(create).await.unwrap().into_inner().stat.unwrap()
    }

    pub(super) async fn create_ttl(&mut self, path: &str, ttl: Duration) {
        let (path, mode, ttl_ms) = (path.to_owned(), v1::CreateMode::Ttl.into(), ttl.as_millis() as u64);
        self.znodes.create(v1::CreateRequest { path, mode, ttl_ms, ..v1::CreateRequest::default() }).await.unwrap();
    }

    pub(super) async fn set(&mut self, path: &str, data: Vec<u8>) -> v1::Stat {
        let request =
            v1::SetDataRequest { path: path.to_owned(), data: Some(data.into()), ..v1::SetDataRequest::default() };
        self.znodes.set_data(request).await.unwrap().into_inner().stat.unwrap()
    }

    pub(super) async fn delete(&mut self, path: &str) {
        let request = v1::DeleteRequest { path: path.to_owned(), ..v1::DeleteRequest::default() };
        self.znodes.delete(request).await.unwrap();
    }

    /// The names of children, in their order.
    pub(super) async fn children(&mut self, path: &str) -> Vec<String> {
        let request = v1::ListChildrenRequest { path: path.to_owned(), ..v1::ListChildrenRequest::default() };
        let listing = self.znodes.list_children(request).await.unwrap().into_inner();
        listing.children.into_iter().map(|child| child.name).collect()
    }

    pub(super) async fn open_session(&mut self, timeout_ms: u32) -> v1::SessionCredential {
        let opened = self.sessions.open(v1::OpenRequest { timeout_ms }).await.unwrap().into_inner();
        v1::SessionCredential { session_id: opened.session_id, secret: opened.secret }
    }
}

/// Options that name a session.
pub(super) fn within(session: &v1::SessionCredential) -> Option<v1::RequestOptions> {
    Some(v1::RequestOptions { session: Some(session.clone()), ..v1::RequestOptions::default() })
}

/// The reason that a status carries.
pub(super) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// One watch on a stream of its own.
pub(super) struct Watcher {
    stream: Streaming<v1::SubscribeResponse>,
    items: VecDeque<Item>,
    /// Everything up to here was told.
    pub(super) told: u64,
}

impl Watcher {
    /// Everything below `path`, strictly after `start_zxid`, or from now on. Returns once the watch has begun or failed.
    pub(super) async fn below(server: &Server, path: &str, start_zxid: Option<u64>) -> Watcher {
        let kind = v1::WatchKind::Recursive.into();
        let watch =
            v1::WatchCreate { watch_id: 1, path: path.to_owned(), kind, start_zxid, ..v1::WatchCreate::default() };
        let mut watches = WatchServiceClient::new(server.grpc().await).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let stream = watches.subscribe(v1::SubscribeRequest { watches: vec![watch] }).await.unwrap().into_inner();
        let mut watcher = Watcher { stream, items: VecDeque::new(), told: start_zxid.unwrap_or(0) };
        if !matches!(watcher.peek().await, Item::Canceled(_)) {
            let Some(Item::Created(created)) = watcher.items.pop_front() else { panic!("a watch begins") };
            watcher.told = created.zxid;
        }
        watcher
    }

    async fn peek(&mut self) -> &Item {
        while self.items.is_empty() {
            let message = tokio::time::timeout(PATIENCE, self.stream.message()).await;
            let message = message.expect("the watch is told nothing more").unwrap().expect("the stream goes on");
            self.items.extend(message.items.into_iter().filter_map(|item| item.item));
        }
        &self.items[0]
    }

    /// The next thing that is no progress.
    async fn next(&mut self) -> Item {
        loop {
            self.peek().await;
            match self.items.pop_front() {
                Some(Item::Progress(progress)) => self.told = progress.zxid,
                Some(item) => return item,
                None => unreachable!("it was just looked at"),
            }
        }
    }

    /// What one txn did: types and paths.
    pub(super) async fn events(&mut self) -> Vec<(v1::EventType, String)> {
        match self.next().await {
            Item::Events(events) => {
                self.told = events.events.last().expect("at least one").zxid;
                events.events.into_iter().map(|event| (event.r#type(), event.path)).collect()
            }
            other => panic!("no events, but {other:?}"),
        }
    }

    /// What ends the watch.
    pub(super) async fn canceled(&mut self) -> v1::WatchCanceled {
        match self.next().await {
            Item::Canceled(canceled) => canceled,
            other => panic!("not canceled, but {other:?}"),
        }
    }
}
