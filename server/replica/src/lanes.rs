//! `Lanes`: for each outbox, which replies it still owes and in what order.
//!
//! In a FIFO lane the reply to a request is emitted only after those to all requests before it. Writes are proposed
//! as they arrive, so that they share a batch; what this server answers by itself waits until it is its turn, and so
//! sees exactly the session's own earlier writes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use quorate_types::{OutboxId, Request, Response, SessionId, Tag, Zxid};

use crate::Map;
use crate::effect::{Delivery, Effects};
use crate::input::Order;
use crate::outbox::response_bytes;

/// One outbox's place in the pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    order: Order,
    /// The session that requests without one of their own belong to; [`SessionId::NONE`] if none.
    pub(crate) session: SessionId,
    /// Empty if `order` is [`Order::None`].
    slots: VecDeque<Slot>,
    /// The writes that are not answered. Empty if `order` is [`Order::Fifo`].
    writes: Map<Tag, ()>,
}

#[derive(Clone, Debug)]
enum Slot {
    /// The reply will come.
    Waiting(Tag),
    /// It has come, and waits for those before it.
    Done(Tag, Zxid, Response),
    /// This server answers it when it is its turn. It came in that turn of the replica.
    Local(Tag, Request, u64),
}

impl Slot {
    /// What it holds, in bytes, besides its own size.
    fn charge(&self) -> usize {
        match self {
            Slot::Waiting(_) => 0,
            Slot::Done(_, _, response) => response_bytes(response),
            Slot::Local(_, request, _) => request.charge(),
        }
    }
}

/// All outboxes that are open.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    lanes: Map<OutboxId, Lane>,
    /// The charges of all slots.
    waiting_bytes: usize,
}

impl Lanes {
    pub(crate) fn new(hash_seed: u64) -> Lanes {
        Lanes { lanes: Map::with_hasher(FixedState::with_seed(hash_seed)), waiting_bytes: 0 }
    }

    pub(crate) fn open(&mut self, outbox: OutboxId, order: Order) {
        let writes = Map::with_hasher(FixedState::with_seed(0));
        let lane = Lane { order, session: SessionId::NONE, slots: VecDeque::new(), writes };
        let previous = self.lanes.insert(outbox, lane);
        assert!(previous.is_none(), "{outbox:?} was opened twice");
    }

