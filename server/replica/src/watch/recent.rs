//! `Recent`: events that were lately made of what the history keeps.
//!
//! Outboxes that catch up take turns at the same part of the history. What was made for one of them is mostly there
//! for the next, and takes memory once, in however many queues it waits.

use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_types::{Event, Zxid};

use super::slice;
use crate::history::Changes;

/// Events that are kept: those of more txns than an outbox is sent in a slice, with and without data.
const PLACES: usize = 4 * 1_024;

/// Bytes of an event that is kept: all of them take 4 MiB at most.
const EVENT_BYTES_MAX: usize = 1_024;

/// Events of txns that made one change, each at a place that follows from what it was made of.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Empty, or all [`PLACES`].
    places: Vec<Option<(Made, Arc<[Event]>)>>,
    /// Since the last tick.
    is_used: bool,
}

/// Of what an event was made, and so everything that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Made {
    zxid: Zxid,
    with_data: bool,
    with_previous_data: bool,
}

impl Made {
    fn place(self) -> usize {
        let form = usize::from(self.with_data) + 2 * usize::from(self.with_previous_data);
        4 * (self.zxid.0 as usize % (PLACES / 4)) + form
    }
}

impl Recent {
    /// The event of the only change of a txn out of the history; `make` makes it, and any other.
    pub(super) fn share(
        &mut self,
        changes: Changes<'_>,
        with_data: bool,
        with_previous_data: bool,
        make: impl Fn() -> Arc<[Event]>,
    ) -> Arc<[Event]> {
        let Some(zxid) = changes.packed_alone() else { return make() };
        let made = Made { zxid, with_data, with_previous_data };
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        self.is_used = true;
        let place = &mut self.places[made.place()];
        match place {
            Some((known, events)) if *known == made => Arc::clone(events),
            _ => {
                let events = make();
                if events.iter().map(slice::event_bytes).sum::<usize>() <= EVENT_BYTES_MAX {
                    *place = Some((made, Arc::clone(&events)));
                }
                events
            }
        }
    }

    /// Forgets everything if it was of no use since the last call.
    pub(super) fn tick(&mut self) {
        if !core::mem::take(&mut self.is_used) {
            self.places = Vec::new();
        }
    }
}
