//! `Acceptor`: a door's side of a handshake, with limits of time and number.
//!
//! A handshake happens in the task of its connection and holds nobody else up. Who says nothing takes no place among
//! those under way, and whoever comes when all are taken waits its turn: after an outage everybody comes at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{self, Instant};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::io::Io;
use super::rotating::Rotating;
use super::{DoorFiles, H2, TlsError};

/// How long a client may take from its connection to the end of its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handshakes under way at one time: each costs about half a millisecond of a core, and some 20 KiB.
const HANDSHAKES_MAX: usize = 512;

/// How long a client that speaks plainly has to read why that does not work.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// What says HTTP/1.1 without TLS is answered.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\
    Content-Length: 49\r\n\r\nthis door speaks TLS: write https:// for http://\n";

/// How HTTP/2 without TLS begins.
const PREFACE: &[u8] = b"PRI ";

/// Why nothing came of a handshake.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The client, or the network.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It said HTTP/1.1 without TLS, and was told.
    #[error("the client does not speak TLS")]
    Plain,
    /// It took too long.
    #[error("no handshake within {HANDSHAKE_TIMEOUT:?}")]
    TimedOut,
}

/// See the module. Clones are the same acceptor.
#[derive(Clone)]
pub struct Acceptor {
    configs: Arc<Rotating<Arc<ServerConfig>>>,
    places: Arc<Semaphore>,
}

impl Acceptor {
    /// For the gRPC door: HTTP/2 alone.
    ///
    /// # Errors
    /// [`TlsError`] says which file is wrong.
    pub fn grpc(files: &DoorFiles) -> Result<Acceptor, TlsError> {
        Acceptor::load("gRPC", files, &[H2])
    }

    /// For the HTTP door: HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError`] says which file is wrong.
    pub fn http(files: &DoorFiles) -> Result<Acceptor, TlsError> {
        Acceptor::load("HTTP", files, &[H2, b"http/1.1"])
    }

    fn load(
        purpose: &'static str,
        files: &DoorFiles,
        protocols: &'static [&'static [u8]],
    ) -> Result<Acceptor, TlsError> {
        let (paths, files) = (files.paths(), files.clone());
        let configs = Rotating::new(purpose, paths, move || files.server_config(protocols).map(Arc::new))?;
        Ok(Acceptor { configs: Arc::new(configs), places: Arc::new(Semaphore::new(HANDSHAKES_MAX)) })
    }

    /// Uses new certificates when the files have changed, until `stop`.
    pub async fn keep_fresh(self, stop: impl Future<Output = ()>) {
        self.configs.keep_fresh(stop).await;
    }

    /// Does this side's part of a handshake.
    ///
    /// # Errors
    /// [`HandshakeError`] says why there is no connection.
    pub async fn accept(&self, mut stream: TcpStream) -> Result<Io, HandshakeError> {
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let late = |_| HandshakeError::TimedOut;
        if time::timeout_at(deadline, speaks_plainly(&stream)).await.map_err(late)?? {
            // Whether it reads that or not, there is nothing more to be said.
            let _ = time::timeout(FAREWELL_TIMEOUT, bid_farewell(&mut stream)).await;
            return Err(HandshakeError::Plain);
        }
        let stream = time::timeout_at(deadline, self.shake_hands(stream)).await.map_err(late)??;
        Ok(Io::Right(Box::new(stream.into())))
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        TlsAcceptor::from(self.configs.current()).accept(stream).await
    }
}

/// Waits for the first words, and says whether they are those of HTTP/1.1. Whatever else is no TLS gets an alert of TLS:
/// that is what our own client understands.
async fn speaks_plainly(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    let seen = stream.peek(&mut first).await?;
    Ok(first[0].is_ascii_uppercase() && !first[..seen].starts_with(PREFACE))
}

/// Says what is wrong, and reads what is left: a connection that is closed with unread bytes loses what was said last.
async fn bid_farewell(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(SPEAK_TLS).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests;
