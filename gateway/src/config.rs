//! What can be set about a gateway; every limit with its default and its reason.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::handshake::Handshake;
use crate::metrics::Metrics;

/// What can be set about a gateway. The defaults suit a server that binds to loopback without authentication.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whom requests may come from, as far as browsers tell.
    pub origins: Origins,
    /// Origins, `https://host` or `https://host:port`, whose pages may call although they are of another host. None by
    /// default.
    pub cors_origins: Vec<String>,
    /// Compress what the gateway writes itself, for callers that ask for it.
    pub compression: bool,
    /// Bytes of a request's body. The default holds 1,000,000 bytes of data in base64, with a stat around it.
    pub body_bytes_max: usize,
    /// Bytes of all bodies that have arrived in part; a body that would need more is refused with THROTTLED. Those that
    /// arrive in one piece, as small ones do, need nothing of it.
    pub bodies_bytes_max: usize,
    /// Bytes of the request target. The default holds a path of 4,096 bytes, each of them percent-encoded.
    pub uri_bytes_max: usize,
    /// Bytes of a request's header fields, names and values together.
    pub header_bytes_max: usize,
    /// How long a request may take from the arrival of its body to its answer. Meanwhile what can be tried again is
    /// tried again, so a short time without a leader goes unnoticed. Event streams are answered when they begin.
    pub request_timeout: Duration,
    /// The log tells of requests that take so long. Those that wait for changes are meant to.
    pub slow_request: Duration,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// Requests that are being answered at one time; more are refused with THROTTLED.
    pub requests_max: usize,
    /// Event streams and streamed trees that are open at one time; more are refused with THROTTLED. Each holds its
    /// buffers.
    pub event_streams_max: usize,
    /// Watches of one event stream: the length of its event ids grows with them.
    pub stream_watches_max: usize,
    /// An event stream on which nothing else was sent for so long sends a comment: proxies close what is silent. At
    /// most a third of `write_timeout`, since these comments also show that the stream is read.
    pub keep_alive: Duration,
    /// How long a session that asks for no timeout lives without a sign of life.
    pub session_timeout: Duration,
    /// How long `/readyz` waits for a server to say that it serves.
    pub ready_timeout: Duration,
    /// Connections that are open at one time; more are closed at once.
    pub connections_max: usize,
    /// What happens on a connection before HTTP does, such as TLS. Nothing by default.
    pub handshake: Option<Handshake>,
    /// A connection that has not sent a whole request header for so long, since it was opened or answered, is closed.
    /// One that has begun to speak HTTP/2 is not: it is asked by pings whether it is still there.
    pub header_timeout: Duration,
    /// A connection whose peer has taken nothing of what is written to it for so long is closed. Not longer than the
    /// servers wait for their clients: an event stream that is not read loses its watches after two thirds of this
    /// time, before a server would cut the connection that they share with others.
    pub write_timeout: Duration,
    /// Requests that one HTTP/2 connection may have open at one time.
    pub http2_streams_max: u32,
    /// How long requests under way may go on once `shutdown` is cancelled.
    pub drain_timeout: Duration,
    /// Serve `/metrics` with this gateway's own metrics. A process that has more to tell registers `metrics` in its
    /// own registry and serves that itself.
    pub serve_metrics: bool,
    /// What the gateway counts.
    pub metrics: Metrics,
    /// Once cancelled, event streams end (cleanly: after a whole event), and [`crate::serve`] accepts nothing more.
    pub shutdown: CancellationToken,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            origins: Origins::loopback(),
            cors_origins: Vec::new(),
            compression: true,
            body_bytes_max: 1_500_000,
            bodies_bytes_max: 128 * 1024 * 1024,
            uri_bytes_max: 16 * 1024,
            header_bytes_max: 16 * 1024,
            request_timeout: Duration::from_secs(10),
            slow_request: Duration::from_secs(1),
            body_timeout: Duration::from_secs(20),
            requests_max: 4_096,
            event_streams_max: 10_000,
            stream_watches_max: 32,
            keep_alive: Duration::from_secs(10),
            session_timeout: Duration::from_secs(30),
            ready_timeout: Duration::from_secs(1),
            connections_max: 20_000,
            handshake: None,
            header_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            http2_streams_max: 256,
            drain_timeout: Duration::from_secs(10),
            serve_metrics: true,
            metrics: Metrics::default(),
            shutdown: CancellationToken::new(),
        }
    }
}

impl Config {
    /// How long an event stream may not be read.
    pub(crate) fn stall_timeout(&self) -> Duration {
        self.write_timeout * 2 / 3
    }

    /// How long an event stream is silent at most.
    pub(crate) fn silence_max(&self) -> Duration {
        self.keep_alive.min(self.write_timeout / 3)
    }
}

/// Whom requests may come from, as far as browsers tell.
///
/// Without authentication a request's power comes from where it arrives: on loopback. A browser on the same machine
/// lends that power to any page it shows, either because the page's own name was made to resolve to 127.0.0.1 (DNS
/// rebinding: the `Host` is the page's) or because the page sends a request across sites (the `Origin` is the
/// page's). Both headers are therefore checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Anybody who reaches the gateway, by whatever name it is called: they prove what they may do, or nobody has to.
    /// Only a page of another host may not, since whoever looks at it did not mean to call.
    Any,
    /// Hosts of this machine's loopback interface by name or address, and these.
    Only {
        /// Further names by which this gateway may be called, without ports.
        hosts: Vec<String>,
    },
}

impl Origins {
    /// Only what is called by a name or an address of the loopback interface.
    #[must_use]
    pub fn loopback() -> Origins {
        Origins::Only { hosts: Vec::new() }
    }
}
