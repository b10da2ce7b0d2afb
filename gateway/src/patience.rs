//! `Patient`: a connection whose peer has so long to begin a request, and to read what is written to it.
//!
//! The first limit is ours because hyper begins to count only when it knows which HTTP the peer speaks, and finds that
//! out by waiting for its first bytes. The second holds where a connection carries one answer at a time, as HTTP/1's
//! do: with HTTP/2, a reader of one stream can be slow while the connection flows.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::handshake::Io;

/// How HTTP/2 begins (RFC 9113, section 3.4). Whoever has said it is asked by pings whether it is still there; whoever
/// says anything else speaks HTTP/1, whose first header has a limit of its own.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// See the module.
pub(crate) struct Patient {
    stream: Io,
    /// Runs until it is known what the peer speaks.
    greeting: Option<Greeting>,
    limit: Duration,
    /// Runs while the peer takes nothing although there is something for it.
    patience: Option<Pin<Box<Sleep>>>,
}

/// A peer of whom only the beginning of a preface is known.
struct Greeting {
    /// What of [`PREFACE`] is missing.
    missing: &'static [u8],
    limit: Pin<Box<Sleep>>,
}

impl Patient {
    /// Reads from `stream` fail if the peer has not shown within `greeting` which HTTP it speaks; writes fail once it
    /// has taken nothing of them for `limit`.
    pub(crate) fn new(stream: Io, greeting: Duration, limit: Duration) -> Patient {
        let greeting = Greeting { missing: PREFACE, limit: Box::pin(sleep(greeting)) };
        Patient { stream, greeting: Some(greeting), limit, patience: None }
    }

    /// Takes note of what the peer has said.
    fn hear(&mut self, bytes: &[u8]) {
        let Some(greeting) = &mut self.greeting else { return };
        match greeting.missing.strip_prefix(bytes) {
            Some(missing) if !missing.is_empty() => greeting.missing = missing,
            _ => self.greeting = None,
        }
    }

    fn judge<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        ready!(patience.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.hear(&buffer.filled()[before..]);
                Poll::Ready(read)
            }
            Poll::Pending => {
                let Some(greeting) = &mut self.greeting else { return Poll::Pending };
                ready!(greeting.limit.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer says nothing")))
            }
        }
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Where bytes are encrypted, they are written before they are taken.
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
