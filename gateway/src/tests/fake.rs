//! A server that knows no tree: each test says what it answers, and looks at what was asked. Real gRPC over memory.

mod trees;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use quorate_client::Client;
use quorate_proto::v1;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};
use v1::cluster_service_server::{ClusterService, ClusterServiceServer};
use v1::session_service_server::{SessionService, SessionServiceServer};
use v1::watch_service_server::{WatchService, WatchServiceServer};
use v1::znode_service_server::ZnodeServiceServer;

pub(super) use v1::channel_operation::Operation;
pub(super) use v1::channel_reply::Result as Reply;

/// What the fake says of itself.
pub(super) const CLUSTER_ID: u64 = 0x5eed;
/// The newest state of the fake; its answers are from the one before.
pub(super) const NEWEST_ZXID: u64 = 0x1_0000_0010;
/// The state that each answer shows.
pub(super) const ZXID: u64 = 0x1_0000_000a;

/// The version of its configuration.
pub(super) const VERSION: u64 = 0x1_0000_0003;

type Streamed<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;
type Answers = dyn Fn(&Operation) -> Reply + Send + Sync;
type Tellings = dyn Fn(&v1::WatchCreate) -> Vec<v1::watch_item::Item> + Send + Sync;

/// See the module.
#[derive(Clone)]
pub(super) struct Fake(Arc<Script>);

struct Script {
    answers: Box<Answers>,
    tellings: Box<Tellings>,
    serving: bool,
    asked: Mutex<Vec<Operation>>,
    watched: Mutex<Vec<v1::WatchCreate>>,
    streamed: Mutex<Vec<v1::StreamTreeRequest>>,
    reconfigured: Mutex<Vec<v1::ReconfigureRequest>>,
    /// Watch streams that are open.
    listening: AtomicUsize,
}

impl Fake {
    fn new(answers: Box<Answers>, tellings: Box<Tellings>, serving: bool) -> Fake {
        let listening = AtomicUsize::new(0);
        let (asked, watched, streamed) = (Mutex::default(), Mutex::default(), Mutex::default());
        let reconfigured = Mutex::default();
        Fake(Arc::new(Script { answers, tellings, serving, asked, watched, streamed, reconfigured, listening }))
    }

    /// A server that answers every operation so.
    pub(super) fn answering(answers: impl Fn(&Operation) -> Reply + Send + Sync + 'static) -> Fake {
        Fake::new(Box::new(answers), Box::new(|_| Vec::new()), true)
    }

    /// A server that refuses every operation for this reason.
    pub(super) fn refusing(reason: v1::ErrorReason) -> Fake {
        Fake::answering(move |_| refusal(reason))
    }

    /// A server that tells every watch so, and then nothing more.
    pub(super) fn telling(
        tellings: impl Fn(&v1::WatchCreate) -> Vec<v1::watch_item::Item> + Send + Sync + 'static,
    ) -> Fake {
        Fake::new(Box::new(|_| refusal(v1::ErrorReason::Internal)), Box::new(tellings), true)
    }

    /// A server without a quorum.
    pub(super) fn unready() -> Fake {
        Fake::new(Box::new(|_| refusal(v1::ErrorReason::Unavailable)), Box::new(|_| Vec::new()), false)
    }

    /// The operations that were asked for since the last time.
    pub(super) fn asked(&self) -> Vec<Operation> {
        std::mem::take(&mut self.0.asked.lock().unwrap())
    }

    /// The watches that were begun since the last time.
    pub(super) fn watched(&self) -> Vec<v1::WatchCreate> {
        std::mem::take(&mut self.0.watched.lock().unwrap())
    }

    /// The trees that were begun since the last time.
    pub(super) fn streamed(&self) -> Vec<v1::StreamTreeRequest> {
        std::mem::take(&mut self.0.streamed.lock().unwrap())
    }

    /// The changes of the ensemble that were asked for since the last time.
    pub(super) fn reconfigured(&self) -> Vec<v1::ReconfigureRequest> {
        std::mem::take(&mut self.0.reconfigured.lock().unwrap())
    }

    /// How many streams of watches are open.
    pub(super) fn listening(&self) -> usize {
        self.0.listening.load(Ordering::Relaxed)
    }

