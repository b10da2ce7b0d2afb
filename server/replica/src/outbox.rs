//! `Outbox`: what waits for one client to read it, bounded in bytes, with a budget for each watch.
//!
//! A watch whose unread items exceed its budget is canceled alone: its queued items are replaced by one
//! `Canceled{LAGGED}` from which another watch can go on without a gap. An outbox that exceeds its own budget is lost:
//! what it holds gives way to one [`Delivery::Close`], and its connection has to end.
//!
//! The work for one item must not depend on how many watches it is for: thousands may share it. So nothing is counted
//! per watch as long as all queued items together would fit the budget of one watch (*calm*); only beyond that are
//! budgets kept (*counting*), until the queue has shrunk to half of it. Canceling marks the watch; its items are passed
//! over when they come up, and swept out early only if the outbox would otherwise be lost.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::{Child, Code, Error, Event, Reply, Response, TreeNode, WatchId, Zxid};
use smallvec::{SmallVec, smallvec};

use crate::{Delivery, WatchItem};

/// Bytes that every queued delivery is charged besides what it holds: its place in the queue and in memory.
const DELIVERY_BYTES: usize = 200;

/// Bytes that every event, child or znode in a delivery is charged besides its path and data.
const ELEMENT_BYTES: usize = 160;

/// Places of an empty queue whose memory is kept.
const IDLE_PLACES: usize = 64;

/// The bounds of an outbox. Every size is an estimate of memory: see [`delivery_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Of everything queued. A single delivery is accepted by an empty outbox whatever its size.
    pub bytes_max: usize,
    /// Of what is queued for one watch. A single item is accepted for a watch that has nothing queued.
    pub watch_bytes_max: usize,
    /// When so much was read, and no more than this is left, the replica is told [`crate::ClientInput::Ready`]: it sends
    /// what it streams in slices, and waits once it has sent at least this much.
    pub low_water_bytes: usize,
}

impl Default for OutboxLimits {
    /// A watch may be behind by some 5,000 small events, an outbox by sixteen such watches; a slice of a streamed tree
    /// (256 KiB, see [`crate::limits::SLICE_BYTES`]) fits a watch's budget several times.
    fn default() -> OutboxLimits {
        OutboxLimits { bytes_max: 16 * 1024 * 1024, watch_bytes_max: 1024 * 1024, low_water_bytes: 128 * 1024 }
    }
}

/// What a [`Outbox::pop`] leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Popped {
    /// The replica is to be told [`crate::ClientInput::Ready`].
    pub ready: bool,
    /// The close was read: nothing will ever come again.
    pub closed: bool,
}

#[derive(Debug)]
struct Entry {
    delivery: Delivery,
    bytes: usize,
}

/// What became of a watch that was canceled here.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Its items at places before this one are not delivered. Places count from the outbox's beginning.
    before: u64,
    /// The replica has not begun another watch by this name: what it still sends is not delivered either.
    dead: bool,
}

/// The queue between a replica and one client.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    queue: VecDeque<Entry>,
    /// The place of the front of the queue.
    front: u64,
    /// Sum over the queue.
    bytes: usize,
    /// Sum over the queued watch items: no watch has more.
    watch_bytes: usize,
    /// The zxid from which each watch began. An event up to it is part of the watch's initial state.
    began: BTreeMap<WatchId, Zxid>,
    /// While counting: bytes queued for each watch that has any.
    counts: Option<BTreeMap<WatchId, usize>>,
    /// Watches canceled here. Kept until the name is used again: each cost the client a whole budget of events.
    marks: BTreeMap<WatchId, Mark>,
    lagged: Vec<WatchId>,
    /// Bytes read, or dropped, since the replica was last told that there is room.
    read_bytes: usize,
    closing: bool,
    lost: bool,
}

impl Outbox {
    /// An empty one.
    #[must_use]
    pub fn new(limits: OutboxLimits) -> Outbox {
        Outbox {
            limits,
            queue: VecDeque::new(),
            front: 0,
            bytes: 0,
            watch_bytes: 0,
            began: BTreeMap::new(),
            counts: None,
            marks: BTreeMap::new(),
            lagged: Vec::new(),
            read_bytes: 0,
            closing: false,
            lost: false,
        }
    }

    /// Queues a delivery. What comes after a close is dropped. Afterwards, [`Outbox::take_lagged`] and
    /// [`Outbox::is_lost`] say what it led to.
    pub fn push(&mut self, delivery: Delivery) {
        if self.closing {
            return;
        }
        match delivery {
            Delivery::Watch { watches, item } => self.push_watch(watches, item),
            other => {
                self.closing = matches!(other, Delivery::Close(_));
                self.append(other);
            }
        }
        if self.bytes > self.limits.bytes_max && self.queue.len() > 1 {
            self.relieve();
        }
    }

