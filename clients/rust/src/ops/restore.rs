//! `Restore`: a backup becomes the state of the ensemble.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _, stream};
use quorate_proto::v1;
use v1::restore_request::Part;

use crate::header::Header;
use crate::{Client, Error};

/// A backup that is to be restored; awaiting it does that. See [`Client::restore`].
#[must_use = "a backup is restored when this is awaited"]
#[derive(Debug)]
pub struct Restore<S> {
    client: Client,
    pieces: S,
    force_cluster: bool,
    timeout: Option<Duration>,
}

/// A backup was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Who answered.
    pub header: Header,
    /// The txn that has replaced the state.
    pub zxid: u64,
    /// The state that the backup was of.
    pub backup_zxid: u64,
}

impl<S: Stream<Item = Bytes> + Send + 'static> Restore<S> {
    pub(crate) fn new(client: &Client, pieces: S) -> Restore<S> {
        Restore { client: client.clone(), pieces, force_cluster: false, timeout: None }
    }

    /// Even if the backup is another ensemble's.
    pub fn force_cluster(mut self) -> Self {
        self.force_cluster = true;
        self
    }

    /// How long it may take. Default: as long as it takes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Restores it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(self) -> Result<Restored, Error> {
        let head = Part::Head(v1::RestoreHead { force_cluster: self.force_cluster });
        let parts = stream::iter([head]).chain(self.pieces.map(Part::Piece));
        let requests = parts.map(|part| v1::RestoreRequest { part: Some(part) });
        let response = self.client.restore_from(requests, self.timeout).await.map_err(Error::of_sent_write)?;
        Ok(Restored {
            header: response.header.as_ref().map(Header::from).unwrap_or_default(),
            zxid: response.zxid,
            backup_zxid: response.backup_zxid,
        })
    }
}

impl<S: Stream<Item = Bytes> + Send + 'static> IntoFuture for Restore<S> {
    type Output = Result<Restored, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
