//! `Mailbox`: an outbox, the door's task that reads it, and what is needed to notice that nobody does.
//!
//! The driver pushes, the door pops; both hold the lock for moments only. The reader is woken once for whatever was
//! pushed since it last found nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};
use quorate_replica::outbox::{OutboxLimits, Popped};
use quorate_replica::{Delivery, Outbox};
use quorate_types::{Error, OutboxId, WatchId};

use crate::connection::Connection;

/// Bytes unread beyond which no further request of this client is listened to: replies, unlike events, come only to
/// those who ask, so a client that reads slowly is made to ask slowly.
pub(crate) const HIGH_WATER_BYTES: usize = 1024 * 1024;

/// The place where the driver leaves deliveries for one client.
pub(crate) struct Mailbox {
    id: OutboxId,
    state: Mutex<State>,
    /// Nothing is accepted from or delivered to this client any more.
    closed: AtomicBool,
}

struct State {
    outbox: Outbox,
    /// The door's task, if it waits for a delivery.
    reader: Option<Waker>,
    /// The door's task that waits until it may send more requests.
    writer: Option<Waker>,
    /// Since when there is something to take that the door has not looked at.
    unread_since_ms: u64,
    /// The driver holds requests back until this much is read.
    parked: bool,
    /// The driver holds requests back that only wait for their turn.
    held: bool,
    connection: Option<Connection>,
}

impl State {
    fn is_writable(&self) -> bool {
        self.outbox.bytes() <= HIGH_WATER_BYTES && !self.held
    }
}

/// What a door found.
pub(crate) struct Taken {
    pub(crate) popped: Popped,
    /// The driver holds requests of this client back and can go on now.
    pub(crate) unpark: bool,
}

impl Mailbox {
    pub(crate) fn new(id: OutboxId, limits: OutboxLimits) -> Mailbox {
        let state = State {
            outbox: Outbox::new(limits),
            reader: None,
            writer: None,
            unread_since_ms: 0,
            parked: false,
            held: false,
            connection: None,
        };
        Mailbox { id, state: Mutex::new(state), closed: AtomicBool::new(false) }
    }

    pub(crate) fn id(&self) -> OutboxId {
        self.id
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The connection to be cut when the client is given up.
    pub(crate) fn bind(&self, connection: Connection) {
        self.state.lock().connection = Some(connection);
    }

    /// Leaves deliveries, takes note of watches that lag, and wakes the reader. Says whether this was too much for the
    /// client, which is then given up.
    pub(crate) fn push(
        &self,
        deliveries: impl Iterator<Item = Delivery>,
        now_ms: u64,
        lagged: &mut Vec<(OutboxId, WatchId)>,
    ) -> bool {
        let mut state = self.state.lock();
        if state.outbox.is_lost() {
            // That was said already.
            return false;
        }
        if state.outbox.is_empty() {
            state.unread_since_ms = now_ms;
        }
        for delivery in deliveries {
            state.outbox.push(delivery);
        }
        lagged.extend(state.outbox.take_lagged().into_iter().map(|watch| (self.id, watch)));
        self.after_push(state)
    }

    /// Gives the client up if it has not taken anything for `blocked_ms_max` although there is something to take.
    pub(crate) fn give_up_if_blocked(&self, now_ms: u64, blocked_ms_max: u64, error: impl FnOnce() -> Error) -> bool {
        let mut state = self.state.lock();
        let is_blocked = !state.outbox.is_empty() && now_ms.saturating_sub(state.unread_since_ms) > blocked_ms_max;
        if !is_blocked || state.outbox.is_lost() {
            return false;
        }
        state.outbox.lose(error());
        self.after_push(state)
    }

    /// Wakes whoever has to know; says whether the client is given up.
    fn after_push(&self, mut state: MutexGuard<'_, State>) -> bool {
        let reader = if state.outbox.is_empty() { None } else { state.reader.take() };
        let connection = if state.outbox.is_lost() { state.connection.take() } else { None };
        let is_lost = state.outbox.is_lost();
        drop(state);
        if is_lost {
            self.close();
        }
        if let Some(reader) = reader {
            reader.wake();
        }
        if let Some(connection) = connection {
            connection.cut();
        }
        is_lost
    }

    /// Whether so much is unread that no further request should be stepped now; the reader then tells when that is over.
    pub(crate) fn park_if_full(&self) -> bool {
        let mut state = self.state.lock();
        state.parked = state.outbox.bytes() > HIGH_WATER_BYTES && !self.is_closed();
        state.parked
    }

    /// No further request should be sent: enough of them wait for their turn already.
    pub(crate) fn hold(&self) {
        self.state.lock().held = true;
    }

    /// Requests may be sent again.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock();
        state.held = false;
        let writer = if state.is_writable() { state.writer.take() } else { None };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Takes what there is, in order, up to about `bytes_max` bytes.
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        into: &mut Vec<Delivery>,
        bytes_max: usize,
        now_ms: u64,
    ) -> Poll<Taken> {
        let mut state = self.state.lock();
        if state.outbox.is_empty() {
            if self.is_closed() {
                return Poll::Ready(Taken { popped: Popped { ready: false, closed: true }, unpark: false });
            }
            match &mut state.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                reader => *reader = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        let popped = state.outbox.pop(into, bytes_max);
        state.unread_since_ms = now_ms;
        let is_low = state.outbox.bytes() <= HIGH_WATER_BYTES;
        let unpark = is_low && std::mem::take(&mut state.parked);
        let writer = if state.is_writable() { state.writer.take() } else { None };
        drop(state);
        if popped.closed {
            self.close();
        }
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(Taken { popped, unpark })
    }

    /// Waits until so little is unread, and waits for its turn, that the client may ask for more.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_writable() || self.is_closed() {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Accepts and delivers nothing any more; what is queued can still be taken.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let mut state = self.state.lock();
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests;
