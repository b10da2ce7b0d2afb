//! `Classic`: ZooKeeper's watches, which belong to a connection and vanish with it.
//!
//! What triggers whom, in which order, and what is used up by it are ZooKeeper's rules (`DataTree`,
//! `WatchManager.triggerWatch`); who stands where is in [`super::tables`].

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_tree::{Tree, acl};
use quorate_types::{
    Acl, Caller, Change, ChangeKind, Code, Error, OutboxId, Path, Perms, ReadOp, Reply, Response, Stat, WatchClass,
    WatchOp, Zxid, path,
};

use super::tables::{Modes, Table, Tables};
use crate::{Delivery, Effects, Map, ZkEvent};

/// The ZooKeeper watches of all connections.
#[derive(Debug)]
pub(super) struct Classic {
    tables: Tables,
    /// Who speaks through each outbox, as of its last request about watches.
    callers: Map<OutboxId, Arc<Caller>>,
    /// Paths that one connection may watch.
    paths_max: usize,
    /// Scratch: who is concerned by the present step, in order.
    told: Vec<OutboxId>,
}

/// What a watch that is restored has missed, given the znode's stat and the zxid up to which its client had seen.
type Missed = fn(Option<Stat>, Zxid) -> Option<ZkEvent>;

impl Classic {
    pub(super) fn new(hash_seed: u64, paths_max: usize) -> Classic {
        let callers = Map::with_hasher(foldhash::fast::FixedState::with_seed(hash_seed));
        Classic { tables: Tables::new(hash_seed), callers, paths_max, told: Vec::new() }
    }

    /// Registrations of all connections.
    pub(super) fn count(&self) -> usize {
        self.tables.count()
    }

    /// Tells the changes of one txn, in their order, and uses up what that uses up.
    pub(super) fn applied(&mut self, changes: &[Change], out: &mut Effects) {
        if self.tables.count() > 0 {
            changes.iter().for_each(|change| self.trigger(change, out));
        }
    }

    /// The whole state is another one since `zxid`, and what has changed is not known. Whoever watches something is told
    /// that it has: to look once too often does no harm.
    pub(super) fn state_replaced(&mut self, tree: &Tree, zxid: Zxid, out: &mut Effects) {
        for path in self.tables.paths() {
            let acl = tree.acl(&path);
            let (data, children) = match acl {
                Some(_) => (ZkEvent::Node(ChangeKind::DataChanged), ZkEvent::ChildrenChanged),
                None => (ZkEvent::Node(ChangeKind::Deleted), ZkEvent::Node(ChangeKind::Deleted)),
            };
            let acl = acl.unwrap_or(Acl::OPEN);
            let mut told = core::mem::take(&mut self.told);
            self.tables.trigger_all(&path, Table::Data, &mut told);
            self.notify(&told, data, &path, zxid, &acl, out);
            told.clear();
            self.tables.trigger_all(&path, Table::Child, &mut told);
            self.notify(&told, children, &path, zxid, &acl, out);
            told.clear();
            self.told = told;
        }
    }

    /// A read with the `watch` flag was answered by `response`.
    pub(super) fn after_read(
        &mut self,
        outbox: OutboxId,
        caller: &Arc<Caller>,
        op: &ReadOp,
        response: &Response,
    ) -> Result<(), Error> {
        let is_missing = matches!(response, Err(error) if error.code() == Code::NoNode);
        let (table, path) = match op {
            ReadOp::Get { path } if response.is_ok() => (Table::Data, path),
            ReadOp::Exists { path } if response.is_ok() || is_missing => (Table::Data, path),
            ReadOp::Children { path, .. } if response.is_ok() => (Table::Child, path),
            ReadOp::Get { .. } | ReadOp::Exists { .. } | ReadOp::Children { .. } => return Ok(()),
            ReadOp::GetAcl { .. }
            | ReadOp::Access { .. }
            | ReadOp::Ephemerals { .. }
            | ReadOp::CountDescendants { .. } => return Ok(()),
        };
        self.admit(outbox, caller, [path])?;
        self.tables.add(outbox, path.as_str(), table, Modes::STANDARD);
        Ok(())
    }

    /// Answers an operation on ZooKeeper watches. What a restored watch has missed is emitted.
    pub(super) fn operate(
        &mut self,
        tree: &Tree,
        outbox: OutboxId,
        caller: &Arc<Caller>,
        op: &WatchOp,
        out: &mut Effects,
    ) -> Response {
        match op {
            WatchOp::AddPersistent { path, recursive } => {
                self.admit(outbox, caller, [path])?;
                self.add_persistent(outbox, path, *recursive);
            }
            WatchOp::RemovePersistent { path, class, check_only } => {
                let path = path.as_str();
                let found = parts(*class).iter().fold(false, |found, (table, modes)| {
                    let is_there = self.tables.has(outbox, path, *table, *modes);
                    if is_there && !check_only {
                        self.tables.remove(outbox, path, *table, *modes);
                    }
                    found || is_there
                });
                if !found {
                    return Err(Error::at(Code::NoWatcher, path, "this connection has no such watch here"));
                }
            }
            WatchOp::Restore { since, data, exists, children, persistent, recursive } => {
                self.admit(outbox, caller, [data, exists, children, persistent, recursive].into_iter().flatten())?;
                self.restore(tree, outbox, *since, Table::Data, data, missed_data, out);
                self.restore(tree, outbox, *since, Table::Data, exists, missed_creation, out);
                self.restore(tree, outbox, *since, Table::Child, children, missed_children, out);
                persistent.iter().for_each(|path| self.add_persistent(outbox, path, false));
                recursive.iter().for_each(|path| self.add_persistent(outbox, path, true));
            }
            WatchOp::Create(_) | WatchOp::Cancel(_) => unreachable!("a streaming watch among ZooKeeper's"),
        }
        Ok(Reply::WatchDone)
    }

