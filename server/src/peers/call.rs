//! `Call`: one call to or from another server, and the HTTP/2 connection that it has to itself.
//!
//! Whoever owns a call drives its connection by polling it: what arrives goes from the socket to its reader, and what is
//! sent from its writer to the socket, without another task in between. HTTP/2 is spoken by the `h2` crate directly,
//! because that takes what is sent in pieces, as it lies in memory; on the wire this is gRPC like any other.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};
use thiserror::Error;
use tokio::time::{Instant, Sleep};

use super::codec::{AssembleError, Assembler, Pieces, PiecesMut, Unsent};
use super::hello::Kind;
use super::limits;
use crate::tls::io::Io;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");
const UNIMPLEMENTED: HeaderValue = HeaderValue::from_static("12");

/// Bytes of a caller's headers.
const HEADER_BYTES_MAX: u32 = 8 * 1024;

/// Why a call ended before its time.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// The connection broke, or what came was no HTTP/2.
    #[error("the connection broke: {0}")]
    Http(#[from] h2::Error),
    /// What came cannot be cut into messages.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// It ended within a message.
    #[error("the call ended within a message")]
    Cut,
    /// It ended before anything was said.
    #[error("the connection was closed")]
    Ended,
    /// Whoever answered is no server of an ensemble.
    #[error("whoever answered does not speak this protocol (HTTP status {0})")]
    Foreign(u16),
    /// Whoever called wants something else.
    #[error("whoever called does not speak this protocol")]
    ForeignCaller,
    /// It does not answer.
    #[error("nothing was heard from the other end for too long")]
    Silent,
}

/// The connection, from either end.
enum Wire {
    Dialed(h2::client::Connection<Io, Pieces>),
    Accepted(h2::server::Connection<Io, Pieces>),
}

impl Wire {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        match self {
            Wire::Dialed(connection) => Pin::new(connection).poll(cx),
            Wire::Accepted(connection) => loop {
                match ready!(connection.poll_accept(cx)) {
                    // A connection is for one call.
                    Some(Ok((_, mut respond))) => respond.send_reset(Reason::REFUSED_STREAM),
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => return Poll::Ready(Ok(())),
                }
            },
        }
    }
}

/// What comes from the other end.
enum Receiver {
    /// Of a call that was dialed, until it is answered.
    Awaiting(ResponseFuture),
    Open(RecvStream),
    Ended,
}

/// One call.
pub(super) struct Call {
    wire: Wire,
    wire_ended: bool,
    /// `None` once it was finished.
    sender: Option<SendStream<Pieces>>,
    receiver: Receiver,
    assembler: Assembler,
    unsent: Unsent,
    keepalive: Option<Keepalive>,
}

impl Call {
    /// Begins a call on a connection of its own.
    pub(super) async fn dial(io: Io, kind: Kind) -> Result<Call, CallError> {
        let window = match kind {
            Kind::Link => limits::LINK_WINDOW_BYTES,
            Kind::Session => limits::SESSION_WINDOW_BYTES,
            Kind::Snapshot => limits::SNAPSHOT_WINDOW_BYTES,
        };
        let (mut requests, connection) = h2::client::Builder::new()
            .enable_push(false)
            .max_frame_size(limits::DATA_BYTES_MAX)
            .initial_window_size(window)
            .initial_connection_window_size(window)
            .data_frame_budget(window as usize)
            .handshake(io)
            .await?;
        let mut request = http::Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        let uri = http::Uri::builder().scheme("http").authority("quorate").path_and_query(kind.path()).build();
        *request.uri_mut() = uri.expect("its parts are constants that make one");
        request.headers_mut().insert(CONTENT_TYPE, GRPC);
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        let (response, sender) = requests.send_request(request, false)?;
        Ok(Call::new(Wire::Dialed(connection), sender, Receiver::Awaiting(response)))
    }

    /// Accepts the one call that a connection is for.
    pub(super) async fn accept(io: Io, close_grace: Duration) -> Result<(Call, Kind), CallError> {
        let mut connection = h2::server::Builder::new()
            .max_concurrent_streams(1)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_frame_size(limits::DATA_BYTES_MAX)
            .initial_window_size(limits::SESSION_WINDOW_BYTES)
            .initial_connection_window_size(limits::SESSION_WINDOW_BYTES)
            .data_frame_budget(limits::SESSION_WINDOW_BYTES as usize)
            .handshake::<Io, Pieces>(io)
            .await?;
        let (request, mut respond) = connection.accept().await.ok_or(CallError::Ended)??;
        let mut response = http::Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        let Some(kind) = Kind::of_path(request.uri().path()) else {
            response.headers_mut().insert(GRPC_STATUS, UNIMPLEMENTED);
            respond.send_response(response, true)?;
            connection.graceful_shutdown();
            let told = poll_fn(|cx| connection.poll_closed(cx));
            // Whether it listens or not: it is no server of ours.
            let _ = tokio::time::timeout(close_grace, told).await;
            return Err(CallError::ForeignCaller);
        };
        let sender = respond.send_response(response, false)?;
        Ok((Call::new(Wire::Accepted(connection), sender, Receiver::Open(request.into_body())), kind))
    }

