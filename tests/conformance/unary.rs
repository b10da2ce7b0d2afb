//! `UnaryDoor`: each operation by an RPC of its own, watches by a stream of theirs.

use std::time::Duration;

use quorate_proto::v1;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Reply;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::Server;
use quorate_types::Code;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt;

use super::door::{Asked, Failure};
use super::messages::{self, SessionHandle};
use super::watches::WatchLog;

/// Larger than any answer of the vectors.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) struct UnaryDoor {
    channel: Channel,
    cluster_id: u64,
    watches: Option<WatchStream>,
}

struct WatchStream {
    requests: mpsc::Sender<v1::WatchRequest>,
    responses: Streaming<v1::WatchResponse>,
    log: WatchLog,
}

impl UnaryDoor {
    pub(super) async fn open(server: &Server) -> UnaryDoor {
        let channel = server.grpc().await;
        let cluster_id = cluster_id(&channel).await;
        UnaryDoor { channel, cluster_id, watches: None }
    }

    pub(super) fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    pub(super) async fn perform(&self, operation: Operation, deadline: Option<Duration>) -> Result<Value, Failure> {
        let (header, reply) = self.call(operation, deadline).await.map_err(failure)?;
        let header = header.expect("every response has a header");
        assert_eq!(header.cluster_id, self.cluster_id, "the cluster's id has changed");
        assert!(header.server_id > 0 && header.epoch > 0, "{header:?}");
        let mut value = messages::result(reply).expect("a unary call fails by its status");
        value["zxid"] = header.zxid.into();
        Ok(value)
    }

    async fn call(
        &self,
        operation: Operation,
        deadline: Option<Duration>,
    ) -> Result<(Option<v1::ReplyHeader>, Reply), Status> {
        let mut znodes = ZnodeServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        macro_rules! call {
            ($method:ident, $request:expr, $reply:ident) => {{
                let mut request = Request::new($request);
                if let Some(deadline) = deadline {
                    request.set_timeout(deadline);
                }
                let response = znodes.$method(request).await?.into_inner();
                Ok((response.header.clone(), Reply::$reply(response)))
            }};
        }
        match operation {
            Operation::Get(request) => call!(get, request, Get),
            Operation::SetData(request) => call!(set_data, request, SetData),
            Operation::Create(request) => call!(create, request, Create),
            Operation::Delete(request) => call!(delete, request, Delete),
            Operation::Exists(request) => call!(exists, request, Exists),
            Operation::ListChildren(request) => call!(list_children, request, ListChildren),
            Operation::GetAcl(request) => call!(get_acl, request, GetAcl),
            Operation::SetAcl(request) => call!(set_acl, request, SetAcl),
            Operation::Multi(request) => call!(multi, request, Multi),
            Operation::MultiRead(request) => call!(multi_read, request, MultiRead),
            Operation::Sync(request) => call!(sync, request, Sync),
            Operation::GetEphemerals(request) => call!(get_ephemerals, request, GetEphemerals),
            Operation::CheckAccess(request) => call!(check_access, request, CheckAccess),
            Operation::CountDescendants(request) => call!(count_descendants, request, CountDescendants),
            other => panic!("{other:?} is no call on znodes"),
        }
    }

    pub(super) async fn tree(&self, asked: &Asked<'_>) -> Result<Value, Failure> {
        let request = v1::StreamTreeRequest {
            path: messages::path(asked.arguments),
            with_data: messages::flag(asked.arguments, "with_data"),
            with_acl: messages::flag(asked.arguments, "with_acl"),
            depth_max: messages::number(asked.arguments, "depth").map(|depth| depth as u32),
            options: asked.options(self.cluster_id),
        };
        let mut znodes = ZnodeServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut stream = znodes.stream_tree(request).await.map_err(failure)?.into_inner();
        let (mut nodes, mut zxid) = (Vec::new(), None);
        while let Some(part) = stream.message().await.map_err(failure)? {
            assert_eq!(*zxid.get_or_insert(part.zxid), part.zxid, "one tree is of two states");
            nodes.extend(part.nodes.iter().map(messages::tree_node));
        }
        Ok(json!({"nodes": nodes}))
    }

