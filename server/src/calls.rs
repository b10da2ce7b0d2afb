//! `Calls`: the unary calls that wait for their answers, all on one outbox.
//!
//! A call takes a slot of a table instead of allocating a channel. Its tag holds the slot's number and a count of the
//! slot's uses, so a reply that comes after its caller has gone finds nobody.

use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use quorate_replica::Delivery;
use quorate_types::{Code, Error, Tag, Zxid};

use crate::inbox::Answer;

/// The table of calls that are under way.
#[derive(Default)]
pub(crate) struct Calls {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    /// How often the slot was used.
    uses: u32,
    deadline_ms: u64,
    state: SlotState,
}

enum SlotState {
    Free,
    Waiting(Option<Waker>),
    Answered(Answer),
}

/// The right to one answer. Dropping it forgets the call.
pub(crate) struct Ticket<'a> {
    calls: &'a Calls,
    tag: Tag,
}

impl Calls {
    /// Begins a call that is to be answered by `deadline_ms`.
    pub(crate) fn begin(&self, deadline_ms: u64) -> Ticket<'_> {
        let mut table = self.table.lock();
        let index = table.free.pop().unwrap_or(table.slots.len() as u32);
        if index as usize == table.slots.len() {
            table.slots.push(Slot { uses: 0, deadline_ms: 0, state: SlotState::Free });
        }
        let slot = &mut table.slots[index as usize];
        slot.uses = slot.uses.wrapping_add(1);
        slot.deadline_ms = deadline_ms;
        slot.state = SlotState::Waiting(None);
        Ticket { calls: self, tag: Tag(u64::from(slot.uses) << 32 | u64::from(index)) }
    }

    /// Hands out what the replica delivers to the calls' outbox.
    pub(crate) fn deliver(&self, deliveries: impl Iterator<Item = Delivery>) {
        for delivery in deliveries {
            // Nothing else is ever asked for by a call.
            let Delivery::Reply { tag, zxid, response } = delivery else { continue };
            let waker = self.table.lock().answer(tag, Answer { zxid, response });
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Answers the calls whose deadline has passed.
    pub(crate) fn expire(&self, now_ms: u64) {
        let error = || Error::new(Code::DeadlineExceeded, "the deadline passed before there was an answer");
        self.fail(|slot| slot.deadline_ms <= now_ms, error);
    }

    /// Answers all calls in the same way: the server stops.
    pub(crate) fn abandon(&self) {
        self.fail(|_| true, || Error::new(Code::Unavailable, "the server is shutting down"));
    }

    /// Answers the calls that wait and that are meant.
    fn fail(&self, is_meant: impl Fn(&Slot) -> bool, error: impl Fn() -> Error) {
        let mut wakers = Vec::new();
        let mut table = self.table.lock();
        for slot in &mut table.slots {
            if matches!(slot.state, SlotState::Waiting(_)) && is_meant(slot) {
                wakers.extend(slot.answer(Answer { zxid: Zxid::ZERO, response: Err(error()) }));
            }
        }
        drop(table);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Calls under way.
    pub(crate) fn len(&self) -> usize {
        let table = self.table.lock();
        table.slots.len() - table.free.len()
    }
}

impl Table {
    fn slot(&mut self, tag: Tag) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(tag.0 as u32 as usize)?;
        (slot.uses == (tag.0 >> 32) as u32).then_some(slot)
    }

    fn answer(&mut self, tag: Tag, answer: Answer) -> Option<Waker> {
        let slot = self.slot(tag)?;
        if matches!(slot.state, SlotState::Waiting(_)) { slot.answer(answer) } else { None }
    }
}

impl Slot {
    fn answer(&mut self, answer: Answer) -> Option<Waker> {
        match std::mem::replace(&mut self.state, SlotState::Answered(answer)) {
            SlotState::Waiting(waker) => waker,
            SlotState::Free | SlotState::Answered(_) => None,
        }
    }
}

impl Ticket<'_> {
    /// What the reply is matched with.
    pub(crate) fn tag(&self) -> Tag {
        self.tag
    }

    /// The answer, once.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut table = self.calls.table.lock();
        let slot = table.slot(self.tag).expect("a ticket holds its slot until it is dropped");
        match &mut slot.state {
            SlotState::Waiting(Some(waker)) => waker.clone_from(cx.waker()),
            SlotState::Waiting(waker) => *waker = Some(cx.waker().clone()),
            state => match std::mem::replace(state, SlotState::Free) {
                SlotState::Answered(answer) => return Poll::Ready(answer),
                SlotState::Free | SlotState::Waiting(_) => panic!("call {:?} polled after its answer", self.tag),
            },
        }
        Poll::Pending
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut table = self.calls.table.lock();
        let index = self.tag.0 as u32;
        let slot = &mut table.slots[index as usize];
        // From here on a late reply does not find the call.
        slot.uses = slot.uses.wrapping_add(1);
        let state = std::mem::replace(&mut slot.state, SlotState::Free);
        table.free.push(index);
        drop(table);
        // A waker may run anything when it is dropped, which is not for under a lock.
        drop(state);
    }
}
