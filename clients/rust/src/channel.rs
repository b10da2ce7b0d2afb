//! `Channel`: any number of calls on one stream of messages, many to a message.
//!
//! Calls wait in a queue ([`state::State`]); whenever the connection can take bytes, all that waits goes into one
//! message, encoded where it stands. So batches grow by themselves with the load, and no call costs a task, a timer or
//! a channel of its own: it is a place in a slab and a waker. Two tasks belong to a Channel: one keeps a stream open
//! and hands out answers, one looks for calls that are out of time.

mod codec;
mod drive;
mod slab;
mod state;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use quorate_proto::v1;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout_at;

use self::drive::{drive, expire_late_calls};
use self::slab::Id;
use self::state::{After, State};
use crate::connection::Connections;
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
