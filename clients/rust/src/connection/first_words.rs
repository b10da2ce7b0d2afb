//! `FirstWords`: a connection on which the server's first words are listened to.
//!
//! A server that speaks TLS answers plain HTTP/2 with an alert; one that wants a certificate says so only when the
//! handshake seems to be over. By then a call is under way, whose error would only say that the connection broke. So
//! what was really wrong is noted, and said by the next dial, which is where whoever called looks for it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::Io;
use crate::tls;

/// How an alert begins (RFC 8446, section 5.1). HTTP/2 begins with a frame of settings, never so long a one.
const ALERT: [u8; 2] = [21, 3];

/// Why the last connection to an address came to nothing, until it was said.
pub(crate) type Refusal = Arc<Mutex<Option<String>>>;

/// See the module.
pub(crate) struct FirstWords {
    io: Box<dyn Io>,
    /// Until the server has said something.
    refusal: Option<Refusal>,
}

impl FirstWords {
    pub(crate) fn new(io: Box<dyn Io>, refusal: Refusal) -> FirstWords {
        FirstWords { io, refusal: Some(refusal) }
    }
}

/// What is wrong with a server that begins like this.
fn judge(read: &io::Result<()>, words: &[u8]) -> Option<String> {
    match read {
        Err(error) => tls::explain(error),
        Ok(()) if !words.is_empty() && ALERT.starts_with(&words[..words.len().min(ALERT.len())]) => {
            Some("it speaks TLS: write https:// before its address".to_owned())
        }
        Ok(()) => None,
    }
}

impl AsyncRead for FirstWords {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(context, buffer));
        if let Some(refusal) = self.refusal.take()
            && let Some(text) = judge(&read, &buffer.filled()[before..])
        {
            *refusal.lock() = Some(text.clone());
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for FirstWords {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn an_alert_is_noted_and_anything_else_is_let_through() {
        for (words, is_alert) in
            [(&[21, 3, 3, 0, 2, 2, 10][..], true), (&[21], true), (&[0, 0, 18, 4, 0], false), (&[21, 0, 0], false)]
        {
            let (near, mut far) = duplex(64);
            let refusal = Refusal::default();
            let mut io = FirstWords::new(Box::new(near), Arc::clone(&refusal));
            far.write_all(words).await.expect("there is room");
            let mut heard = vec![0; words.len()];
            assert_eq!(io.read_exact(&mut heard).await.is_err(), is_alert, "{words:?}");
            assert_eq!(refusal.lock().as_ref().is_some_and(|text| text.contains("https://")), is_alert);
            // Later words are the protocol's.
            if !is_alert {
                far.write_all(&ALERT).await.expect("there is room");
                assert!(io.read_exact(&mut [0; 2]).await.is_ok());
            }
        }
    }
}