    /// Forgets the outbox. Returns the session that it spoke for.
    pub(crate) fn close(&mut self, outbox: OutboxId) -> Option<SessionId> {
        let lane = self.lanes.remove(&outbox)?;
        self.waiting_bytes -= lane.slots.iter().map(Slot::charge).sum::<usize>();
        Some(lane.session)
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Bytes of requests that wait for their turn, and of answers that wait for those before them.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(crate) fn contains(&self, outbox: OutboxId) -> bool {
        self.lanes.contains_key(&outbox)
    }

    /// Whether its replies come in the order of its requests.
    pub(crate) fn is_ordered(&self, outbox: OutboxId) -> bool {
        self.lanes.get(&outbox).is_some_and(|lane| lane.order == Order::Fifo)
    }

    pub(crate) fn get_mut(&mut self, outbox: OutboxId) -> Option<&mut Lane> {
        self.lanes.get_mut(&outbox)
    }

    /// `request`, which came in turn `came`, is answered by this server when it is its turn in the lane.
    pub(crate) fn enqueue(&mut self, outbox: OutboxId, tag: Tag, request: Request, came: u64) {
        let Some(lane) = self.lanes.get_mut(&outbox) else { return };
        let slot = Slot::Local(tag, request, came);
        self.waiting_bytes += slot.charge();
        lane.slots.push_back(slot);
    }

    /// The answer to `tag` is known. Returns whether a local request may now be at the head of the lane.
    pub(crate) fn complete(
        &mut self,
        outbox: OutboxId,
        tag: Tag,
        zxid: Zxid,
        response: Response,
        out: &mut Effects,
    ) -> bool {
        let Some(lane) = self.lanes.get_mut(&outbox) else { return false };
        match lane.order {
            Order::None => {
                lane.writes.remove(&tag);
                out.outbox.push((outbox, Delivery::Reply { tag, zxid, response }));
                false
            }
            Order::Fifo => lane.complete(outbox, tag, zxid, response, &mut self.waiting_bytes, out),
        }
    }

    /// The ordered outboxes that wait for an answer, in the order of their numbers.
    pub(crate) fn with_unanswered(&self) -> Vec<OutboxId> {
        self.ordered_that(|lane| !lane.slots.is_empty())
    }

    /// All ordered outboxes, in the order of their numbers.
    pub(crate) fn ordered(&self) -> Vec<OutboxId> {
        self.ordered_that(|_| true)
    }

    fn ordered_that(&self, wanted: impl Fn(&Lane) -> bool) -> Vec<OutboxId> {
        let is_wanted = |(_, lane): &(&OutboxId, &Lane)| lane.order == Order::Fifo && wanted(lane);
        let mut outboxes: Vec<OutboxId> = self.lanes.iter().filter(is_wanted).map(|(outbox, _)| *outbox).collect();
        outboxes.sort_unstable();
        outboxes
    }

    /// The unanswered writes of outboxes without an order.
    pub(crate) fn unordered_unanswered(&self) -> Vec<(OutboxId, Tag)> {
        let writes = |(outbox, lane): (&OutboxId, &Lane)| {
            let outbox = *outbox;
            lane.writes.keys().map(move |tag| (outbox, *tag)).collect::<Vec<_>>()
        };
        self.lanes.iter().flat_map(writes).collect()
    }

    /// Takes the local request at the head of the lane, if there is one. Its reply is now awaited.
    pub(crate) fn next_local(&mut self, outbox: OutboxId) -> Option<(Tag, Request, u64)> {
        let head = self.lanes.get_mut(&outbox)?.slots.front_mut()?;
        let &mut Slot::Local(tag, ..) = head else { return None };
        match core::mem::replace(head, Slot::Waiting(tag)) {
            Slot::Local(tag, request, came) => {
                self.waiting_bytes -= request.charge();
                Some((tag, request, came))
            }
            Slot::Waiting(_) | Slot::Done(..) => None,
        }
    }
}

impl Lane {
    /// Whether another request may wait here.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.len() < crate::limits::WAITING_PER_OUTBOX_MAX
    }

    /// Whether a local request can be answered at once.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    /// A reply will come for the write `tag`.
    pub(crate) fn expect_write(&mut self, tag: Tag) {
        match self.order {
            Order::Fifo => self.slots.push_back(Slot::Waiting(tag)),
            Order::None => {
                self.writes.insert(tag, ());
            }
        }
    }

    /// A reply will come for the local request `tag`.
    pub(crate) fn expect(&mut self, tag: Tag) {
        match self.order {
            Order::Fifo => self.slots.push_back(Slot::Waiting(tag)),
            Order::None => {}
        }
    }

