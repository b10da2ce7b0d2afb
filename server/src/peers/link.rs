//! Links: what servers say while they look for a leader. Each server keeps one up to each other one and says there what
//! it has to say; of what the other end has not taken yet, only the newest is kept.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer::v1;
use quorate_types::ServerId;
use quorate_zab::{Input, Notification};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::call::{Call, CallError};
use super::codec::{self, DecodeError, PiecesMut};
use super::core::Core;
use super::dial::{self, Wish};
use super::outbound::{Outbound, Phase};
use super::{hello, limits};

/// A link that this server keeps up.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) outbound: Outbound<Notification>,
    /// The other server shows that it is there: it is worth dialing at once.
    pub(super) is_there: Notify,
    /// The other server is no member any more.
    pub(super) unwanted: CancellationToken,
}

/// A link that another server keeps up. Replaced by the next one of that server.
#[derive(Debug, Default)]
pub(super) struct IncomingLink {
    pub(super) outbound: Outbound<Notification>,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the other end has closed it")]
    ByPeer,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Keeps a link up until it is unwanted.
pub(super) async fn keep(core: &Core, peer: ServerId, link: &Link) {
    let give_up = async {
        tokio::select! {
            () = link.unwanted.cancelled() => {}
            () = core.stop.cancelled() => {}
        }
    };
    tokio::pin!(give_up);
    let mut wait = Duration::ZERO;
    // Whether agreement was told that the link is down.
    let mut is_told = false;
    loop {
        let dialed = tokio::select! {
            biased;
            () = &mut give_up => return,
            dialed = dial::dial(core, peer, Wish::Link) => dialed,
        };
        match dialed {
            Ok((mut call, _)) => {
                let began = Instant::now();
                // What was to be said to the process before this one is not for the one that is there now.
                link.outbound.forget();
                core.sink.push(Input::LinkUp(peer));
                call.set_message_bytes_max(limits::NOTIFICATION_BYTES_MAX);
                call.keep_alive(core.timing.keepalive);
                let mut talk = Talk { core, peer, outbound: &link.outbound, call, side: Side::Ours };
                let end = tokio::select! {
                    biased;
                    () = &mut give_up => return talk.call.finish(core.timing.close).await,
                    end = poll_fn(|cx| talk.poll(cx)) => end,
                };
                is_told = true;
                core.sink.push(Input::LinkDown(peer));
                match end {
                    Ok(()) => talk.call.finish(core.timing.close).await,
                    Err(error) => tracing::info!(peer = %peer, error = %error, "a link broke"),
                }
                // At once the first time; a server that hangs up again and again is not dialed without a rest.
                wait = if began.elapsed() >= limits::REDIAL_MAX { Duration::ZERO } else { longer(wait) };
            }
            Err(_) => {
                if !std::mem::replace(&mut is_told, true) {
                    core.sink.push(Input::LinkDown(peer));
                }
                wait = longer(wait);
            }
        }
        tokio::select! {
            biased;
            () = &mut give_up => return,
            () = link.is_there.notified() => {}
            () = tokio::time::sleep(jittered(wait)) => {}
        }
    }
}

fn longer(wait: Duration) -> Duration {
    (wait * 2).clamp(limits::REDIAL_MIN, limits::REDIAL_MAX)
}

/// Between half of it and all of it, so that servers which lost each other do not dial in step.
fn jittered(wait: Duration) -> Duration {
    // Without randomness they may dial in step; that does no harm but to the network.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Listens on a link of another server, which has proven who it is.
pub(super) async fn accept(core: &Core, mut call: Call, from: ServerId) -> Result<(), CallError> {
    let body = Some(v1::link_response::Body::HelloReply(hello::reply(core.identity, 0, None)));
    let mut out = PiecesMut::default();
    codec::put(&v1::LinkResponse { body }, &mut out);
    call.send(&mut out)?;
    call.set_message_bytes_max(limits::NOTIFICATION_BYTES_MAX);
    call.keep_alive(core.timing.keepalive);
    let incoming = Arc::new(IncomingLink::default());
    core.begin_incoming_link(from, &incoming);
    let mut talk = Talk { core, peer: from, outbound: &incoming.outbound, call, side: Side::Theirs };
    let end = tokio::select! {
        end = poll_fn(|cx| talk.poll(cx)) => end,
        () = core.stop.cancelled() => Ok(()),
    };
    incoming.outbound.end(|| {});
    core.end_incoming_link(from, &incoming);
    match end {
        Ok(()) | Err(End::ByPeer) => talk.call.finish(core.timing.close).await,
        Err(error) => tracing::debug!(peer = %from, error = %error, "a link of another server broke"),
    }
    Ok(())
}

/// Whose link it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

/// A link at work.
struct Talk<'a> {
    core: &'a Core,
    peer: ServerId,
    outbound: &'a Outbound<Notification>,
    call: Call,
    side: Side,
}

impl Talk<'_> {
    /// Sends and receives. Ready with `Ok` when nobody wants to hear it any more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            let is_sent = self.send(cx)?;
            loop {
                let bytes = match self.call.poll_next(cx)? {
                    Poll::Ready(Some(bytes)) => bytes,
                    Poll::Ready(None) => return Poll::Ready(Err(End::ByPeer)),
                    Poll::Pending => break,
                };
                let (from, notification) = (self.peer, codec::notification(self.said(bytes)?)?);
                self.outbound.report(|| self.core.sink.push(Input::Notified { from, notification }));
            }
            match self.outbound.look(cx) {
                Phase::Open => {}
                Phase::Closing | Phase::Overflowing | Phase::Ended => return Poll::Ready(Ok(())),
            }
            // What was not taken at first may have gone meanwhile: then the newest one can follow.
            if is_sent || self.call.unsent().bytes() > 0 {
                return Poll::Pending;
            }
        }
    }

    /// Hands over the newest notification, if the one before it is gone. Otherwise there is nothing to do until it is.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool, CallError> {
        if self.call.unsent().bytes() > 0 {
            return Ok(false);
        }
        let mut newest = Vec::new();
        self.outbound.take(cx, &mut newest);
        if let Some(notification) = newest.pop() {
            let notification = codec::wire_notification(&notification);
            let mut out = PiecesMut::default();
            match self.side {
                Side::Ours => {
                    let body = Some(v1::link_request::Body::Notification(notification));
                    codec::put(&v1::LinkRequest { body }, &mut out);
                }
                Side::Theirs => {
                    let body = Some(v1::link_response::Body::Notification(notification));
                    codec::put(&v1::LinkResponse { body }, &mut out);
                }
            }
            self.call.send(&mut out)?;
        }
        Ok(true)
    }

    fn said(&self, bytes: Bytes) -> Result<v1::Notification, DecodeError> {
        let said = match self.side {
            Side::Ours => match v1::LinkResponse::decode(bytes)?.body {
                Some(v1::link_response::Body::Notification(notification)) => Some(notification),
                _ => None,
            },
            Side::Theirs => match v1::LinkRequest::decode(bytes)?.body {
                Some(v1::link_request::Body::Notification(notification)) => Some(notification),
                _ => None,
            },
        };
        said.ok_or(DecodeError::Unexpected)
    }
}
