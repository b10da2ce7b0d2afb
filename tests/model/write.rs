//! Changes of the model: each operation with its checks in the order in which ZooKeeper makes them.

use bytes::Bytes;
use quorate_types::{
    AclEntry, Change, ChangeKind, Code, CreateMode, Error, NodeKind, Path, Perms, Precondition, Reply, Stat, WriteOp,
    Zxid, limits, path,
};

use super::access::resolve;
use super::{Ask, Model, ModelZnode, error, parent_of};

/// What is always there.
const RESERVED: &[&str] = &["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// What a create needs to know.
struct Creation<'a> {
    path: &'a str,
    data: Option<&'a Bytes>,
    acl: &'a [AclEntry],
    mode: CreateMode,
    parents: bool,
}

impl Model {
    /// What can be said of an operation without knowing any state.
    pub(super) fn check_arguments(op: &WriteOp) -> Result<(), Error> {
        match op {
            WriteOp::Create { data, mode, .. } => {
                if let CreateMode::Ttl { ttl_ms } | CreateMode::TtlSequential { ttl_ms } = mode
                    && !(1..=limits::TTL_MS_MAX).contains(ttl_ms)
                {
                    return Err(error(Code::BadArguments));
                }
                check_data(data.as_ref())
            }
            WriteOp::SetData { data, precondition, create, .. } => {
                if create.is_some() && *precondition != Precondition::None {
                    return Err(error(Code::BadArguments));
                }
                check_data(data.as_ref())
            }
            WriteOp::Delete { .. } | WriteOp::SetAcl { .. } | WriteOp::Check { .. } => Ok(()),
        }
    }

    pub(super) fn write_one(&mut self, op: &WriteOp, ask: &Ask, changes: &mut Vec<Change>) -> Result<Reply, Error> {
        match op {
            WriteOp::Create { path, data, acl, mode, parents } => {
                let path = path.as_str();
                self.create(&Creation { path, data: data.as_ref(), acl, mode: *mode, parents: *parents }, ask, changes)
            }
            WriteOp::Delete { path, precondition } => self.delete(path.as_str(), *precondition, ask, changes),
            WriteOp::SetData { path, data, precondition, create } => {
                let exists = self.znodes.contains_key(path.as_str());
                match create {
                    Some(acl) if !exists && *precondition == Precondition::None => {
                        let (path, mode) = (path.as_str(), CreateMode::Persistent);
                        self.create(&Creation { path, data: data.as_ref(), acl, mode, parents: false }, ask, changes)
                    }
                    _ => self.set_data(path.as_str(), data.as_ref(), *precondition, ask, changes),
                }
            }
            WriteOp::SetAcl { path, acl, precondition } => self.set_acl(path.as_str(), acl, *precondition, ask),
            WriteOp::Check { path, precondition } => self.check(path.as_str(), *precondition, ask),
        }
    }

    /// All or nothing: on failure, what was done so far is the caller's to undo.
    pub(super) fn multi(&mut self, ops: &[WriteOp], ask: &Ask, changes: &mut Vec<Change>) -> Result<Reply, Error> {
        if ops.len() > limits::MULTI_OPS_MAX {
            return Err(error(Code::TooLarge));
        }
        let mut results = Vec::new();
        for (at, op) in ops.iter().enumerate() {
            match Model::check_arguments(op).and_then(|()| self.write_in_multi(op, ask, changes)) {
                Ok(reply) => results.push(Ok(reply)),
                Err(failure) => {
                    let mut results: Vec<_> = ops.iter().map(|_| Err(error(Code::NotApplied))).collect();
                    results[at] = Err(failure);
                    return Ok(Reply::Multi(results));
                }
            }
        }
        Ok(Reply::Multi(results))
    }

    /// A multi has one result for each operation: what would create missing parents too is refused there.
    fn write_in_multi(&mut self, op: &WriteOp, ask: &Ask, changes: &mut Vec<Change>) -> Result<Reply, Error> {
        let misses_parents = matches!(op, WriteOp::Create { path, parents: true, .. }
            if parent_of(path.as_str()).is_some_and(|parent| !self.znodes.contains_key(parent)));
        match self.write_one(op, ask, changes) {
            // What is wrong with the operation in itself is found first.
            Err(error) if matches!(error.code(), Code::SessionRequired | Code::InvalidAcl) => Err(error),
            _ if misses_parents => Err(error(Code::BadArguments)),
            done => done,
        }
    }

