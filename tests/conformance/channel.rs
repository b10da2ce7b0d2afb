//! `ChannelDoor`: everything on one bidirectional stream.

use std::collections::HashMap;
use std::time::Duration;

use quorate_proto::v1;
use quorate_proto::v1::channel_item::Item;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Reply;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_tests::harness::Server;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::door::{Failure, PATIENCE};
use super::messages::{self, SessionHandle};
use super::unary;
use super::watches::WatchLog;

const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) struct ChannelDoor {
    cluster_id: u64,
    requests: mpsc::Sender<v1::ChannelRequest>,
    responses: Streaming<v1::ChannelResponse>,
    next_id: u64,
    replies: HashMap<u64, v1::ChannelReply>,
    log: WatchLog,
}

impl ChannelDoor {
    pub(super) async fn open(server: &Server) -> ChannelDoor {
        let connection = server.grpc().await;
        let cluster_id = unary::cluster_id(&connection).await;
        let (requests, receiver) = mpsc::channel(16);
        let mut sessions = SessionServiceClient::new(connection).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let stream = sessions.channel(ReceiverStream::new(receiver)).await.expect("Channels are served");
        let (responses, replies, log) = (stream.into_inner(), HashMap::new(), WatchLog::default());
        ChannelDoor { cluster_id, requests, responses, next_id: 1, replies, log }
    }

    pub(super) fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    pub(super) async fn perform(&mut self, operation: Operation, deadline: Option<Duration>) -> Result<Value, Failure> {
        let (zxid, reply) = self.call(operation, deadline).await;
        let mut value = messages::result(reply).map_err(Failure::of)?;
        value["zxid"] = zxid.into();
        Ok(value)
    }

    pub(super) async fn open_session(&mut self, timeout_ms: u32) -> Result<(SessionHandle, Value), Failure> {
        match self.call(Operation::Open(v1::OpenRequest { timeout_ms }), None).await {
            (_, Reply::Open(reply)) => {
                let handle = SessionHandle { id: reply.session_id, secret: reply.secret.clone() };
                Ok((handle, messages::result(Reply::Open(reply)).expect("no error")))
            }
            (_, Reply::Error(error)) => Err(Failure::of(error)),
            (_, other) => panic!("an open is answered by {other:?}"),
        }
    }

    pub(super) async fn watch(&mut self, create: v1::WatchCreate) {
        self.send(Operation::Watch(create), None).await;
    }

    pub(super) async fn cancel(&mut self, watch_id: u64) {
        self.send(Operation::CancelWatch(v1::WatchCancel { watch_id }), None).await;
    }

    pub(super) async fn told(&mut self, id: u64) -> Value {
        loop {
            match self.log.next(id) {
                Some(told) => return told,
                None => self.receive().await,
            }
        }
    }

    async fn call(&mut self, operation: Operation, deadline: Option<Duration>) -> (u64, Reply) {
        let id = self.send(operation, deadline).await;
        let reply = async {
            loop {
                match self.replies.remove(&id) {
                    Some(reply) => return (reply.zxid, reply.result.expect("a reply says something")),
                    None => self.receive().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, reply).await.unwrap_or_else(|_| panic!("operation {id} is not answered"))
    }

    async fn send(&mut self, operation: Operation, deadline: Option<Duration>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let timeout_ms = deadline.map_or(0, |deadline| deadline.as_millis() as u32);
        let operation = v1::ChannelOperation { id, timeout_ms, operation: Some(operation) };
        let request = v1::ChannelRequest { attach: None, operations: vec![operation] };
        self.requests.send(request).await.expect("the Channel takes requests");
        id
    }

    async fn receive(&mut self) {
        let response = self.responses.message().await.expect("the Channel goes on").expect("the Channel goes on");
        assert_eq!(response.header.as_ref().map(|header| header.cluster_id), Some(self.cluster_id));
        for item in response.items {
            match item.item.expect("an item says something") {
                Item::Reply(reply) => {
                    let twice = self.replies.insert(reply.id, reply);
                    assert!(twice.is_none(), "answered twice: {twice:?}");
                }
                Item::Watch(item) => self.log.take(vec![item]),
                Item::Session(session) => panic!("a Channel without a session is told {session:?}"),
            }
        }
    }
}
