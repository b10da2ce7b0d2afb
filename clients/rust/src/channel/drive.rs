//! Keeps a Channel's stream open, and hands out what it brings.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use quorate_proto::v1;
use tokio::time::{Instant, sleep_until};
use tonic::codegen::http::uri::PathAndQuery;

use super::codec::{self, ChannelCodec};
use super::state::{After, State};
use super::{MESSAGE_BYTES_MAX, Shared};
use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::{Error, Reason, SessionState};

/// What goes out on one stream: polled by the connection whenever it can take bytes.
struct Outgoing {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    stream: u64,
    first: bool,
    message: BytesMut,
}

impl Stream for Outgoing {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        let mut state = this.shared.state.lock();
        if state.is_over(this.stream) {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut this.first)
            && let Some(attachment) = &this.shared.attachment
        {
            codec::put_attach(&mut this.message, &attachment.credential);
        }
        if state.is_waiting() {
            let missing = this.connection.missing(&this.shared.seen);
            state.encode_batch(Instant::now(), missing, &mut this.message);
        }
        if this.message.is_empty() {
            state.park_sender(context.waker());
            return Poll::Pending;
        }
        Poll::Ready(Some(this.message.split().freeze()))
    }
}

/// Keeps a stream open while there is anything to do.
pub(super) async fn drive(shared: Arc<Shared>) {
    let mut failures = 0;
    loop {
        while !shared.state.lock().is_waiting() && shared.attachment.is_none() {
            shared.wanted.notified().await;
        }
        if shared.state.lock().closed().is_some() {
            return;
        }
        tokio::time::sleep(Backoff::UNAVAILABLE.wait(failures)).await;
        let connection = match shared.connections.get().await {
            Ok(connection) => connection,
            Err(error) => {
                if shared.fail_fast || error.reason() != Reason::Unreachable {
                    shared.update(|state, after| state.fail_waiting(&error, after));
                }
                continue;
            }
        };
        let mut talked = false;
        let end = follow(&shared, &connection, &mut talked).await;
        failures = if talked { 0 } else { failures + 1 };
        tracing::debug!(?end, talked, "a Channel's stream has ended");
        shared.set_session_state(SessionState::Suspended);
        settle(&shared, &connection, end, talked);
    }
}

/// How a stream ends.
#[derive(Debug)]
enum End {
    /// With the session that it spoke for.
    Session(SessionState),
    /// The server refused it, or ended it for a reason of its own.
    Refused(Error),
    /// The server just ended it.
    Finished,
    /// The connection broke.
    Lost(Error),
}

/// One stream from its beginning to its end.
async fn follow(shared: &Arc<Shared>, connection: &Arc<Connection>, talked: &mut bool) -> End {
    let stream = shared.update(State::begin_stream);
    let outgoing = Outgoing {
        shared: Arc::clone(shared),
        connection: Arc::clone(connection),
        stream,
        first: true,
        message: BytesMut::new(),
    };
    let talk = async {
        let mut grpc =
            tonic::client::Grpc::new(connection.transport.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        grpc.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(codec::PATH);
        let mut incoming = grpc.streaming(tonic::Request::new(outgoing), path, ChannelCodec).await?.into_inner();
        let mut after = After::default();
        while let Some(message) = incoming.message().await? {
            *talked = true;
            if let Some(ended) = hand_out(shared, connection, message, &mut after) {
                return Ok(End::Session(ended));
            }
        }
        Ok::<_, tonic::Status>(End::Finished)
    };
    let end = tokio::select! {
        end = talk => end,
        () = connection.retired() => return End::Lost(Error::new(Reason::ConnectionLost, "the connection broke")),
    };
    end.unwrap_or_else(|status| {
        let error = Error::from(status);
        match SessionState::from_end(error.reason()).filter(|_| shared.attachment.is_some()) {
            Some(state) => End::Session(state),
            None if error.reason() == Reason::ConnectionLost => End::Lost(error),
            None => End::Refused(error),
        }
    })
}

/// Hands out what one message brought. Returns the session's state if the stream has to end with it.
fn hand_out(
    shared: &Shared,
    connection: &Arc<Connection>,
    message: v1::ChannelResponse,
    after: &mut After,
) -> Option<SessionState> {
    // Before the answers: whoever acts on one must find the state that it showed.
    shared.connections.note(connection, message.header.as_ref());
    let mut session = None;
    let mut state = shared.state.lock();
    for item in message.items {
        match item.item {
            Some(v1::channel_item::Item::Reply(reply)) => state.complete(reply, after),
            Some(v1::channel_item::Item::Session(change)) => session = Some(change),
            // This client begins its watches elsewhere; what is unknown is newer than this client.
            Some(v1::channel_item::Item::Watch(_)) | None => {}
        }
    }
    drop(state);
    shared.follow_up(after);
    let known = session.map_or(SessionState::Connected, |change| SessionState::from_wire(change.state()));
    shared.set_session_state(known);
    known.is_final().then_some(known)
}

/// Decides what becomes of the connection and of the calls after the end of a stream.
fn settle(shared: &Shared, connection: &Arc<Connection>, end: End, talked: bool) {
    // Of those that had something to say before, the next stream will show what they are worth.
    let useless = match &end {
        End::Lost(_) => true,
        End::Finished => !talked,
        End::Refused(error) => !talked && error.is_retryable(),
        End::Session(_) => false,
    };
    if useless {
        shared.connections.give_up(connection);
    }
    let ended = |text: &str| Error::new(Reason::ConnectionLost, text);
    shared.update(|state, after| match end {
        End::Session(ended) => {
            shared.set_session_state(ended);
            if let Some(error) = ended.error() {
                state.close(error, after);
            }
        }
        End::Refused(error) => {
            state.end_stream(&error, after);
            if !error.is_retryable() {
                state.fail_waiting(&error, after);
            }
        }
        End::Finished => state.end_stream(&ended("the server ended the stream"), after),
        End::Lost(error) => state.end_stream(&error, after),
    });
}

/// Fails calls that are out of time. One clock for all of them: it looks when the first of those that it knows is due.
pub(super) async fn expire_late_calls(shared: Arc<Shared>) {
    loop {
        let next = shared.state.lock().next_expiry();
        match next {
            None => shared.sooner.notified().await,
            Some(next) if next > Instant::now() => {
                tokio::select! {
                    () = sleep_until(next) => {}
                    () = shared.sooner.notified() => {}
                }
            }
            Some(_) => {
                let unsent = shared.out_of_time();
                shared.update(|state, after| state.expire(Instant::now(), &unsent, after));
            }
        }
    }
}
