//! `Inbox`: the one way from the front doors to the replica, and back.
//!
//! A door either makes a single [`Inbox::call`], or it [opens](Inbox::open) an outbox: an ordered stream of replies and
//! events for one client. What disk threads, other servers, connections and doors bring waits in four lanes for the
//! driver, which drains them in turn. Only the client lane is ever held up: requests wait for room in it, so a flood of clients can
//! neither grow the process nor delay what the disk reports. Everything that is not a request passes by, since there
//! is at most one of each per outbox.
//!
//! One Channel message is one item here, however many operations it holds, and an item costs one uncontended lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quorate_replica::outbox::OutboxLimits;
use quorate_replica::{Delivery, DiskInput, Order};
use quorate_types::{ClusterId, Code, Epoch, Error, Now, OutboxId, Request, Response, Role, ServerId, Tag, Zxid};
use quorate_zab::ConnectionId;

use crate::calls::Calls;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::mailbox::Mailbox;
use crate::metrics::{Metrics, Queues};
use crate::peers::{Received, Sink};
use crate::published::Published;
use crate::slow::Subject;

/// Operations that may wait in the client lane: a few turns of the driver's work.
const OPERATIONS_MAX: usize = 16_384;

/// Bytes of requests that may wait in the client lane.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Where front doors bring requests. Clones lead to the same replica.
#[derive(Clone)]
pub struct Inbox {
    shared: Arc<Shared>,
}

/// The answer to a unary call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// For a write, its txn; for a read, the state that it saw; zero if the replica was never asked.
    pub zxid: Zxid,
    /// The reply, or why there is none.
    pub response: Response,
}

/// What every reply says about the server that sends it, as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The ensemble.
    pub cluster: ClusterId,
    /// This server.
    pub server: ServerId,
    /// What it does.
    pub role: Role,
    /// Under which leader.
    pub epoch: Epoch,
    /// What it has applied; at least as much as any delivery shows that was taken before.
    pub zxid: Zxid,
}

/// The outbox, or the whole server, is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is closed")]
pub struct Closed;

/// What doors, disk threads and the driver share.
pub(crate) struct Shared {
    lanes: Mutex<Lanes>,
    pub(crate) calls: Calls,
    pub(crate) published: Published,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    outbox_limits: OutboxLimits,
    /// That of all unary calls.
    pub(crate) calls_outbox: OutboxId,
    next_outbox: AtomicU64,
    /// From so many milliseconds on the log tells of a request.
    slow_ms: AtomicU64,
}

#[derive(Default)]
struct Lanes {
    disk: Vec<DiskInput>,
    peers: Vec<PeerItem>,
    /// Outboxes that have been read down to their low-water mark.
    ready: Vec<OutboxId>,
    clients: Vec<ClientItem>,
    /// Within `clients`.
    operations: usize,
    bytes: usize,
    /// Who waits for room, in the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    /// Given out in `waiting`.
    places: u64,
    driver: Option<Waker>,
    closed: bool,
}

/// One item of the client lane.
#[expect(clippy::large_enum_variant, reason = "a call's request in a box would cost each call an allocation")]
pub(crate) enum ClientItem {
    Open {
        mailbox: Arc<Mailbox>,
        order: Order,
    },
    Requests {
        mailbox: Arc<Mailbox>,
        batch: Vec<(Tag, Request)>,
    },
    Call {
        tag: Tag,
        request: Request,
    },
    /// The mailbox has been read so far that requests that were held back can go on.
    Unpark(OutboxId),
    Closed(OutboxId),
}

/// One item of the lane of the other servers. What they may have on its way is bounded by agreement.
pub(crate) enum PeerItem {
    Input(quorate_zab::Input),
    /// A snapshot came in this session.
    Received(ConnectionId, Box<Received>),
}

/// What the driver found in the lanes. Reused from turn to turn.
#[derive(Default)]
pub(crate) struct Drained {
    pub(crate) disk: Vec<DiskInput>,
    pub(crate) peers: Vec<PeerItem>,
    pub(crate) ready: Vec<OutboxId>,
    pub(crate) clients: Vec<ClientItem>,
}