    /// Moves deliveries to `into`, at least one if there is any, until about `bytes_max` bytes are moved.
    pub fn pop(&mut self, into: &mut Vec<Delivery>, bytes_max: usize) -> Popped {
        let mut moved = 0;
        while let Some(Entry { delivery, bytes }) = self.queue.front_mut() {
            let bytes = *bytes;
            let mut is_left = true;
            if let Delivery::Watch { watches, item } = delivery {
                pass_over(&self.marks, self.front, watches, item);
                is_left = !watches.is_empty();
                if is_left && moved > 0 && moved + bytes > bytes_max {
                    break;
                }
                uncount(self.counts.as_mut(), watches, item, bytes);
                self.watch_bytes -= bytes;
            } else if moved > 0 && moved + bytes > bytes_max {
                break;
            }
            self.bytes -= bytes;
            self.read_bytes += bytes;
            self.front += 1;
            let entry = self.queue.pop_front();
            if is_left {
                moved += bytes;
                into.extend(entry.map(|entry| entry.delivery));
            }
        }
        self.calm_down();
        let ready = self.read_bytes >= self.limits.low_water_bytes && self.bytes <= self.limits.low_water_bytes;
        self.read_bytes = if ready { 0 } else { self.read_bytes };
        Popped { ready, closed: self.closing && self.queue.is_empty() }
    }

    /// The watches canceled here since the last call, each to be told to the replica as
    /// [`crate::ClientInput::Lagged`] before it is asked to step anything else of this outbox.
    pub fn take_lagged(&mut self) -> Vec<WatchId> {
        core::mem::take(&mut self.lagged)
    }

    /// Gives the client up: what is queued gives way to a close with `error`.
    pub fn lose(&mut self, error: Error) {
        self.lost = true;
        self.closing = true;
        self.queue = VecDeque::new();
        (self.bytes, self.watch_bytes, self.counts) = (0, 0, None);
        self.lagged = Vec::new();
        self.append(Delivery::Close(error));
    }

