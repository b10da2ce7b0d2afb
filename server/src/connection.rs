//! `Connection`: what a listener knows about the connection that a request came by, and how it is cut.
//!
//! A client that reads nothing cannot be told anything: its stream is not even polled. So an outbox that is lost takes
//! the connection down underneath.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// A connection of a client. The listeners put it among the extensions of every request.
#[derive(Clone, Debug)]
pub struct Connection {
    peer: Option<SocketAddr>,
    cut: Arc<CancellationToken>,
}

impl Connection {
    /// A connection from `peer`, `None` for one within the process. It is cut when `all` are.
    pub(crate) fn new(peer: Option<SocketAddr>, all: &CancellationToken) -> Connection {
        Connection { peer, cut: Arc::new(all.child_token()) }
    }

    /// Where it comes from; `None` if from within the process.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Ends it at once, whatever is under way on it.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Waits until it was cut.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.cut
    }
}