impl Inbox {
    /// `incarnation` is a random number: no other process of this server numbers its outboxes from near it.
    pub(crate) fn new(
        cluster: ClusterId,
        server: ServerId,
        incarnation: u64,
        clock: Clock,
        outbox_limits: OutboxLimits,
    ) -> Inbox {
        let shared = Shared {
            lanes: Mutex::default(),
            calls: Calls::default(),
            published: Published::new(cluster, server),
            clock,
            metrics: Arc::new(Metrics::new()),
            outbox_limits,
            calls_outbox: OutboxId(incarnation),
            next_outbox: AtomicU64::new(incarnation.wrapping_add(1)),
            slow_ms: AtomicU64::new(u64::MAX),
        };
        Inbox { shared: Arc::new(shared) }
    }

    /// Makes a request that stands for itself: it has no order among others. Dropping the future forgets the reply;
    /// whether a write takes effect is then unknown. When the request's deadline passes the answer is
    /// [`Code::DeadlineExceeded`], within one tick.
    pub async fn call(&self, request: Request) -> Answer {
        let began = Instant::now();
        let ticket = self.shared.calls.begin(request.deadline_ms);
        let (bytes, subject) = (request.charge(), Subject::of(&request.op));
        let mut entering = self.shared.enter(ClientItem::Call { tag: ticket.tag(), request }, 1, bytes);
        let answer = std::future::poll_fn(|cx| {
            if let Poll::Ready(answer) = ticket.poll(cx) {
                return Poll::Ready(answer);
            }
            match entering.poll(cx) {
                Poll::Ready(Err(Closed)) => Poll::Ready(Answer::shutting_down()),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            }
        });
        let answer = answer.await;
        let took = began.elapsed();
        self.shared.metrics.call(took);
        if took.as_millis() >= self.slow_ms().into() {
            subject.was_slow("call", took, answer.zxid, &answer.response);
        }
        answer
    }

    /// Opens an outbox. Its requests are stepped in the order in which they are sent; `order` says how the replies to
    /// them relate.
    pub fn open(&self, order: Order) -> (OutboxSender, OutboxReceiver) {
        let id = OutboxId(self.shared.next_outbox.fetch_add(1, Ordering::Relaxed));
        let mailbox = Arc::new(Mailbox::new(id, self.shared.outbox_limits));
        if !self.shared.enqueue_unbounded(ClientItem::Open { mailbox: Arc::clone(&mailbox), order }) {
            mailbox.close();
        }
        let sender = OutboxSender { shared: Arc::clone(&self.shared), mailbox: Arc::clone(&mailbox) };
        (sender, OutboxReceiver { shared: Arc::clone(&self.shared), mailbox })
    }

