//! `ClusterCall`: questions about the ensemble, and changes of it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use quorate_proto::v1;
use tonic::transport::Channel;
use tonic::{Request, Response};

use crate::ops::status::Status;
use crate::{Client, Digest, Error, MemberSpec, Members, Reconfigured};

type Service = v1::cluster_service_client::ClusterServiceClient<Channel>;

/// A question about the ensemble, or a change of it, that is being put together; awaiting it asks.
///
/// None of these is repeated when a connection breaks: whoever changes an ensemble looks what has become of it.
#[must_use = "nothing is asked before this is awaited"]
#[derive(Clone, Debug)]
pub struct ClusterCall<O> {
    client: Client,
    operation: O,
    timeout: Option<Duration>,
}

impl<O> ClusterCall<O> {
    pub(crate) fn new(client: &Client, operation: O) -> ClusterCall<O> {
        ClusterCall { client: client.clone(), operation, timeout: None }
    }

    /// How long to wait for the answer.
    pub fn timeout(mut self, timeout: Duration) -> ClusterCall<O> {
        self.timeout = Some(timeout);
        self
    }
}

impl ClusterCall<Reconfigure> {
    /// The server joins, or becomes what is said here if it belongs to the ensemble already.
    #[expect(clippy::should_implement_trait, reason = "nobody takes a change of the ensemble for a sum")]
    pub fn add(mut self, member: MemberSpec) -> ClusterCall<Reconfigure> {
        self.operation.add.push(member.into());
        self
    }

    /// The server leaves. If it does not belong to the ensemble, that is no error.
    pub fn remove(mut self, server_id: u32) -> ClusterCall<Reconfigure> {
        self.operation.remove.push(server_id);
        self
    }

    /// The ensemble consists of these servers and no others. What is added or removed besides does not count then.
    pub fn members(mut self, members: impl IntoIterator<Item = MemberSpec>) -> ClusterCall<Reconfigure> {
        self.operation.whole = Some(members.into_iter().map(v1::MemberSpec::from).collect());
        self
    }

    /// Only if this is the configuration's version; see [`Members::version`].
    pub fn version(mut self, version: u64) -> ClusterCall<Reconfigure> {
        self.operation.version = Some(version);
        self
    }
}

impl ClusterCall<TransferLeadership> {
    /// To this server. Otherwise it goes to whoever has come furthest.
    pub fn to(mut self, server_id: u32) -> ClusterCall<TransferLeadership> {
        self.operation.0 = Some(server_id);
        self
    }
}

impl<O: wire::Ask> ClusterCall<O> {
    /// Asks.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(self) -> Result<O::Output, Error> {
        let asked = self.client.ask_cluster(self.operation, self.timeout).await;
        asked.map_err(|error| if O::WRITES { error.of_sent_write() } else { error })
    }
}

impl<O: wire::Ask> IntoFuture for ClusterCall<O> {
    type Output = Result<O::Output, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// See [`Client::status`].
#[derive(Clone, Debug)]
pub struct GetStatus;

/// See [`Client::members`].
#[derive(Clone, Debug)]
pub struct GetMembers;

/// See [`Client::reconfigure`].
#[derive(Clone, Debug, Default)]
pub struct Reconfigure {
    whole: Option<Vec<v1::MemberSpec>>,
    add: Vec<v1::MemberSpec>,
    remove: Vec<u32>,
    version: Option<u64>,
}

/// See [`Client::transfer_leadership`].
#[derive(Clone, Debug, Default)]
pub struct TransferLeadership(Option<u32>);

/// See [`Client::digest`].
#[derive(Clone, Debug)]
pub struct GetDigest;

/// Seals what can be asked: how it travels is nobody else's concern.
pub(crate) mod wire {
    use std::future::Future;

    use quorate_proto::v1;
    use tonic::{Request, Response, Status};

    use super::Service;

    pub trait Ask: Send + 'static {
        type Request: Send;
        type Response: Send;
        type Output: Send;

        /// Whether it changes anything.
        const WRITES: bool;

        fn into_request(self) -> Self::Request;

