//! `RequestIds`: names the writes of one client, so that one that was sent twice takes effect once.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use quorate_proto::v1;

/// The names of one client's writes: a random client id (none within a session) and a sequence number, together with
/// the number up to which every earlier write is known to be finished, so that the server can forget its result.
#[derive(Debug)]
pub(crate) struct RequestIds {
    client_id: Bytes,
    window: Mutex<Window>,
}

impl RequestIds {
    /// For writes without a session. `None` if the system has no randomness: then no two clients could be told apart.
    pub(crate) fn of_client() -> Option<RequestIds> {
        let mut client_id = [0; 16];
        getrandom::fill(&mut client_id).ok()?;
        Some(RequestIds { client_id: Bytes::copy_from_slice(&client_id), window: Mutex::default() })
    }

    /// For writes of a session.
    pub(crate) fn of_session() -> RequestIds {
        RequestIds { client_id: Bytes::new(), window: Mutex::default() }
    }

    /// A name for the next write; it counts as finished when the guard is dropped.
    pub(crate) fn begin(&self) -> Named<'_> {
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
        self.ids.window.lock().finish(self.wire.sequence);
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

    fn finish(&mut self, sequence: u64) {
        let at = usize::try_from(sequence - self.acknowledged_through - 1).expect("a window fits into memory");
        self.finished[at] = true;
        while self.finished.front() == Some(&true) {
            self.finished.pop_front();
            self.acknowledged_through += 1;
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_write_is_finished_when_its_name_is_dropped() {
        let ids = RequestIds::of_session();
        let (first, second) = (ids.begin(), ids.begin());
        drop(first);
        let third = ids.begin().to_wire();
        assert_eq!((third.sequence, third.acknowledged_through), (3, 1));
        drop(second);
        assert_eq!(ids.begin().to_wire().acknowledged_through, 3);
    }
}
