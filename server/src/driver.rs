//! `Driver`: the loop that turns what happens into inputs of the replica, and its effects into what happens.
//!
//! A *turn* drains the lanes of the inbox (what the disk reports, then what other servers say, then who has read, then
//! what clients ask), steps each input, flushes once and dispatches one merged batch of effects. Batches form by themselves: while one sync runs,
//! the next turns' records gather. The loop never waits for anybody but the inbox and the clock.
//!
//! Only the client lane is held up, in two ways: as a whole while the replica is busy (so much is on its way to the disk
//! that more would only wait there), and for one client (its requests are *parked*) whose replies are not read, or who
//! asks for more at once than a turn should do and takes *turns* with the others for the rest.

mod chronicle;
mod peering;

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use quorate_replica::{ClientInput, Delivery, Effects, Halted, Input, Order, Replica, limits};
use quorate_types::{Code, Error, Now, OutboxId, Request, Role, Tag, WatchId};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use self::chronicle::Chronicle;
use self::peering::Peering;
use crate::disk::Disk;
use crate::inbox::{ClientItem, Drained, Inbox};
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::peers::Peers;

/// Operations of clients that one turn steps at most: some milliseconds, so that doors get their turn as well.
const TURN_OPERATIONS_MAX: usize = 4_096;

/// A turn longer than this keeps everybody waiting: it is counted.
const STALL: Duration = Duration::from_millis(20);

/// Ticks between two looks at whether clients still read.
const TICKS_PER_SWEEP: u64 = 20;

/// Places whose memory the loop's lists keep. What a burst needed beyond is given back within two sweeps.
const IDLE_PLACES: usize = 256;

/// How long a stop waits for what is under way.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How long a leader that stops waits for another server to lead.
const HAND_OVER_GRACE: Duration = Duration::from_secs(1);

/// Requests of one client that wait until it has read its replies, or others have had their turn.
type Parked = VecDeque<(Tag, Request)>;

/// The one task that changes the replica's state.
pub(crate) struct Driver {
    replica: Replica,
    inbox: Inbox,
    disk: Disk,
    peering: Peering,
    chronicle: Chronicle,
    metrics: Arc<Metrics>,
    /// The outbox of all unary calls.
    calls: OutboxId,
    /// How long a client may leave unread what it was sent.
    blocked_ms_max: u64,
    mailboxes: HashMap<OutboxId, Arc<Mailbox>, foldhash::fast::FixedState>,
    parked: HashMap<OutboxId, Parked>,
    /// Drained, but not stepped yet.
    backlog: VecDeque<ClientItem>,
    /// With parked requests that only wait for another turn, each once.
    taking_turns: VecDeque<OutboxId>,
    /// Whether these were last before the others.
    others_next: bool,
    /// Canceled by their outboxes; stepped before anything else, so that the replica says no more to them.
    lagged: Vec<(OutboxId, WatchId)>,
    lost: Vec<OutboxId>,
    effects: Effects,
    drained: Drained,
    ticks: u64,
    /// When the next one is due at the latest, on the monotonic clock.
    next_tick_ms: u64,
    /// Whether the client lane was emptied for the present turn.
    has_drained: bool,
    /// The turn that did so last.
    drained_ms: u64,
    /// Whatever a client had sent before this moment was stepped.
    heard_ms: u64,
}

impl Driver {
    /// `effects` are those of the replica's beginning.
    pub(crate) fn new(
        replica: Replica,
        effects: Effects,
        inbox: Inbox,
        disk: Disk,
        peers: Option<Peers>,
        blocked_max: Duration,
    ) -> Driver {
        Driver {
            peering: Peering::new(peers, &replica),
            chronicle: Chronicle::new(Arc::clone(&inbox.shared().metrics)),
            replica,
            metrics: Arc::clone(&inbox.shared().metrics),
            calls: inbox.shared().calls_outbox,
            inbox,
            disk,
            blocked_ms_max: blocked_max.as_millis() as u64,
            mailboxes: HashMap::default(),
            parked: HashMap::new(),
            backlog: VecDeque::new(),
            taking_turns: VecDeque::new(),
            others_next: false,
            lagged: Vec::new(),
            lost: Vec::new(),
            effects,
            drained: Drained::default(),
            ticks: 0,
            next_tick_ms: 0,
            has_drained: false,
            drained_ms: 0,
            heard_ms: 0,
        }
    }

