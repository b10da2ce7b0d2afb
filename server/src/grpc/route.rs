//! From a call's path to the function that answers it, and what all calls have in common: their protocol's rules, their
//! headers, their deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Version};
use http_body::Frame;
use hyper::body::Incoming;
use prost::{Message, Name};
use quorate_proto::v1;
use quorate_replica::Order;
use quorate_types::{Caller, Code, Error};
use tonic::body::Body;
use tonic::codec::EncodeBody;
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};

use super::codec::{Decoder, Encoder, receive_failure};
use super::convert::{self, Asked, Refusal, Shape};
use super::exchange::{Dialogue, Exchange, Outgoing};
use super::options::Call;
use super::receiving::{Account, Receiving, Room};
use super::reflection::Reflection;
use super::snapshot::Files;
use super::{Config, cluster, deadline, error, health, session, watch, web, znode};
use crate::connection::Connection;
use crate::inbox::{Header, Inbox};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Everything that answering a call takes; one for each connection.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) inbox: Inbox,
    pub(super) config: Arc<Config>,
    pub(super) room: Arc<Room>,
    pub(super) connection: Connection,
    pub(super) caller: Arc<Caller>,
    pub(super) reflection: Reflection,
    pub(super) snapshots: Arc<Files>,
    /// When the server was.
    pub(super) started: Instant,
}

impl Route {
    /// Answers one request.
    pub(super) async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Body> {
        if is_plain(&request) {
            return self.call(request.map(Arriving::Plain)).await;
        }
        // Boxed: every call's future is as large as the largest.
        Box::pin(web::answer(self, request)).await
    }

    /// Answers one call.
    pub(super) async fn call(&self, request: http::Request<Arriving>) -> http::Response<Body> {
        match deadline::timeout_of(request.headers()) {
            Err(refusal) => error::refused(&refusal).into_http(),
            Ok(None) => self.dispatch(request, u64::MAX).await,
            Ok(Some(timeout)) => {
                let deadline_ms = self.inbox.deadline_ms(timeout);
                deadline::within(timeout, self.dispatch(request, deadline_ms)).await
            }
        }
    }

    async fn dispatch(&self, request: http::Request<Arriving>, deadline_ms: u64) -> http::Response<Body> {
        let path = request.uri().path().to_owned();
        let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
            return unknown(&path);
        };
        let call = Incall { route: self, deadline_ms, request };
        let answered = match service {
            "quorate.v1.ZnodeService" => znode::answer(method, call).await,
            "quorate.v1.SessionService" => session::answer(method, call).await,
            "quorate.v1.WatchService" => watch::answer(method, call).await,
            "quorate.v1.ClusterService" => cluster::answer(method, call).await,
            "grpc.health.v1.Health" => health::answer(method, call).await,
            "grpc.reflection.v1.ServerReflection" => Some(self.reflection.v1(call.request).await),
            "grpc.reflection.v1alpha.ServerReflection" => Some(self.reflection.v1alpha(call.request).await),
            _ => None,
        };
        answered.unwrap_or_else(|| unknown(&path))
    }
}

fn unknown(path: &str) -> http::Response<Body> {
    error::plain(&Error::new(Code::Unimplemented, format!("this server knows no {path}"))).into_http()
}

/// Whether a request is a call of gRPC itself. By HTTP/1 there is none: what says so there may be a page's.
fn is_plain(request: &http::Request<Incoming>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    request.method() == Method::POST && request.version() == Version::HTTP_2 && is_protobuf(content_type)
}

/// Whether messages come as this door reads them. gRPC also knows other encodings (`+json`) and framings (`-web`).
fn is_protobuf(content_type: &[u8]) -> bool {
    let Some(rest) = content_type.strip_prefix(b"application/grpc") else { return false };
    let rest = rest.strip_prefix(b"+proto").unwrap_or(rest);
    matches!(rest.trim_ascii_start(), [] | [b';', ..])
}

/// The body of a call.
pub(super) enum Arriving {
    /// As it comes.
    Plain(Incoming),
    /// Of a call that came in another form.
    Translated(Body),
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Arriving::Plain(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Arriving::Translated(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Arriving::Plain(body) => body.is_end_stream(),
            Arriving::Translated(body) => body.is_end_stream(),
        }
    }
}

/// A call that has come in and waits for the function that answers it.
pub(super) struct Incall<'a> {
    pub(super) route: &'a Route,
    deadline_ms: u64,
    request: http::Request<Arriving>,
}

