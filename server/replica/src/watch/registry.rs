//! `Registry`: streaming watches at one point of the history, found by the path that changed.
//!
//! Watches of one outbox that are told exactly the same stand together in a *group*, so that a change costs one lookup
//! for each ancestor and one step for each group that it concerns, however many watches there are.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use quorate_tree::acl;
use quorate_types::{Acl, Caller, ChangeFilter, ChangeKind, OutboxId, Perms, StreamWatch, WatchId, WatchScope, path};
use smallvec::SmallVec;

use super::slab::Slab;
use crate::Map;
use crate::history::{ChangeRef, Changes};

/// The number of a group within its registry.
pub(super) type GroupId = u32;

/// Everything that decides what a watch is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) outbox: OutboxId,
    pub(super) path: Arc<str>,
    pub(super) scope: WatchScope,
    pub(super) options: Options,
    pub(super) caller: Arc<Caller>,
}

/// What a watch wants of the changes that it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) with_data: bool,
    pub(super) with_previous_data: bool,
    pub(super) exclude: ChangeFilter,
    pub(super) progress_ms: u32,
}

impl Key {
    pub(super) fn new(outbox: OutboxId, watch: &StreamWatch, progress_ms: u32, caller: &Arc<Caller>) -> Key {
        let StreamWatch {
            id: _, path, scope, start: _, send_initial: _, with_data, with_previous_data, exclude, ..
        } = watch;
        let options =
            Options { with_data: *with_data, with_previous_data: *with_previous_data, exclude: *exclude, progress_ms };
        Key { outbox, path: path.as_str().into(), scope: *scope, options, caller: Arc::clone(caller) }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.outbox.hash(state);
        self.path.hash(state);
        (self.scope as u8).hash(state);
        let Options { with_data, with_previous_data, exclude, progress_ms } = self.options;
        (with_data, with_previous_data, exclude.0, progress_ms).hash(state);
        self.caller.hash(state);
    }
}

/// A change that a group is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hit {
    /// Its place among the changes that are looked at.
    pub(super) change: u32,
    /// The znode's data may be told. Whoever watches the parent's children may not be allowed to read the child.
    pub(super) may_read: bool,
}

/// The changes of one txn that a group is told of.
pub(super) type Hits = SmallVec<[Hit; 1]>;

/// Watches that are told the same, never none.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: Key,
    pub(super) watches: Vec<WatchId>,
    /// When they were last told something, and when they must be told of progress at the latest.
    pub(super) told_ms: u64,
    pub(super) due_ms: u64,
    /// Of the txn that is being looked at.
    hits: Hits,
    /// The place in its spot's list.
    slot: u32,
}

/// Where a watch stands in its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) group: GroupId,
    pub(super) slot: u32,
}

/// What [`Registry::remove`] leaves to its caller.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// This watch of the same outbox took the removed one's place.
    pub(super) moved: Option<WatchId>,
    /// The group was left empty and is gone; it was due at this time.
    pub(super) emptied_due_ms: Option<u64>,
}

/// The groups that watch one path.
#[derive(Debug, Default)]
struct Spot {
    node: Vec<GroupId>,
    children: Vec<GroupId>,
    recursive: Vec<GroupId>,
}

impl Spot {
    fn list(&mut self, scope: WatchScope) -> &mut Vec<GroupId> {
        match scope {
            WatchScope::Node => &mut self.node,
            WatchScope::Children => &mut self.children,
            WatchScope::Recursive => &mut self.recursive,
        }
    }

    fn is_empty(&self) -> bool {
        self.node.is_empty() && self.children.is_empty() && self.recursive.is_empty()
    }
}

/// Streaming watches that have all been told the same part of the history.
#[derive(Debug)]
pub(super) struct Registry {
    groups: Slab<Group>,
    by_key: Map<Key, GroupId>,
    by_path: Map<Arc<str>, Spot>,
    /// Groups with the recursive scope: without any, a change's ancestors need not be looked up.
    recursive: usize,
    watches: usize,
}

impl Registry {
    pub(super) fn new(hash_seed: u64) -> Registry {
        let hasher = foldhash::fast::FixedState::with_seed(hash_seed);
        Registry {
            groups: Slab::new(),
            by_key: Map::with_hasher(hasher.clone()),
            by_path: Map::with_hasher(hasher),
            recursive: 0,
            watches: 0,
        }
    }

    /// Enters watches that are told the same: the first one's place, behind which the others follow, and when the
    /// group is due if these are the first of it.
    pub(super) fn add(&mut self, key: &Key, watches: &[WatchId], now_ms: u64) -> (Member, Option<u64>) {
        self.watches += watches.len();
        let known = self.by_key.get(key).copied();
        let group = known.unwrap_or_else(|| self.add_group(key.clone(), now_ms));
        let entry = &mut self.groups[group];
        let slot = entry.watches.len() as u32;
        entry.watches.extend_from_slice(watches);
        (Member { group, slot }, known.is_none().then_some(entry.due_ms))
    }

    pub(super) fn remove(&mut self, member: Member) -> Removed {
        self.watches -= 1;
        let group = &mut self.groups[member.group];
        group.watches.swap_remove(member.slot as usize);
        let moved = group.watches.get(member.slot as usize).copied();
        let emptied_due_ms = group.watches.is_empty().then(|| self.remove_group(member.group).due_ms);
        Removed { moved, emptied_due_ms }
    }

