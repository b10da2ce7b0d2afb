//! The fake server's services.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, future};
use quorate_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};
use v1::channel_item::Item;
use v1::channel_operation::Operation;
use v1::channel_reply::Result as Reply;
use v1::session_service_server::SessionService;
use v1::watch_item::Item as Told;
use v1::watch_service_server::WatchService;
use v1::znode_service_server::ZnodeService;

use super::Door;
use super::world::{Fault, WatchFault, concerns, error};

/// How late something is done that got stuck on its way.
const LATE: Duration = Duration::from_secs(4);

type Answers<T> = BoxStream<'static, Result<T, Status>>;

impl Door {
    /// Cuts the connection and never returns: what answers next is the client's own library.
    async fn cut(&self) -> ! {
        self.cut.notify_one();
        future::pending().await
    }

    /// The answers to one message of a Channel, which speaks for a session or for none; none if nothing is to be said.
    async fn answer(&self, message: v1::ChannelRequest, session: u64) -> Option<v1::ChannelResponse> {
        let fault = {
            let mut world = self.world.lock();
            world.messages.push((self.server_id, message.clone()));
            if world.looking.contains(&self.server_id) {
                Fault::Refuse(v1::ErrorReason::Unavailable)
            } else {
                world.next_fault()
            }
        };
        if fault == Fault::CutBefore {
            self.cut().await;
        }
        if fault == Fault::CutLate {
            let world = Arc::clone(&self.world);
            tokio::spawn(async move {
                tokio::time::sleep(LATE).await;
                let operations = message.operations.into_iter().filter_map(|operation| operation.operation);
                operations.for_each(|operation| drop(world.lock().perform(operation, session)));
            });
            self.cut().await;
        }
        if fault == Fault::Silence {
            return None;
        }
        let answered = {
            let mut world = self.world.lock();
            let mut items = Vec::new();
            for operation in message.operations {
                let result = match (fault, operation.operation) {
                    (Fault::Refuse(reason), _) => Reply::Error(error(reason, "")),
                    (_, Some(operation)) => world.perform(operation, session),
                    (_, None) => Reply::Error(error(v1::ErrorReason::Unimplemented, "")),
                };
                let reply = v1::ChannelReply { id: operation.id, zxid: world.zxid, result: Some(result) };
                items.push(v1::ChannelItem { item: Some(Item::Reply(reply)) });
            }
            v1::ChannelResponse { header: Some(world.header(self.server_id)), items }
        };
        if fault == Fault::CutAfter {
            self.cut().await;
        }
        Some(answered)
    }

    /// A call without a Channel.
    async fn unary(&self, operation: Operation) -> Result<(v1::ReplyHeader, Reply), Status> {
        let operations = vec![v1::ChannelOperation { id: 0, timeout_ms: 0, operation: Some(operation) }];
        let answered = self.answer(v1::ChannelRequest { attach: None, operations }, 0).await;
        let Some(response) = answered else { return future::pending().await };
        let Some(v1::ChannelItem { item: Some(Item::Reply(reply)) }) = response.items.into_iter().next() else {
            return Err(Status::internal("no answer"));
        };
        match reply.result {
            Some(Reply::Error(error)) => {
                let name = error.reason().as_str_name().trim_start_matches("ERROR_REASON_");
                let details =
                    ErrorDetails::with_error_info(name, "quorate", std::collections::HashMap::<String, String>::new());
                Err(Status::with_error_details(tonic::Code::Unknown, error.message, details))
            }
            Some(result) => Ok((response.header.unwrap_or_default(), result)),
            None => Err(Status::internal("no answer")),
        }
    }
}

fn unimplemented<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in this fake"))
}

#[tonic::async_trait]
impl SessionService for Door {
    type ChannelStream = Answers<v1::ChannelResponse>;
    type KeepAliveStream = Answers<v1::KeepAliveResponse>;

