//! `Streams`: everything that is streamed to one outbox, its watches and its trees.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use quorate_types::WatchId;

use super::catchup::{CatchUp, CohortId};
use super::job::{Job, What};
use super::registry::{Group, Member};

/// What one outbox is streamed.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) watches: BTreeMap<WatchId, Stage>,
    pub(super) catch_up: CatchUp,
    /// Initial states and trees, in the order in which they were asked for. Only the first one may hold a view.
    pub(super) jobs: BTreeMap<u64, Job>,
    jobs_so_far: u64,
    /// Bytes that may be emitted in slices before the outbox has to be read.
    pub(super) room: usize,
    /// It stands in the queue of those that have something to do.
    pub(super) is_queued: bool,
}

/// How far a watch has come, and where it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its initial state is being told by this job.
    Starting(u64),
    /// It is told what lies behind it in the history.
    Behind(CohortId, Member),
    /// It is told of changes as they happen.
    Live(Member),
}

impl Streams {
    pub(super) fn new(room: usize, hash_seed: u64) -> Streams {
        Streams {
            watches: BTreeMap::new(),
            catch_up: CatchUp::new(hash_seed),
            jobs: BTreeMap::new(),
            jobs_so_far: 0,
            room,
            is_queued: false,
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.catch_up.is_empty() || !self.jobs.is_empty()
    }

    pub(super) fn add_job(&mut self, what: What) -> u64 {
        self.jobs_so_far += 1;
        self.jobs.insert(self.jobs_so_far, Job::new(what));
        self.jobs_so_far
    }

    /// Trees that wait or are being streamed.
    pub(super) fn tree_count(&self) -> usize {
        self.jobs.values().filter(|job| matches!(job.what, What::Tree(_))).count()
    }

    /// A watch was removed from its group: `moved` took its place.
    pub(super) fn take_place(&mut self, moved: Option<WatchId>, place: Stage) {
        if let Some(stage) = moved.and_then(|moved| self.watches.get_mut(&moved)) {
            *stage = place;
        }
    }

    /// Watches of a group were entered elsewhere: the first one at `place`, the others in the slots that follow.
    pub(super) fn place_all(&mut self, watches: &[WatchId], first: Member, place: impl Fn(Member) -> Stage) {
        for (watch, slot) in watches.iter().zip(first.slot..) {
            self.watches.insert(*watch, place(Member { slot, ..first }));
        }
    }

    /// Forgets watches; their names, in the order of the groups.
    pub(super) fn forget(&mut self, groups: &[Group]) -> Vec<WatchId> {
        let watches: Vec<WatchId> = groups.iter().flat_map(|group| group.watches.iter().copied()).collect();
        watches.iter().for_each(|watch| {
            self.watches.remove(watch);
        });
        watches
    }
}
