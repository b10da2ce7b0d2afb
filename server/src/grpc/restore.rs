//! `ClusterService.Restore`: a snapshot file comes in pieces, is verified, and its content goes to the leader in steps, one
//! at a time: whoever sends is heard no faster than the ensemble agrees.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quorate_proto::v1;
use quorate_proto::v1::restore_request::Part;
use quorate_storage::{SnapshotFooter, SnapshotHeader, SnapshotParser, SnapshotPart};
use quorate_types::limits::RESTORE_CHUNK_BYTES_MAX;
use quorate_types::{Caller, Code, Error, Op, Reply, Request, Restore, Zxid};
use tonic::{Status, Streaming};

use super::codec::receive_failure;
use super::convert::{self, Refusal};
use super::options::Call;
use super::{error, route};
use crate::inbox::Inbox;

/// How long a client may send nothing. The leader is as patient with us.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A file that is being restored.
struct Restoring {
    inbox: Inbox,
    caller: Arc<Caller>,
    deadline_ms: u64,
    force_cluster: bool,
    parser: SnapshotParser,
    /// Once the header has come: the state that the backup is of.
    backup: Zxid,
    /// Once the leader has begun.
    id: Option<Zxid>,
    chunks: u32,
    /// Content that was not sent to the leader yet.
    content: BytesMut,
    footer: Option<SnapshotFooter>,
}

/// Restores what the client sends.
pub(super) async fn restore(
    inbox: Inbox,
    call: Call,
    mut requests: Streaming<v1::RestoreRequest>,
) -> Result<v1::RestoreResponse, Status> {
    let mut restoring = Restoring {
        inbox,
        caller: call.caller,
        deadline_ms: call.deadline_ms,
        force_cluster: false,
        parser: SnapshotParser::default(),
        backup: Zxid::ZERO,
        id: None,
        chunks: 0,
        content: BytesMut::new(),
        footer: None,
    };
    let restored = restoring.run(&mut requests).await;
    if restored.is_err() {
        restoring.abort().await;
    }
    restored
}

impl Restoring {
    async fn run(&mut self, requests: &mut Streaming<v1::RestoreRequest>) -> Result<v1::RestoreResponse, Status> {
        while let Some(request) = next(requests).await? {
            match request.part {
                Some(Part::Head(head)) if self.parser.offset() == 0 => self.force_cluster = head.force_cluster,
                Some(Part::Piece(piece)) => self.take(&piece).await?,
                Some(Part::Head(_)) => return Err(refused("head", "it comes first, and once")),
                None => return Err(refused("part", "none is given, or one that this server does not know")),
            }
        }
        self.parser.finish().map_err(damaged)?;
        let (Some(id), Some(footer)) = (self.id, self.footer.take()) else { return Err(refused("part", "none came")) };
        self.send_content().await?;
        let zxid = self.step(Restore::Finish { id, digest: footer.digest }).await?;
        self.id = None;
        let header = Some(route::header(&self.inbox.header()));
        Ok(v1::RestoreResponse { header, zxid: zxid.0, backup_zxid: self.backup.0 })
    }

    async fn take(&mut self, piece: &[u8]) -> Result<(), Status> {
        self.parser.push(piece);
        while let Some(part) = self.parser.next().map_err(damaged)? {
            match part {
                SnapshotPart::Header(header) => self.begin(&header).await?,
                SnapshotPart::Chunk(chunk) => {
                    self.content.extend_from_slice(&chunk);
                    while self.content.len() >= RESTORE_CHUNK_BYTES_MAX {
                        let content = self.content.split_to(RESTORE_CHUNK_BYTES_MAX).freeze();
                        self.send(content).await?;
                    }
                }
                SnapshotPart::Footer(footer) => self.footer = Some(footer),
            }
        }
        Ok(())
    }

    async fn begin(&mut self, header: &SnapshotHeader) -> Result<(), Status> {
        let (theirs, ours) = (header.cluster_id, self.inbox.header().cluster);
        if theirs != ours && !self.force_cluster {
            let detail = format!(
                "the backup is of the ensemble {theirs}, and this is {ours}; `force_cluster` restores it nevertheless"
            );
            return Err(refused("piece", detail));
        }
        self.backup = header.position.zxid;
        self.id = Some(self.step(Restore::Begin { backup: self.backup }).await?);
        Ok(())
    }

    async fn send_content(&mut self) -> Result<(), Status> {
        match self.content.is_empty() {
            true => Ok(()),
            false => {
                let content = self.content.split().freeze();
                self.send(content).await
            }
        }
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Status> {
        let id = self.id.ok_or_else(|| error::plain(&convert::mismatch()))?;
        self.step(Restore::Chunk { id, index: self.chunks, bytes }).await?;
        self.chunks += 1;
        Ok(())
    }

    async fn step(&mut self, step: Restore) -> Result<Zxid, Status> {
        let mut request = Request::new(Op::Restore(step), Arc::clone(&self.caller));
        request.deadline_ms = self.deadline_ms;
        let answered = self.inbox.call(request).await;
        match answered.response {
            Ok(Reply::RestoreStep { zxid }) => Ok(zxid),
            Ok(_) => Err(error::plain(&convert::mismatch())),
            Err(failed) => Err(error::status(&failed, answered.zxid)),
        }
    }

    /// Lets the ensemble know that nothing more will come. If it does not hear of it, it will be tired of waiting.
    async fn abort(&mut self) {
        if let Some(id) = self.id.take() {
            self.deadline_ms = self.inbox.deadline_ms(SILENCE_MAX);
            let _ = self.step(Restore::Abort { id }).await;
        }
    }
}

async fn next(requests: &mut Streaming<v1::RestoreRequest>) -> Result<Option<v1::RestoreRequest>, Status> {
    match tokio::time::timeout(SILENCE_MAX, requests.message()).await {
        Ok(received) => received.map_err(receive_failure),
        Err(_) => {
            let detail = format!("nothing of the backup came for {SILENCE_MAX:?}; nothing was restored");
            Err(error::plain(&Error::new(Code::DeadlineExceeded, detail)))
        }
    }
}

fn damaged(damage: quorate_storage::Damage) -> Status {
    refused("piece", format!("this is no good backup: {damage}"))
}

fn refused(field: &'static str, detail: impl Into<String>) -> Status {
    error::refused(&Refusal::bad(field, detail.into()))
}
