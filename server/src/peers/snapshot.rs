//! Snapshots: a leader's state on its way to a learner, on a connection of its own. A thread reads the file, another one
//! writes it; what is between them is bounded, and never more than the slowest of the three takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer::v1;
use quorate_proto::peer::v1::snapshot_response::Body;
use quorate_storage::snapshot::{CHUNK_BYTES_MAX, COUNTS};
use quorate_storage::{RealDisk, SnapshotDir, SnapshotError, SnapshotFooter, SnapshotHeader};
use quorate_types::{Epoch, ServerId, Zxid};
use quorate_zab::{Input, Origin, Position};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::call::{Call, CallError};
use super::codec::{self, DecodeError, PiecesMut};
use super::core::Core;
use super::dial::{self, DialError, Wish};
use super::session::Session;
use super::{hello, limits};
use crate::durable::{ReceiveError, ReceivedSnapshot, SnapshotReceiver};

/// The number of the field that holds a chunk, which is encoded here so that it is not copied.
const CHUNK: u32 = 3;

/// Bytes of a message besides its chunk; also the room for a configuration and epochs.
const MESSAGE_BYTES_MAX: usize = CHUNK_BYTES_MAX + 1024 * 1024;

/// A snapshot that was received.
pub struct Received {
    /// What was received.
    pub snapshot: ReceivedSnapshot,
    /// To be kept until the snapshot is adopted, or will not be.
    pub place: Place,
}

/// The one place aside where a snapshot can be received. As long as this is kept, no other one is.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "it matters when it is dropped")] OwnedSemaphorePermit);

