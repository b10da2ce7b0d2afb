//! The door for the other servers: who calls, what for, and whether they may.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer::v1;
use quorate_types::{ServerId, Zxid};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::call::{Call, CallError};
use super::codec::{self, DecodeError, PiecesMut};
use super::core::Core;
use super::hello::{self, HelloRefusal, Kind};
use super::{limits, link, session, snapshot};
use crate::tls::io::Io;

/// How long to wait when no connection can be accepted, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why nothing came of a connection.
#[derive(Debug, Error)]
enum DoorError {
    #[error("the connection cannot be set up: {0}")]
    Socket(std::io::Error),
    #[error("no TLS: {0}")]
    Tls(std::io::Error),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("no hello: {0}")]
    Decode(#[from] DecodeError),
    #[error("refused: {0}")]
    Refused(HelloRefusal),
    #[error("it did not say in time who it is")]
    TimedOut,
}

/// What a caller wants, once it has proven who it is.
struct Caller {
    call: Call,
    from: ServerId,
    wish: Wish,
}

enum Wish {
    Link,
    Session,
    Snapshot(v1::SnapshotRequest),
}

/// Serves every connection in a task of its own, until everything is to end.
pub(super) async fn run(core: Arc<Core>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = core.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "a connection of a peer could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Over the maximum it is closed at once: the other end finds out now, and not after a time-out.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let serving = Arc::clone(&core);
        core.tasks.spawn(async move {
            if let Err(error) = serve(&serving, stream).await {
                tell(&serving, address, &error);
            }
            drop(place);
        });
    }
}

fn tell(core: &Core, address: SocketAddr, error: &DoorError) {
    // Not the port: each attempt has another one.
    if !core.quiet.may_say(format!("{} {error}", address.ip()), Instant::now()) {
        return;
    }
    match error {
        DoorError::Tls(_) | DoorError::Decode(_) | DoorError::Refused(_) => {
            tracing::warn!(address = %address, error = %error, "a caller was turned away");
        }
        DoorError::Socket(_) | DoorError::Call(_) | DoorError::TimedOut => {
            tracing::info!(address = %address, error = %error, "a caller did not get through");
        }
    }
}

async fn serve(core: &Arc<Core>, stream: TcpStream) -> Result<(), DoorError> {
    let caller = tokio::select! {
        greeted = tokio::time::timeout(core.timing.hello, greet(core, stream)) => greeted,
        () = core.stop.cancelled() => return Ok(()),
    };
    let Caller { call, from, wish } = caller.unwrap_or(Err(DoorError::TimedOut))?;
    match wish {
        Wish::Link => link::accept(core, call, from).await?,
        Wish::Session => session::accept(core, call, from).await?,
        Wish::Snapshot(request) => match snapshot::offered(core, from, &request) {
            Some(session) => snapshot::send(core, call, &session, Zxid(request.zxid)).await?,
            None => return Err(refuse(core, call, Kind::Snapshot, HelloRefusal::Snapshot).await),
        },
    }
    Ok(())
}

async fn greet(core: &Core, stream: TcpStream) -> Result<Caller, DoorError> {
    stream.set_nodelay(true).map_err(DoorError::Socket)?;
    let io = match &core.tls {
        None => Io::Left(stream),
        Some(tls) => tls.accept(stream).await.map_err(DoorError::Tls)?,
    };
    let (mut call, kind) = Call::accept(io, core.timing.close).await?;
    let first = call.next().await?.ok_or(CallError::Ended)?;
    let (hello, wish) = read_hello(kind, first)?;
    match hello::check(core.identity, &hello) {
        Ok(from) => Ok(Caller { call, from, wish }),
        Err(refusal) => Err(refuse(core, call, kind, refusal).await),
    }
}

fn read_hello(kind: Kind, bytes: Bytes) -> Result<(v1::Hello, Wish), DecodeError> {
    let (hello, wish) = match kind {
        Kind::Link => match v1::LinkRequest::decode(bytes)?.body {
            Some(v1::link_request::Body::Hello(hello)) => (Some(hello), Wish::Link),
            _ => (None, Wish::Link),
        },
        Kind::Session => match v1::SessionRequest::decode(bytes)?.body {
            Some(v1::session_request::Body::Hello(hello)) => (Some(hello), Wish::Session),
            _ => (None, Wish::Session),
        },
        Kind::Snapshot => {
            let mut request = v1::SnapshotRequest::decode(bytes)?;
            (request.hello.take(), Wish::Snapshot(request))
        }
    };
    Ok((hello.ok_or(DecodeError::Unexpected)?, wish))
}

/// Says why the caller is not welcome, and who answers.
async fn refuse(core: &Core, mut call: Call, kind: Kind, refusal: HelloRefusal) -> DoorError {
    let reply = hello::reply(core.identity, 0, Some(refusal));
    let mut out = PiecesMut::default();
    match kind {
        Kind::Link => {
            let body = Some(v1::link_response::Body::HelloReply(reply));
            codec::put(&v1::LinkResponse { body }, &mut out);
        }
        Kind::Session => {
            let body = Some(v1::session_response::Body::HelloReply(reply));
            codec::put(&v1::SessionResponse { body }, &mut out);
        }
        Kind::Snapshot => {
            let body = Some(v1::snapshot_response::Body::HelloReply(reply));
            codec::put(&v1::SnapshotResponse { body }, &mut out);
        }
    }
    if let Err(error) = call.send(&mut out) {
        return DoorError::Call(error);
    }
    call.finish(core.timing.close).await;
    DoorError::Refused(refusal)
}
