//! `Session`: a learner and its leader, in a call that the learner began.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use quorate_proto::peer::v1;
use quorate_types::{ServerId, Zxid};
use quorate_zab::{ConnectionId, Input, Message, Origin};
use tokio_util::sync::CancellationToken;

use super::call::{Call, CallError};
use super::codec::{self, DecodeError, PiecesMut, Unsent};
use super::core::Core;
use super::dial::{self, Wish};
use super::outbound::{Outbound, Phase};
use super::{hello, limits};

/// What everybody may know of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: ConnectionId,
    pub(super) peer: ServerId,
    pub(super) origin: Origin,
    /// How the leader calls it.
    pub(super) token: u64,
    /// On the leader's side: the snapshot that the learner may have.
    pub(super) offered: Mutex<Option<Zxid>>,
    /// When it has: what belongs to it ends, too.
    pub(super) ended: CancellationToken,
    outbound: Outbound<Message>,
    unsent: Unsent,
}

/// Why a session ended, when it was not this server that wanted it.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the other end has closed it")]
    ByPeer,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("more than {} bytes wait to be sent: the other end does not read", limits::SEND_BYTES_MAX)]
    NotRead,
}

impl Session {
    fn new(id: ConnectionId, peer: ServerId, origin: Origin, token: u64) -> Session {
        let (offered, ended) = (Mutex::default(), CancellationToken::new());
        Session { id, peer, origin, token, offered, ended, outbound: Outbound::default(), unsent: Unsent::default() }
    }

    /// Says something. Returns whom to wake.
    #[must_use]
    pub(super) fn send(&self, message: Message) -> Option<Waker> {
        let bytes = codec::message_bytes(&message);
        self.outbound.push(message, bytes, self.unsent.bytes(), limits::SEND_BYTES_MAX)
    }

    /// Ends it, after what was said so far. Nothing more comes in. Returns whom to wake.
    #[must_use]
    pub(super) fn close(&self) -> Option<Waker> {
        self.ended.cancel();
        self.outbound.close()
    }

    /// Reports something that belongs to it, unless it has ended.
    pub(super) fn report(&self, report: impl FnOnce()) {
        self.outbound.report(report);
    }
}

/// Begins a session with the server that is to lead.
pub(super) async fn dial(core: &Core, to: ServerId) {
    let dialed = tokio::select! {
        dialed = dial::dial(core, to, Wish::Session) => dialed,
        () = core.stop.cancelled() => return,
    };
    match dialed {
        Ok((call, reply)) => {
            let (id, token) = (core.next_connection(), reply.session_token);
            run(core, call, Session::new(id, to, Origin::Dialed, token)).await;
        }
        Err(_) => core.sink.push(Input::DialFailed { peer: to }),
    }
}

/// Begins a session that a learner wants; it has proven who it is.
pub(super) async fn accept(core: &Core, mut call: Call, from: ServerId) -> Result<(), CallError> {
    let id = core.next_connection();
    // The token only has to name it: whoever uses it has to prove again who it is.
    let token = id.0;
    let body = Some(v1::session_response::Body::HelloReply(hello::reply(core.identity, token, None)));
    let mut out = PiecesMut::default();
    codec::put(&v1::SessionResponse { body }, &mut out);
    call.send(&mut out)?;
    run(core, call, Session::new(id, from, Origin::Accepted, token)).await;
    Ok(())
}

async fn run(core: &Core, mut call: Call, mut session: Session) {
    call.set_message_bytes_max(limits::MESSAGE_BYTES_MAX);
    session.unsent = call.unsent().clone();
    let Session { id, peer, origin, .. } = session;
    let session = Arc::new(session);
    if !core.begin_session(&session) {
        return call.finish(core.timing.close).await;
    }
    session.report(|| core.sink.push(Input::Connected { connection: id, peer, origin }));

    let mut conversation = Conversation { core, session: &session, call, said: Vec::new(), out: PiecesMut::default() };
    let end = poll_fn(|cx| conversation.poll(cx)).await;
    session.ended.cancel();
    session.outbound.end(|| core.sink.push(Input::Disconnected(id)));
    core.end_session(id);
    match end {
        Ok(()) => conversation.call.finish(core.timing.close).await,
        Err(End::ByPeer) => {
            tracing::debug!(peer = %peer, connection = id.0, "a session was closed by the other end");
            conversation.call.finish(core.timing.close).await;
        }
        Err(error) => tracing::info!(peer = %peer, connection = id.0, error = %error, "a session broke"),
    }
}

/// A session at work.
struct Conversation<'a> {
    core: &'a Core,
    session: &'a Session,
    call: Call,
    /// Taken to be sent. Empty between polls.
    said: Vec<Message>,
    out: PiecesMut,
}

impl Conversation<'_> {
    /// Sends and receives. Ready with `Ok` when this server wants to end it and everything is on its way.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        match self.session.outbound.take(cx, &mut self.said) {
            Phase::Open => self.send()?,
            Phase::Overflowing => return Poll::Ready(Err(End::NotRead)),
            Phase::Closing => return Poll::Ready(Ok(self.send()?)),
            Phase::Ended => unreachable!("the end is reported after the last poll"),
        }
        loop {
            let bytes = match self.call.poll_next(cx)? {
                Poll::Ready(Some(bytes)) => bytes,
                Poll::Ready(None) => return Poll::Ready(Err(End::ByPeer)),
                Poll::Pending => return Poll::Pending,
            };
            let message = match self.session.origin {
                Origin::Dialed => codec::message_from_leader(bytes)?,
                Origin::Accepted => codec::message_from_learner(bytes)?,
            };
            let connection = self.session.id;
            self.session.report(|| self.core.sink.push(Input::Message { connection, message }));
        }
    }

    /// Hands over what was said: small messages together, large ones each on its own.
    fn send(&mut self) -> Result<(), CallError> {
        for message in self.said.drain(..) {
            let bytes = codec::message_bytes(&message);
            if self.out.len() + bytes > limits::TOGETHER_BYTES && !self.out.is_empty() {
                self.call.send(&mut self.out)?;
            }
            codec::put_message(&message, &mut self.out);
        }
        if !self.out.is_empty() {
            self.call.send(&mut self.out)?;
        }
        Ok(())
    }
}
