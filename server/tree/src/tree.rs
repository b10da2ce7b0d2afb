//! `Tree`: the replicated state at one zxid, and the steps that every change of it is made of.
//!
//! Invariant: `digest`, `sizes`, `index`, `deadlines` and the sessions' ephemerals follow from the znodes; whatever
//! changes a znode goes through [`Tree::preserve`] first and keeps the digest in step.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::mutation::mutated;
use quorate_types::{Acl, NodeKind, Path, SessionId, Stat, Zxid, path};
use smallvec::SmallVec;

use crate::acl_table::{AclId, AclTable};
use crate::digest::{self, Digest, PathHash};
use crate::index::Index;
use crate::reap::{Deadlines, Reap};
use crate::requests::Requests;
use crate::reserved;
use crate::restore::Restoring;
use crate::sessions::{Session, Sessions};
use crate::slab::Slab;
use crate::view::Views;
use crate::znode::{Birth, Znode, ZnodeId};

/// Old versions that each txn frees once no view needs them: more than a txn usually creates, little enough to be
/// unnoticeable.
const SWEEP_PER_TXN: usize = 64;

/// Znodes, sessions and remembered requests at [`Tree::applied`].
#[derive(Debug)]
pub struct Tree {
    pub(crate) slab: Slab,
    pub(crate) index: Index,
    pub(crate) acls: AclTable,
    pub(crate) sessions: Sessions,
    pub(crate) requests: Requests,
    pub(crate) deadlines: Deadlines,
    pub(crate) views: Views,
    pub(crate) digest: Digest,
    pub(crate) applied: Zxid,
    pub(crate) last_time_ms: i64,
    pub(crate) sizes: Sizes,
    pub(crate) restoring: Option<Box<Restoring>>,
    /// The znodes of a state that was replaced, until they are freed, some at a time.
    pub(crate) replaced: Slab,
    pub(crate) hash_seed: u64,
}

/// Running sums over all znodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) data_bytes: usize,
    pub(crate) path_bytes: usize,
    pub(crate) body_bytes: usize,
}

/// Estimates of what the state occupies, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Znodes with their names and data.
    pub znodes: usize,
    /// The index from path to znode.
    pub index: usize,
    /// Remembered requests.
    pub requests: usize,
    /// Old versions kept for views, and what is left of closed ones, and of a state that was replaced.
    pub views: usize,
}

impl Tree {
    /// A fresh state, before any txn: only the reserved znodes. `hash_seed` shapes memory, never content.
    #[must_use]
    pub fn new(hash_seed: u64) -> Tree {
        let mut tree = Tree::without_znodes(hash_seed);
        let config_acl = tree.acls.acquire(&reserved::config_acl());
        for path in reserved::PATHS {
            let acl = if path == reserved::CONFIG { config_acl } else { AclId::OPEN };
            let parent = path::parent(path).map(|parent| tree.lookup(parent).expect("parents come first"));
            let (name, kind) = (path::name(path), NodeKind::Persistent);
            let parent = parent.unwrap_or(ZnodeId::ROOT);
            let birth = Birth { parent, name, data: Some(b""), kind, acl, zxid: Zxid::ZERO, time_ms: 0, stamp: 0 };
            let mut znode = Znode::new(&birth);
            if path == reserved::CONFIG {
                znode.aversion = reserved::CONFIG_AVERSION;
            }
            let id = tree.slab.insert(znode);
            if id != ZnodeId::ROOT {
                tree.digest_stat(parent, path::parent(path).unwrap_or("/"), Digest::subtract);
                tree.index.insert(&tree.slab, id);
                tree.link(parent, id);
                tree.digest_stat(parent, path::parent(path).unwrap_or("/"), Digest::add);
            }
            tree.count_in(id, path);
            tree.digest_whole(id, path, Digest::add);
        }
        tree
    }

    /// A state without even a root, for a snapshot to fill.
    pub(crate) fn without_znodes(hash_seed: u64) -> Tree {
        Tree {
            slab: Slab::default(),
            index: Index::new(hash_seed),
            acls: AclTable::new(hash_seed),
            sessions: Sessions::default(),
            requests: Requests::default(),
            deadlines: Deadlines::new(hash_seed),
            views: Views::new(hash_seed),
            digest: Digest::default(),
            applied: Zxid::ZERO,
            last_time_ms: 0,
            sizes: Sizes::default(),
            restoring: None,
            replaced: Slab::default(),
            hash_seed,
        }
    }