    /// Whether the client was given up: its connection has to end even if it reads nothing any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes queued, those of canceled watches included until they come up.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn append(&mut self, delivery: Delivery) {
        let bytes = delivery_bytes(&delivery);
        self.bytes += bytes;
        self.queue.push_back(Entry { delivery, bytes });
    }

    fn push_watch(&mut self, mut watches: SmallVec<[WatchId; 4]>, item: WatchItem) {
        match &item {
            WatchItem::Created(zxid) => {
                for watch in &watches {
                    self.began.insert(*watch, *zxid);
                    if let Some(mark) = self.marks.get_mut(watch) {
                        mark.dead = false;
                    }
                }
            }
            WatchItem::Canceled { .. } => watches.iter().for_each(|watch| {
                self.began.remove(watch);
            }),
            WatchItem::Events(_) | WatchItem::Synced(_) | WatchItem::Progress(_) => {}
        }
        if !self.marks.is_empty() {
            watches.retain(|watch| !self.marks.get(watch).is_some_and(|mark| mark.dead));
            if watches.is_empty() {
                self.read_bytes += item_bytes(0, &item);
                return;
            }
        }
        let bytes = item_bytes(watches.len(), &item);
        if self.watch_bytes + bytes > self.limits.watch_bytes_max && self.watch_bytes > 0 {
            self.start_counting();
        }
        if let Some(counts) = &mut self.counts
            && !frames(&item)
        {
            let max = self.limits.watch_bytes_max;
            let lags = |count: usize| count > 0 && count + bytes > max;
            let lagging: BTreeSet<WatchId> =
                watches.iter().copied().filter(|watch| lags(counts.get(watch).copied().unwrap_or(0))).collect();
            watches.retain(|watch| !lagging.contains(watch));
            watches.iter().for_each(|watch| *counts.entry(*watch).or_default() += bytes);
            self.cancel(lagging);
        }
        if !watches.is_empty() {
            self.watch_bytes += bytes;
            self.bytes += bytes;
            self.queue.push_back(Entry { delivery: Delivery::Watch { watches, item }, bytes });
        }
    }

    /// Begins to keep budgets, with what is queued by now.
    fn start_counting(&mut self) {
        if self.counts.is_some() {
            return;
        }
        let mut counts = BTreeMap::new();
        for (place, entry) in (self.front..).zip(&self.queue) {
            let Delivery::Watch { watches, item } = &entry.delivery else { continue };
            for watch in watches {
                if !frames(item) && !is_passed_over(&self.marks, place, *watch, item) {
                    *counts.entry(*watch).or_default() += entry.bytes;
                }
            }
        }
        self.counts = Some(counts);
    }

    /// Stops keeping budgets once no watch can be near its own; forgets marks that nothing is left of.
    fn calm_down(&mut self) {
        if self.watch_bytes <= self.limits.watch_bytes_max / 2 {
            self.counts = None;
        }
        if self.queue.is_empty() {
            if !self.marks.is_empty() {
                self.marks.retain(|_, mark| mark.dead);
            }
            if self.queue.capacity() > IDLE_PLACES {
                self.queue.shrink_to(IDLE_PLACES);
            }
        }
    }

    /// Cancels watches that were read too slowly.
    fn cancel(&mut self, lagging: BTreeSet<WatchId>) {
        if lagging.is_empty() {
            return;
        }
        let before = self.front + self.queue.len() as u64;
        let resumes = self.find_resumes(&lagging);
        for watch in lagging {
            let error = Error::new(Code::Lagged, "the watch was read too slowly; begin another from where it stopped");
            let resume = resumes.get(&watch).copied().unwrap_or(Zxid::ZERO);
            let item = WatchItem::Canceled { error: Some(error), resume, compacted: None };
            let delivery = Delivery::Watch { watches: smallvec![watch], item };
            let bytes = delivery_bytes(&delivery);
            self.bytes += bytes;
            self.watch_bytes += bytes;
            self.queue.push_back(Entry { delivery, bytes });
            self.marks.insert(watch, Mark { before, dead: true });
            self.began.remove(&watch);
            if let Some(counts) = &mut self.counts {
                counts.remove(&watch);
            }
            self.lagged.push(watch);
        }
    }

    /// For each watch the zxid up to which its client will have been told everything: what lies before the first item
    /// that is still queued for it. [`Zxid::ZERO`] in the midst of an initial state, which cannot be gone on with.
    fn find_resumes(&self, lagging: &BTreeSet<WatchId>) -> BTreeMap<WatchId, Zxid> {
        let mut resumes = BTreeMap::new();
        for (place, entry) in (self.front..).zip(&self.queue) {
            let Delivery::Watch { watches, item } = &entry.delivery else { continue };
            for watch in watches {
                if !lagging.contains(watch)
                    || resumes.contains_key(watch)
                    || is_passed_over(&self.marks, place, *watch, item)
                {
                    continue;
                }
                let resume = match item {
                    WatchItem::Created(_) | WatchItem::Canceled { .. } => continue,
                    WatchItem::Synced(zxid) | WatchItem::Progress(zxid) => *zxid,
                    WatchItem::Events(events) => {
                        let zxid = events.first().map_or(Zxid::ZERO, |event| event.zxid);
                        let is_initial = self.began.get(watch).is_some_and(|began| zxid <= *began);
                        if is_initial { Zxid::ZERO } else { Zxid(zxid.0.saturating_sub(1)) }
                    }
                };
                resumes.insert(*watch, resume);
            }
            if resumes.len() == lagging.len() {
                break;
            }
        }
        resumes
    }

    /// Over the budget: sweeps out what canceled watches left behind. A sweep looks at the whole queue, so unless it
    /// makes an eighth of it free the client is given up.
    fn relieve(&mut self) {
        if !self.marks.is_empty() {
            self.sweep();
        }
        if self.bytes > self.limits.bytes_max - self.limits.bytes_max / 8 {
            let detail = format!("more than {} bytes wait for a client that does not read", self.limits.bytes_max);
            self.lose(Error::new(Code::Lagged, detail));
        }
    }

    fn sweep(&mut self) {
        let marks = &self.marks;
        let (mut bytes, mut watch_bytes, mut place) = (0, 0, self.front);
        self.queue.retain_mut(|entry| {
            let mut keep = true;
            if let Delivery::Watch { watches, item } = &mut entry.delivery {
                pass_over(marks, place, watches, item);
                keep = !watches.is_empty();
                watch_bytes += if keep { entry.bytes } else { 0 };
            }
            bytes += if keep { entry.bytes } else { 0 };
            place += 1;
            keep
        });
        self.read_bytes += self.bytes - bytes;
        (self.bytes, self.watch_bytes) = (bytes, watch_bytes);
        // The places have moved, but whatever a mark forbids is gone: from here on all that is queued passes.
        self.marks.values_mut().for_each(|mark| mark.before = self.front);
        self.marks.retain(|_, mark| mark.dead);
    }
}

/// Whether the item at `place` is one that `watch` was canceled before.
fn is_passed_over(marks: &BTreeMap<WatchId, Mark>, place: u64, watch: WatchId, item: &WatchItem) -> bool {
    !frames(item) && marks.get(&watch).is_some_and(|mark| place < mark.before)
}

