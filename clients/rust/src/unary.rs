//! One gRPC call for each operation: simpler to follow in a proxy's log than a Channel, and dearer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use quorate_proto::v1;
use tonic::transport::Channel;
use tonic::{Request, Status};
use v1::cluster_service_client::ClusterServiceClient;
use v1::session_service_client::SessionServiceClient;
use v1::znode_service_client::ZnodeServiceClient;

use crate::channel::MESSAGE_BYTES_MAX;
use crate::connection::{Connection, Connections};
use crate::ops::cluster::wire::Ask;
use crate::ops::{WireOperation, WireReply};

fn znodes(connection: &Connection) -> ZnodeServiceClient<Channel> {
    ZnodeServiceClient::new(connection.transport.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn sessions(connection: &Connection) -> SessionServiceClient<Channel> {
    SessionServiceClient::new(connection.transport.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn request<M>(message: M, timeout: Duration) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// An answer and its header.
type Answered = (Option<v1::ReplyHeader>, WireReply);

/// Makes a call and takes note of its header.
pub(crate) async fn call(
    connections: &Connections,
    connection: &Arc<Connection>,
    operation: WireOperation,
    timeout: Duration,
) -> Result<(u64, WireReply), Status> {
    let (header, reply) = match operation {
        WireOperation::Open(_) | WireOperation::Close(_) | WireOperation::KeepAlive(_) => {
            session_call(connection, operation, timeout).await?
        }
        WireOperation::Watch(_) | WireOperation::CancelWatch(_) => {
            return Err(Status::unimplemented("watches need a stream"));
        }
        _ => znode_call(connection, operation, timeout).await?,
    };
    connections.note(connection, header.as_ref());
    Ok((header.map_or(0, |header| header.zxid), reply))
}

async fn znode_call(connection: &Connection, operation: WireOperation, limit: Duration) -> Result<Answered, Status> {
    let mut client = znodes(connection);
    Ok(match operation {
        WireOperation::Get(message) => {
            let reply = client.get(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::Get(reply))
        }
        WireOperation::SetData(message) => {
            let reply = client.set_data(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::SetData(reply))
        }
        WireOperation::Create(message) => {
            let reply = client.create(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::Create(reply))
        }
        WireOperation::Delete(message) => {
            let reply = client.delete(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::Delete(reply))
        }
        WireOperation::Exists(message) => {
            let reply = client.exists(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::Exists(reply))
        }
        WireOperation::ListChildren(message) => {
            let reply = client.list_children(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::ListChildren(reply))
        }
        WireOperation::GetAcl(message) => {
            let reply = client.get_acl(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::GetAcl(reply))
        }
        WireOperation::SetAcl(message) => {
            let reply = client.set_acl(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::SetAcl(reply))
        }
        WireOperation::Multi(message) => {
            let reply = client.multi(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::Multi(reply))
        }
        WireOperation::MultiRead(message) => {
            let reply = client.multi_read(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::MultiRead(reply))
        }
        WireOperation::Sync(message) => {
            let reply = client.sync(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::Sync(reply))
        }
        WireOperation::GetEphemerals(message) => {
            let reply = client.get_ephemerals(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::GetEphemerals(reply))
        }
        WireOperation::CheckAccess(message) => {
            let reply = client.check_access(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::CheckAccess(reply))
        }
        WireOperation::CountDescendants(message) => {
            let reply = client.count_descendants(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::CountDescendants(reply))
        }
        WireOperation::Open(_)
        | WireOperation::Close(_)
        | WireOperation::KeepAlive(_)
        | WireOperation::Watch(_)
        | WireOperation::CancelWatch(_) => return Err(Status::unimplemented("no call about znodes")),
    })
}

async fn session_call(connection: &Connection, operation: WireOperation, limit: Duration) -> Result<Answered, Status> {
    let mut client = sessions(connection);
    Ok(match operation {
        WireOperation::Open(message) => {
            let reply = client.open(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::Open(reply))
        }
        WireOperation::Close(message) => {
            let reply = client.close(request(message, limit)).await?.into_inner();
            (reply.header, WireReply::Close(reply))
        }
        WireOperation::KeepAlive(message) => {
            // The stream stays open on this side until it is dropped: its end could be taken for a farewell.
            let messages = stream::iter([message]).chain(stream::pending());
            let mut replies = client.keep_alive(request(messages, limit)).await?.into_inner();
            let reply = replies.message().await?;
            let reply = reply.ok_or_else(|| Status::unavailable("the server ended the stream without an answer"))?;
            (reply.header, WireReply::KeepAlive(reply))
        }
        _ => return Err(Status::unimplemented("no call about sessions")),
    })
}

/// Begins a stream of a tree.
pub(crate) async fn stream_tree(
    connection: &Connection,
    request: v1::StreamTreeRequest,
) -> Result<tonic::Streaming<v1::StreamTreeResponse>, Status> {
    Ok(znodes(connection).stream_tree(request).await?.into_inner())
}

/// Begins to stream a snapshot.
pub(crate) async fn snapshot(
    connection: &Connection,
    request: v1::SnapshotRequest,
) -> Result<tonic::Streaming<v1::SnapshotResponse>, Status> {
    let mut service = ClusterServiceClient::new(connection.transport.clone());
    Ok(service.snapshot(request).await?.into_inner())
}

/// Sends a backup that is to be restored.
pub(crate) async fn restore(
    connection: &Connection,
    requests: impl Stream<Item = v1::RestoreRequest> + Send + 'static,
) -> Result<v1::RestoreResponse, Status> {
    let mut service = ClusterServiceClient::new(connection.transport.clone());
    Ok(service.restore(requests).await?.into_inner())
}

/// Asks about the ensemble, or changes it.
pub(crate) async fn ask_cluster<O: Ask>(
    connection: &Connection,
    operation: O,
    timeout: Duration,
) -> Result<O::Response, Status> {
    let service = ClusterServiceClient::new(connection.transport.clone());
    let mut service = service.max_decoding_message_size(MESSAGE_BYTES_MAX);
    Ok(O::call(&mut service, request(operation.into_request(), timeout)).await?.into_inner())
}