impl Incall<'_> {
    /// Answers one message with one, by `ask`.
    pub(super) async fn unary<Q, R, F>(self, ask: impl FnOnce(Call, Q) -> F) -> http::Response<Body>
    where
        Q: Name + Default + 'static,
        R: Message + 'static,
        F: Future<Output = Result<R, Status>>,
    {
        let answer = async {
            let (call, mut requests) = self.begin::<Q>(true)?;
            ask(call, only(&mut requests).await?).await
        };
        match answer.await {
            Ok(response) => respond::<R>(tokio_stream::once(Ok(response))),
            Err(status) => status.into_http(),
        }
    }

    /// Answers many messages with one, by `ask`.
    pub(super) async fn collect<Q, R, F>(self, ask: impl FnOnce(Call, Streaming<Q>) -> F) -> http::Response<Body>
    where
        Q: Name + Default + 'static,
        R: Message + 'static,
        F: Future<Output = Result<R, Status>>,
    {
        let answer = async {
            let (call, requests) = self.begin::<Q>(false)?;
            ask(call, requests).await
        };
        match answer.await {
            Ok(response) => respond::<R>(tokio_stream::once(Ok(response))),
            Err(status) => status.into_http(),
        }
    }

    /// Answers one message with many, whose beginning is found by `ask`.
    pub(super) async fn stream<Q, R, S, F>(self, ask: impl FnOnce(Call, Q) -> F) -> http::Response<Body>
    where
        Q: Name + Default + 'static,
        R: Message + 'static,
        S: tokio_stream::Stream<Item = Result<R, Status>> + Send + 'static,
        F: Future<Output = Result<S, Status>>,
    {
        let answer = async {
            let (call, mut requests) = self.begin::<Q>(true)?;
            ask(call, only(&mut requests).await?).await
        };
        match answer.await {
            Ok(responses) => respond::<R>(responses),
            Err(status) => status.into_http(),
        }
    }

    /// Asks the replica for what one message means, and answers with what its reply means.
    pub(super) async fn request<Q, R>(
        self,
        convert: fn(Q) -> Result<Asked, Refusal>,
        answer: fn(quorate_types::Reply, &Shape, Option<v1::ReplyHeader>) -> Option<R>,
    ) -> http::Response<Body>
    where
        Q: Name + Default + 'static,
        R: Message + 'static,
    {
        let inbox = self.route.inbox.clone();
        self.unary(async move |call: Call, message: Q| ask(&inbox, &call, convert(message), answer).await).await
    }

    /// Answers many messages with many.
    pub(super) fn exchange<D: Dialogue>(self, order: Order, dialogue: impl FnOnce(Call) -> D) -> http::Response<Body> {
        let (inbox, connection) = (self.route.inbox.clone(), self.route.connection.clone());
        match self.begin::<D::In>(false) {
            Ok((call, requests)) => {
                let dialogue = dialogue(call);
                respond::<D::Out>(Exchange::new(inbox, &connection, order, dialogue, Some(requests), Vec::new()))
            }
            Err(status) => status.into_http(),
        }
    }

    /// Answers one message with many: `begin` makes of it the first requests and the dialogue that follows.
    pub(super) async fn subscribe<Q, D: Dialogue>(
        self,
        begin: impl FnOnce(Call, Q, &mut Outgoing) -> Result<D, Refusal>,
    ) -> http::Response<Body>
    where
        Q: Name + Default + 'static,
    {
        let (inbox, connection) = (self.route.inbox.clone(), self.route.connection.clone());
        let begun = async {
            let (call, mut requests) = self.begin::<Q>(true)?;
            let message = only(&mut requests).await?;
            let mut outgoing = Outgoing::new();
            let dialogue = begin(call, message, &mut outgoing).map_err(|refusal| error::refused(&refusal))?;
            Ok((dialogue, outgoing))
        };
        match begun.await {
            Ok((dialogue, outgoing)) => {
                respond::<D::Out>(Exchange::new(inbox, &connection, Order::None, dialogue, None, outgoing))
            }
            Err(status) => Status::into_http(status),
        }
    }

    /// The call for the generated services of others.
    pub(super) fn into_request(self) -> http::Request<Arriving> {
        self.request
    }

    /// The call and its messages; if `is_due`, the first may not be long in coming.
    fn begin<Q: Name + Default + 'static>(self, is_due: bool) -> Result<(Call, Streaming<Q>), Status> {
        let (parts, body) = self.request.into_parts();
        if parts.headers.get("grpc-encoding").is_some_and(|encoding| encoding != "identity") {
            let detail = "messages must not be compressed; use the encoding `identity`";
            return Err(error::plain(&Error::new(Code::Unimplemented, detail)));
        }
        let mut call = Call {
            caller: Arc::clone(&self.route.caller),
            cluster: self.route.inbox.header().cluster,
            session: None,
            bound: false,
            deadline_ms: self.deadline_ms,
        };
        call.name_session(&MetadataMap::from_headers(parts.headers)).map_err(|refusal| error::refused(&refusal))?;
        let account = Account::new(Arc::clone(&self.route.room));
        let decoder = Decoder::<Q>::new(Arc::clone(&account));
        let body = Receiving::new(body, account, self.route.config.receive_timeout, is_due);
        Ok((call, Streaming::new_request(decoder, body, None, Some(self.route.config.message_bytes_max))))
    }
}

/// The message of a call that has one.
async fn only<Q>(requests: &mut Streaming<Q>) -> Result<Q, Status> {
    match requests.message().await {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(error::refused(&Refusal::bad("message", "none was sent"))),
        Err(failed) => Err(receive_failure(failed)),
    }
}

/// Asks the replica and answers with what its reply means.
pub(super) async fn ask<R>(
    inbox: &Inbox,
    call: &Call,
    asked: Result<Asked, Refusal>,
    answer: fn(quorate_types::Reply, &Shape, Option<v1::ReplyHeader>) -> Option<R>,
) -> Result<R, Status> {
    let request = asked.and_then(|asked| call.request(asked)).map_err(|refusal| error::refused(&refusal))?;
    let shape = Shape::of(&request.op);
    let answered = inbox.call(request).await;
    let reply = answered.response.map_err(|failed| error::status(&failed, answered.zxid))?;
    answer(reply, &shape, Some(header(&inbox.header()))).ok_or_else(|| error::plain(&convert::mismatch()))
}

/// The header of a response that is sent now.
pub(super) fn header(header: &Header) -> v1::ReplyHeader {
    let Header { cluster, server, role, epoch, zxid } = *header;
    v1::ReplyHeader {
        cluster_id: cluster.0,
        server_id: server.0.into(),
        role: convert::role(role).into(),
        epoch: epoch.0,
        zxid: zxid.0,
    }
}

fn respond<R: Message + 'static>(
    responses: impl tokio_stream::Stream<Item = Result<R, Status>> + Send + 'static,
) -> http::Response<Body> {
    let body = EncodeBody::new_server(Encoder::<R>::new(), responses, None, Default::default(), None);
    let mut response = http::Response::new(Body::new(body));
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
