//! `RequestIds`: names the writes of one client, so that one that was sent twice takes effect once.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use quorate_proto::v1;
use tokio::sync::Semaphore;

/// Results that the ensemble remembers of one client without a session. One that is sent again must not find its own
/// forgotten, so no sequence under way may be further from the oldest one.
const WINDOW_MAX: usize = 256;

/// The names of one client's writes: a random client id (none within a session) and a sequence number, together with
/// the number up to which every earlier write is known to be finished, so that the server can forget its result.
#[derive(Debug)]
pub(crate) struct RequestIds {
    client_id: Bytes,
    window: Mutex<Window>,
    /// Sequences that may still begin. Absent within a session, whose Channel has no more calls under way than are
    /// remembered, and keeps their order.
    room: Option<Semaphore>,
}

impl RequestIds {
    /// For writes without a session. `None` if the system has no randomness: then no two clients could be told apart.
    pub(crate) fn of_client() -> Option<RequestIds> {
        let mut client_id = [0; 16];
        getrandom::fill(&mut client_id).ok()?;
        let room = Some(Semaphore::new(WINDOW_MAX));
        Some(RequestIds { client_id: Bytes::copy_from_slice(&client_id), window: Mutex::default(), room })
    }

    /// For writes of a session.
    pub(crate) fn of_session() -> RequestIds {
        RequestIds { client_id: Bytes::new(), window: Mutex::default(), room: None }
    }

    /// The newest write's number; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        let window = self.window.lock();
        window.acknowledged_through + window.finished.len() as u64
    }

    /// The write's number up to which all are finished, as every later write tells the server.
    pub(crate) fn finished_through(&self) -> u64 {
        self.window.lock().acknowledged_through
    }

    /// A name for the next write, once there is room for it; it counts as finished when the guard is dropped.
    pub(crate) async fn begin(&self) -> Named<'_> {
        if let Some(room) = &self.room {
            // It comes back when the sequence, and all before it, are finished.
            room.acquire().await.expect("the semaphore is never closed").forget();
        }
        let (sequence, acknowledged_through) = self.window.lock().begin();
        let wire = v1::RequestId { client_id: self.client_id.clone(), sequence, acknowledged_through };
        Named { ids: self, wire }
    }
}

/// The name of a write under way.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    ids: &'a RequestIds,
    wire: v1::RequestId,
}

impl Named<'_> {
    pub(crate) fn to_wire(&self) -> v1::RequestId {
        self.wire.clone()
    }
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        let passed = self.ids.window.lock().finish(self.wire.sequence);
        if let Some(room) = &self.ids.room {
            room.add_permits(passed);
        }
    }
}

/// Which writes are finished. Sequence numbers begin at 1; `finished[i]` is about `acknowledged_through + 1 + i`, and
/// `finished[0]` is false.
#[derive(Debug, Default)]
struct Window {
    acknowledged_through: u64,
    finished: VecDeque<bool>,
}

impl Window {
    fn begin(&mut self) -> (u64, u64) {
        self.finished.push_back(false);
        (self.acknowledged_through + self.finished.len() as u64, self.acknowledged_through)
    }

    /// Returns how far the window has moved.
    fn finish(&mut self, sequence: u64) -> usize {
        let at = usize::try_from(sequence - self.acknowledged_through - 1).expect("a window fits into memory");
        self.finished[at] = true;
        let before = self.finished.len();
        while self.finished.front() == Some(&true) {
            self.finished.pop_front();
            self.acknowledged_through += 1;
        }
        before - self.finished.len()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn only_what_has_no_earlier_write_under_way_is_acknowledged() {
        let mut window = Window::default();
        assert_eq!(window.begin(), (1, 0));
        assert_eq!(window.begin(), (2, 0));
        assert_eq!(window.begin(), (3, 0));
        window.finish(2);
        assert_eq!(window.begin(), (4, 0), "1 is under way");
        window.finish(1);
        assert_eq!(window.begin(), (5, 2));
        window.finish(5);
        window.finish(4);
        window.finish(3);
        assert_eq!(window.begin(), (6, 5));
    }

    #[tokio::test]
    async fn a_write_is_finished_when_its_name_is_dropped() {
        let ids = RequestIds::of_session();
        let (first, second) = (ids.begin().await, ids.begin().await);
        drop(first);
        let third = ids.begin().await.to_wire();
        assert_eq!((third.sequence, third.acknowledged_through), (3, 1));
        drop(second);
        assert_eq!((ids.newest(), ids.finished_through()), (3, 3));
        assert_eq!(ids.begin().await.to_wire().acknowledged_through, 3);
    }

    #[tokio::test]
    async fn no_write_begins_so_late_that_the_oldest_could_be_forgotten() {
        let ids = RequestIds::of_client().expect("there is randomness");
        let oldest = ids.begin().await;
        // All of these are finished; but the oldest may have to be sent again.
        for _ in 1..WINDOW_MAX {
            ids.begin().await;
        }
        let mut next = std::pin::pin!(ids.begin());
        assert!(next.as_mut().now_or_never().is_none());
        drop(oldest);
        let next = next.await.to_wire();
        assert_eq!((next.sequence, next.acknowledged_through), (257, 256));
    }
}
