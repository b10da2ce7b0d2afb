//! `Door`: serves accepted connections.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use quorate_storage::{RealDisk, SnapshotDir};
use quorate_types::{Caller, Identity};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::Config;
use super::greeting::{Greeting, Spoken};
use super::receiving::Room;
use super::reflection::Reflection;
use super::route::Route;
use super::seldom::Seldom;
use super::snapshot::Files;
use crate::connection::Connection;
use crate::inbox::Inbox;

/// The gRPC front door. Clones are the same door.
#[derive(Clone)]
pub struct Door {
    inbox: Inbox,
    config: Arc<Config>,
    room: Arc<Room>,
    started: Instant,
    reflection: Reflection,
    snapshots: Arc<Files>,
}

impl Door {
    /// A door that leads to `inbox`, and to the snapshots on disk.
    ///
    /// # Panics
    /// If the contract's descriptors that are compiled in cannot be read.
    pub fn new(inbox: Inbox, config: Config, snapshots: SnapshotDir<RealDisk>) -> Door {
        let room = Arc::new(Room::new(config.receive_bytes_max));
        let (started, reflection, snapshots) = (Instant::now(), Reflection::new(), Arc::new(Files::new(snapshots)));
        Door { inbox, config: Arc::new(config), room, started, reflection, snapshots }
    }

    /// Serves one connection until it ends, is cut, or, after `shutdown`, has finished the calls that are under way,
    /// for which it has the configured grace.
    ///
    /// # Errors
    /// What the client or the network did wrong; nothing that anybody would want to be woken for.
    pub async fn serve<I>(&self, io: I, connection: Connection, shutdown: CancellationToken) -> hyper::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // One that connects and says nothing holds a place that others may need. Later, pings tell whether it is there.
        let heard = tokio::select! {
            heard = Greeting::hear(io) => heard,
            () = tokio::time::sleep(self.config.handshake_timeout) => None,
            () = connection.token().cancelled() => None,
            () = shutdown.cancelled() => None,
        };
        let Some((spoken, io)) = heard else { return Ok(()) };
        let (io, service) = (TokioIo::new(io), Service { route: self.route(connection.clone()) });
        match spoken {
            Spoken::Http2 => self.attend(self.http2().serve_connection(io, service), connection, shutdown).await,
            // Boxed: they are few, and every connection's future is as large as the largest.
            Spoken::Http1 => {
                Box::pin(self.attend(self.http1().serve_connection(io, service), connection, shutdown)).await
            }
        }
    }

    /// Serves a connection whose protocol is known.
    async fn attend(
        &self,
        mut http: impl Served,
        connection: Connection,
        shutdown: CancellationToken,
    ) -> hyper::Result<()> {
        let mut leave = Seldom::new(Box::pin(leave(Arc::clone(&self.config), connection.clone(), shutdown)));
        let leave = tokio::select! {
            biased;
            ended = &mut http => return ended,
            leave = &mut leave => leave,
        };
        match leave {
            Leave::AtOnce => return Ok(()),
            Leave::InGoodOrder => Pin::new(&mut http).finish(),
        }
        tokio::select! {
            ended = &mut http => ended,
            () = connection.token().cancelled() => Ok(()),
            () = tokio::time::sleep(self.config.connection_age_grace) => Ok(()),
        }
    }

    fn http2(&self) -> http2::Builder<TokioExecutor> {
        let config = &self.config;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(config.concurrent_streams_max)
            .max_header_list_size(config.header_list_bytes_max)
            .keep_alive_interval(config.keepalive_interval)
            .keep_alive_timeout(config.keepalive_timeout)
            .initial_stream_window_size(config.stream_window_bytes)
            .initial_connection_window_size(config.connection_window_bytes)
            .max_send_buf_size(config.send_buffer_bytes)
            // gRPC has no use for it.
            .auto_date_header(false);
        builder
    }

    fn http1(&self) -> http1::Builder {
        let config = &self.config;
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(config.handshake_timeout)
            .max_buf_size(config.header_list_bytes_max as usize)
            .auto_date_header(false);
        builder
    }

    fn route(&self, connection: Connection) -> Arc<Route> {
        Arc::new(Route {
            inbox: self.inbox.clone(),
            config: Arc::clone(&self.config),
            room: Arc::clone(&self.room),
            caller: Arc::new(caller(&connection)),
            connection,
            reflection: self.reflection.clone(),
            snapshots: Arc::clone(&self.snapshots),
            started: self.started,
        })
    }
}

/// Who calls by this connection, as far as the connection tells.
fn caller(connection: &Connection) -> Caller {
    let from = |peer: std::net::SocketAddr| Identity { scheme: "ip".to_owned(), id: peer.ip().to_string() };
    Caller { identities: connection.peer().map(from).into_iter().collect() }
}

/// How the server leaves a connection.
enum Leave {
    /// The client is not worth waiting for.
    AtOnce,
    /// With the calls that are under way.
    InGoodOrder,
}

/// Waits until there is a reason to leave the connection.
async fn leave(config: Arc<Config>, connection: Connection, shutdown: CancellationToken) -> Leave {
    let aged = async {
        match config.connection_age_max {
            Some(age_max) => tokio::time::sleep(age_max).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = connection.token().cancelled() => Leave::AtOnce,
        () = aged => Leave::InGoodOrder,
        () = shutdown.cancelled() => Leave::InGoodOrder,
    }
}

/// A connection that is served, whichever HTTP it speaks.
trait Served: Future<Output = hyper::Result<()>> + Unpin {
    /// Lets the calls end that are under way, and no others begin.
    fn finish(self: Pin<&mut Self>);
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Served
    for http2::Connection<TokioIo<Greeting<I>>, Service, TokioExecutor>
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Served for http1::Connection<TokioIo<Greeting<I>>, Service> {
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// The calls of one connection.
struct Service {
    route: Arc<Route>,
}

impl hyper::service::Service<http::Request<Incoming>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let route = Arc::clone(&self.route);
        Box::pin(async move { Ok(route.answer(request).await) })
    }
}