    async fn channel(
        &self,
        request: Request<Streaming<v1::ChannelRequest>>,
    ) -> Result<Response<Self::ChannelStream>, Status> {
        let door = self.clone();
        let begun = (request.into_inner(), None);
        let answers = stream::unfold(begun, move |(mut incoming, mut session)| {
            let door = door.clone();
            async move {
                loop {
                    let message = incoming.message().await.ok()??;
                    if let Some(attach) = &message.attach {
                        session = Some(attach.session_id);
                    }
                    if session.is_some_and(|id| !door.world.lock().sessions.contains(&id)) {
                        let state = v1::SessionState::Expired as i32;
                        let change = v1::KeepAliveResponse { header: None, state, timeout_ms: 0 };
                        let items = vec![v1::ChannelItem { item: Some(Item::Session(change)) }];
                        return Some((Ok(v1::ChannelResponse { header: None, items }), (incoming, session)));
                    }
                    if let Some(answer) = door.answer(message, session.unwrap_or(0)).await {
                        return Some((Ok(answer), (incoming, session)));
                    }
                }
            }
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn open(&self, request: Request<v1::OpenRequest>) -> Result<Response<v1::OpenResponse>, Status> {
        match self.unary(Operation::Open(request.into_inner())).await? {
            (header, Reply::Open(reply)) => Ok(Response::new(v1::OpenResponse { header: Some(header), ..reply })),
            _ => unimplemented(),
        }
    }

    async fn keep_alive(
        &self,
        request: Request<Streaming<v1::KeepAliveRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        let door = self.clone();
        let answers = request.into_inner().then(move |message| {
            let door = door.clone();
            async move {
                match door.unary(Operation::KeepAlive(message?)).await? {
                    (header, Reply::KeepAlive(reply)) => Ok(v1::KeepAliveResponse { header: Some(header), ..reply }),
                    _ => Err(Status::internal("no answer")),
                }
            }
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn close(&self, request: Request<v1::CloseRequest>) -> Result<Response<v1::CloseResponse>, Status> {
        let (header, _) = self.unary(Operation::Close(request.into_inner())).await?;
        Ok(Response::new(v1::CloseResponse { header: Some(header) }))
    }
}

/// One watch of a stream: its id, what it asked for, and how much of the history it was told.
#[derive(Clone)]
struct Watch {
    id: u64,
    path: String,
    kind: v1::WatchKind,
    told: usize,
}

/// The state of one stream of watches.
struct Teller {
    door: Door,
    incoming: Streaming<v1::WatchRequest>,
    watches: Vec<Watch>,
    out: mpsc::Sender<Result<v1::WatchResponse, Status>>,
    /// What happens after so many messages.
    fault: Option<(usize, WatchFault)>,
}

impl Teller {
    async fn tell(&mut self, watch_id: u64, item: Told) -> Option<()> {
        match &mut self.fault {
            Some((0, WatchFault::Cut)) => self.door.cut().await,
            Some((0, fault)) => {
                let reason =
                    if *fault == WatchFault::Lag { v1::ErrorReason::Lagged } else { v1::ErrorReason::Unavailable };
                self.fault = None;
                self.watches.retain(|watch| watch.id != watch_id);
                // In the middle of a txn nothing but the txn before is complete; 0 is always true.
                let canceled = v1::WatchCanceled { error: Some(error(reason, "")), ..Default::default() };
                return self.send(watch_id, Told::Canceled(canceled)).await;
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
        self.send(watch_id, item).await
    }

    async fn send(&mut self, watch_id: u64, item: Told) -> Option<()> {
        let header = Some(self.door.world.lock().header(self.door.server_id));
        let items = vec![v1::WatchItem { watch_ids: vec![watch_id], item: Some(item) }];
        self.out.send(Ok(v1::WatchResponse { header, items })).await.ok()
    }

    async fn begin(&mut self, create: v1::WatchCreate) -> Option<()> {
        let (initial, told, zxid, compacted) = {
            let mut world = self.door.world.lock();
            world.watches.push((self.door.server_id, create.clone()));
            let (kind, path) = (create.kind(), create.path.as_str());
            let mut initial: Vec<_> =
                world.znodes.iter().map(|(path, (data, stat))| (path.clone(), data.clone(), *stat)).collect();
            initial.retain(|(changed, _, _)| concerns(kind, path, changed));
            let position = |event: &v1::Event| (event.zxid, event.index);
            let told = match create.start_zxid {
                Some(start) => {
                    let start = (start, create.start_index.unwrap_or(u32::MAX));
                    world.history.partition_point(|event| position(event) <= start)
                }
                None => world.history.len(),
            };
            let compacted = create.start_zxid.filter(|start| *start < world.compacted_zxid);
            (initial, told, world.zxid, compacted.map(|_| world.compacted_zxid))
        };
        let id = create.watch_id;
        if let Some(compacted) = compacted {
            let error = Some(error(v1::ErrorReason::Compacted, ""));
            let canceled = v1::WatchCanceled { error, resume_zxid: 0, compacted_zxid: Some(compacted) };
            return self.send(id, Told::Canceled(canceled)).await;
        }
        self.watches.push(Watch { id, path: create.path.clone(), kind: create.kind(), told });
        self.tell(id, Told::Created(v1::WatchCreated { zxid })).await?;
        if create.send_initial {
            for (path, data, stat) in initial {
                let r#type = v1::EventType::Created as i32;
                let event = v1::Event { zxid, index: 0, r#type, path, stat: Some(stat), data, previous_data: None };
                self.tell(id, Told::Events(v1::WatchEvents { events: vec![event] })).await?;
                if !self.watches.iter().any(|watch| watch.id == id) {
                    return Some(());
                }
            }
            self.tell(id, Told::Synced(v1::WatchSynced { zxid })).await?;
        }
        Some(())
    }

    /// Tells each watch the next txn that it was not told; whether there was one.
    async fn tell_news(&mut self) -> Option<bool> {
        let mut news = false;
        for at in (0..self.watches.len()).rev() {
            let Watch { id, path, kind, told } = self.watches[at].clone();
            let mut events: Vec<v1::Event> = {
                let world = self.door.world.lock();
                let rest = &world.history[told..];
                rest.iter().take_while(|event| event.zxid == rest[0].zxid).cloned().collect()
            };
            if events.is_empty() {
                continue;
            }
            news = true;
            self.watches[at].told += events.len();
            events.retain(|event| concerns(kind, &path, &event.path));
            if events.is_empty() {
                continue;
            }
            self.tell(id, Told::Events(v1::WatchEvents { events })).await?;
        }
        Some(news)
    }

    async fn run(mut self) -> Option<()> {
        let mut changes = self.door.world.lock().changed.subscribe();
        loop {
            changes.borrow_and_update();
            while self.tell_news().await? {}
            tokio::select! {
                request = self.incoming.message() => {
                    let Some(v1::watch_request::Action::Create(create)) = request.ok()??.action else { continue };
                    self.begin(create).await?;
                }
                changed = changes.changed() => changed.ok()?,
                // As a real server does, if only so that a client that waits in vain can be told from one that does not.
                () = tokio::time::sleep(Duration::from_secs(5)) => {
                    let zxid = self.door.world.lock().zxid;
                    for id in self.watches.iter().map(|watch| watch.id).collect::<Vec<_>>() {
                        self.tell(id, Told::Progress(v1::WatchProgress { zxid })).await?;
                    }
                }
            }
        }
    }
}

#[tonic::async_trait]
impl WatchService for Door {
    type WatchStream = Answers<v1::WatchResponse>;
    type SubscribeStream = Answers<v1::SubscribeResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (out, answers) = mpsc::channel(4);
        let fault = self.world.lock().watch_faults.pop_front();
        let incoming = request.into_inner();
        tokio::spawn(Teller { door: self.clone(), incoming, watches: Vec::new(), out, fault }.run());
        Ok(Response::new(ReceiverStream::new(answers).boxed()))
    }

    async fn subscribe(&self, _: Request<v1::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        unimplemented()
    }
}

#[tonic::async_trait]
impl ZnodeService for Door {
    type StreamTreeStream = Answers<v1::StreamTreeResponse>;

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        match self.unary(Operation::Get(request.into_inner())).await? {
            (header, Reply::Get(reply)) => Ok(Response::new(v1::GetResponse { header: Some(header), ..reply })),
            _ => unimplemented(),
        }
    }

    async fn create(&self, request: Request<v1::CreateRequest>) -> Result<Response<v1::CreateResponse>, Status> {
        match self.unary(Operation::Create(request.into_inner())).await? {
            (header, Reply::Create(reply)) => Ok(Response::new(v1::CreateResponse { header: Some(header), ..reply })),
            _ => unimplemented(),
        }
    }

    async fn set_data(&self, request: Request<v1::SetDataRequest>) -> Result<Response<v1::SetDataResponse>, Status> {
        match self.unary(Operation::SetData(request.into_inner())).await? {
            (header, Reply::SetData(reply)) => Ok(Response::new(v1::SetDataResponse { header: Some(header), ..reply })),
            _ => unimplemented(),
        }
    }

    async fn stream_tree(&self, _: Request<v1::StreamTreeRequest>) -> Result<Response<Self::StreamTreeStream>, Status> {
        let (header, zxid, nodes) = {
            let world = self.world.lock();
            let node = |(path, (data, stat)): (&String, &(Option<bytes::Bytes>, v1::Stat))| v1::TreeNode {
                path: path.clone(),
                stat: Some(*stat),
                data: data.clone(),
                ..Default::default()
            };
            let nodes: Vec<_> = world.znodes.iter().map(node).collect();
            (world.header(self.server_id), world.zxid, nodes)
        };
        let message = move |node| Ok(v1::StreamTreeResponse { header: Some(header), zxid, nodes: vec![node] });
        Ok(Response::new(stream::iter(nodes.into_iter().map(message)).boxed()))
    }

    async fn exists(&self, _: Request<v1::ExistsRequest>) -> Result<Response<v1::ExistsResponse>, Status> {
        unimplemented()
    }

    async fn delete(&self, _: Request<v1::DeleteRequest>) -> Result<Response<v1::DeleteResponse>, Status> {
        unimplemented()
    }

    async fn list_children(
        &self,
        _: Request<v1::ListChildrenRequest>,
    ) -> Result<Response<v1::ListChildrenResponse>, Status> {
        unimplemented()
    }

    async fn get_acl(&self, _: Request<v1::GetAclRequest>) -> Result<Response<v1::GetAclResponse>, Status> {
        unimplemented()
    }

    async fn set_acl(&self, _: Request<v1::SetAclRequest>) -> Result<Response<v1::SetAclResponse>, Status> {
        unimplemented()
    }

    async fn multi(&self, _: Request<v1::MultiRequest>) -> Result<Response<v1::MultiResponse>, Status> {
        unimplemented()
    }

    async fn multi_read(&self, _: Request<v1::MultiReadRequest>) -> Result<Response<v1::MultiReadResponse>, Status> {
        unimplemented()
    }

    async fn sync(&self, _: Request<v1::SyncRequest>) -> Result<Response<v1::SyncResponse>, Status> {
        unimplemented()
    }

    async fn get_ephemerals(
        &self,
        _: Request<v1::GetEphemeralsRequest>,
    ) -> Result<Response<v1::GetEphemeralsResponse>, Status> {
        unimplemented()
    }

    async fn check_access(
        &self,
        _: Request<v1::CheckAccessRequest>,
    ) -> Result<Response<v1::CheckAccessResponse>, Status> {
        unimplemented()
    }

    async fn count_descendants(
        &self,
        _: Request<v1::CountDescendantsRequest>,
    ) -> Result<Response<v1::CountDescendantsResponse>, Status> {
        unimplemented()
    }
}
