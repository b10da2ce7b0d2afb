//! Dialing: from a server's id to a call whose other end has proven that it is that server.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer::v1;
use quorate_types::ServerId;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::call::{Call, CallError};
use super::codec::{self, DecodeError, PiecesMut};
use super::core::Core;
use super::hello::{self, HelloRefusal, Kind};
use super::limits;
use crate::tls::io::Io;

/// Why a server could not be reached.
#[derive(Debug, Error)]
pub(super) enum DialError {
    /// Neither the ensemble's configuration nor this server's says where it is.
    #[error("there is no address for it")]
    NoAddress,
    /// Its name means nothing.
    #[error("{name} cannot be resolved: {source}")]
    Resolve {
        /// The name, with the port.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// One of the two did not believe the other one's certificate.
    #[error("no TLS with {address}: {source}")]
    Tls {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There is a connection, but no conversation.
    #[error("no conversation with {address}: {source}")]
    Call {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: CallError,
    },
    /// It answers something else.
    #[error("{address} answers what no server would: {source}")]
    Answer {
        /// Where.
        address: SocketAddr,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The two do not belong together.
    #[error("{address} is not for us: {refusal}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Why.
        refusal: HelloRefusal,
    },
    /// Nobody answers in time.
    #[error("no answer in time")]
    TimedOut,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    Link,
    Session,
    /// Of the session with this token, the snapshot at this zxid.
    Snapshot {
        session_token: u64,
        zxid: u64,
    },
}

impl Wish {
    pub(super) fn kind(self) -> Kind {
        match self {
            Wish::Link => Kind::Link,
            Wish::Session => Kind::Session,
            Wish::Snapshot { .. } => Kind::Snapshot,
        }
    }

    fn put(self, hello: v1::Hello, out: &mut PiecesMut) {
        match self {
            Wish::Link => {
                let body = Some(v1::link_request::Body::Hello(hello));
                codec::put(&v1::LinkRequest { body }, out);
            }
            Wish::Session => {
                let body = Some(v1::session_request::Body::Hello(hello));
                codec::put(&v1::SessionRequest { body }, out);
            }
            Wish::Snapshot { session_token, zxid } => {
                codec::put(&v1::SnapshotRequest { hello: Some(hello), session_token, zxid }, out);
            }
        }
    }

    fn reply(self, bytes: Bytes) -> Result<v1::HelloReply, DecodeError> {
        let reply = match self {
            Wish::Link => match v1::LinkResponse::decode(bytes)?.body {
                Some(v1::link_response::Body::HelloReply(reply)) => Some(reply),
                _ => None,
            },
            Wish::Session => match v1::SessionResponse::decode(bytes)?.body {
                Some(v1::session_response::Body::HelloReply(reply)) => Some(reply),
                _ => None,
            },
            Wish::Snapshot { .. } => match v1::SnapshotResponse::decode(bytes)?.body {
                Some(v1::snapshot_response::Body::HelloReply(reply)) => Some(reply),
                _ => None,
            },
        };
        reply.ok_or(DecodeError::Unexpected)
    }
}

/// Tries every address that the server's name has now, until one leads to it. Says, if it may, why none does.
pub(super) async fn dial(core: &Core, to: ServerId, wish: Wish) -> Result<(Call, v1::HelloReply), DialError> {
    let deadline = Instant::now() + core.timing.dial;
    let dialed = tokio::time::timeout_at(deadline, dial_by(core, to, wish, deadline)).await;
    let dialed = dialed.unwrap_or(Err(DialError::TimedOut));
    if let Err(error) = &dialed
        && core.quiet.may_say(format!("{to} {error}"), std::time::Instant::now())
    {
        let kind = wish.kind();
        match error {
            DialError::Refused { .. } | DialError::Tls { .. } | DialError::Answer { .. } | DialError::NoAddress => {
                tracing::warn!(peer = %to, kind = %kind, error = %error, "a server is not the one that was expected");
            }
            DialError::Resolve { .. } | DialError::Connect { .. } | DialError::Call { .. } | DialError::TimedOut => {
                tracing::info!(peer = %to, kind = %kind, error = %error, "a server cannot be reached");
            }
        }
    }
    dialed
}

async fn dial_by(
    core: &Core,
    to: ServerId,
    wish: Wish,
    deadline: Instant,
) -> Result<(Call, v1::HelloReply), DialError> {
    let name = core.book.lock().get(to).cloned().ok_or(DialError::NoAddress)?;
    let resolved = tokio::net::lookup_host(&name).await;
    let resolved = resolved.map_err(|source| DialError::Resolve { name: name.clone(), source })?;
    let addresses: Vec<SocketAddr> = resolved.take(limits::ADDRESSES_MAX).collect();
    try_all(core, to, wish, &name, &addresses, deadline).await
}

/// Tries one address after the other. One that swallows everything does not take the others' time.
pub(super) async fn try_all(
    core: &Core,
    to: ServerId,
    wish: Wish,
    name: &str,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(Call, v1::HelloReply), DialError> {
    let mut failed = DialError::NoAddress;
    for (tried, address) in addresses.iter().enumerate() {
        let share = deadline.saturating_duration_since(Instant::now()) / (addresses.len() - tried) as u32;
        match tokio::time::timeout(share, attempt(core, to, wish, name, *address)).await {
            Ok(Ok(dialed)) => return Ok(dialed),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = DialError::TimedOut,
        }
    }
    Err(failed)
}

async fn attempt(
    core: &Core,
    to: ServerId,
    wish: Wish,
    name: &str,
    address: SocketAddr,
) -> Result<(Call, v1::HelloReply), DialError> {
    let connect = |source| DialError::Connect { address, source };
    let stream = TcpStream::connect(address).await.map_err(connect)?;
    stream.set_nodelay(true).map_err(connect)?;
    let io = match &core.tls {
        None => Io::Left(stream),
        Some(tls) => tls.connect(name, stream).await.map_err(|source| DialError::Tls { address, source })?,
    };
    let broken = |source| DialError::Call { address, source };
    let mut call = Call::dial(io, wish.kind()).await.map_err(broken)?;
    let mut out = PiecesMut::default();
    wish.put(hello::hello(core.identity, to), &mut out);
    call.send(&mut out).map_err(broken)?;
    let answer = call.next().await.map_err(broken)?.ok_or(broken(CallError::Ended))?;
    let reply = wish.reply(answer).map_err(|source| DialError::Answer { address, source })?;
    hello::check_reply(core.identity, to, &reply).map_err(|refusal| DialError::Refused { address, refusal })?;
    Ok((call, reply))
}
