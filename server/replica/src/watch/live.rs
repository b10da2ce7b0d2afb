//! `Live`: the streaming watches that have been told everything, and the progress markers that say so.

use alloc::collections::BTreeSet;

use quorate_types::{WatchId, Zxid};

use super::registry::{GroupId, Key, Member, Registry};
use super::telling::Telling;
use crate::history::Changes;
use crate::{Delivery, Effects, WatchItem};

/// Streaming watches at the end of the history. Markers are kept for groups, not for watches.
#[derive(Debug)]
pub(super) struct Live {
    registry: Registry,
    /// Every group by the time at which it is looked at next. What it was told since then is only seen then.
    due: BTreeSet<(u64, GroupId)>,
    now_ms: u64,
}

impl Live {
    pub(super) fn new(hash_seed: u64) -> Live {
        Live { registry: Registry::new(hash_seed), due: BTreeSet::new(), now_ms: 0 }
    }

    /// Enters watches that are told the same; the first one's place, behind which the others follow.
    pub(super) fn add(&mut self, key: &Key, watches: &[WatchId]) -> Member {
        let (member, first_due_ms) = self.registry.add(key, watches, self.now_ms);
        if let Some(due_ms) = first_due_ms {
            self.due.insert((due_ms, member.group));
        }
        member
    }

    /// Removes a watch; another one of the same outbox may have taken its place.
    pub(super) fn remove(&mut self, member: Member) -> Option<WatchId> {
        let removed = self.registry.remove(member);
        if let Some(due_ms) = removed.emptied_due_ms {
            self.due.remove(&(due_ms, member.group));
        }
        removed.moved
    }

    /// Tells the changes of a txn to all whom they concern.
    pub(super) fn tell(&mut self, changes: Changes<'_>, telling: &mut Telling, out: &mut Effects) {
        telling.tell(&mut self.registry, changes, self.now_ms, out);
    }

    /// Takes note of the time.
    pub(super) fn now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Groups that were told nothing for their interval are told that they have missed nothing up to `applied`.
    pub(super) fn mark_progress(&mut self, applied: Zxid, out: &mut Effects) {
        while let Some((_, id)) = self.due.first().copied().filter(|(due_ms, _)| *due_ms <= self.now_ms) {
            self.due.pop_first();
            let group = self.registry.group(id);
            let interval_ms = u64::from(group.key.options.progress_ms);
            if group.told_ms + interval_ms <= self.now_ms {
                group.told_ms = self.now_ms;
                let watches = group.watches[..].into();
                out.outbox.push((group.key.outbox, Delivery::Watch { watches, item: WatchItem::Progress(applied) }));
            }
            group.due_ms = group.told_ms + interval_ms;
            self.due.insert((group.due_ms, id));
        }
    }

    #[cfg(test)]
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}
