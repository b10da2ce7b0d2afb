//! Serving a router on a listener, with the limits that only a connection knows.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::handshake::{self, Handshake};
use crate::patience::Patient;

/// How long to wait where no connection can be accepted, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often an HTTP/2 connection is asked whether it is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What one HTTP/2 request's body may have on the way to us, and what one response's may have queued: connections are
/// many, bodies are small.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Accepts connections and serves `router` on them until `config.shutdown` is cancelled; then lets requests under way
/// end, for at most `config.drain_timeout`, and returns.
pub async fn serve(listener: TcpListener, router: Router, config: &Config) {
    let builder = connections(config);
    let places = Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
    let tasks = TaskTracker::new();
    let abandon = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = config.shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Closed at once: whoever waited for a place would only find out later that there is none.
        let Ok(place) = places.clone().try_acquire_owned() else {
            config.metrics.connection_refused();
            continue;
        };
        // Answers are written whole; waiting for more to send would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            // The client is gone already.
            tracing::debug!(%error, "a connection could not be set up");
            continue;
        }
        let limits = (config.header_timeout, config.write_timeout);
        let (builder, router, shutdown) = (builder.clone(), router.clone(), config.shutdown.clone());
        let (handshake, abandon) = (config.handshake.clone(), abandon.clone());
        tasks.spawn(async move {
            let serve = async {
                let Some(stream) = shake_hands(handshake, stream, &shutdown).await else { return };
                connection(builder, Patient::new(stream, limits.0, limits.1), router, shutdown).await;
            };
            tokio::select! {
                () = serve => {}
                () = abandon.cancelled() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    tasks.close();
    if time::timeout(config.drain_timeout, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections are closed with requests under way");
        abandon.cancel();
        tasks.wait().await;
    }
}

/// How connections are served.
fn connections(config: &Config) -> Builder<TokioExecutor> {
    // What is somewhat too large is still read, so that the door can say in a problem what the limit is.
    let head_bytes_max = 2 * (config.header_bytes_max + config.uri_bytes_max);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        // Together, responses to pipelined requests would be fewer packets; but then hyper takes a body's pieces without
        // end from a stream that its reader does not read.
        .pipeline_flush(false)
        .max_buf_size(head_bytes_max.max(16 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(config.http2_streams_max)
        .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(4 * STREAM_WINDOW_BYTES)
        .max_send_buf_size(STREAM_WINDOW_BYTES as usize);
    builder
}

/// What comes before HTTP on a connection; `None` if nothing comes of it.
async fn shake_hands(
    handshake: Option<Handshake>,
    stream: TcpStream,
    shutdown: &CancellationToken,
) -> Option<handshake::Io> {
    let Some(handshake) = handshake else { return Some(handshake::Io::Left(stream)) };
    let shaken = tokio::select! {
        shaken = handshake.shake(stream) => shaken,
        () = shutdown.cancelled() => return None,
    };
    shaken.inspect_err(|error| tracing::debug!(%error, "there was no handshake")).ok()
}

/// Serves one connection to its end.
async fn connection(builder: Builder<TokioExecutor>, stream: Patient, router: Router, shutdown: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
