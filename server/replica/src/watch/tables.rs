//! `Tables`: which connection watches which path with a ZooKeeper watch.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use quorate_types::{OutboxId, path};

use crate::Map;

/// A set of the modes in which a connection watches a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modes(u8);

impl Modes {
    /// Used up by the first event.
    pub(super) const STANDARD: Modes = Modes(1);
    /// Stays until it is removed.
    pub(super) const PERSISTENT: Modes = Modes(2);
    pub(super) const ALL: Modes = Modes(3);

    fn with(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }

    fn without(self, other: Modes) -> Modes {
        Modes(self.0 & !other.0)
    }

    fn intersects(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn len(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The znode's own changes.
    Data,
    /// Its children's coming and going.
    Child,
    /// The changes of the znode and of everything below it. To ZooKeeper a mode in the data table; by itself, an
    /// ancestor is looked up without passing over those who only watch its own data.
    Recursive,
}

/// Everybody who watches one table at one path, in the order of the outboxes. No set of modes in it is empty.
type Watching = BTreeMap<OutboxId, Modes>;

/// Everybody who watches one path.
#[derive(Debug, Default)]
struct Spot {
    data: Watching,
    child: Watching,
    recursive: Watching,
}

impl Spot {
    fn table(&mut self, table: Table) -> &mut Watching {
        match table {
            Table::Data => &mut self.data,
            Table::Child => &mut self.child,
            Table::Recursive => &mut self.recursive,
        }
    }

    fn has(&self, outbox: OutboxId) -> bool {
        [&self.data, &self.child, &self.recursive].into_iter().any(|watching| watching.contains_key(&outbox))
    }

    fn is_empty(&self) -> bool {
        self.data.is_empty() && self.child.is_empty() && self.recursive.is_empty()
    }
}

/// All tables, and for each connection where it stands in them.
#[derive(Debug)]
pub(super) struct Tables {
    spots: Map<Arc<str>, Spot>,
    paths: Map<OutboxId, HashSet<Arc<str>, FixedState>>,
    hasher: FixedState,
    /// Registrations in the recursive table: without any, a change's ancestors need not be looked up.
    recursive: usize,
    /// Modes of all connections in all tables.
    count: usize,
    /// Scratch: whose one-shot watches were just used up.
    used_up: Vec<OutboxId>,
}

impl Tables {
    pub(super) fn new(hash_seed: u64) -> Tables {
        let hasher = FixedState::with_seed(hash_seed);
        let (spots, paths) = (Map::with_hasher(hasher.clone()), Map::with_hasher(hasher.clone()));
        Tables { spots, paths, hasher, recursive: 0, count: 0, used_up: Vec::new() }
    }

    /// Registrations: a mode of a connection in a table.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many paths a connection watches.
    pub(super) fn path_count(&self, outbox: OutboxId) -> usize {
        self.paths.get(&outbox).map_or(0, HashSet::len)
    }

    /// Whether a connection watches a path in any way.
    pub(super) fn is_watching(&self, outbox: OutboxId, path: &str) -> bool {
        self.paths.get(&outbox).is_some_and(|paths| paths.contains(path))
    }

    /// Whether a connection watches a path in this table, in one of these modes.
    pub(super) fn has(&mut self, outbox: OutboxId, path: &str, table: Table, modes: Modes) -> bool {
        let watching = self.spots.get_mut(path).map(|spot| spot.table(table));
        watching.and_then(|watching| watching.get(&outbox)).is_some_and(|held| held.intersects(modes))
    }

    pub(super) fn add(&mut self, outbox: OutboxId, path: &str, table: Table, modes: Modes) {
        let shared = match self.spots.get_key_value(path) {
            Some((shared, _)) => Arc::clone(shared),
            None => Arc::from(path),
        };
        let spot = self.spots.entry(Arc::clone(&shared)).or_default();
        let held = spot.table(table).entry(outbox).or_default();
        let added = modes.without(*held).len();
        *held = held.with(modes);
        self.count += added;
        self.recursive += if table == Table::Recursive { added } else { 0 };
        let paths = self.paths.entry(outbox).or_insert_with(|| HashSet::with_hasher(self.hasher.clone()));
        paths.insert(shared);
    }

    pub(super) fn remove(&mut self, outbox: OutboxId, path: &str, table: Table, modes: Modes) {
        let Some(spot) = self.spots.get_mut(path) else { return };
        let watching = spot.table(table);
        let Some(held) = watching.get_mut(&outbox) else { return };
        let left = held.without(modes);
        let removed = held.len() - left.len();
        *held = left;
        if left.is_empty() {
            watching.remove(&outbox);
        }
        self.count -= removed;
        self.recursive -= if table == Table::Recursive { removed } else { 0 };
        self.forget_path(outbox, path);
    }

    /// Removes a connection with all that it watches.
    pub(super) fn close(&mut self, outbox: OutboxId) {
        for path in self.paths.remove(&outbox).into_iter().flatten() {
            for table in [Table::Data, Table::Child, Table::Recursive] {
                self.remove(outbox, &path, table, Modes::ALL);
            }
        }
    }

    /// All paths that are watched, in the order of their bytes.
    pub(super) fn paths(&self) -> Vec<Arc<str>> {
        let mut paths: Vec<Arc<str>> = self.spots.keys().cloned().collect();
        paths.sort_unstable();
        paths
    }

    /// Adds everybody who watches the znode at `path` itself (with [`Table::Data`], those too who watch all below it) or
    /// its children, each once and in order, and uses their one-shot watches up. `told` is empty before.
    pub(super) fn trigger_all(&mut self, path: &str, table: Table, told: &mut Vec<OutboxId>) {
        self.trigger(path, table, told);
        if table == Table::Data {
            told.extend(self.spots.get(path).into_iter().flat_map(|spot| spot.recursive.keys()));
            told.sort_unstable();
            told.dedup();
        }
    }

    /// Adds everybody who is concerned by a change of the znode at `path`, each once and in order, and uses their
    /// one-shot watches up. `told` is empty before.
    pub(super) fn trigger_data(&mut self, path: &str, told: &mut Vec<OutboxId>) {
        self.trigger(path, Table::Data, told);
        if self.recursive == 0 {
            return;
        }
        let mut at = Some(path);
        while let Some(ancestor) = at {
            told.extend(self.spots.get(ancestor).into_iter().flat_map(|spot| spot.recursive.keys()));
            at = path::parent(ancestor);
        }
        told.sort_unstable();
        told.dedup();
    }

    /// Adds everybody who watches the children of the znode at `path`, in order, and uses their one-shot watches up.
    pub(super) fn trigger_child(&mut self, path: &str, told: &mut Vec<OutboxId>) {
        self.trigger(path, Table::Child, told);
    }

    fn trigger(&mut self, path: &str, table: Table, told: &mut Vec<OutboxId>) {
        let Some(spot) = self.spots.get_mut(path) else { return };
        let used_up = &mut self.used_up;
        let mut count = 0;
        spot.table(table).retain(|outbox, modes| {
            told.push(*outbox);
            if modes.intersects(Modes::STANDARD) {
                *modes = modes.without(Modes::STANDARD);
                count += 1;
                used_up.push(*outbox);
            }
            !modes.is_empty()
        });
        self.count -= count;
        while let Some(outbox) = self.used_up.pop() {
            self.forget_path(outbox, path);
        }
    }

    /// Takes the path from those that the connection watches, if it does not any more.
    fn forget_path(&mut self, outbox: OutboxId, path: &str) {
        let Some(spot) = self.spots.get(path) else { return };
        if spot.has(outbox) {
            return;
        }
        if let Some(paths) = self.paths.get_mut(&outbox) {
            paths.remove(path);
            if paths.is_empty() {
                self.paths.remove(&outbox);
            }
        }
        if spot.is_empty() {
            self.spots.remove(path);
        }
    }
}

#[cfg(test)]
mod tests;
