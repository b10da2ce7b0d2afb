//! `Dialer`: makes one HTTP/2 connection to one address.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use super::first_words::{FirstWords, Refusal};
use crate::tls::{self, Tls};

/// Bytes that the server may send on one stream before this side has taken them. A fast Channel on a loopback needs
/// about 100 KiB in flight; 1 MiB keeps 10 ms of a Gbit/s line busy. It is also what a watch that nobody reads holds.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// The same for all streams of a connection together: the most that HTTP/2 allows, so that only the streams' own
/// windows count, and a watch that nobody reads never stops its neighbours.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// A ping this often finds out that the server is gone although no TCP packet says so...
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// ...when its answer is so late.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Anything that carries bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type DialFuture = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// Opens a byte stream to an address; the default is TCP.
#[derive(Clone)]
pub(crate) struct Connector(Arc<dyn Fn(&str) -> DialFuture + Send + Sync>);

impl Connector {
    pub(crate) fn new<F, R, T>(connect: F) -> Connector
    where
        F: Fn(&str) -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Connector(Arc::new(move |address| {
            let connecting = connect(address);
            Box::pin(async move { Ok(Box::new(connecting.await?) as Box<dyn Io>) })
        }))
    }

    pub(crate) fn tcp() -> Connector {
        Connector::new(|address| {
            let address = address.to_owned();
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Dialer {
    addresses: Vec<String>,
    /// Of each address: why its last connection came to nothing, where that was found out too late.
    refusals: Vec<Refusal>,
    connector: Connector,
    /// For addresses that say nothing of it, too, if there is any.
    tls: Option<Tls>,
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(addresses: Vec<String>, connector: Connector, tls: Option<Tls>, timeout: Duration) -> Dialer {
        let refusals = addresses.iter().map(|_| Refusal::default()).collect();
        Dialer { addresses, refusals, connector, tls, timeout }
    }

    /// How many addresses there are.
    pub(crate) fn addresses(&self) -> usize {
        self.addresses.len()
    }

    pub(crate) fn address(&self, at: usize) -> &str {
        &self.addresses[at]
    }

    /// Connects to one address. The error is a text for humans.
    pub(crate) async fn dial(&self, at: usize) -> Result<Channel, String> {
        let address = self.address(at);
        let (host, is_encrypted) = host_and_port(address)?;
        let is_encrypted = is_encrypted.unwrap_or(self.tls.is_some());
        let tls = is_encrypted.then(|| self.tls.clone().unwrap_or_default());
        let refusal = &self.refusals[at];
        if let Some(text) = refusal.lock().take() {
            return Err(format!("cannot connect to {address}: {text}"));
        }
        match tokio::time::timeout(self.timeout, self.connect(host, tls, refusal)).await {
            Ok(connected) => connected.map_err(|error| format!("cannot connect to {address}: {error}")),
            Err(_) => Err(format!("cannot connect to {address}: no answer within {:?}", self.timeout)),
        }
    }

    async fn connect(
        &self,
        host: &str,
        tls: Option<Tls>,
        refusal: &Refusal,
    ) -> Result<Channel, Box<dyn std::error::Error + Send + Sync>> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut io = self.connector.0(host).await?;
        if let Some(tls) = tls {
            io = encrypt(tls, host, io).await?;
        }
        let io = FirstWords::new(io, Refusal::clone(refusal));
        // tonic dials again by itself when a connection breaks. It must not: another server could answer then, one
        // that has not seen what this connection is known to have shown.
        let once = Mutex::new(Some(io));
        let connector = tower::service_fn(move |_| {
            let io = once.lock().take();
            async move { io.map(TokioIo::new).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        });
        let endpoint = Endpoint::from_shared(format!("{scheme}://{host}"))?
            .user_agent(concat!("quorate-rust/", env!("CARGO_PKG_VERSION")))?
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        endpoint.connect_with_connector(connector).await.map_err(|error| root_cause(&error).into())
    }
}

/// The same connection with TLS.
async fn encrypt(
    tls: Tls,
    host: &str,
    io: Box<dyn Io>,
) -> Result<Box<dyn Io>, Box<dyn std::error::Error + Send + Sync>> {
    let no_tls = |reason: String| format!("no TLS: {reason}");
    let name = tls.name_of(host).map_err(no_tls)?;
    // Files may be read, which may take long.
    let connector = tokio::task::spawn_blocking(move || tls.connector()).await?.map_err(no_tls)?;
    match connector.connect(name, io).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(tls::explain(&error).unwrap_or_else(|| no_tls(error.to_string())).into()),
    }
}

/// The address without its scheme, and whether that says that there is to be TLS.
fn host_and_port(address: &str) -> Result<(&str, Option<bool>), String> {
    let (scheme, host) = address.split_once("://").map_or((None, address), |(scheme, host)| (Some(scheme), host));
    let is_encrypted = match scheme {
        None => None,
        Some("http") => Some(false),
        Some("https") => Some(true),
        Some(_) => return Err(format!("{address}: write host:port, or https://host:port for TLS")),
    };
    let host = host.trim_end_matches('/');
    if host.rsplit_once(':').is_none_or(|(name, port)| name.is_empty() || port.parse::<u16>().is_err()) {
        return Err(format!("{address} is no address: write host:port, for example 127.0.0.1:7181"));
    }
    Ok((host, is_encrypted))
}

/// tonic's own texts ("transport error") say nothing; the innermost does.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (address, host, is_encrypted) in [
            ("127.0.0.1:7181", "127.0.0.1:7181", None),
            ("http://localhost:1/", "localhost:1", Some(false)),
            ("https://localhost:1", "localhost:1", Some(true)),
            ("[::1]:7181", "[::1]:7181", None),
        ] {
            assert_eq!(host_and_port(address), Ok((host, is_encrypted)));
        }
        for wrong in ["", "localhost", ":7181", "localhost:x", "https://localhost", "ftp://localhost:1"] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }
}
