//! What is done a slice at a time: catching up, initial states, streamed trees. Outboxes take turns, and each is sent
//! only as much as it has room for until its client has read that.

use alloc::vec::Vec;

use quorate_tree::Tree;
use quorate_types::{Code, Error, OutboxId, Zxid};

use super::Watches;
use super::catchup::Outcome;
use super::initial::Initial;
use super::job::{Open, What};
use super::slice::Slice;
use super::streaming::single;
use super::streams::Stage;
use crate::{Delivery, Effects, WatchItem};

/// Whether an outbox can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It has more to do.
    Again,
    /// It waits for something that will bring it back.
    Over,
}

impl Watches {
    /// Does one bounded slice of what is streamed in slices; whether more can be done at once.
    pub(crate) fn work(&mut self, tree: &mut Tree, out: &mut Effects) -> bool {
        self.give_up_pinning(tree, out);
        self.wake_waiting();
        let mut slice = Slice { items: self.config.slice_items, bytes: self.config.slice_bytes, room: usize::MAX };
        while slice.has_room() {
            let Some(outbox) = self.runnable.pop_front() else { break };
            let Some(streams) = self.streams.get_mut(&outbox) else { continue };
            streams.is_queued = false;
            slice.room = streams.room;
            self.take_turn(outbox, tree, &mut slice, out);
            if let Some(streams) = self.streams.get_mut(&outbox) {
                streams.room = slice.room;
            }
            slice.room = usize::MAX;
        }
        self.let_go(tree);
        self.wake_waiting();
        !self.runnable.is_empty()
    }

    /// Puts an outbox into the queue of those that have something to do, if it has.
    pub(super) fn queue(&mut self, outbox: OutboxId) {
        let streams = self.streams_of(outbox);
        if !streams.is_queued {
            streams.is_queued = true;
            self.runnable.push_back(outbox);
        }
    }

    /// Lets the views go that nobody wants any more.
    pub(super) fn let_go(&mut self, tree: &mut Tree) {
        self.abandoned.drain(..).for_each(|traversal| traversal.close(tree));
    }

    fn take_turn(&mut self, outbox: OutboxId, tree: &mut Tree, slice: &mut Slice, out: &mut Effects) {
        loop {
            let Some(streams) = self.streams.get(&outbox) else { return };
            if !streams.has_work() || slice.room == 0 {
                return;
            }
            if !slice.has_room() {
                return self.queue(outbox);
            }
            let turn = if streams.catch_up.is_empty() {
                self.work_on_job(outbox, tree, slice, out)
            } else {
                self.work_on_catching_up(outbox, slice, out);
                Turn::Again
            };
            if turn == Turn::Over {
                return;
            }
        }
    }

    fn work_on_catching_up(&mut self, outbox: OutboxId, slice: &mut Slice, out: &mut Effects) {
        let Some(streams) = self.streams.get_mut(&outbox) else { return };
        match streams.catch_up.work(&self.history, &mut self.telling, slice, out) {
            Outcome::Paused => {}
            Outcome::Joined(cohort, moved) => {
                for (first, watches) in moved {
                    slice.charge_bytes(watches.len(), 0);
                    streams.place_all(&watches, first, |member| Stage::Behind(cohort, member));
                }
            }
            Outcome::CaughtUp(groups) => {
                for group in groups {
                    slice.charge_bytes(group.watches.len(), 0);
                    let first = self.live.add(&group.key, &group.watches);
                    streams.place_all(&group.watches, first, Stage::Live);
                }
            }
            Outcome::Lost { groups, told } => {
                let watches = streams.forget(&groups);
                self.streaming -= watches.len();
                let item = WatchItem::Canceled { error: Some(lost()), resume: told, compacted: None };
                out.outbox.push((outbox, Delivery::Watch { watches: watches.into(), item }));
            }
        }
    }

