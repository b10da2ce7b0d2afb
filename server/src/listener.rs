//! `Listener`: accepts connections for a door, as many as it may have.
//!
//! A connection over the maximum is closed at once: whoever waits in the backlog of a full server only finds out later.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::Connection;
use crate::metrics::Metrics;

/// Connections that the kernel completes before they are accepted: a herd of clients that comes back at once.
const BACKLOG: u32 = 1_024;

/// How long to wait when no connection can be accepted, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds to `address`, without listening yet: a port that is taken is noticed before a long recovery, and nobody waits
/// for a server that cannot answer.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Begins to listen.
pub fn listen(socket: TcpSocket) -> std::io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// A listening door.
pub(crate) struct Listener {
    pub(crate) listener: TcpListener,
    pub(crate) connections_max: usize,
    pub(crate) metrics: Arc<Metrics>,
    /// Owns the task of every connection.
    pub(crate) tasks: TaskTracker,
    /// Cuts all of them.
    pub(crate) abandon: CancellationToken,
}

impl Listener {
    /// Serves every connection in a task of its own with `serve`, until `stop`.
    pub(crate) async fn run<F, R>(self, stop: CancellationToken, serve: F)
    where
        F: Fn(TcpStream, Connection) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.connections_max.min(Semaphore::MAX_PERMITS)));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(error = %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.metrics.connection_refused();
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                // The client is gone already.
                tracing::debug!(error = %error, peer = %peer, "a connection could not be set up");
                continue;
            }
            let open = Open::new(Arc::clone(&self.metrics), place);
            // Boxed: a future that is moved into another one is stored in both places as long as that one lives.
            let connection = Box::pin(serve(stream, Connection::new(Some(peer), &self.abandon)));
            self.tasks.spawn(async move {
                connection.await;
                drop(open);
            });
        }
    }
}

/// An open connection: counted, and one of the maximum, until it is dropped.
struct Open {
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn new(metrics: Arc<Metrics>, place: OwnedSemaphorePermit) -> Open {
        metrics.connection_opened();
        Open { metrics, _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.connection_closed();
    }
}