    /// The connection is gone, and its watches with it.
    pub(super) fn closed(&mut self, outbox: OutboxId) {
        self.callers.remove(&outbox);
        self.tables.close(outbox);
    }

    /// Takes note of who asks, and checks that as many more paths may be watched.
    fn admit<'a>(
        &mut self,
        outbox: OutboxId,
        caller: &Arc<Caller>,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> Result<(), Error> {
        self.callers.insert(outbox, Arc::clone(caller));
        let new = paths.into_iter().filter(|path| !self.tables.is_watching(outbox, path.as_str())).count();
        if new > 0 && self.tables.path_count(outbox) + new > self.paths_max {
            let detail = format!("a connection may watch {} paths", self.paths_max);
            return Err(Error::new(Code::QuotaExceeded, detail));
        }
        Ok(())
    }

    fn add_persistent(&mut self, outbox: OutboxId, path: &Path, recursive: bool) {
        if recursive {
            self.tables.add(outbox, path.as_str(), Table::Recursive, Modes::PERSISTENT);
        } else {
            self.tables.add(outbox, path.as_str(), Table::Data, Modes::PERSISTENT);
            self.tables.add(outbox, path.as_str(), Table::Child, Modes::PERSISTENT);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of ZooKeeper's table of what a restored watch missed")]
    fn restore(
        &mut self,
        tree: &Tree,
        outbox: OutboxId,
        since: Zxid,
        table: Table,
        paths: &[Path],
        missed: Missed,
        out: &mut Effects,
    ) {
        for path in paths {
            match missed(tree.stat(path.as_str()), since) {
                None => self.tables.add(outbox, path.as_str(), table, Modes::STANDARD),
                Some(event) => {
                    let path = String::from(path.as_str());
                    out.outbox.push((outbox, Delivery::Notify { event, path, zxid: Zxid::ZERO }));
                }
            }
        }
    }

    fn trigger(&mut self, change: &Change, out: &mut Effects) {
        let Change { kind, zxid, path, acl, parent_acl, .. } = change;
        let event = ZkEvent::Node(*kind);
        let mut told = core::mem::take(&mut self.told);
        self.tables.trigger_data(path, &mut told);
        self.notify(&told, event, path, *zxid, acl, out);
        if *kind == ChangeKind::Deleted {
            let told_before = told.len();
            self.tables.trigger_child(path, &mut told);
            // Whoever watches both the znode and its children is told once that it is gone.
            let (before, also) = told.split_at(told_before);
            let also: Vec<OutboxId> = also.iter().copied().filter(|one| before.binary_search(one).is_err()).collect();
            self.notify(&also, event, path, *zxid, acl, out);
        }
        if let (ChangeKind::Created | ChangeKind::Deleted, Some(parent)) = (*kind, path::parent(path)) {
            told.clear();
            self.tables.trigger_child(parent, &mut told);
            self.notify(&told, ZkEvent::ChildrenChanged, parent, *zxid, parent_acl, out);
        }
        told.clear();
        self.told = told;
    }

    /// Tells those who may read. For the others the watch is used up all the same.
    fn notify(&self, told: &[OutboxId], event: ZkEvent, path: &str, zxid: Zxid, acl: &Acl, out: &mut Effects) {
        for outbox in told {
            let caller = self.callers.get(outbox);
            if acl.is_open() || caller.is_some_and(|caller| acl::permits(acl, caller, Perms::READ)) {
                out.outbox.push((*outbox, Delivery::Notify { event, path: String::from(path), zxid }));
            }
        }
    }
}

/// Where a set of watches stands.
fn parts(class: WatchClass) -> &'static [(Table, Modes)] {
    match class {
        WatchClass::Children => &[(Table::Child, Modes::STANDARD)],
        WatchClass::Data => &[(Table::Data, Modes::STANDARD)],
        WatchClass::Any => &[(Table::Data, Modes::ALL), (Table::Child, Modes::ALL), (Table::Recursive, Modes::ALL)],
        WatchClass::Persistent => &[(Table::Data, Modes::PERSISTENT), (Table::Child, Modes::PERSISTENT)],
        WatchClass::PersistentRecursive => &[(Table::Recursive, Modes::PERSISTENT)],
    }
}

fn missed_data(stat: Option<Stat>, since: Zxid) -> Option<ZkEvent> {
    match stat {
        None => Some(ZkEvent::Node(ChangeKind::Deleted)),
        Some(stat) => (stat.mzxid > since).then_some(ZkEvent::Node(ChangeKind::DataChanged)),
    }
}

fn missed_creation(stat: Option<Stat>, _since: Zxid) -> Option<ZkEvent> {
    stat.map(|_| ZkEvent::Node(ChangeKind::Created))
}

fn missed_children(stat: Option<Stat>, since: Zxid) -> Option<ZkEvent> {
    match stat {
        None => Some(ZkEvent::Node(ChangeKind::Deleted)),
        Some(stat) => (stat.pzxid > since).then_some(ZkEvent::ChildrenChanged),
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