    /// Goes on with the first job of an outbox.
    fn work_on_job(&mut self, outbox: OutboxId, tree: &mut Tree, slice: &mut Slice, out: &mut Effects) -> Turn {
        let Some(streams) = self.streams.get_mut(&outbox) else { return Turn::Over };
        let Some(mut first) = streams.jobs.first_entry() else { return Turn::Over };
        let (id, job) = (*first.key(), first.get_mut());
        let is_new = !job.has_begun();
        let may_hold_view = self.viewing.len() < self.config.views_max;
        if is_new {
            if !may_hold_view && slice.items < self.config.slice_items {
                // Small enough for one slice, it needs no view beyond that. It shall have a whole one to show it.
                slice.items = 0;
                streams.is_queued = true;
                self.runnable.push_front(outbox);
                return Turn::Over;
            }
            job.begin(tree, self.history.end_position());
        } else if job.is_lost(&self.history) {
            self.give_up(outbox, lost(), out);
            return Turn::Again;
        }
        let (emitted, room) = (out.outbox.len(), slice.room);
        if job.read(outbox, tree, slice, out) {
            self.finish_job(outbox, id, tree);
            return Turn::Again;
        }
        if is_new && !may_hold_view {
            out.outbox.truncate(emitted);
            slice.room = room;
            job.abandon(tree);
            self.waiting_for_view.push_back(outbox);
            return Turn::Over;
        }
        self.viewing.insert(outbox);
        Turn::Again
    }

    /// A job has read all: an initial state is followed by what happened since.
    fn finish_job(&mut self, outbox: OutboxId, id: u64, tree: &mut Tree) {
        let Some(job) = self.streams_of(outbox).jobs.remove(&id) else { return };
        self.viewing.remove(&outbox);
        let (what, open) = job.into_parts();
        let Some(Open { traversal, then }) = open else { return };
        if let What::Initial(Initial { watch, key }) = what {
            let stage = self.place(&key, watch, traversal.zxid(), then);
            self.streams_of(outbox).watches.insert(watch, stage);
        }
        traversal.close(tree);
    }

    /// Ends the first job of an outbox before it has read all.
    fn give_up(&mut self, outbox: OutboxId, error: Error, out: &mut Effects) {
        let Some((id, job)) = self.streams_of(outbox).jobs.first_key_value() else { return };
        let (id, zxid) = (*id, job.zxid().unwrap_or_default());
        let delivery = match &job.what {
            What::Tree(stream) => Delivery::Reply { tag: stream.tag, zxid, response: Err(error) },
            What::Initial(initial) => {
                let item = WatchItem::Canceled { error: Some(error), resume: Zxid::ZERO, compacted: None };
                single(initial.watch, item)
            }
        };
        out.outbox.push((outbox, delivery));
        match &job.what {
            What::Tree(_) => self.remove_job(outbox, id),
            What::Initial(initial) => {
                let watch = initial.watch;
                self.remove(outbox, watch);
            }
        }
    }

    /// Gives up what pins too much because its client reads too slowly.
    fn give_up_pinning(&mut self, tree: &Tree, out: &mut Effects) {
        let pins_too_much = |outbox: &OutboxId| {
            let job = self.streams.get(outbox).and_then(|streams| streams.jobs.values().next());
            job.is_some_and(|job| job.pinned_bytes(tree) > self.config.pinned_bytes_max)
        };
        let slowest: Vec<OutboxId> = self.viewing.iter().copied().filter(pins_too_much).collect();
        for outbox in slowest {
            let detail = "too much has changed while this state was streamed; read it faster";
            self.give_up(outbox, Error::new(Code::Lagged, detail), out);
            self.queue(outbox);
        }
    }

    /// Brings back as many outboxes that wait for a view as there are views to hold.
    fn wake_waiting(&mut self) {
        let mut views_left = self.config.views_max.saturating_sub(self.viewing.len());
        while views_left > 0 {
            let Some(outbox) = self.waiting_for_view.pop_front() else { return };
            // Without room it comes back when it is read.
            if self.streams.get(&outbox).is_some_and(|streams| streams.has_work() && streams.room > 0) {
                self.queue(outbox);
                views_left -= 1;
            }
        }
    }
}

fn lost() -> Error {
    Error::new(Code::Lagged, "the history has moved past what this watch was told; begin another from there")
}