    fn create(&mut self, what: &Creation<'_>, ask: &Ask, changes: &mut Vec<Change>) -> Result<Reply, Error> {
        if what.mode.is_ephemeral() {
            self.check_session(ask.session, true)?;
        }
        let acl = resolve(what.acl, &ask.caller)?;
        // With digits after it, even `/` names a child of the root.
        let prefixes = what.mode.is_sequential() && what.path == "/";
        let parent = if prefixes { Some("/") } else { parent_of(what.path) };
        let Some(parent) = parent else { return Err(error(Code::NodeExists)) };
        if what.parents {
            self.create_missing(parent, &acl, ask, changes)?;
        }
        let mut path = what.path.to_owned();
        if !self.znodes.contains_key(parent) {
            return Err(error(Code::NoParent));
        }
        self.demand(parent, &ask.caller, Perms::CREATE)?;
        if what.mode.is_sequential() {
            path = format!("{path}{:010}", self.znodes[parent].creations);
        }
        if Path::new(path.as_str()).is_err() {
            return Err(error(Code::InvalidPath));
        }
        self.create_at(&path, what.data, acl, what.mode.kind(ask.session), ask, changes)?;
        let stat = self.stat(&path);
        Ok(Reply::Created { path, stat })
    }

    /// Creates `path` and its ancestors as far as they are missing.
    fn create_missing(
        &mut self,
        path: &str,
        acl: &[AclEntry],
        ask: &Ask,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        if self.znodes.contains_key(path) {
            return Ok(());
        }
        let parent = parent_of(path).expect("the root is never missing");
        self.create_missing(parent, acl, ask, changes)?;
        self.demand(parent, &ask.caller, Perms::CREATE)?;
        self.create_at(path, None, acl.to_vec(), NodeKind::Persistent, ask, changes)
    }

    fn create_at(
        &mut self,
        path: &str,
        data: Option<&Bytes>,
        acl: Vec<AclEntry>,
        kind: NodeKind,
        ask: &Ask,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        if self.znodes.contains_key(path) {
            return Err(error(Code::NodeExists));
        }
        let parent_path = parent_of(path).expect("the root exists");
        let parent = self.znodes.get_mut(parent_path).expect("checked by the caller");
        if parent.kind.owner().is_some() {
            return Err(error(Code::NoChildrenForEphemerals));
        }
        parent.creations += 1;
        parent.stat.pzxid = ask.zxid;
        self.znodes.insert(path.to_owned(), ModelZnode::new(data.cloned(), acl, kind, ask.zxid, self.time_ms));
        let stat = self.stat(path);
        self.note(ChangeKind::Created, path, stat, None, ask.zxid, changes);
        Ok(())
    }

    fn delete(
        &mut self,
        path: &str,
        precondition: Precondition,
        ask: &Ask,
        changes: &mut Vec<Change>,
    ) -> Result<Reply, Error> {
        self.check_deletable(path, ask)?;
        let stat = self.stat(path);
        check_precondition(precondition, stat.version, stat.mzxid)?;
        if stat.num_children > 0 {
            return Err(error(Code::NotEmpty));
        }
        self.remove(path, ask.zxid, changes);
        Ok(Reply::Deleted)
    }

    fn check_deletable(&self, path: &str, ask: &Ask) -> Result<(), Error> {
        if RESERVED.contains(&path) {
            return Err(error(Code::BadArguments));
        }
        let parent = parent_of(path).expect("the root is reserved");
        if !self.znodes.contains_key(parent) {
            return Err(error(Code::NoNode));
        }
        self.demand(parent, &ask.caller, Perms::DELETE)?;
        if self.znodes.contains_key(path) { Ok(()) } else { Err(error(Code::NoNode)) }
    }

    pub(super) fn delete_tree(
        &mut self,
        top: &str,
        max: u32,
        ask: &Ask,
        changes: &mut Vec<Change>,
    ) -> Result<Reply, Error> {
        self.check_deletable(top, ask)?;
        let doomed = self.subtree(top);
        if doomed.len() > max.min(limits::DELETE_TREE_MAX) as usize {
            return Err(error(Code::TooMany));
        }
        for path in doomed.iter().filter(|path| *path != top) {
            self.demand(parent_of(path).expect("lies below the top"), &ask.caller, Perms::DELETE)?;
        }
        // What lies below a znode follows it in the order of paths only up to characters below '/': depth decides.
        let mut deepest_first = doomed;
        deepest_first.sort_by_key(|path| std::cmp::Reverse(path::components(path).count()));
        for path in &deepest_first {
            self.remove(path, ask.zxid, changes);
        }
        Ok(Reply::TreeDeleted { count: deepest_first.len() as u32 })
    }

