//! `Snapshot`: the whole state as of one zxid, as a file that arrives in pieces.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use quorate_proto::v1;
use v1::snapshot_response::Part;

use crate::header::Header;
use crate::{CallOptions, Client, Error, Reason};

/// How long the server may take to write the snapshot before it begins to send it, unless the caller says otherwise.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(600);

/// A snapshot that is being asked for; awaiting it begins it. See [`Client::snapshot`].
#[must_use = "a snapshot is taken when this is awaited"]
#[derive(Clone, Debug)]
pub struct TakeSnapshot {
    client: Client,
    options: CallOptions,
}

impl TakeSnapshot {
    pub(crate) fn new(client: &Client) -> TakeSnapshot {
        TakeSnapshot { client: client.clone(), options: CallOptions::default() }
    }

    /// All options at once. The time limit, 10 minutes unless given, is for the beginning: the server writes the snapshot
    /// to its own disk first.
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// Begins: returns once it is known what will come.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(self) -> Result<Snapshot, Error> {
        let request = v1::SnapshotRequest { options: self.options.to_wire() };
        let timeout = self.options.timeout.unwrap_or(BEGIN_TIMEOUT);
        let (connection, head, stream) = self.client.open_snapshot(request, timeout).await?;
        self.client.core.calls.note(&connection, head.header.as_ref());
        let header = head.header.as_ref().map(Header::from).unwrap_or_default();
        let v1::SnapshotHead { header: _, zxid, bytes, digest, znodes } = head;
        Ok(Snapshot { header, zxid, bytes, digest, znodes, stream, received: 0, ended: false })
    }
}

impl IntoFuture for TakeSnapshot {
    type Output = Result<Snapshot, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// The bytes of a snapshot file, in order. A stream that ends without an error was whole.
#[derive(Debug)]
pub struct Snapshot {
    /// Which server sends it, and from which ensemble it is.
    pub header: Header,
    /// The state that it holds.
    pub zxid: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// A hash of the state: 16 bytes.
    pub digest: Bytes,
    /// Znodes in it, those that are always there included.
    pub znodes: u64,
    stream: tonic::Streaming<v1::SnapshotResponse>,
    received: u64,
    ended: bool,
}

impl Snapshot {
    fn take(&mut self, part: Option<Part>) -> Option<Result<Bytes, Error>> {
        let wrong = |text: &str| Some(Err(Error::new(Reason::Protocol, text)));
        match part {
            Some(Part::Piece(piece)) => {
                self.received += piece.len() as u64;
                Some(Ok(piece))
            }
            Some(Part::End(end)) if (end.bytes, end.bytes) == (self.received, self.bytes) => None,
            Some(Part::End(_)) => wrong("the snapshot is longer or shorter than the server has said"),
            Some(Part::Head(_)) | None => wrong("the server sent something else in the midst of a snapshot"),
        }
    }
}

impl Stream for Snapshot {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match ready!(Pin::new(&mut self.stream).poll_next(context)) {
            Some(Ok(message)) => self.take(message.part),
            Some(Err(status)) => Some(Err(status.into())),
            None => Some(Err(Error::new(Reason::ConnectionLost, "the snapshot was cut off before its end"))),
        };
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}
