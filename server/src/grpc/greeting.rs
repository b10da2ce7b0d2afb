//! `Greeting`: notices whether a client has begun to speak HTTP/2. One that connects and says nothing holds a place
//! that others may need; from its preface on, pings tell whether it is there.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the client's preface (RFC 9113, 3.4).
const PREFACE_BYTES: usize = 24;

/// A byte stream that notices its first bytes.
pub(super) struct Greeting<I> {
    io: I,
    read_bytes: usize,
    is_greeted: Arc<AtomicBool>,
}

impl<I> Greeting<I> {
    /// The flag is set when the client has sent as much as its preface has.
    pub(super) fn new(io: I) -> (Greeting<I>, Arc<AtomicBool>) {
        let is_greeted = Arc::new(AtomicBool::new(false));
        (Greeting { io, read_bytes: 0, is_greeted: Arc::clone(&is_greeted) }, is_greeted)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Greeting<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, into))?;
        if self.read_bytes < PREFACE_BYTES {
            self.read_bytes += into.filled().len() - before;
            self.is_greeted.store(self.read_bytes >= PREFACE_BYTES, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Greeting<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