    /// The last txn (or marker) that this state contains.
    #[must_use]
    pub fn applied(&self) -> Zxid {
        self.applied
    }

    /// The time of the last txn: no later one may have an earlier time.
    #[must_use]
    pub fn last_time_ms(&self) -> i64 {
        self.last_time_ms
    }

    /// A hash of the whole state, equal on all servers at the same zxid.
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.digest
            .0
            .wrapping_add(u128::from(self.last_time_ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    /// The record at `zxid` changes nothing (a marker, a configuration).
    ///
    /// # Panics
    /// If `zxid` is not later than what is applied.
    pub fn advance(&mut self, zxid: Zxid) {
        assert!(zxid > self.applied, "{zxid:?} is applied after {:?}", self.applied);
        if zxid.epoch() != self.applied.epoch() && !mutated("gathered-outlives-epoch") {
            // Whoever led the restore leads no longer, or not as before: see `restore`.
            self.restoring = None;
        }
        self.applied = zxid;
        self.views.sweep(SWEEP_PER_TXN);
        self.replaced.let_go();
    }

    pub(crate) fn link(&mut self, parent: ZnodeId, child: ZnodeId) {
        let mut children = core::mem::take(self.slab[parent].children_mut());
        children.insert(child, self.slab[child].name(), |id| self.slab[id].name());
        *self.slab[parent].children_mut() = children;
    }

    /// As [`Tree::link`], for a child whose name comes after all others.
    pub(crate) fn link_last(&mut self, parent: ZnodeId, child: ZnodeId) {
        let mut children = core::mem::take(self.slab[parent].children_mut());
        children.push_last(child, self.slab[child].name(), |id| self.slab[id].name());
        *self.slab[parent].children_mut() = children;
    }

    pub(crate) fn unlink(&mut self, parent: ZnodeId, child: ZnodeId) {
        let mut children = core::mem::take(self.slab[parent].children_mut());
        children.remove(self.slab[child].name(), |id| self.slab[id].name());
        *self.slab[parent].children_mut() = children;
    }

    /// Saves the znode for views before it changes.
    pub(crate) fn preserve(&mut self, id: ZnodeId) {
        let znode = &mut self.slab[id];
        let (acls, acl) = (&self.acls, znode.acl);
        self.views.preserve(id, znode, || acls.acl(acl).clone());
    }

    /// Makes a change that leaves the data alone.
    pub(crate) fn change_stat(&mut self, id: ZnodeId, path: &str, change: impl FnOnce(&mut Tree)) {
        self.preserve(id);
        let path = PathHash::of(path);
        let znode = &self.slab[id];
        self.digest.subtract(digest::stat_term(path, znode, self.acls.hash(znode.acl)));
        change(self);
        let znode = &self.slab[id];
        self.digest.add(digest::stat_term(path, znode, self.acls.hash(znode.acl)));
    }

    fn digest_stat(&mut self, id: ZnodeId, path: &str, update: impl Fn(&mut Digest, u128)) {
        let znode = &self.slab[id];
        update(&mut self.digest, digest::stat_term(PathHash::of(path), znode, self.acls.hash(znode.acl)));
    }

    pub(crate) fn digest_whole(&mut self, id: ZnodeId, path: &str, update: impl Fn(&mut Digest, u128)) {
        let (znode, path) = (&self.slab[id], PathHash::of(path));
        update(&mut self.digest, digest::stat_term(path, znode, self.acls.hash(znode.acl)));
        update(&mut self.digest, digest::data_term(path, znode));
    }

    pub(crate) fn count_in(&mut self, id: ZnodeId, path: &str) {
        let znode = &self.slab[id];
        self.sizes.data_bytes += znode.bytes().len();
        self.sizes.body_bytes += znode.body_len();
        self.sizes.path_bytes += path.len();
    }

    pub(crate) fn count_out(&mut self, id: ZnodeId, path: &str) {
        let znode = &self.slab[id];
        self.sizes.data_bytes -= znode.bytes().len();
        self.sizes.body_bytes -= znode.body_len();
        self.sizes.path_bytes -= path.len();
    }

    /// The znode at a path; a text that is no path leads nowhere.
    pub(crate) fn lookup(&self, path: &str) -> Option<ZnodeId> {
        match path.strip_prefix('/')? {
            "" => Some(ZnodeId::ROOT),
            rest => rest
                .split('/')
                .try_fold(ZnodeId::ROOT, |parent, name| self.index.find(&self.slab, parent, name.as_bytes())),
        }
    }

    pub(crate) fn path_of(&self, id: ZnodeId) -> String {
        let mut names = SmallVec::<[&str; 16]>::new();
        let mut at = id;
        while at != ZnodeId::ROOT {
            names.push(self.slab[at].name_str());
            at = self.slab[at].parent;
        }
        if names.is_empty() {
            return String::from("/");
        }
        let mut path = String::with_capacity(names.iter().map(|name| 1 + name.len()).sum());
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    pub(crate) fn acl_of(&self, id: ZnodeId) -> &Acl {
        self.acls.acl(self.slab[id].acl)
    }

    /// The session, if it is open.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(id)
    }

    /// All open sessions, in the order of their ids.
    pub fn sessions(&self) -> impl Iterator<Item = Session> + '_ {
        self.sessions.iter()
    }

    /// The paths of the session's ephemerals, in the order of their bytes.
    #[must_use]
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let mut paths: Vec<_> = self.sessions.ephemerals(session).map(|id| self.path_of(id)).collect();
        paths.sort_unstable();
        paths
    }