    pub(super) fn group(&mut self, group: GroupId) -> &mut Group {
        &mut self.groups[group]
    }

    pub(super) fn into_groups(self) -> impl Iterator<Item = Group> {
        self.groups.into_values()
    }

    /// Watches, not groups.
    pub(super) fn len(&self) -> usize {
        self.watches
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watches == 0
    }

    #[cfg(test)]
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Finds the groups that are told of any of these changes, in the order of their outboxes, and leaves with each
    /// what it is told, for [`Registry::take_hits`].
    pub(super) fn find(&mut self, changes: Changes<'_>, found: &mut Vec<GroupId>) {
        found.clear();
        if self.watches == 0 {
            return;
        }
        for index in 0..changes.len() {
            self.find_one(index as u32, changes.get(index), found);
        }
        let groups = &self.groups;
        found.sort_unstable_by_key(|group| (groups[*group].key.outbox, *group));
    }

    /// What [`Registry::find`] has left with a group.
    pub(super) fn take_hits(&mut self, group: GroupId) -> Hits {
        core::mem::take(&mut self.groups[group].hits)
    }

    fn find_one(&mut self, index: u32, change: ChangeRef<'_>, found: &mut Vec<GroupId>) {
        let Registry { groups, by_path, recursive, .. } = self;
        let mut hit = |group: GroupId, relation: Relation| {
            let entry = &mut groups[group];
            if let Some(may_read) = entry.key.judge(change, relation) {
                if entry.hits.is_empty() {
                    found.push(group);
                }
                entry.hits.push(Hit { change: index, may_read });
            }
        };
        let comes_or_goes = match change.kind {
            ChangeKind::Created | ChangeKind::Deleted => true,
            ChangeKind::DataChanged => false,
        };
        if let Some(spot) = by_path.get(change.path) {
            spot.node.iter().for_each(|group| hit(*group, Relation::Itself));
            spot.recursive.iter().for_each(|group| hit(*group, Relation::Itself));
            if comes_or_goes {
                spot.children.iter().for_each(|group| hit(*group, Relation::Itself));
            }
        }
        let mut ancestor = path::parent(change.path);
        let mut is_parent = true;
        while let Some(at) = ancestor {
            if *recursive == 0 && !(is_parent && comes_or_goes) {
                break;
            }
            if let Some(spot) = by_path.get(at) {
                if is_parent && comes_or_goes {
                    spot.children.iter().for_each(|group| hit(*group, Relation::Child));
                }
                spot.recursive.iter().for_each(|group| hit(*group, Relation::Itself));
            }
            (ancestor, is_parent) = (path::parent(at), false);
        }
    }

    fn add_group(&mut self, key: Key, now_ms: u64) -> GroupId {
        let list_of = |spot: &mut Spot, group: GroupId| {
            let list = spot.list(key.scope);
            list.push(group);
            (list.len() - 1) as u32
        };
        let due_ms = now_ms + u64::from(key.options.progress_ms);
        let group =
            Group { key: key.clone(), watches: Vec::new(), told_ms: now_ms, due_ms, hits: Hits::new(), slot: 0 };
        let group = self.groups.insert(group);
        // One copy of the path serves the index and all groups at it.
        let slot = match self.by_path.get_mut(&key.path) {
            Some(spot) => list_of(spot, group),
            None => list_of(self.by_path.entry(Arc::clone(&key.path)).or_default(), group),
        };
        self.groups[group].slot = slot;
        self.recursive += usize::from(key.scope == WatchScope::Recursive);
        self.by_key.insert(key, group);
        group
    }

    fn remove_group(&mut self, id: GroupId) -> Group {
        let group = self.groups.remove(id);
        self.by_key.remove(&group.key);
        self.recursive -= usize::from(group.key.scope == WatchScope::Recursive);
        let spot = self.by_path.get_mut(&group.key.path).expect("a group stands in the list of its path");
        let list = spot.list(group.key.scope);
        list.swap_remove(group.slot as usize);
        if let Some(moved) = list.get(group.slot as usize) {
            self.groups[*moved].slot = group.slot;
        } else if spot.is_empty() {
            self.by_path.remove(&group.key.path);
        }
        group
    }
}

/// How a changed znode relates to what a watch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// The watch is about the znode: its own ACL decides.
    Itself,
    /// The watch is about the children of its parent: the parent's ACL decides.
    Child,
}

impl Key {
    /// Whether a change is to be told, and if so, whether the caller may read the znode's data.
    fn judge(&self, change: ChangeRef<'_>, relation: Relation) -> Option<bool> {
        if self.options.exclude.contains(change.kind) {
            return None;
        }
        match relation {
            Relation::Itself => self.may_read(change.acl()).then_some(true),
            Relation::Child => {
                let wants_data = self.options.with_data || self.options.with_previous_data;
                self.may_read(change.parent_acl()).then(|| !wants_data || self.may_read(change.acl()))
            }
        }
    }

    pub(super) fn may_read(&self, acl: &Acl) -> bool {
        acl.is_open() || acl::permits(acl, &self.caller, Perms::READ)
    }
}