    fn complete(
        &mut self,
        outbox: OutboxId,
        tag: Tag,
        zxid: Zxid,
        response: Response,
        waiting_bytes: &mut usize,
        out: &mut Effects,
    ) -> bool {
        let waits = |slot: &Slot| matches!(slot, Slot::Waiting(waiting) if *waiting == tag);
        if self.slots.front().is_some_and(waits) {
            self.slots.pop_front();
            out.outbox.push((outbox, Delivery::Reply { tag, zxid, response }));
        } else {
            match self.slots.iter_mut().find(|slot| waits(slot)) {
                Some(slot) => {
                    *slot = Slot::Done(tag, zxid, response);
                    *waiting_bytes += slot.charge();
                }
                // Nobody was told to wait for it.
                None => out.outbox.push((outbox, Delivery::Reply { tag, zxid, response })),
            }
            return false;
        }
        while let Some(Slot::Done(..)) = self.slots.front() {
            if let Some(Slot::Done(tag, zxid, response)) = self.slots.pop_front() {
                *waiting_bytes -= response_bytes(&response);
                out.outbox.push((outbox, Delivery::Reply { tag, zxid, response }));
            }
        }
        matches!(self.slots.front(), Some(Slot::Local(..)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::vec::Vec;

    use quorate_types::{Caller, Op, Reply};

    use super::*;

    const OUTBOX: OutboxId = OutboxId(7);

    fn lanes(order: Order) -> Lanes {
        let mut lanes = Lanes::new(0);
        lanes.open(OUTBOX, order);
        lanes
    }

    fn complete(lanes: &mut Lanes, tag: u64) -> (Vec<u64>, bool) {
        let mut out = Effects::default();
        let local_next = lanes.complete(OUTBOX, Tag(tag), Zxid(tag), Ok(Reply::Synced), &mut out);
        let tags = out.outbox.iter().map(|(_, delivery)| match delivery {
            Delivery::Reply { tag, .. } => tag.0,
            other => panic!("{other:?}"),
        });
        (tags.collect(), local_next)
    }

    #[test]
    fn replies_leave_a_fifo_lane_in_the_order_of_the_requests() {
        let mut lanes = lanes(Order::Fifo);
        (1..=3).for_each(|tag| lanes.get_mut(OUTBOX).unwrap().expect(Tag(tag)));
        lanes.enqueue(OUTBOX, Tag(4), Request::new(Op::Sync, Arc::new(Caller::anonymous())), 9);
        lanes.get_mut(OUTBOX).unwrap().expect(Tag(5));
        assert_eq!(complete(&mut lanes, 2), (Vec::new(), false));
        assert_eq!(complete(&mut lanes, 5), (Vec::new(), false));
        assert_eq!(complete(&mut lanes, 1), ([1, 2].to_vec(), false));
        assert!(lanes.next_local(OUTBOX).is_none());
        assert_eq!(complete(&mut lanes, 3), ([3].to_vec(), true));
        assert_eq!(lanes.next_local(OUTBOX).map(|(tag, _, came)| (tag, came)), Some((Tag(4), 9)));
        assert!(lanes.next_local(OUTBOX).is_none());
        assert_eq!(complete(&mut lanes, 4), ([4, 5].to_vec(), false));
        assert!(lanes.get_mut(OUTBOX).unwrap().is_idle());
        assert_eq!(lanes.waiting_bytes(), 0);
    }

    #[test]
    fn an_unordered_lane_holds_nothing_back() {
        let mut lanes = lanes(Order::None);
        (1..=2).for_each(|tag| lanes.get_mut(OUTBOX).unwrap().expect(Tag(tag)));
        assert_eq!(complete(&mut lanes, 2), ([2].to_vec(), false));
        assert_eq!(complete(&mut lanes, 1), ([1].to_vec(), false));
    }

    #[test]
    fn what_waits_is_charged_until_it_goes_or_its_outbox_does() {
        let mut lanes = lanes(Order::Fifo);
        let request = || Request::new(Op::Sync, Arc::new(Caller::anonymous()));
        (1..=2).for_each(|tag| lanes.get_mut(OUTBOX).unwrap().expect(Tag(tag)));
        lanes.enqueue(OUTBOX, Tag(3), request(), 0);
        let data =
            Reply::Data { data: Some(bytes::Bytes::from_static(&[0; 1000])), stat: quorate_types::Stat::default() };
        lanes.complete(OUTBOX, Tag(2), Zxid(1), Ok(data), &mut Effects::default());
        assert_eq!(lanes.waiting_bytes(), 1000 + request().charge());
        lanes.close(OUTBOX);
        assert_eq!(lanes.waiting_bytes(), 0);
    }

    #[test]
    fn nothing_is_delivered_to_an_outbox_that_is_closed() {
        let mut lanes = lanes(Order::Fifo);
        lanes.get_mut(OUTBOX).unwrap().expect(Tag(1));
        assert_eq!(lanes.close(OUTBOX), Some(SessionId::NONE));
        assert_eq!(complete(&mut lanes, 1), (Vec::new(), false));
    }
}
