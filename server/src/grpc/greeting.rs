//! `Greeting`: what a client speaks, from its first bytes, and a byte stream that begins with them again. It is HTTP/2, as
//! gRPC has it, or else HTTP/1, as browsers speak where nothing is encrypted.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// How HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// A byte stream whose first bytes were looked at.
pub(super) struct Greeting<I> {
    io: I,
    first: [u8; PREFACE.len()],
    /// How many of `first` there are, and how many of these were read again.
    first_bytes: u8,
    read_bytes: u8,
}

impl<I: AsyncRead + Unpin> Greeting<I> {
    /// Waits until it is known what the client speaks; `None` if it goes before it has said so.
    pub(super) async fn hear(mut io: I) -> Option<(Spoken, Greeting<I>)> {
        let mut first = [0; PREFACE.len()];
        let mut count = 0;
        let spoken = loop {
            match io.read(&mut first[count..]).await {
                Ok(0) | Err(_) => return None,
                Ok(more) => count += more,
            }
            if first[..count] != PREFACE[..count] {
                break Spoken::Http1;
            }
            if count == PREFACE.len() {
                break Spoken::Http2;
            }
        };
        Some((spoken, Greeting { io, first, first_bytes: count as u8, read_bytes: 0 }))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Greeting<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.read_bytes < self.first_bytes {
            let again = &self.first[self.read_bytes.into()..self.first_bytes.into()];
            let again = &again[..again.len().min(into.remaining())];
            into.put_slice(again);
            self.read_bytes += again.len() as u8;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, into)
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is heard of a client that says this, in pieces, and then goes; and what can be read after that.
    async fn hear(pieces: &[&[u8]]) -> Option<(Spoken, Vec<u8>)> {
        let (mut client, io) = tokio::io::duplex(64);
        let talk = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let listen = async {
            let (spoken, mut io) = Greeting::hear(io).await?;
            let mut said = Vec::new();
            io.read_to_end(&mut said).await.unwrap();
            Some((spoken, said))
        };
        tokio::join!(talk, listen).1
    }

    #[tokio::test]
    async fn the_first_bytes_say_which_http_it_is_and_are_not_lost() {
        let (head, tail) = PREFACE.split_at(7);
        let whole = [PREFACE, &b"and more"[..]].concat();
        assert_eq!(hear(&[PREFACE]).await, Some((Spoken::Http2, PREFACE.to_vec())));
        assert_eq!(hear(&[head, tail, b"and more"]).await, Some((Spoken::Http2, whole)));
        for request in [&b"POST / HTTP/1.1\r\n\r\n"[..], b"PUT /", b"P!", b"PRI * HTTP/2.0\r\n\r\nSX"] {
            assert_eq!(hear(&[request]).await, Some((Spoken::Http1, request.to_vec())));
        }
        assert_eq!(hear(&[head]).await, None, "it went in the middle");
        assert_eq!(hear(&[]).await, None);
    }
}
