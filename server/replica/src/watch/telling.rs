//! `Telling`: what the watches of a registry are told of one txn. Equal content is built once and shared.

use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_types::{Event, OutboxId};

use super::recent::Recent;
use super::registry::{GroupId, Hit, Hits, Options, Registry};
use crate::history::{ChangeRef, Changes};
use crate::{Delivery, Effects, Map, WatchItem};

/// Scratch space for telling, used again for every txn.
#[derive(Debug)]
pub(super) struct Telling {
    found: Vec<GroupId>,
    built: Vec<Built>,
    by_content: Map<Content, usize>,
    recent: Recent,
}

/// What decides the content of an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Content {
    with_data: bool,
    with_previous_data: bool,
    hits: Hits,
}

#[derive(Debug)]
struct Built {
    events: Arc<[Event]>,
    /// The delivery that it last went out with: another group of the same outbox joins it.
    last: Option<(OutboxId, usize)>,
}

impl Telling {
    pub(super) fn new(hash_seed: u64) -> Telling {
        let hasher = foldhash::fast::FixedState::with_seed(hash_seed);
        Telling {
            found: Vec::new(),
            built: Vec::new(),
            by_content: Map::with_hasher(hasher),
            recent: Recent::default(),
        }
    }

    /// Tells every watch of `registry` that these changes of one txn concern, outbox by outbox in the order of their
    /// ids.
    pub(super) fn tell(&mut self, registry: &mut Registry, changes: Changes<'_>, now_ms: u64, out: &mut Effects) {
        registry.find(changes, &mut self.found);
        for at in 0..self.found.len() {
            let group_id = self.found[at];
            let hits = registry.take_hits(group_id);
            let group = registry.group(group_id);
            group.told_ms = now_ms;
            let built = self.build(changes, group.key.options, hits);
            match built.last {
                Some((outbox, at)) if outbox == group.key.outbox => {
                    if let (_, Delivery::Watch { watches, .. }) = &mut out.outbox[at] {
                        watches.extend_from_slice(&group.watches);
                    }
                }
                _ => {
                    built.last = Some((group.key.outbox, out.outbox.len()));
                    let item = WatchItem::Events(Arc::clone(&built.events));
                    out.outbox.push((group.key.outbox, Delivery::Watch { watches: group.watches[..].into(), item }));
                }
            }
        }
        self.built.clear();
        self.by_content.clear();
    }

    /// Time has passed.
    pub(super) fn tick(&mut self) {
        self.recent.tick();
    }

    fn build(&mut self, changes: Changes<'_>, options: Options, hits: Hits) -> &mut Built {
        let Options { with_data, with_previous_data, exclude: _, progress_ms: _ } = options;
        let content = Content { with_data, with_previous_data, hits };
        let at = match self.by_content.get(&content) {
            Some(at) => *at,
            None => {
                let make =
                    || content.hits.iter().map(|hit| content.event(changes.get(hit.change as usize), *hit)).collect();
                let events = match content.hits[..] {
                    [Hit { may_read, .. }] => {
                        self.recent.share(changes, with_data && may_read, with_previous_data && may_read, make)
                    }
                    _ => make(),
                };
                self.built.push(Built { events, last: None });
                self.by_content.insert(content, self.built.len() - 1);
                self.built.len() - 1
            }
        };
        &mut self.built[at]
    }
}

impl Content {
    fn event(&self, change: ChangeRef<'_>, hit: Hit) -> Event {
        change.event(self.with_data && hit.may_read, self.with_previous_data && hit.may_read)
    }
}
