//! `CatchUp`: the watches of one outbox that have not been told everything yet, at their places in the history.
//!
//! Watches at the same place form a *cohort*, with an index by path like the one of the live watches. The rearmost
//! cohort goes on first, and those that meet become one: however many watches resume, the history is read about once.
//! A cohort holds no events: what it was not told yet waits in the history, where it costs nothing more.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use quorate_types::{WatchId, Zxid};

use super::registry::{Group, Key, Member, Registry, Removed};
use super::slab::Slab;
use super::slice::Slice;
use super::telling::Telling;
use crate::Effects;
use crate::history::{History, Position};

/// The number of a cohort within its outbox.
pub(super) type CohortId = u32;

/// Watches that have been told everything up to the same place.
#[derive(Debug)]
struct Cohort {
    registry: Registry,
    position: Position,
    /// Everything up to this txn was told.
    told: Zxid,
}

/// All cohorts of one outbox.
#[derive(Debug)]
pub(super) struct CatchUp {
    cohorts: Slab<Cohort>,
    /// Every cohort by its place: no two are at the same one.
    by_position: BTreeMap<Position, CohortId>,
    hash_seed: u64,
}

/// What became of some watches in [`CatchUp::work`].
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing for the caller to do: the slice is used up, or another cohort is the rearmost one now.
    Paused,
    /// They belong to another cohort now.
    Joined(CohortId, Vec<(Member, Vec<WatchId>)>),
    /// They have been told everything.
    CaughtUp(Vec<Group>),
    /// The history has moved past them.
    Lost { groups: Vec<Group>, told: Zxid },
}

impl CatchUp {
    pub(super) fn new(hash_seed: u64) -> CatchUp {
        CatchUp { cohorts: Slab::new(), by_position: BTreeMap::new(), hash_seed }
    }

    /// Enters a watch that was told everything up to `told`, and whatever else lies before `position`.
    pub(super) fn add(&mut self, position: Position, told: Zxid, key: &Key, watch: WatchId) -> (CohortId, Member) {
        let (cohorts, hash_seed) = (&mut self.cohorts, self.hash_seed);
        let id = *self
            .by_position
            .entry(position)
            .or_insert_with(|| cohorts.insert(Cohort { registry: Registry::new(hash_seed), position, told }));
        let cohort = &mut cohorts[id];
        cohort.told = cohort.told.max(told);
        let (member, _) = cohort.registry.add(key, &[watch], 0);
        (id, member)
    }

    /// Removes a watch; another one may have taken its place. Also says up to which txn it was told everything.
    pub(super) fn remove(&mut self, id: CohortId, member: Member) -> (Option<WatchId>, Zxid) {
        let cohort = &mut self.cohorts[id];
        let Removed { moved, .. } = cohort.registry.remove(member);
        let told = cohort.told;
        if cohort.registry.is_empty() {
            let cohort = self.cohorts.remove(id);
            self.by_position.remove(&cohort.position);
        }
        (moved, told)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_position.is_empty()
    }

    /// Lets the rearmost cohort go on until the slice is used up or something becomes of it.
    pub(super) fn work(
        &mut self,
        history: &History,
        telling: &mut Telling,
        slice: &mut Slice,
        out: &mut Effects,
    ) -> Outcome {
        let Some((_, id)) = self.by_position.pop_first() else { return Outcome::Paused };
        let next = self.by_position.first_key_value().map(|(position, id)| (*position, *id));
        let cohort = &mut self.cohorts[id];
        let Some(mut reader) = history.read(cohort.position) else {
            let Cohort { registry, told, position: _ } = self.cohorts.remove(id);
            return Outcome::Lost { groups: registry.into_groups().collect(), told };
        };
        while slice.has_room() && next.is_none_or(|(position, _)| cohort.position < position) {
            let Some((zxid, changes)) = reader.next() else {
                let cohort = self.cohorts.remove(id);
                return Outcome::CaughtUp(cohort.registry.into_groups().collect());
            };
            let first = out.outbox.len();
            telling.tell(&mut cohort.registry, changes, 0, out);
            slice.charge(changes.len(), &out.outbox[first..]);
            cohort.position = reader.position();
            cohort.told = cohort.told.max(zxid);
        }
        match next {
            Some((position, other)) if position == cohort.position => self.join(id, other),
            _ => {
                self.by_position.insert(cohort.position, id);
                Outcome::Paused
            }
        }
    }

    /// Makes one of two cohorts that have met, by moving the watches of the smaller one.
    fn join(&mut self, one: CohortId, other: CohortId) -> Outcome {
        let (small, large) = if self.cohorts[one].registry.len() <= self.cohorts[other].registry.len() {
            (one, other)
        } else {
            (other, one)
        };
        let Cohort { registry, position, told } = self.cohorts.remove(small);
        let into = &mut self.cohorts[large];
        into.told = into.told.max(told);
        self.by_position.insert(position, large);
        let moved = registry
            .into_groups()
            .map(|group| {
                let (first, _) = into.registry.add(&group.key, &group.watches, 0);
                (first, group.watches)
            })
            .collect();
        Outcome::Joined(large, moved)
    }
}