    /// Has the log tell of requests that take so long. It tells of none otherwise.
    pub fn log_slow(&self, from: Duration) {
        self.shared.slow_ms.store(u64::try_from(from.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// From how many milliseconds on the log tells of a request.
    pub(crate) fn slow_ms(&self) -> u64 {
        self.shared.slow_ms.load(Ordering::Relaxed)
    }

    /// What replies say about this server now.
    pub fn header(&self) -> Header {
        self.shared.published.header()
    }

    /// Whether the server can serve writes.
    pub fn is_serving(&self) -> bool {
        self.shared.published.is_serving()
    }

    /// The present moment, in the terms of [`Request::deadline_ms`].
    pub fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// When the driver's latest turn began: as good as now, and cheaper.
    pub fn now_ms(&self) -> u64 {
        self.shared.published.now_ms()
    }

    /// The [`Request::deadline_ms`] of a request whose client waits so long from now.
    pub fn deadline_ms(&self, timeout: Duration) -> u64 {
        self.shared.clock.deadline_ms(timeout)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Sink for Inbox {
    fn push(&self, input: quorate_zab::Input) {
        self.shared.with_lanes(|lanes| lanes.peers.push(PeerItem::Input(input)));
    }

    fn received(&self, connection: ConnectionId, snapshot: Received) {
        self.shared.with_lanes(|lanes| lanes.peers.push(PeerItem::Received(connection, Box::new(snapshot))));
    }
}

impl Answer {
    fn shutting_down() -> Answer {
        Answer { zxid: Zxid::ZERO, response: Err(Error::new(Code::Unavailable, "the server is shutting down")) }
    }
}

/// The requests of one outbox.
#[derive(Clone)]
pub struct OutboxSender {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
}

impl OutboxSender {
    /// Hands requests over, in order, once there is room for them and the client has read what it asked for before.
    ///
    /// # Errors
    /// [`Closed`] when nothing would be answered any more.
    pub async fn send(&self, batch: Vec<(Tag, Request)>) -> Result<(), Closed> {
        let operations = batch.len();
        let bytes = batch.iter().map(|(_, request)| request.charge()).sum();
        let item = ClientItem::Requests { mailbox: Arc::clone(&self.mailbox), batch };
        let mut entering = self.shared.enter(item, operations, bytes);
        std::future::poll_fn(|cx| {
            if self.mailbox.is_closed() {
                return Poll::Ready(Err(Closed));
            }
            std::task::ready!(self.mailbox.poll_writable(cx));
            entering.poll(cx)
        })
        .await
    }
}

/// The replies and events of one outbox. Dropping it ends the outbox and everything that was begun on it.
pub struct OutboxReceiver {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
}

impl OutboxReceiver {
    /// Appends the next deliveries to `into`, in order: at least one, and until they amount to about `bytes_max`.
    /// `None` after [`Delivery::Close`], or when the server has stopped.
    pub async fn next(&mut self, into: &mut Vec<Delivery>, bytes_max: usize) -> Option<()> {
        std::future::poll_fn(|cx| self.poll_next(cx, into, bytes_max)).await
    }

    /// As [`OutboxReceiver::next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>, into: &mut Vec<Delivery>, bytes_max: usize) -> Poll<Option<()>> {
        let before = into.len();
        loop {
            let now_ms = self.shared.published.now_ms();
            let taken = std::task::ready!(self.mailbox.poll_take(cx, into, bytes_max, now_ms));
            if taken.popped.ready {
                self.shared.ready(self.mailbox.id());
            }
            if taken.unpark {
                self.shared.enqueue_unbounded(ClientItem::Unpark(self.mailbox.id()));
            }
            match (into.len() > before, taken.popped.closed) {
                (true, _) => return Poll::Ready(Some(())),
                (false, true) => return Poll::Ready(None),
                (false, false) => {}
            }
        }
    }

    /// Names the connection that is cut if this outbox is not read.
    pub fn bind(&self, connection: &Connection) {
        self.mailbox.bind(connection.clone());
    }
}

impl Drop for OutboxReceiver {
    fn drop(&mut self) {
        self.mailbox.close();
        self.shared.enqueue_unbounded(ClientItem::Closed(self.mailbox.id()));
    }
}

impl Shared {
    /// Takes everything out of the lanes, the clients' only if they are wanted. If there is nothing at all, `cx` is
    /// woken when there is.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>, clients: bool, into: &mut Drained) -> Poll<()> {
        let mut lanes = self.lanes.lock();
        let has_clients = clients && !lanes.clients.is_empty();
        if lanes.disk.is_empty() && lanes.peers.is_empty() && lanes.ready.is_empty() && !has_clients {
            match &mut lanes.driver {
                Some(driver) => driver.clone_from(cx.waker()),
                driver => *driver = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        lanes.driver = None;
        std::mem::swap(&mut lanes.disk, &mut into.disk);
        std::mem::swap(&mut lanes.peers, &mut into.peers);
        std::mem::swap(&mut lanes.ready, &mut into.ready);
        if !has_clients {
            return Poll::Ready(());
        }
        std::mem::swap(&mut lanes.clients, &mut into.clients);
        (lanes.operations, lanes.bytes) = (0, 0);
        let waiting = std::mem::take(&mut lanes.waiting);
        drop(lanes);
        waiting.into_values().for_each(Waker::wake);
        Poll::Ready(())
    }

    /// Whether no client waits to be heard.
    pub(crate) fn is_drained(&self) -> bool {
        self.lanes.lock().clients.is_empty()
    }

    /// How much waits.
    pub(crate) fn queues(&self) -> Queues {
        let lanes = self.lanes.lock();
        let (inbox_operations, inbox_peers) = (lanes.operations, lanes.peers.len());
        drop(lanes);
        Queues { inbox_operations, inbox_peers, calls: self.calls.len() }
    }

    /// Brings a report of a disk thread.
    pub(crate) fn report(&self, input: DiskInput) {
        self.with_lanes(|lanes| lanes.disk.push(input));
    }

    /// Accepts no request any more.
    pub(crate) fn close(&self) {
        let waiting = self.with_lanes(|lanes| {
            lanes.closed = true;
            std::mem::take(&mut lanes.waiting)
        });
        waiting.into_values().for_each(Waker::wake);
    }

    fn ready(&self, outbox: OutboxId) {
        self.with_lanes(|lanes| lanes.ready.push(outbox));
    }

    /// For what there is at most a few of per outbox. `false` when the server has stopped.
    fn enqueue_unbounded(&self, item: ClientItem) -> bool {
        self.with_lanes(|lanes| {
            if !lanes.closed {
                lanes.clients.push(item);
            }
            !lanes.closed
        })
    }

    /// An item that is to go into the client lane once there is room.
    fn enter(&self, item: ClientItem, operations: usize, bytes: usize) -> Entering<'_> {
        Entering { shared: self, item: Some(item), operations, bytes, place: None }
    }

    /// Changes the lanes, then wakes the driver if it waits.
    fn with_lanes<T>(&self, change: impl FnOnce(&mut Lanes) -> T) -> T {
        let mut lanes = self.lanes.lock();
        let result = change(&mut lanes);
        let driver = lanes.driver.take();
        drop(lanes);
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }
}

/// An item on its way into the client lane. Dropping it gives up its place among those who wait.
struct Entering<'a> {
    shared: &'a Shared,
    /// `None` once it is there.
    item: Option<ClientItem>,
    operations: usize,
    bytes: usize,
    /// Among those who wait, if it ever had to: it is kept until there is room.
    place: Option<u64>,
}

impl Entering<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if self.item.is_none() {
            return Poll::Ready(Ok(()));
        }
        self.shared.with_lanes(|lanes| {
            if lanes.closed {
                return Poll::Ready(Err(Closed));
            }
            if lanes.operations >= OPERATIONS_MAX || lanes.bytes >= BYTES_MAX {
                lanes.places += u64::from(self.place.is_none());
                let place = *self.place.get_or_insert(lanes.places);
                lanes.waiting.entry(place).or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
                return Poll::Pending;
            }
            lanes.operations += self.operations;
            lanes.bytes += self.bytes;
            lanes.clients.extend(self.item.take());
            Poll::Ready(Ok(()))
        })
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.shared.lanes.lock().waiting.remove(&place);
            // A waker may run anything when it is dropped, which is not for under a lock.
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_types::{Caller, Op};

    use super::*;

    #[test]
    fn who_waits_for_room_holds_one_place_and_gives_it_up() {
        let inbox = Inbox::new(ClusterId(1), ServerId(1), 1, Clock::start(), OutboxLimits::default());
        let mut cx = Context::from_waker(Waker::noop());
        let item = || ClientItem::Closed(OutboxId(9));
        let mut full = inbox.shared.enter(item(), OPERATIONS_MAX, 0);
        assert_eq!(full.poll(&mut cx), Poll::Ready(Ok(())));
        let waiting = || inbox.shared.lanes.lock().waiting.keys().copied().collect::<Vec<_>>();
        let mut first = inbox.shared.enter(item(), 1, 0);
        let request = Request { deadline_ms: u64::MAX, ..Request::new(Op::Sync, Arc::new(Caller::anonymous())) };
        let mut second = Box::pin(inbox.call(request));
        for _ in 0..100 {
            assert_eq!(first.poll(&mut cx), Poll::Pending);
            assert!(second.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(waiting(), [1, 2]);
        drop(second);
        assert_eq!(waiting(), [1]);
        let mut drained = Drained::default();
        assert!(inbox.shared.poll_drain(&mut cx, true, &mut drained).is_ready());
        assert!(waiting().is_empty());
        assert_eq!(first.poll(&mut cx), Poll::Ready(Ok(())));
        drop(first);
        assert_eq!(inbox.shared.lanes.lock().clients.len(), 1);
    }
}