/// Whether the item is the beginning or the end of a watch. These frame whatever else it is told: they are delivered in
/// any case and count towards no watch's budget.
fn frames(item: &WatchItem) -> bool {
    match item {
        WatchItem::Created(_) | WatchItem::Canceled { .. } => true,
        WatchItem::Events(_) | WatchItem::Synced(_) | WatchItem::Progress(_) => false,
    }
}

fn pass_over(marks: &BTreeMap<WatchId, Mark>, place: u64, watches: &mut SmallVec<[WatchId; 4]>, item: &WatchItem) {
    if !marks.is_empty() {
        watches.retain(|watch| !is_passed_over(marks, place, *watch, item));
    }
}

fn uncount(counts: Option<&mut BTreeMap<WatchId, usize>>, watches: &[WatchId], item: &WatchItem, bytes: usize) {
    let Some(counts) = counts else { return };
    if frames(item) {
        return;
    }
    for watch in watches {
        if let Some(count) = counts.get_mut(watch) {
            *count -= bytes;
            if *count == 0 {
                counts.remove(watch);
            }
        }
    }
}

/// What a delivery is charged: about the memory that it holds, counting what is shared with other outboxes in full.
#[must_use]
pub fn delivery_bytes(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Watch { watches, item } => item_bytes(watches.len(), item),
        Delivery::Reply { response, .. } => DELIVERY_BYTES + response_bytes(response),
        Delivery::Notify { path, .. } => DELIVERY_BYTES + path.len(),
        Delivery::Tree { nodes, .. } => {
            let node =
                |node: &TreeNode| ELEMENT_BYTES + node.path.len() + node.data.as_ref().map_or(0, |data| data.len());
            DELIVERY_BYTES + nodes.iter().map(node).sum::<usize>()
        }
        Delivery::Session { .. } | Delivery::Close(_) => DELIVERY_BYTES,
    }
}

fn item_bytes(watches: usize, item: &WatchItem) -> usize {
    let events = match item {
        WatchItem::Events(events) => events.iter().map(event_bytes).sum(),
        WatchItem::Created(_) | WatchItem::Synced(_) | WatchItem::Progress(_) | WatchItem::Canceled { .. } => 0,
    };
    DELIVERY_BYTES + watches * size_of::<WatchId>() + events
}

/// The part of a delivery's charge that one event makes up.
pub(crate) fn event_bytes(event: &Event) -> usize {
    let data = |data: &Option<Bytes>| data.as_ref().map_or(0, |data| data.len());
    ELEMENT_BYTES + event.path.len() + data(&event.data) + data(&event.previous_data)
}

/// The part of a reply's charge that depends on what it holds.
#[must_use]
pub fn response_bytes(response: &Response) -> usize {
    match response {
        Err(error) => error.detail().len() + error.path().map_or(0, str::len),
        Ok(Reply::Data { data, .. }) => data.as_ref().map_or(0, |data| data.len()),
        Ok(Reply::Created { path, .. }) => path.len(),
        Ok(Reply::Children { children, .. }) => {
            let data = |child: &Child| child.data.iter().flatten().map(|data| data.len()).sum::<usize>();
            children.iter().map(|child| ELEMENT_BYTES + child.name.len() + data(child)).sum()
        }
        Ok(Reply::Acl { acl, .. } | Reply::Access { entries: acl, .. }) => {
            acl.iter().map(|entry| 64 + entry.scheme.len() + entry.id.len()).sum()
        }
        Ok(Reply::Ephemerals(paths)) => paths.iter().map(|path| 32 + path.len()).sum(),
        Ok(Reply::Multi(responses) | Reply::MultiRead(responses)) => {
            responses.iter().map(|response| ELEMENT_BYTES + response_bytes(response)).sum()
        }
        Ok(Reply::Status(_)) => ELEMENT_BYTES,
        Ok(Reply::Ensemble(ensemble)) => {
            ensemble.members.iter().map(|member| ELEMENT_BYTES + member.address.len()).sum()
        }
        Ok(Reply::Reconfigured(members)) => {
            members.servers.values().map(|member| ELEMENT_BYTES + member.address.len()).sum()
        }
        Ok(
            Reply::Deleted
            | Reply::TreeDeleted { .. }
            | Reply::Changed { .. }
            | Reply::Checked
            | Reply::Exists(_)
            | Reply::Count(_)
            | Reply::Synced
            | Reply::Session { .. }
            | Reply::Touched { .. }
            | Reply::SessionClosed
            | Reply::WatchDone
            | Reply::TreeStreamed { .. }
            | Reply::SnapshotTaken { .. }
            | Reply::RestoreStep { .. }
            | Reply::LeadershipTransferred { .. },
        ) => 0,
    }
}

#[cfg(test)]
mod tests;
