//! `Handshake`: what happens on a connection before HTTP does, and the byte stream that comes of it.
//!
//! Which files hold certificates, and when they are read again, is the business of whoever runs the gateway: all doors
//! of a server have one way of doing it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::either::Either;

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
        Ok(Io::Right(self.0(stream).await?))
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake")
    }
}

/// The byte stream of a connection: as it was accepted, or what came of a handshake.
pub(crate) type Io = Either<TcpStream, Box<dyn Stream>>;
