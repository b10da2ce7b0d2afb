//! What a mailbox holds, for whom it is woken, and what a burst leaves behind.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use bytes::Bytes;
use quorate_types::{Code, Reply, Stat, Tag, Zxid};
use tokio_util::sync::CancellationToken;

use super::*;

const BLOCKED_MS_MAX: u64 = 1_000;

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Fixture {
    mailbox: Mailbox,
    wakes: Arc<Wakes>,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { mailbox: Mailbox::new(OutboxId(7), OutboxLimits::default()), wakes: Arc::default() }
    }

    fn push(&self, count: u64, data_bytes: usize, now_ms: u64) -> bool {
        self.mailbox.push((0..count).map(|tag| reply(tag, data_bytes)), now_ms, &mut Vec::new())
    }

    fn take(&self, bytes_max: usize, now_ms: u64) -> Option<(Vec<Delivery>, Taken)> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        let mut into = Vec::new();
        match self.mailbox.poll_take(&mut Context::from_waker(&waker), &mut into, bytes_max, now_ms) {
            Poll::Ready(taken) => Some((into, taken)),
            Poll::Pending => None,
        }
    }

    fn is_writable(&self) -> bool {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.mailbox.poll_writable(&mut Context::from_waker(&waker)).is_ready()
    }

    fn wakes(&self) -> usize {
        self.wakes.0.swap(0, Ordering::Relaxed)
    }

    fn give_up(&self, now_ms: u64) -> bool {
        self.mailbox.give_up_if_blocked(now_ms, BLOCKED_MS_MAX, || Error::new(Code::Lagged, "too slow"))
    }
}

fn reply(tag: u64, data_bytes: usize) -> Delivery {
    let data = Some(Bytes::from(vec![0; data_bytes]));
    Delivery::Reply { tag: Tag(tag), zxid: Zxid(1), response: Ok(Reply::Data { data, stat: Stat::default() }) }
}

#[test]
fn a_reader_is_woken_once_for_everything_that_came_since_it_found_nothing() {
    let fixture = Fixture::new();
    assert!(fixture.take(1_000, 0).is_none());
    fixture.push(3, 0, 5);
    fixture.push(2, 0, 6);
    assert_eq!(fixture.wakes(), 1);
    let (deliveries, _) = fixture.take(usize::MAX, 7).unwrap();
    assert_eq!(deliveries.len(), 5);
    assert!(fixture.take(1_000, 8).is_none());
}

#[test]
fn a_client_that_does_not_look_at_what_it_was_sent_loses_its_connection() {
    let fixture = Fixture::new();
    let connection = Connection::new(None, &CancellationToken::new());
    fixture.mailbox.bind(connection.clone());
    // Silence is no offence, however long.
    assert!(!fixture.give_up(10_000));
    fixture.push(2, 0, 10_000);
    assert!(!fixture.give_up(10_000 + BLOCKED_MS_MAX));
    // It looks: the time begins anew.
    assert!(fixture.take(1, 10_500).is_some());
    assert!(!fixture.give_up(10_500 + BLOCKED_MS_MAX));
    assert!(!connection.token().is_cancelled());
    assert!(fixture.give_up(10_501 + BLOCKED_MS_MAX));
    assert!(connection.token().is_cancelled() && fixture.mailbox.is_closed());
    assert!(!fixture.give_up(20_000), "only once");
    let (deliveries, taken) = fixture.take(usize::MAX, 20_000).unwrap();
    assert!(matches!(deliveries.as_slice(), [Delivery::Close(error)] if error.code() == Code::Lagged));
    assert!(taken.popped.closed);
}

#[test]
fn a_client_over_its_budget_loses_its_connection_at_once() {
    let fixture = Fixture::new();
    let connection = Connection::new(None, &CancellationToken::new());
    fixture.mailbox.bind(connection.clone());
    let is_lost = fixture.push(2, OutboxLimits::default().bytes_max, 0);
    assert!(is_lost && connection.token().is_cancelled());
}

#[test]
fn requests_wait_until_the_replies_before_them_are_read() {
    let fixture = Fixture::new();
    assert!(fixture.is_writable() && !fixture.mailbox.park_if_full());
    fixture.push(4, HIGH_WATER_BYTES / 2, 0);
    assert!(!fixture.is_writable() && fixture.mailbox.park_if_full());
    let (_, taken) = fixture.take(1, 0).unwrap();
    assert!(!taken.unpark);
    let (_, taken) = fixture.take(HIGH_WATER_BYTES + 1_000, 0).unwrap();
    assert!(taken.unpark, "the driver holds requests back");
    assert_eq!(fixture.wakes(), 1, "the door holds requests back");
    assert!(fixture.is_writable());
    let (_, taken) = fixture.take(usize::MAX, 0).unwrap();
    assert!(!taken.unpark, "once is enough");
}

#[test]
fn a_closed_mailbox_gives_what_it_holds_and_then_says_so() {
    let fixture = Fixture::new();
    fixture.push(1, 0, 0);
    fixture.mailbox.close();
    let (deliveries, _) = fixture.take(1, 0).unwrap();
    assert_eq!(deliveries.len(), 1);
    let (deliveries, taken) = fixture.take(1, 0).unwrap();
    assert!(deliveries.is_empty() && taken.popped.closed);
}

#[test]
fn a_client_is_given_up_once() {
    let fixture = Fixture::new();
    let pushes = (0..40).filter(|_| fixture.push(1, 1024 * 1024, 0)).count();
    assert_eq!(pushes, 1);
    let (deliveries, taken) = fixture.take(usize::MAX, 0).unwrap();
    assert!(matches!(deliveries[..], [Delivery::Close(_)]) && taken.popped.closed);
}

#[test]
fn whose_requests_wait_for_their_turn_sends_no_more_of_them() {
    let fixture = Fixture::new();
    fixture.mailbox.hold();
    assert!(!fixture.is_writable());
    // Neither what is read nor what is unread changes that.
    fixture.push(1, 10, 0);
    assert_eq!(fixture.wakes(), 0);
    assert!(fixture.take(usize::MAX, 0).is_some());
    assert!(!fixture.is_writable());
    fixture.mailbox.release();
    assert_eq!(fixture.wakes(), 1);
    assert!(fixture.is_writable());
    fixture.push(2, HIGH_WATER_BYTES, 0);
    fixture.mailbox.hold();
    fixture.mailbox.release();
    assert!(!fixture.is_writable());
}