    /// A client of this server alone.
    pub(super) fn client(&self) -> Client {
        let (connections, incoming) = mpsc::unbounded_channel::<DuplexStream>();
        let fake = self.clone();
        let incoming = UnboundedReceiverStream::new(incoming).map(Ok::<_, std::io::Error>);
        let serve = Server::builder()
            .add_service(SessionServiceServer::new(fake.clone()))
            .add_service(WatchServiceServer::new(fake.clone()))
            .add_service(ZnodeServiceServer::new(fake.clone()))
            .add_service(ClusterServiceServer::new(fake))
            .serve_with_incoming(incoming);
        tokio::spawn(serve);
        Client::builder()
            .connector(move |_| {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                let sent = connections.send(theirs).map_err(std::io::Error::other);
                async move { sent.map(|()| ours) }
            })
            .connect_timeout(Duration::from_secs(1))
            .idempotent_writes(false)
            .build()
    }
}

/// The answer of a server that refuses.
pub(super) fn refusal(reason: v1::ErrorReason) -> Reply {
    let message = format!("refused: {}", reason.as_str_name());
    Reply::Error(v1::Error { reason: reason.into(), message, path: None, retry_after_ms: None })
}

fn refused(code: tonic::Code, reason: &str) -> Status {
    Status::with_error_details(code, "refused", ErrorDetails::with_error_info(reason, "quorate", HashMap::new()))
}

fn address() -> v1::MemberAddress {
    v1::MemberAddress { peer: "s4:7182".to_owned(), grpc: "s4:7181".to_owned(), http: String::new() }
}

/// A leader of whom everything is known, and an observer that cannot be reached.
fn members() -> Vec<v1::Member> {
    let leader = v1::Member {
        server_id: 1,
        role: v1::Role::Leading.into(),
        zxid: Some(NEWEST_ZXID),
        membership: v1::Membership::Participant.into(),
        behind: Some(0),
        lag_ms: Some(0),
        ..Default::default()
    };
    let membership = v1::Membership::Observer.into();
    let gone =
        v1::Member { server_id: 4, membership, address: Some(address()), unreachable: true, ..Default::default() };
    vec![leader, gone]
}

fn header() -> Option<v1::ReplyHeader> {
    let role = v1::Role::Leading.into();
    Some(v1::ReplyHeader { cluster_id: CLUSTER_ID, server_id: 1, role, epoch: 1, zxid: NEWEST_ZXID })
}

#[tonic::async_trait]
impl SessionService for Fake {
    type KeepAliveStream = Streamed<v1::KeepAliveResponse>;
    type ChannelStream = Streamed<v1::ChannelResponse>;

    async fn open(&self, _: Request<v1::OpenRequest>) -> Result<Response<v1::OpenResponse>, Status> {
        Err(Status::unimplemented("the gateway uses the Channel"))
    }

    async fn keep_alive(
        &self,
        _: Request<Streaming<v1::KeepAliveRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        Err(Status::unimplemented("the gateway uses the Channel"))
    }

    async fn close(&self, _: Request<v1::CloseRequest>) -> Result<Response<v1::CloseResponse>, Status> {
        Err(Status::unimplemented("the gateway uses the Channel"))
    }

