//! `Channel`: any number of calls on one stream of messages, many to a message.
//!
//! Calls wait in a queue ([`state::State`]); whenever the connection can take bytes, all that waits goes into one
//! message, encoded where it stands. So batches grow by themselves with the load, and no call costs a task, a timer or
//! a channel of its own: it is a place in a slab and a waker. Two tasks belong to a Channel: one keeps a stream open
//! and hands out answers, one looks for calls that are out of time.

mod codec;
mod slab;
mod state;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use parking_lot::Mutex;
use quorate_proto::v1;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::codegen::http::uri::PathAndQuery;

use self::codec::ChannelCodec;
use self::slab::Id;
use self::state::{After, State};
use crate::backoff::Backoff;
use crate::connection::{Connection, Connections};
use crate::core::{Answer, Failed, Request};
use crate::seen::Seen;
use crate::{Error, Reason, SessionState};

/// The longest message that is decoded: a page of children or data has at most 1 MiB, and a server puts several
/// answers into one message.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The session that a Channel speaks for.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) credential: v1::SessionCredential,
    /// What is known of the session.
    pub(crate) state: watch::Sender<SessionState>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Channel {
    shared: Arc<Shared>,
    tasks: OnceLock<[AbortHandle; 2]>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    permits: Semaphore,
    connections: Arc<Connections>,
    seen: Arc<Seen>,
    attachment: Option<Attachment>,
    fail_fast: bool,
    /// There is something to do, for a driver that has no stream.
    wanted: Notify,
    /// A call is out of time sooner than was known.
    sooner: Notify,
}

impl Channel {
    pub(crate) fn new(
        connections: Arc<Connections>,
        seen: Arc<Seen>,
        attachment: Option<Attachment>,
        outstanding_max: usize,
        fail_fast: bool,
    ) -> Channel {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            permits: Semaphore::new(outstanding_max),
            connections,
            seen,
            attachment,
            fail_fast,
            wanted: Notify::new(),
            sooner: Notify::new(),
        });
        Channel { shared, tasks: OnceLock::new() }
    }

    /// Makes a call. Calls are sent in the order in which they were first polled.
    pub(crate) async fn call(&self, request: Request) -> Result<Answer, Failed> {
        self.start();
        let permit = match self.shared.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match timeout_at(request.deadline, self.shared.permits.acquire()).await {
                Ok(permit) => permit.expect("the semaphore is never closed"),
                Err(_) => return Err(Failed::for_good(self.shared.out_of_time())),
            },
        };
        // It comes back when the call is finished, which can be before its caller looks.
        permit.forget();
        Pending { shared: &self.shared, request: Some(request), id: None }.await
    }

    /// The number of the newest call.
    pub(crate) fn issued(&self) -> u64 {
        self.shared.state.lock().issued()
    }

    /// Starts the tasks, if they do not run yet.
    pub(crate) fn start(&self) {
        self.tasks.get_or_init(|| {
            let driver = tokio::spawn(drive(Arc::clone(&self.shared)));
            let clock = tokio::spawn(expire_late_calls(Arc::clone(&self.shared)));
            [driver.abort_handle(), clock.abort_handle()]
        });
    }

    /// The session is over, as its owner found out: tells so, and fails every call.
    pub(crate) fn finish(&self, state: SessionState) {
        self.shared.set_session_state(state);
        if let Some(error) = state.error() {
            self.close(error);
        }
    }

    /// Fails every call, now and from now on.
    fn close(&self, error: Error) {
        self.shared.update(|state, after| state.close(error, after));
        self.shared.wanted.notify_one();
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.tasks.get().into_iter().flatten().for_each(AbortHandle::abort);
        self.close(Error::new(Reason::Closed, "the client was dropped"));
    }
}

impl Shared {
    /// Changes the state, then does what follows from that without the lock.
    fn update<T>(&self, change: impl FnOnce(&mut State, &mut After) -> T) -> T {
        let mut after = After::default();
        let outcome = change(&mut self.state.lock(), &mut after);
        self.follow_up(&mut after);
        outcome
    }

    fn follow_up(&self, after: &mut After) {
        if after.finished > 0 {
            self.permits.add_permits(std::mem::take(&mut after.finished));
        }
        after.wakers.drain(..).for_each(Waker::wake);
    }

    /// Why a call ran out of time before it was sent.
    fn out_of_time(&self) -> Error {
        self.connections.failure().unwrap_or_else(|| Error::new(Reason::Timeout, "the call could not be sent in time"))
    }

    fn set_session_state(&self, state: SessionState) {
        if let Some(attachment) = &self.attachment {
            attachment.state.send_if_modified(|known| {
                let changes = *known != state && !known.is_final();
                if changes {
                    *known = state;
                }
                changes
            });
        }
    }
}

/// A call under way. Dropping it gives the call up; a write that was sent may still take effect.
struct Pending<'a> {
    shared: &'a Shared,
    /// Until it is polled for the first time.
    request: Option<Request>,
    /// From then on until its outcome is taken.
    id: Option<Id>,
}

impl Pending<'_> {
    fn begin(&mut self, request: Request, waker: Waker) -> Result<(), Error> {
        let (id, sooner) = self.shared.update(|state, after| state.begin(request, waker, after))?;
        self.id = Some(id);
        self.shared.wanted.notify_one();
        if sooner {
            self.shared.sooner.notify_one();
        }
        Ok(())
    }
}

impl Future for Pending<'_> {
    type Output = Result<Answer, Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(request) = self.request.take() {
            return match self.begin(request, context.waker().clone()) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(Failed::for_good(error))),
            };
        }
        let Some(id) = self.id else { return Poll::Pending };
        let Some(outcome) = self.shared.state.lock().poll(id, context.waker()) else { return Poll::Pending };
        self.id = None;
        Poll::Ready(outcome.map(|(zxid, reply)| Answer { zxid, reply }))
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.request.is_some() {
            self.shared.permits.add_permits(1);
        }
        if let Some(id) = self.id {
            self.shared.update(|state, after| state.abandon(id, after));
        }
    }
}

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
async fn drive(shared: Arc<Shared>) {
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
async fn expire_late_calls(shared: Arc<Shared>) {
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
