//! `Handshake`: what happens on a connection before HTTP does, and the byte stream that comes of it.
//!
//! Which files hold certificates, and when they are read again, is the business of whoever runs the gateway: all doors
//! of a server have one way of doing it.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

type ShakeFuture = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Anything that carries bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What turns an accepted connection into one on which HTTP is spoken. It has limits of its own, of time and number.
#[derive(Clone)]
pub struct Handshake(Arc<dyn Fn(TcpStream) -> ShakeFuture + Send + Sync>);

impl Handshake {
    /// One that is done by `shake`.
    pub fn new<F, R, T>(shake: F) -> Handshake
    where
        F: Fn(TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Handshake(Arc::new(move |stream| {
            let shaking = shake(stream);
            Box::pin(async move { Ok(Box::new(shaking.await?) as Box<dyn Stream>) })
        }))
    }

    pub(crate) async fn shake(&self, stream: TcpStream) -> io::Result<Io> {
        Ok(Io::Shaken(self.0(stream).await?))
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake")
    }
}

/// The byte stream of a connection.
pub(crate) enum Io {
    /// As it was accepted.
    Plain(TcpStream),
    /// What came of a handshake.
    Shaken(Box<dyn Stream>),
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_read(context, into),
            Io::Shaken(io) => Pin::new(io).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Io::Shaken(io) => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Io::Shaken(io) => Pin::new(io).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Shaken(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_flush(context),
            Io::Shaken(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(io) => Pin::new(io).poll_shutdown(context),
            Io::Shaken(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