    /// Runs until `stop`, then brings everything to an orderly end: what was accepted becomes durable and is answered,
    /// every stream is told, and the disk threads have ended when this returns. A leader first hands over to another
    /// server. Ends by itself only if the replica must not go on, and says why.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Option<Halted> {
        let now = self.inbox.now();
        let open = ClientInput::Open { outbox: self.calls, order: Order::None };
        self.replica.step(Input::Client(open), now, &mut self.effects);
        self.finish_turn(now);
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        let mut stopped = std::pin::pin!(stop.cancelled());
        while !stop.is_cancelled() && self.effects.halted.is_none() {
            let tick = self.wait(timer.as_mut(), Some(stopped.as_mut())).await;
            self.turn(tick);
        }
        self.hand_over(timer.as_mut()).await;
        self.inbox.shared().close();
        let deadline = Instant::now() + STOP_GRACE;
        // One that has halted answers nothing more: its clients had better go elsewhere at once.
        while self.effects.halted.is_none() && !self.is_settled() && Instant::now() < deadline {
            let tick = self.wait(timer.as_mut(), None).await;
            self.turn(tick);
        }
        self.say_goodbye();
        self.disk.stop().await;
        self.peering.stop().await;
        self.effects.halted
    }

    /// Lets another server lead, if this one does and there is one: clients that move there find a leader at once.
    async fn hand_over(&mut self, mut timer: Pin<&mut Sleep>) {
        let deadline = Instant::now() + HAND_OVER_GRACE;
        let has_others = self.replica.members().len() > 1;
        let (mut has_asked, mut has_led) = (false, false);
        while has_others && self.effects.halted.is_none() && Instant::now() < deadline {
            let status = self.replica.status();
            has_led |= status.role == Role::Leading;
            if !has_led || (status.role == Role::Following && status.serving) {
                return;
            }
            has_asked = has_asked || self.replica.hand_over();
            let tick = self.wait(timer.as_mut(), None).await;
            self.turn(tick);
        }
    }

    /// Waits until there is something to do, `stopped` included; says whether it is time for a tick.
    async fn wait(
        &mut self,
        mut timer: Pin<&mut Sleep>,
        mut stopped: Option<Pin<&mut WaitForCancellationFuture<'_>>>,
    ) -> bool {
        let is_behind = self.replica.has_work() || !self.lagged.is_empty() || !self.lost.is_empty();
        let goes_on = is_behind || (self.is_behind_clients() && !self.replica.is_busy());
        if goes_on {
            // Doors and sockets have their turn between two of ours.
            tokio::task::yield_now().await;
        }
        let wants_clients = self.backlog.is_empty() && !self.replica.is_busy();
        // Agreement may have to decide something earlier than at the next tick. In the past there is nothing to be done.
        let due_ms = self.next_tick_ms.min(self.replica.wake_ms().max(self.inbox.now_ms() + 1));
        let due = self.inbox.shared().clock.instant(due_ms).into();
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        let tick = poll_fn(|cx| {
            let tick = timer.as_mut().poll(cx).is_ready();
            let drained = self.inbox.shared().poll_drain(cx, wants_clients, &mut self.drained).is_ready();
            let is_stopped = stopped.as_mut().is_some_and(|stopped| stopped.as_mut().poll(cx).is_ready());
            if tick || drained || goes_on || is_stopped { Poll::Ready(tick) } else { Poll::Pending }
        })
        .await;
        self.has_drained = wants_clients;
        tick
    }

    fn turn(&mut self, tick: bool) {
        let began = Instant::now();
        let now = self.inbox.now();
        self.inbox.shared().published.set_now(now.monotonic_ms);
        if self.has_drained {
            self.drained_ms = now.monotonic_ms;
        }
        for (outbox, watch) in self.lagged.drain(..) {
            let input = ClientInput::Lagged { outbox, watch };
            self.replica.step(Input::Client(input), now, &mut self.effects);
        }
        for outbox in std::mem::take(&mut self.lost) {
            self.close(outbox, now);
        }
        for input in self.drained.disk.drain(..) {
            self.replica.step(Input::Disk(input), now, &mut self.effects);
        }
        for item in self.drained.peers.drain(..) {
            self.peering.step(item, &mut self.replica, &self.disk, now, &mut self.effects);
        }
        for outbox in self.drained.ready.drain(..) {
            self.replica.step(Input::Client(ClientInput::Ready { outbox }), now, &mut self.effects);
        }
        self.step_clients(now);
        if tick {
            self.tick(now);
        }
        self.finish_turn(now);
        self.metrics.turn(began.elapsed() > STALL);
    }

    fn tick(&mut self, now: Now) {
        if !self.is_behind_clients() {
            self.heard_ms = self.drained_ms;
        }
        self.next_tick_ms = now.monotonic_ms + limits::TICK_MS;
        self.replica.step(Input::Tick { heard_ms: self.heard_ms }, now, &mut self.effects);
        self.inbox.shared().calls.expire(now.monotonic_ms);
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_PER_SWEEP) {
            self.sweep(now);
        }
    }

    /// Gives up clients that do not read, and memory that is not needed.
    fn sweep(&mut self, now: Now) {
        self.drained.clients.shrink_to(IDLE_PLACES);
        self.backlog.shrink_to(IDLE_PLACES);
        self.effects.outbox.shrink_to(IDLE_PLACES);
        let blocked_ms_max = self.blocked_ms_max;
        let error = || {
            let detail = format!("the client has not read for {blocked_ms_max} ms what it was sent");
            Error::new(Code::Lagged, detail)
        };
        for (outbox, mailbox) in &self.mailboxes {
            if mailbox.give_up_if_blocked(now.monotonic_ms, blocked_ms_max, error) {
                self.lost.push(*outbox);
                self.metrics.outbox_lost();
            }
        }
    }

    fn step_clients(&mut self, now: Now) {
        let mut operations = TURN_OPERATIONS_MAX;
        // Neither those who ask for a lot nor all the others can take every turn whole.
        let others_first = std::mem::replace(&mut self.others_next, false);
        if !others_first && !self.taking_turns.is_empty() {
            self.others_next = true;
            self.step_taking_turns(now, &mut operations);
        }
        self.step_others(now, &mut operations);
        if others_first {
            self.step_taking_turns(now, &mut operations);
        }
    }

    fn step_taking_turns(&mut self, now: Now, operations: &mut usize) {
        for _ in 0..self.taking_turns.len() {
            if self.replica.is_busy() || !self.has_time(*operations) {
                return;
            }
            if let Some(outbox) = self.taking_turns.pop_front() {
                self.step_item(ClientItem::Unpark(outbox), now, operations);
            }
        }
    }

    fn step_others(&mut self, now: Now, operations: &mut usize) {
        while !self.replica.is_busy()
            && self.has_time(*operations)
            && let Some(item) = self.backlog.pop_front()
        {
            self.step_item(item, now, operations);
        }
        let mut items = std::mem::take(&mut self.drained.clients);
        let mut rest = items.drain(..);
        while self.backlog.is_empty()
            && !self.replica.is_busy()
            && self.has_time(*operations)
            && let Some(item) = rest.next()
        {
            self.step_item(item, now, operations);
        }
        self.backlog.extend(rest);
        self.drained.clients = items;
    }

    /// Whether the turn has time for another operation.
    fn has_time(&self, operations: usize) -> bool {
        operations > 0 && !self.replica.is_flush_due()
    }

    fn step_item(&mut self, item: ClientItem, now: Now, operations: &mut usize) {
        match item {
            ClientItem::Call { tag, request } => {
                self.step_request(self.calls, tag, request, now, operations);
            }
            ClientItem::Requests { mailbox, batch } => self.step_requests(&mailbox, batch, now, operations),
            ClientItem::Open { mailbox, order } => {
                let outbox = mailbox.id();
                self.mailboxes.insert(outbox, mailbox);
                self.replica.step(Input::Client(ClientInput::Open { outbox, order }), now, &mut self.effects);
            }
            ClientItem::Unpark(outbox) => {
                if let Some(mailbox) = self.mailboxes.get(&outbox).cloned()
                    && let Some(parked) = self.parked.remove(&outbox)
                {
                    self.step_requests(&mailbox, parked, now, operations);
                    if !self.parked.contains_key(&outbox) {
                        mailbox.release();
                    }
                }
            }
            ClientItem::Closed(outbox) => self.close(outbox, now),
        }
    }

    fn step_requests(
        &mut self,
        mailbox: &Arc<Mailbox>,
        batch: impl IntoIterator<Item = (Tag, Request)>,
        now: Now,
        operations: &mut usize,
    ) {
        let outbox = mailbox.id();
        if !self.mailboxes.contains_key(&outbox) {
            return;
        }
        if let Entry::Occupied(mut parked) = self.parked.entry(outbox) {
            return parked.get_mut().extend(batch);
        }
        if mailbox.park_if_full() {
            self.parked.insert(outbox, batch.into_iter().collect());
            return;
        }
        let mut batch = batch.into_iter();
        while self.has_time(*operations)
            && let Some((tag, request)) = batch.next()
        {
            self.step_request(outbox, tag, request, now, operations);
        }
        let rest: Parked = batch.collect();
        if !rest.is_empty() {
            mailbox.hold();
            self.parked.insert(outbox, rest);
            self.taking_turns.push_back(outbox);
        }
    }

    fn step_request(&mut self, outbox: OutboxId, tag: Tag, request: Request, now: Now, operations: &mut usize) {
        self.metrics.request(&request.op);
        self.replica.step(Input::Client(ClientInput::Request { outbox, tag, request }), now, &mut self.effects);
        *operations = operations.saturating_sub(1);
    }

    fn close(&mut self, outbox: OutboxId, now: Now) {
        self.parked.remove(&outbox);
        if let Some(mailbox) = self.mailboxes.remove(&outbox) {
            mailbox.close();
            self.replica.step(Input::Client(ClientInput::Closed { outbox }), now, &mut self.effects);
        }
    }

    /// Flushes the replica and dispatches what the turn has led to.
    fn finish_turn(&mut self, now: Now) {
        self.replica.flush(now, &mut self.effects);
        self.publish();
        self.disk.submit(&mut self.effects);
        self.peering.dispatch(&self.disk, &mut self.effects.peers);
        self.deliver(now);
        self.effects.clear();
    }

    /// Lets everybody see what the replica is, before anybody sees what it says.
    fn publish(&mut self) {
        let status = self.replica.status();
        self.chronicle.note(&status, Instant::now());
        self.inbox.shared().published.set(status.role, status.epoch, status.applied, status.serving);
    }

    fn deliver(&mut self, now: Now) {
        let mut deliveries = self.effects.outbox.drain(..).peekable();
        while let Some((outbox, _)) = deliveries.peek() {
            let outbox = *outbox;
            // What goes to one outbox is handed over at once, as far as it stands together.
            let run = std::iter::from_fn(|| {
                let (_, delivery) = deliveries.next_if(|(next, _)| *next == outbox)?;
                if let Delivery::Reply { response, .. } = &delivery {
                    self.metrics.reply(response);
                }
                Some(delivery)
            });
            if outbox == self.calls {
                self.inbox.shared().calls.deliver(run);
            } else if let Some(mailbox) = self.mailboxes.get(&outbox) {
                let lagged_before = self.lagged.len();
                let is_lost = mailbox.push(run, now.monotonic_ms, &mut self.lagged);
                self.metrics.watches_lagged(self.lagged.len() - lagged_before);
                if is_lost {
                    self.lost.push(outbox);
                    self.metrics.outbox_lost();
                }
            } else {
                // Its client is gone, and so is whatever it would have been told.
                run.for_each(drop);
            }
        }
    }

    /// Whether clients wait who could have been heard, but for the length of a turn.
    fn is_behind_clients(&self) -> bool {
        !self.backlog.is_empty() || !self.taking_turns.is_empty()
    }

    /// Whether everything that was accepted is done.
    fn is_settled(&self) -> bool {
        let status = self.replica.status();
        let is_heard = self.inbox.shared().is_drained() && self.drained.clients.is_empty() && !self.is_behind_clients();
        is_heard && status.durable == status.logged
    }

    /// Tells every client that nothing more will come.
    fn say_goodbye(&mut self) {
        let now_ms = self.inbox.now_ms();
        let error = Error::new(Code::Unavailable, "the server is shutting down");
        for mailbox in self.mailboxes.values() {
            mailbox.push(std::iter::once(Delivery::Close(error.clone())), now_ms, &mut self.lagged);
        }
        self.mailboxes.clear();
        self.inbox.shared().calls.abandon();
    }
}
