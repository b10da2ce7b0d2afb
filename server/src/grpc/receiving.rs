//! `Receiving`: the body of a call on its way to the decoder. It keeps account of what has come of messages that are not
//! complete, and gives up those that do not become so.
//!
//! A client may begin as many messages as it has streams, and each may announce megabytes. What it sends of them is kept
//! until the rest arrives: so there is a time for that, and a bound on what the whole server keeps.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use quorate_types::{Code, Error};
use tokio::time::Sleep;

use super::error;

/// Bytes of an incomplete message that every call may hold besides the common room: most requests are shorter, so they
/// pass whatever others do.
pub(super) const OWN_BYTES: usize = 64 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The room that the incomplete messages of all calls share.
pub(super) struct Room {
    bytes_max: usize,
    taken: AtomicUsize,
}

impl Room {
    pub(super) fn new(bytes_max: usize) -> Room {
        Room { bytes_max, taken: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if taken > self.bytes_max {
            self.give_back(bytes);
        }
        taken <= self.bytes_max
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one call has received and not decoded yet: its body and its decoder keep it together.
pub(super) struct Account {
    room: Arc<Room>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Received and not decoded.
    bytes: usize,
    /// Taken from the room: what `bytes` exceeds [`OWN_BYTES`] by.
    taken: usize,
    /// Messages that were decoded.
    messages: u64,
}

impl Account {
    pub(super) fn new(room: Arc<Room>) -> Arc<Account> {
        Arc::new(Account { room, state: Mutex::default() })
    }

    /// Bytes have come; `false` if there is no room for them.
    fn received(&self, bytes: usize) -> bool {
        let mut state = self.state.lock();
        state.bytes += bytes;
        let more = state.bytes.saturating_sub(OWN_BYTES).saturating_sub(state.taken);
        let has_room = more == 0 || self.room.take(more);
        if has_room {
            state.taken += more;
        }
        has_room
    }

    /// A message has been decoded, with what envelops it.
    pub(super) fn decoded(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.messages += 1;
        state.bytes = state.bytes.saturating_sub(bytes);
        let less = state.taken.saturating_sub(state.bytes.saturating_sub(OWN_BYTES));
        state.taken -= less;
        if less > 0 {
            self.room.give_back(less);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.room.give_back(self.state.get_mut().taken);
    }
}

/// See the module.
pub(super) struct Receiving<B> {
    body: B,
    account: Arc<Account>,
    timeout: Duration,
    /// The first message is due from the beginning; without it a stream may be silent between messages.
    is_due: bool,
    /// The time of one message, by how many came before it.
    sleep: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<B> Receiving<B> {
    pub(super) fn new(body: B, account: Arc<Account>, timeout: Duration, is_due: bool) -> Receiving<B> {
        Receiving { body, account, timeout, is_due, sleep: None }
    }

    /// Whether the message that is awaited is too late.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (messages, is_begun) = {
            let state = self.account.state.lock();
            (state.messages, state.bytes > 0)
        };
        if !is_begun && !self.is_due {
            self.sleep = None;
            return Poll::Pending;
        }
        let timeout = self.timeout;
        let (of, sleep) = self.sleep.get_or_insert_with(|| (messages, Box::pin(tokio::time::sleep(timeout))));
        if *of != messages {
            *of = messages;
            sleep.as_mut().reset(tokio::time::Instant::now() + timeout);
        }
        sleep.as_mut().poll(cx)
    }
}

impl<B> Body for Receiving<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => self.poll_late(cx).map(|()| {
                let detail = format!("the message did not arrive within {:?}; nothing was done", self.timeout);
                Some(Err(error::plain(&Error::new(Code::DeadlineExceeded, detail)).into()))
            }),
            Poll::Ready(Some(Ok(frame))) => {
                if self.account.received(frame.data_ref().map_or(0, Bytes::len)) {
                    Poll::Ready(Some(Ok(frame)))
                } else {
                    let detail = "too much of too many incomplete messages waits for the rest; try again";
                    Poll::Ready(Some(Err(error::plain(&Error::new(Code::Throttled, detail)).into())))
                }
            }
            Poll::Ready(Some(Err(failed))) => Poll::Ready(Some(Err(failed.into()))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_incomplete_and_long_takes_room() {
        let room = Arc::new(Room::new(1_000));
        let taken = || room.taken.load(Ordering::Relaxed);
        let account = Account::new(Arc::clone(&room));
        assert!(account.received(OWN_BYTES));
        assert_eq!(taken(), 0);
        assert!(account.received(600));
        assert_eq!(taken(), 600);
        let other = Account::new(Arc::clone(&room));
        assert!(!other.received(OWN_BYTES + 401), "there is room for 400");
        assert_eq!(taken(), 600);
        account.decoded(OWN_BYTES + 500);
        assert_eq!(taken(), 0, "100 of the next message are left");
        assert!(account.received(OWN_BYTES));
        assert_eq!(taken(), 100);
        drop(account);
        assert_eq!(taken(), 0);
    }
}
