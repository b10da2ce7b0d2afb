//! `ClusterService.Snapshot`: the replica has a snapshot written, and its file is read for the client, a piece at a time and
//! no faster than the client takes them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use quorate_proto::v1;
use quorate_proto::v1::snapshot_response::Part;
use quorate_storage::{Disk, RealDisk, SnapshotCopy, SnapshotDir, SnapshotError};
use quorate_types::{Code, Error, Op, Reply, Zxid};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tonic::Status;

use super::convert::{self, Asked};
use super::options::Call;
use super::{error, route};
use crate::inbox::Inbox;

/// Clients that are sent a snapshot at the same time: each has the disk read on for as long as it pleases.
const CLIENTS_MAX: usize = 4;

type Copy = SnapshotCopy<<RealDisk as Disk>::File>;

/// The snapshots on this server's disk, for those who want a copy, and the room for one that comes to be restored.
pub(super) struct Files {
    dir: SnapshotDir<RealDisk>,
    turns: Arc<Semaphore>,
    restoring: Arc<Semaphore>,
}

/// A copy on its way out.
struct Copying {
    copy: Copy,
    sent: u64,
    _turn: OwnedSemaphorePermit,
}

/// What is said next.
enum Next {
    Head(v1::SnapshotHead, Copying),
    Piece(Copying),
    Nothing,
}

impl Files {
    pub(super) fn new(dir: SnapshotDir<RealDisk>) -> Files {
        Files { dir, turns: Arc::new(Semaphore::new(CLIENTS_MAX)), restoring: Arc::new(Semaphore::new(1)) }
    }

    /// The turn of somebody who restores a backup. One at a time is heard here, as one at a time is restored anywhere.
    pub(super) fn turn_to_restore(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.restoring).try_acquire_owned().map_err(|_| {
            let detail = "a backup is being restored through this server already; wait until that is done, or given up";
            error::plain(&Error::new(Code::RestoreInProgress, detail))
        })
    }

    /// Has a snapshot taken, and begins to send it.
    pub(super) async fn send(
        &self,
        inbox: &Inbox,
        call: &Call,
        request: v1::SnapshotRequest,
    ) -> Result<impl Stream<Item = Result<v1::SnapshotResponse, Status>> + Send + use<>, Status> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| {
            let detail = format!("{CLIENTS_MAX} clients are sent a snapshot already; try again later");
            error::plain(&Error::new(Code::Throttled, detail))
        })?;
        let asked = Asked { op: Op::Snapshot, options: request.options };
        let request = call.request(asked).map_err(|refusal| error::refused(&refusal))?;
        let answered = inbox.call(request).await;
        let zxid = match answered.response {
            Ok(Reply::SnapshotTaken { zxid }) => zxid,
            Ok(_) => return Err(error::plain(&convert::mismatch())),
            Err(failed) => return Err(error::status(&failed, answered.zxid)),
        };
        let dir = self.dir.clone();
        let copy = on_disk(zxid, move || dir.copy(zxid)).await?;
        let digest = Bytes::copy_from_slice(&copy.footer().digest.to_be_bytes());
        let (bytes, znodes) = (copy.file_bytes(), copy.footer().counts[0]);
        let header = Some(route::header(&inbox.header()));
        let head = v1::SnapshotHead { header, zxid: zxid.0, bytes, digest, znodes };
        let copying = Copying { copy, sent: 0, _turn: turn };
        Ok(stream::try_unfold(Next::Head(head, copying), async |next| match next {
            Next::Head(head, copying) => Ok(Some((response(Part::Head(head)), Next::Piece(copying)))),
            Next::Piece(copying) => copying.next().await.map(Some),
            Next::Nothing => Ok(None),
        }))
    }
}

impl Copying {
    async fn next(mut self) -> Result<(v1::SnapshotResponse, Next), Status> {
        let (zxid, mut copy) = (self.copy.header().position.zxid, self.copy);
        let read = move || copy.next_piece().map(|piece| (piece, copy));
        let (piece, copy) = on_disk(zxid, read).await?;
        self.copy = copy;
        Ok(match piece {
            Some(piece) => {
                self.sent += piece.len() as u64;
                (response(Part::Piece(piece)), Next::Piece(self))
            }
            None => (response(Part::End(v1::SnapshotEnd { bytes: self.sent })), Next::Nothing),
        })
    }
}

fn response(part: Part) -> v1::SnapshotResponse {
    v1::SnapshotResponse { part: Some(part) }
}

/// Does something with the file of a snapshot, where waiting for the disk holds nobody up.
async fn on_disk<T: Send + 'static>(
    zxid: Zxid,
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, Status> {
    let failed = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(SnapshotError::NotFound(_))) => {
            let detail = "newer snapshots have replaced the one that was taken; try again";
            return Err(error::plain(&Error::new(Code::Unavailable, detail)));
        }
        Ok(Err(failed)) => failed.to_string(),
        Err(failed) => failed.to_string(),
    };
    tracing::error!(zxid = %zxid, error = failed, "a snapshot cannot be read for a client");
    let detail = "the server cannot read its snapshot; its log says why. Ask another server";
    Err(error::plain(&Error::new(Code::Internal, detail)))
}