    async fn channel(
        &self,
        request: Request<Streaming<v1::ChannelRequest>>,
    ) -> Result<Response<Self::ChannelStream>, Status> {
        let script = self.0.clone();
        let answers = request.into_inner().map(move |request| {
            let items = request?.operations.into_iter().filter_map(|operation| {
                let id = operation.id;
                let operation = operation.operation?;
                let result = Some((script.answers)(&operation));
                script.asked.lock().unwrap().push(operation);
                let reply = v1::ChannelReply { id, zxid: ZXID, result };
                Some(v1::ChannelItem { item: Some(v1::channel_item::Item::Reply(reply)) })
            });
            Ok(v1::ChannelResponse { header: header(), items: items.collect() })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl WatchService for Fake {
    type WatchStream = Streamed<v1::WatchResponse>;
    type SubscribeStream = Streamed<v1::SubscribeResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let script = self.0.clone();
        let (sender, responses) = mpsc::channel(64);
        let mut requests = request.into_inner();
        script.listening.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let Some(v1::watch_request::Action::Create(create)) = request.action else { continue };
                let items = (script.tellings)(&create).into_iter();
                let items =
                    items.map(|item| v1::WatchItem { watch_ids: vec![create.watch_id], item: Some(item) }).collect();
                script.watched.lock().unwrap().push(create);
                if sender.send(Ok(v1::WatchResponse { header: header(), items })).await.is_err() {
                    break;
                }
            }
            script.listening.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented("the gateway uses Watch"))
    }
}

#[tonic::async_trait]
impl ClusterService for Fake {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(v1::StatusResponse {
            header: header(),
            version: "0.1.0".to_owned(),
            serving: self.0.serving,
            leader_id: u32::from(self.0.serving),
            uptime_ms: 1_500,
            state: Some(v1::StateSummary { znodes: 7, digest: vec![0xab; 16].into(), ..Default::default() }),
            storage: Some(v1::StorageSummary { logged_zxid: NEWEST_ZXID, ..Default::default() }),
            members: members(),
            ..Default::default()
        }))
    }

    async fn members(&self, _: Request<v1::MembersRequest>) -> Result<Response<v1::MembersResponse>, Status> {
        Ok(Response::new(v1::MembersResponse {
            header: header(),
            told_by_id: 1,
            leader_id: u32::from(self.0.serving),
            version: VERSION,
            pending_version: None,
            quorum: 2,
            members: members(),
        }))
    }

    /// Without a quorum no change is made; otherwise only one of the present version is, and all are told the same.
    async fn reconfigure(
        &self,
        request: Request<v1::ReconfigureRequest>,
    ) -> Result<Response<v1::ReconfigureResponse>, Status> {
        let request = request.into_inner();
        let (serving, version) = (self.0.serving, request.version);
        self.0.reconfigured.lock().unwrap().push(request);
        match version {
            _ if !serving => Err(refused(tonic::Code::Unavailable, "UNAVAILABLE")),
            Some(version) if version != VERSION => Err(refused(tonic::Code::Aborted, "BAD_VERSION")),
            _ => {
                let spec = v1::MemberSpec { server_id: 4, membership: 2, address: Some(address()) };
                let members = vec![v1::MemberSpec { server_id: 1, membership: 1, address: None }, spec];
                Ok(Response::new(v1::ReconfigureResponse { header: header(), version: VERSION + 5, members }))
            }
        }
    }

    async fn transfer_leadership(
        &self,
        request: Request<v1::TransferLeadershipRequest>,
    ) -> Result<Response<v1::TransferLeadershipResponse>, Status> {
        match request.into_inner().server_id {
            Some(9) => Err(refused(tonic::Code::NotFound, "NO_SERVER")),
            target => {
                let leader_id = target.unwrap_or(2);
                Ok(Response::new(v1::TransferLeadershipResponse { header: header(), leader_id }))
            }
        }
    }

    type SnapshotStream = Streamed<v1::SnapshotResponse>;

    /// A file of nine bytes. Who wants it of a session is sent less than what was announced.
    async fn snapshot(&self, request: Request<v1::SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        use v1::snapshot_response::Part;
        if !self.0.serving {
            return Err(refused(tonic::Code::ResourceExhausted, "DISK_FULL"));
        }
        let is_cut = request.into_inner().options.is_some_and(|options| options.session.is_some());
        let head = v1::SnapshotHead { header: header(), zxid: 0x2a, bytes: 9, znodes: 7, ..Default::default() };
        let pieces = [Part::Piece(b"snap"[..].into()), Part::Piece(b"shots"[..].into())];
        let end = (!is_cut).then_some(Part::End(v1::SnapshotEnd { bytes: 9 }));
        let sent = if is_cut { &pieces[..1] } else { &pieces[..] };
        let parts: Vec<_> = [Part::Head(head)].into_iter().chain(sent.iter().cloned()).chain(end).collect();
        let parts = parts.into_iter().map(|part| Ok(v1::SnapshotResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    /// Takes whatever has nine bytes; from another ensemble, if it begins with an `x`.
    async fn restore(
        &self,
        request: Request<Streaming<v1::RestoreRequest>>,
    ) -> Result<Response<v1::RestoreResponse>, Status> {
        use v1::restore_request::Part;
        let (mut requests, mut file, mut force_cluster) = (request.into_inner(), Vec::new(), false);
        while let Some(request) = requests.message().await? {
            match request.part {
                Some(Part::Head(head)) => force_cluster = head.force_cluster,
                Some(Part::Piece(piece)) => file.extend_from_slice(&piece),
                None => panic!("an empty message"),
            }
        }
        if file.len() != 9 || (file.starts_with(b"x") && !force_cluster) {
            return Err(refused(tonic::Code::InvalidArgument, "BAD_ARGUMENTS"));
        }
        Ok(Response::new(v1::RestoreResponse { header: header(), zxid: ZXID, backup_zxid: 7 }))
    }

    async fn digest(&self, _: Request<v1::DigestRequest>) -> Result<Response<v1::DigestResponse>, Status> {
        Err(Status::unimplemented("the gateway shows the status"))
    }
}