    /// The stat of a znode.
    #[must_use]
    pub fn stat(&self, path: &str) -> Option<Stat> {
        self.lookup(path).map(|id| self.slab[id].stat())
    }

    /// The ACL of a znode.
    #[must_use]
    pub fn acl(&self, path: &str) -> Option<Acl> {
        self.lookup(path).map(|id| self.acl_of(id).clone())
    }

    /// The data of a znode, whatever its ACL says; the inner `None` is null.
    #[must_use]
    pub fn data(&self, path: &Path) -> Option<Option<Bytes>> {
        self.lookup(path.as_str()).map(|id| self.slab[id].data_copy())
    }

    /// Containers and TTL znodes that may be deleted at `wall_ms`, the earliest due first, at most `max`.
    #[must_use]
    pub fn due(&self, wall_ms: i64, max: usize) -> Vec<Reap> {
        let reap = |id| {
            let znode = &self.slab[id];
            Reap { path: self.path_of(id), mzxid: znode.mzxid, kind: znode.kind() }
        };
        self.deadlines.due(wall_ms).take(max).map(reap).collect()
    }

    /// The first moment at which [`Tree::due`] has something, if nothing changes until then.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<i64> {
        self.deadlines.next_ms()
    }

    /// Znodes, the reserved ones included.
    #[must_use]
    pub fn znode_count(&self) -> usize {
        self.slab.len()
    }

    /// Znodes that go with their session.
    #[must_use]
    pub fn ephemeral_count(&self) -> usize {
        self.sessions.ephemeral_count()
    }

    /// Open sessions.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Results of requests that are remembered.
    #[must_use]
    pub fn remembered_count(&self) -> usize {
        self.requests.len()
    }

    /// Distinct ACLs.
    #[must_use]
    pub fn acl_count(&self) -> usize {
        self.acls.len()
    }

    /// Bytes of all data.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        self.sizes.data_bytes
    }

    /// Bytes of all paths; with the data, what ZooKeeper calls the approximate data size.
    #[must_use]
    pub fn path_bytes(&self) -> usize {
        self.sizes.path_bytes
    }

    /// What the state occupies, estimated without walking it.
    #[must_use]
    pub fn memory(&self) -> Memory {
        // A name and data of any size lose about 16 bytes to the allocator; a child costs its parent's list 4 to 8.
        const BODY_OVERHEAD: usize = 16;
        const CHILD_BYTES: usize = 8;
        Memory {
            znodes: self.slab.allocated_bytes()
                + self.sizes.body_bytes
                + self.slab.len() * (BODY_OVERHEAD + CHILD_BYTES),
            index: self.index.allocated_bytes(),
            requests: self.requests.allocated_bytes(),
            views: self.views.total_bytes() + self.replaced.allocated_bytes(),
        }
    }
}