    pub(super) async fn open_session(&self, timeout_ms: u32) -> Result<(SessionHandle, Value), Failure> {
        let mut sessions = SessionServiceClient::new(self.channel.clone());
        let reply = sessions.open(v1::OpenRequest { timeout_ms }).await.map_err(failure)?.into_inner();
        let handle = SessionHandle { id: reply.session_id, secret: reply.secret.clone() };
        assert_eq!(handle.secret.len(), 16);
        Ok((handle, messages::result(Reply::Open(reply)).expect("no error")))
    }

    pub(super) async fn keep_alive(&self, session: &SessionHandle) -> Result<Value, Failure> {
        let mut sessions = SessionServiceClient::new(self.channel.clone());
        let beats = tokio_stream::iter([v1::KeepAliveRequest { session: Some(session.credential()) }]);
        let mut stream = sessions.keep_alive(beats).await.map_err(failure)?.into_inner();
        let reply = stream.message().await.map_err(failure)?.expect("a beat is answered");
        Ok(messages::keep_alive(&reply))
    }

    pub(super) async fn close_session(&self, session: &SessionHandle) -> Result<Value, Failure> {
        let mut sessions = SessionServiceClient::new(self.channel.clone());
        sessions.close(v1::CloseRequest { session: Some(session.credential()) }).await.map_err(failure)?;
        Ok(json!({}))
    }

    pub(super) async fn watch(&mut self, create: v1::WatchCreate) {
        self.watch_action(v1::watch_request::Action::Create(create)).await;
    }

    pub(super) async fn cancel(&mut self, watch_id: u64) {
        self.watch_action(v1::watch_request::Action::Cancel(v1::WatchCancel { watch_id })).await;
    }

    pub(super) async fn told(&mut self, id: u64) -> Value {
        let stream = self.watches.as_mut().expect("a watch was begun");
        loop {
            if let Some(told) = stream.log.next(id) {
                return told;
            }
            let response = stream.responses.message().await.expect("the watch stream goes on");
            stream.log.take(response.expect("the watch stream goes on").items);
        }
    }

    async fn watch_action(&mut self, action: v1::watch_request::Action) {
        let request = v1::WatchRequest { action: Some(action) };
        if let Some(stream) = &self.watches {
            stream.requests.send(request).await.expect("the watch stream takes requests");
            return;
        }
        let (requests, receiver) = mpsc::channel(16);
        requests.send(request).await.expect("the receiver is there");
        let mut watches = WatchServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let responses = watches.watch(ReceiverStream::new(receiver)).await.expect("watches are served").into_inner();
        self.watches = Some(WatchStream { requests, responses, log: WatchLog::default() });
    }
}

/// The id of the cluster behind a connection.
pub(super) async fn cluster_id(channel: &Channel) -> u64 {
    let status = ClusterServiceClient::new(channel.clone()).status(v1::StatusRequest {}).await;
    status.expect("the server says what it is").into_inner().header.expect("with a header").cluster_id
}

/// The reason in a status. The status has to be the one that the error table gives to that reason.
pub(super) fn failure(status: Status) -> Failure {
    let Some(info) = status.get_details_error_info() else {
        panic!("a failure without a reason: {status:?}");
    };
    assert_eq!(info.domain, "quorate", "{status:?}");
    let code = Code::ALL.iter().find(|code| code.reason() == info.reason);
    let code = code.unwrap_or_else(|| panic!("{} is no reason", info.reason));
    assert_eq!(status.code() as i32, i32::from(code.grpc()), "the status of {}: {status:?}", info.reason);
    assert!(!status.message().is_empty(), "{} comes without a word", info.reason);
    Failure { reason: info.reason, path: info.metadata.get("path").cloned() }
}