/// Why a snapshot did not get through.
#[derive(Debug, Error)]
enum TransferError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("cannot read it: {0}")]
    Read(#[from] SnapshotError),
    #[error("cannot put it aside: {0}")]
    Receive(#[from] ReceiveError),
    #[error("it is another one than was promised")]
    Other,
    #[error("the other end has closed it before its end")]
    Closed,
    #[error("the thread that has its file has ended")]
    Thread,
}

/// One part of a snapshot.
#[derive(Debug)]
enum Part {
    Header(SnapshotHeader, u64),
    Chunk(Bytes),
    Footer(SnapshotFooter),
}

/// The session in which this request may be made: once, and only for what was offered.
pub(super) fn offered(core: &Core, from: ServerId, request: &v1::SnapshotRequest) -> Option<Arc<Session>> {
    let session = core.session(quorate_zab::ConnectionId(request.session_token))?;
    let is_theirs = session.peer == from && session.origin == Origin::Accepted;
    let is_offered = is_theirs && session.offered.lock().take_if(|zxid| zxid.0 == request.zxid).is_some();
    is_offered.then_some(session)
}

/// Sends a snapshot that was offered.
pub(super) async fn send(core: &Arc<Core>, call: Call, session: &Session, zxid: Zxid) -> Result<(), CallError> {
    let sent = tokio::select! {
        biased;
        () = session.ended.cancelled() => return Ok(()),
        sent = send_parts(core, call, zxid) => sent,
    };
    match sent {
        Ok(bytes) => {
            tracing::info!(peer = %session.peer, zxid = %zxid, bytes, "a snapshot was sent");
            Ok(())
        }
        // The learner knows it as well, and agreement hears it from there.
        Err(TransferError::Call(error)) => Err(error),
        Err(error) => {
            tracing::warn!(peer = %session.peer, zxid = %zxid, error = %error, "a snapshot cannot be sent");
            session.report(|| core.sink.push(Input::SnapshotFailed(session.id)));
            Ok(())
        }
    }
}

async fn send_parts(core: &Arc<Core>, mut call: Call, zxid: Zxid) -> Result<u64, TransferError> {
    let (parts, mut read) = mpsc::channel(limits::SNAPSHOT_CHUNKS);
    let dir = core.snapshots.clone();
    core.tasks.spawn_blocking_on(move || read_parts(&dir, zxid, &parts), &core.runtime);
    let mut out = PiecesMut::default();
    let body = Some(Body::HelloReply(hello::reply(core.identity, 0, None)));
    codec::put(&v1::SnapshotResponse { body }, &mut out);
    // Now: the disk may take longer than the learner waits for an answer.
    call.send(&mut out)?;
    let mut pace = Pace { bytes_per_second: core.snapshot_bytes_per_second, due: Instant::now() };
    let mut total = 0;
    loop {
        let part = tokio::select! {
            biased;
            ended = call.next() => return Err(is_over(ended)),
            part = read.recv() => part.ok_or(TransferError::Thread)??,
        };
        let is_last = matches!(part, Part::Footer(_));
        put_part(&part, &mut out);
        let bytes = out.len() as u64;
        total += bytes;
        call.send(&mut out)?;
        if is_last {
            // The learner hangs up when it has written everything, however long that takes.
            let _ = call.next().await;
            return Ok(total);
        }
        room(&mut call).await?;
        if let Some(pause) = pace.pause_after(bytes, Instant::now()) {
            tokio::select! {
                biased;
                ended = call.next() => return Err(is_over(ended)),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// Keeps a transfer to so many bytes a second.
struct Pace {
    bytes_per_second: u64,
    /// When everything so far may have been sent.
    due: Instant,
}

impl Pace {
    /// How long to rest, after these bytes as well. Not after each little chunk: timers are coarse.
    fn pause_after(&mut self, bytes: u64, now: Instant) -> Option<Duration> {
        const PAUSE_MIN: Duration = Duration::from_millis(10);
        self.due = self.due.max(now) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let pause = self.due - now;
        (pause >= PAUSE_MIN).then_some(pause)
    }
}

/// A learner has nothing to say after its request.
fn is_over(ended: Result<Option<Bytes>, CallError>) -> TransferError {
    match ended {
        Ok(Some(_)) => TransferError::Decode(DecodeError::Unexpected),
        Ok(None) => TransferError::Call(CallError::Ended),
        Err(error) => TransferError::Call(error),
    }
}

/// Waits until most of what was handed over is sent.
async fn room(call: &mut Call) -> Result<(), TransferError> {
    std::future::poll_fn(|cx| {
        use std::task::Poll;
        match call.poll_next(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(is_over(ended))),
            Poll::Pending if call.unsent().bytes() <= limits::SNAPSHOT_UNSENT_BYTES => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn read_parts(dir: &SnapshotDir<RealDisk>, zxid: Zxid, parts: &mpsc::Sender<Result<Part, SnapshotError>>) {
    let read = || {
        let mut reader = dir.read(zxid)?;
        let header = Part::Header(reader.header().clone(), reader.file_bytes());
        // When nobody wants it any more, there is nothing to be told either.
        let mut is_wanted = parts.blocking_send(Ok(header)).is_ok();
        while is_wanted && let Some(chunk) = reader.next_chunk()? {
            is_wanted = parts.blocking_send(Ok(Part::Chunk(chunk))).is_ok();
        }
        if is_wanted && let Some(footer) = reader.footer() {
            let _ = parts.blocking_send(Ok(Part::Footer(footer.clone())));
        }
        Ok(())
    };
    if let Err(error) = read() {
        let _ = parts.blocking_send(Err(error));
    }
}

/// Receives the snapshot at `base` from the leader, and reports how that goes.
pub(super) async fn receive(core: Arc<Core>, session: Arc<Session>, base: Position) {
    let received = tokio::select! {
        biased;
        () = session.ended.cancelled() => return,
        received = receive_parts(&core, &session, base) => received,
    };
    let (id, peer, zxid) = (session.id, session.peer, base.zxid);
    match received {
        Ok(received) => {
            let bytes = received.snapshot.info.file_bytes;
            tracing::info!(peer = %peer, zxid = %zxid, bytes, "a snapshot was received and verified");
            session.report(|| core.sink.received(id, received));
        }
        Err(error) => {
            tracing::warn!(peer = %peer, zxid = %zxid, error = %error, "a snapshot was not received");
            // Agreement will ask for it again at once.
            tokio::select! {
                () = session.ended.cancelled() => return,
                () = tokio::time::sleep(limits::SNAPSHOT_RETRY) => {}
            }
            session.report(|| core.sink.push(Input::SnapshotFailed(id)));
        }
    }
}

async fn receive_parts(core: &Arc<Core>, session: &Arc<Session>, base: Position) -> Result<Received, TransferError> {
    let turn = Arc::clone(&core.receiving).acquire_owned().await.map_err(|_closed| TransferError::Thread)?;
    let wish = Wish::Snapshot { session_token: session.token, zxid: base.zxid.0 };
    let (mut call, _) = dial::dial(core, session.peer, wish).await?;
    call.set_message_bytes_max(MESSAGE_BYTES_MAX);
    let Part::Header(header, _) = next_part(core, &mut call).await? else { return Err(TransferError::Other) };
    if (header.position.zxid, header.position.chain) != (base.zxid, base.chain) {
        return Err(TransferError::Other);
    }
    let (parts, written) = mpsc::channel(limits::SNAPSHOT_CHUNKS);
    let writer = {
        let (core, progress) = (Arc::clone(core), Progress::new(Arc::clone(core), Arc::clone(session)));
        move || write_parts(&core, header, written, turn, progress)
    };
    let thread = core.tasks.spawn_blocking_on(writer, &core.runtime);
    let mut progress = Progress::new(Arc::clone(core), Arc::clone(session));
    loop {
        let part = next_part(core, &mut call).await?;
        let is_last = matches!(part, Part::Footer(_));
        // A thread that takes no more says why when it is joined.
        if parts.send(part).await.is_err() || is_last {
            break;
        }
        progress.made();
    }
    drop(parts);
    thread.await.map_err(|_panic| TransferError::Thread)?
}

fn write_parts(
    core: &Core,
    header: SnapshotHeader,
    mut parts: mpsc::Receiver<Part>,
    turn: OwnedSemaphorePermit,
    mut progress: Progress,
) -> Result<Received, TransferError> {
    let mut receiver = SnapshotReceiver::begin(&core.snapshots, header, core.hash_seed)?;
    loop {
        match parts.blocking_recv().ok_or(TransferError::Closed)? {
            Part::Chunk(chunk) => receiver.chunk(&chunk)?,
            Part::Footer(footer) => {
                let snapshot = receiver.finish(&footer, || progress.made())?;
                return Ok(Received { snapshot, place: Place(turn) });
            }
            Part::Header(..) => return Err(TransferError::Other),
        }
    }
}

/// Says now and then that a snapshot gets on.
struct Progress {
    core: Arc<Core>,
    session: Arc<Session>,
    told: Instant,
}

impl Progress {
    fn new(core: Arc<Core>, session: Arc<Session>) -> Progress {
        Progress { core, session, told: Instant::now() }
    }

    fn made(&mut self) {
        if self.told.elapsed() >= limits::PROGRESS_INTERVAL {
            self.told = Instant::now();
            self.session.report(|| self.core.sink.push(Input::SnapshotProgress(self.session.id)));
        }
    }
}

fn put_part(part: &Part, out: &mut PiecesMut) {
    let body = match part {
        Part::Chunk(chunk) => return codec::put_bytes_field(CHUNK, chunk, out),
        Part::Header(header, file_bytes) => Body::Header(v1::SnapshotHeader {
            zxid: header.position.zxid.0,
            chain: header.position.chain,
            epochs: header
                .epochs
                .iter()
                .map(|(epoch, counter)| v1::EpochEnd { epoch: epoch.0, last_counter: *counter })
                .collect(),
            config: header.config.clone(),
            file_bytes: *file_bytes,
        }),
        Part::Footer(footer) => Body::Footer(v1::SnapshotFooter {
            digest_high: (footer.digest >> 64) as u64,
            digest_low: footer.digest as u64,
            counts: footer.counts.to_vec(),
        }),
    };
    codec::put(&v1::SnapshotResponse { body: Some(body) }, out);
}

async fn next_part(core: &Core, call: &mut Call) -> Result<Part, TransferError> {
    let bytes = call.next().await?.ok_or(TransferError::Closed)?;
    let part = match v1::SnapshotResponse::decode(bytes).map_err(DecodeError::from)?.body {
        Some(Body::Header(header)) => {
            let position = quorate_storage::Position { zxid: Zxid(header.zxid), chain: header.chain };
            let epochs = header.epochs.iter().map(|end| (Epoch(end.epoch), end.last_counter)).collect();
            let cluster_id = core.identity.cluster;
            let file_bytes = header.file_bytes;
            Part::Header(SnapshotHeader { cluster_id, position, epochs, config: header.config }, file_bytes)
        }
        Some(Body::Chunk(chunk)) if chunk.len() <= CHUNK_BYTES_MAX => Part::Chunk(chunk),
        Some(Body::Footer(footer)) => {
            let counts: [u64; COUNTS] =
                footer.counts.try_into().map_err(|_| DecodeError::Invalid("counts of a snapshot"))?;
            let digest = u128::from(footer.digest_high) << 64 | u128::from(footer.digest_low);
            Part::Footer(SnapshotFooter { digest, counts })
        }
        Some(Body::Chunk(_) | Body::HelloReply(_)) | None => return Err(DecodeError::Unexpected.into()),
    };
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_keeps_its_pace_whatever_its_chunks_and_a_rest_saves_nothing() {
        let began = Instant::now();
        let check = |chunk: u64| {
            let (mut pace, mut now) = (Pace { bytes_per_second: 1_000_000, due: began }, began);
            for _ in 0..1_000_000 / chunk {
                now += pace.pause_after(chunk, now).unwrap_or_default();
            }
            let took = now - began;
            assert!((0.98..1.001).contains(&took.as_secs_f64()), "chunks of {chunk}: {took:?}");
            // After a long rest there is no burst to make up for it.
            now += Duration::from_secs(10);
            assert_eq!(pace.pause_after(500_000, now), Some(Duration::from_millis(500)));
        };
        check(100);
        check(10_000);
        check(250_000);
    }
}