    fn new(wire: Wire, sender: SendStream<Pieces>, receiver: Receiver) -> Call {
        Call {
            wire,
            wire_ended: false,
            sender: Some(sender),
            receiver,
            assembler: Assembler::new(limits::HELLO_BYTES_MAX),
            unsent: Unsent::default(),
            keepalive: None,
        }
    }

    /// From now on messages may be so large.
    pub(super) fn set_message_bytes_max(&mut self, bytes_max: usize) {
        self.assembler.set_bytes_max(bytes_max);
    }

    /// From now on the other end has to show now and then that it is there.
    pub(super) fn keep_alive(&mut self, interval: Duration) {
        let ping = match &mut self.wire {
            Wire::Dialed(connection) => connection.ping_pong(),
            Wire::Accepted(connection) => connection.ping_pong(),
        };
        self.keepalive = ping.map(|ping| Keepalive::new(ping, interval));
    }

    /// What was handed over and is not taken by the connection.
    pub(super) fn unsent(&self) -> &Unsent {
        &self.unsent
    }

    /// Hands over messages to be sent. They leave when the call is polled next.
    pub(super) fn send(&mut self, messages: &mut PiecesMut) -> Result<(), CallError> {
        let pieces = messages.take(&self.unsent);
        match &mut self.sender {
            Some(sender) => Ok(sender.send_data(pieces, false)?),
            None => Err(CallError::Ended),
        }
    }

    /// The next message. `None` when the other end has said all that it wanted to say. Sends what is to be sent.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Call::next`].
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, CallError>> {
        let mut is_driven = false;
        loop {
            if let Some(message) = self.assembler.next()? {
                return Poll::Ready(Ok(Some(message)));
            }
            match self.poll_data(cx)? {
                Poll::Ready(Some(data)) => self.assembler.push(data)?,
                Poll::Ready(None) if self.assembler.is_in_message() => return Poll::Ready(Err(CallError::Cut)),
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending if self.wire_ended => return Poll::Ready(Err(CallError::Ended)),
                Poll::Pending if is_driven => return Poll::Pending,
                Poll::Pending => {
                    is_driven = true;
                    let _ = self.poll_drive(cx)?;
                }
            }
        }
    }

    /// Lets bytes flow in both directions. Ready when the connection has ended.
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        if self.wire_ended {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(ended) = self.wire.poll(cx) {
            self.wire_ended = true;
            return Poll::Ready(ended.map_err(CallError::from));
        }
        if let Some(keepalive) = &mut self.keepalive {
            // After what has arrived, which may be the answer.
            keepalive.poll(cx)?;
        }
        Poll::Pending
    }

    /// Says that nothing more will be sent, and gives what was sent some time to arrive. Whatever else comes is ignored.
    pub(super) async fn finish(mut self, close_grace: Duration) {
        if self.end_sending().is_err() {
            return;
        }
        self.keepalive = None;
        let gone = poll_fn(|cx| {
            while let Poll::Ready(Ok(Some(_ignored))) = self.poll_data(cx) {}
            self.poll_drive(cx)
        });
        // However it went: it is over.
        let _ = tokio::time::timeout(close_grace, gone).await;
    }

    fn end_sending(&mut self) -> Result<(), h2::Error> {
        let Some(mut sender) = self.sender.take() else { return Ok(()) };
        match &self.wire {
            Wire::Dialed(_) => sender.send_data(PiecesMut::default().take(&self.unsent), true),
            Wire::Accepted(_) => sender.send_trailers(HeaderMap::from_iter([(GRPC_STATUS, OK)])),
        }
    }

    /// What has arrived. `None` after the end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, CallError>> {
        loop {
            match &mut self.receiver {
                Receiver::Awaiting(response) => {
                    let response = ready!(Pin::new(response).poll(cx))?;
                    let is_grpc = response.headers().get(CONTENT_TYPE) == Some(&GRPC);
                    if response.status() != http::StatusCode::OK || !is_grpc {
                        return Poll::Ready(Err(CallError::Foreign(response.status().as_u16())));
                    }
                    self.receiver = Receiver::Open(response.into_body());
                }
                Receiver::Open(stream) => match ready!(stream.poll_data(cx)).transpose()? {
                    Some(data) => {
                        stream.flow_control().release_capacity(data.len())?;
                        return Poll::Ready(Ok(Some(data)));
                    }
                    None => self.receiver = Receiver::Ended,
                },
                Receiver::Ended => return Poll::Ready(Ok(None)),
            }
        }
    }
}

/// Asks the other end, again and again, whether it is there.
struct Keepalive {
    ping: PingPong,
    timer: Pin<Box<Sleep>>,
    interval: Duration,
    /// The last question is not answered yet.
    is_asked: bool,
}

impl Keepalive {
    fn new(ping: PingPong, interval: Duration) -> Keepalive {
        Keepalive { ping, timer: Box::pin(tokio::time::sleep(interval)), interval, is_asked: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), CallError> {
        loop {
            if self.is_asked
                && let Poll::Ready(answer) = self.ping.poll_pong(cx)
            {
                answer?;
                self.is_asked = false;
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            if self.is_asked {
                return Err(CallError::Silent);
            }
            self.ping.send_ping(Ping::opaque())?;
            self.is_asked = true;
            self.timer.as_mut().reset(Instant::now() + self.interval);
        }
    }
}