    /// A znode and everything below it.
    pub(super) fn subtree(&self, top: &str) -> Vec<String> {
        self.znodes.keys().filter(|other| path::is_at_or_below(other, top)).cloned().collect()
    }

    fn set_data(
        &mut self,
        path: &str,
        data: Option<&Bytes>,
        precondition: Precondition,
        ask: &Ask,
        changes: &mut Vec<Change>,
    ) -> Result<Reply, Error> {
        let Some(znode) = self.znodes.get(path) else { return Err(error(Code::NoNode)) };
        self.demand(path, &ask.caller, Perms::WRITE)?;
        check_precondition(precondition, znode.stat.version, znode.stat.mzxid)?;
        let time_ms = self.time_ms;
        let znode = self.znodes.get_mut(path).expect("found above");
        let previous = std::mem::replace(&mut znode.data, data.cloned());
        znode.stat.version = znode.stat.version.wrapping_add(1);
        znode.stat.mzxid = ask.zxid;
        znode.stat.mtime_ms = time_ms;
        let stat = self.stat(path);
        self.note(ChangeKind::DataChanged, path, stat, previous, ask.zxid, changes);
        Ok(Reply::Changed { stat })
    }

    fn set_acl(&mut self, path: &str, acl: &[AclEntry], precondition: Precondition, ask: &Ask) -> Result<Reply, Error> {
        let acl = resolve(acl, &ask.caller)?;
        let Some(znode) = self.znodes.get(path) else { return Err(error(Code::NoNode)) };
        self.demand(path, &ask.caller, Perms::ADMIN)?;
        check_precondition(precondition, znode.stat.aversion, znode.stat.mzxid)?;
        let znode = self.znodes.get_mut(path).expect("found above");
        znode.acl = acl;
        znode.stat.aversion = znode.stat.aversion.wrapping_add(1);
        Ok(Reply::Changed { stat: self.stat(path) })
    }

    fn check(&self, path: &str, precondition: Precondition, ask: &Ask) -> Result<Reply, Error> {
        match (self.znodes.get(path), precondition) {
            (None, Precondition::NotExists) => Ok(Reply::Checked),
            (None, _) => Err(error(Code::NoNode)),
            (Some(znode), _) => {
                self.demand(path, &ask.caller, Perms::READ)?;
                check_precondition(precondition, znode.stat.version, znode.stat.mzxid)?;
                Ok(Reply::Checked)
            }
        }
    }

    /// A znode goes, whatever the reason.
    pub(super) fn remove(&mut self, path: &str, zxid: Zxid, changes: &mut Vec<Change>) {
        let stat = self.stat(path);
        let previous = self.znodes[path].data.clone();
        self.note(ChangeKind::Deleted, path, stat, previous, zxid, changes);
        self.znodes.remove(path);
        let parent = parent_of(path).expect("the root is never removed");
        self.znodes.get_mut(parent).expect("a parent outlives its children").stat.pzxid = zxid;
    }

    fn note(
        &self,
        kind: ChangeKind,
        path: &str,
        stat: Stat,
        previous_data: Option<Bytes>,
        zxid: Zxid,
        changes: &mut Vec<Change>,
    ) {
        let data = match kind {
            ChangeKind::Created | ChangeKind::DataChanged => self.znodes[path].data.clone(),
            ChangeKind::Deleted => None,
        };
        let parent_acl = match kind {
            ChangeKind::Created | ChangeKind::Deleted => self.acl_of(parent_of(path).expect("not the root")),
            ChangeKind::DataChanged => self.acl_of(path),
        };
        changes.push(Change {
            kind,
            zxid,
            index: changes.len() as u32,
            path: path.to_owned(),
            stat,
            data,
            previous_data,
            acl: self.acl_of(path),
            parent_acl,
        });
    }
}

fn check_data(data: Option<&Bytes>) -> Result<(), Error> {
    match data {
        Some(data) if data.len() > limits::DATA_BYTES_MAX => Err(error(Code::TooLarge)),
        _ => Ok(()),
    }
}

fn check_precondition(precondition: Precondition, version: i32, mzxid: Zxid) -> Result<(), Error> {
    let holds = match precondition {
        Precondition::None => true,
        Precondition::Version(expected) => expected == version,
        Precondition::Mzxid(expected) => expected == mzxid,
        Precondition::NotExists => return Err(error(Code::NodeExists)),
    };
    if holds { Ok(()) } else { Err(error(Code::BadVersion)) }
}
