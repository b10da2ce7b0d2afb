//! `Slice`: how much of what is streamed in slices may be done now, and how much an outbox may still be sent.

use bytes::Bytes;
use quorate_types::{Event, OutboxId, TreeNode};

use crate::{Delivery, outbox};

/// What is left of one bounded piece of work. It may be overdrawn by one txn or one znode, never by two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    /// Changes or znodes that may still be looked at.
    pub(super) items: usize,
    /// Bytes that may still be emitted in this piece of work ...
    pub(super) bytes: usize,
    /// ... and to this outbox until it has been read.
    pub(super) room: usize,
}

impl Slice {
    pub(super) fn has_room(&self) -> bool {
        self.items > 0 && self.bytes > 0 && self.room > 0
    }

    /// Counts items that were looked at and what was emitted for them. Looking where there are none counts as one.
    pub(super) fn charge(&mut self, items: usize, emitted: &[(OutboxId, Delivery)]) {
        self.charge_bytes(items.max(1), emitted.iter().map(|(_, delivery)| outbox::delivery_bytes(delivery)).sum());
    }

    /// Counts items that were looked at and bytes that are going to be emitted for them.
    pub(super) fn charge_bytes(&mut self, items: usize, bytes: usize) {
        self.items = self.items.saturating_sub(items);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.room = self.room.saturating_sub(bytes);
    }
}

/// Bytes that every event or znode is charged besides its path and data.
const ELEMENT_BYTES: usize = 160;

/// About what an event takes on its way to the client.
pub(super) fn event_bytes(event: &Event) -> usize {
    let data = |data: &Option<Bytes>| data.as_ref().map_or(0, Bytes::len);
    ELEMENT_BYTES + event.path.len() + data(&event.data) + data(&event.previous_data)
}

/// About what a znode takes on its way to the client.
pub(super) fn node_bytes(node: &TreeNode) -> usize {
    ELEMENT_BYTES + node.path.len() + node.data.as_ref().map_or(0, Bytes::len)
}