        fn call(
            client: &mut Service,
            request: Request<Self::Request>,
        ) -> impl Future<Output = Result<Response<Self::Response>, Status>> + Send;

        fn header(response: &Self::Response) -> Option<&v1::ReplyHeader>;

        fn output(response: Self::Response) -> Self::Output;
    }
}

impl wire::Ask for GetStatus {
    type Request = v1::StatusRequest;
    type Response = v1::StatusResponse;
    type Output = Status;

    const WRITES: bool = false;

    fn into_request(self) -> v1::StatusRequest {
        v1::StatusRequest {}
    }

    async fn call(
        client: &mut Service,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, tonic::Status> {
        client.status(request).await
    }

    fn header(response: &v1::StatusResponse) -> Option<&v1::ReplyHeader> {
        response.header.as_ref()
    }

    fn output(response: v1::StatusResponse) -> Status {
        response.into()
    }
}

impl wire::Ask for GetMembers {
    type Request = v1::MembersRequest;
    type Response = v1::MembersResponse;
    type Output = Members;

    const WRITES: bool = false;

    fn into_request(self) -> v1::MembersRequest {
        v1::MembersRequest {}
    }

    async fn call(
        client: &mut Service,
        request: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::MembersResponse>, tonic::Status> {
        client.members(request).await
    }

    fn header(response: &v1::MembersResponse) -> Option<&v1::ReplyHeader> {
        response.header.as_ref()
    }

    fn output(response: v1::MembersResponse) -> Members {
        response.into()
    }
}

impl wire::Ask for Reconfigure {
    type Request = v1::ReconfigureRequest;
    type Response = v1::ReconfigureResponse;
    type Output = Reconfigured;

    const WRITES: bool = true;

    fn into_request(self) -> v1::ReconfigureRequest {
        use v1::reconfigure_request::Change;
        let change = match self.whole {
            Some(members) => Change::Members(v1::MemberList { members }),
            None => Change::Steps(v1::MemberSteps { add: self.add, remove_ids: self.remove }),
        };
        v1::ReconfigureRequest { change: Some(change), version: self.version }
    }

    async fn call(
        client: &mut Service,
        request: Request<v1::ReconfigureRequest>,
    ) -> Result<Response<v1::ReconfigureResponse>, tonic::Status> {
        client.reconfigure(request).await
    }

    fn header(response: &v1::ReconfigureResponse) -> Option<&v1::ReplyHeader> {
        response.header.as_ref()
    }

    fn output(response: v1::ReconfigureResponse) -> Reconfigured {
        response.into()
    }
}

impl wire::Ask for TransferLeadership {
    type Request = v1::TransferLeadershipRequest;
    type Response = v1::TransferLeadershipResponse;
    type Output = u32;

    const WRITES: bool = true;

    fn into_request(self) -> v1::TransferLeadershipRequest {
        v1::TransferLeadershipRequest { server_id: self.0 }
    }

    async fn call(
        client: &mut Service,
        request: Request<v1::TransferLeadershipRequest>,
    ) -> Result<Response<v1::TransferLeadershipResponse>, tonic::Status> {
        client.transfer_leadership(request).await
    }

    fn header(response: &v1::TransferLeadershipResponse) -> Option<&v1::ReplyHeader> {
        response.header.as_ref()
    }

    fn output(response: v1::TransferLeadershipResponse) -> u32 {
        response.leader_id
    }
}

impl wire::Ask for GetDigest {
    type Request = v1::DigestRequest;
    type Response = v1::DigestResponse;
    type Output = Digest;

    const WRITES: bool = false;

    fn into_request(self) -> v1::DigestRequest {
        v1::DigestRequest {}
    }

    async fn call(
        client: &mut Service,
        request: Request<v1::DigestRequest>,
    ) -> Result<Response<v1::DigestResponse>, tonic::Status> {
        client.digest(request).await
    }

    fn header(response: &v1::DigestResponse) -> Option<&v1::ReplyHeader> {
        response.header.as_ref()
    }

    fn output(response: v1::DigestResponse) -> Digest {
        response.into()
    }
}
