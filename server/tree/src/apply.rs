//! How a decided txn changes the state.
//!
//! Applying decides nothing: a txn that does not fit the state is a broken invariant, found by an assertion on every
//! server alike. All that a txn leaves open (the order in which a session's ephemerals go) follows from the state.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::txn::RequestMark;
use quorate_types::{
    Acl, Change, ChangeKind, NodeKind, SessionId, SessionSecret, Stat, Txn, TxnBody, TxnOp, Zxid, path,
};

use crate::digest::Digest;
use crate::requests::{ClientKey, Remembered};
use crate::sessions::Session;
use crate::znode::{Birth, Znode, ZnodeId};
use crate::{Tree, reserved, sessions, znode};

/// What all operations of a txn have in common.
#[derive(Clone, Copy)]
struct Context {
    zxid: Zxid,
    time_ms: i64,
    /// Changes made before this one.
    index: u32,
}

impl Tree {
    /// Makes the changes of a committed txn, and tells them as watches may be told.
    ///
    /// # Panics
    /// If the txn does not fit this state: then this server's history is not the ensemble's.
    pub fn apply(&mut self, zxid: Zxid, txn: &Txn) -> Vec<Change> {
        let before_ms = self.last_time_ms;
        assert!(txn.time_ms >= before_ms, "txn {zxid:?} has time {} after time {before_ms}", txn.time_ms);
        self.advance(zxid);
        self.last_time_ms = txn.time_ms;
        let context = Context { zxid, time_ms: txn.time_ms, index: 0 };
        let mut changes = Vec::new();
        match &txn.body {
            TxnBody::Ops { shape: _, ops } => {
                changes.reserve_exact(ops.len());
                for op in ops {
                    let index = changes.len() as u32;
                    changes.extend(self.apply_op(Context { index, ..context }, op));
                }
            }
            TxnBody::OpenSession { id, timeout_ms, secret } => self.open_session(*id, *timeout_ms, *secret),
            TxnBody::CloseSession { id, deleted } => {
                self.close_session(context, *id, &mut changes);
                let listed = deleted.as_ref().map_or(changes.len(), Vec::len);
                assert!(listed == changes.len(), "session {id} lists {listed} ephemerals and has {}", changes.len());
            }
            TxnBody::Restore(step) => self.apply_restore(zxid, step),
        }
        if let Some(mark) = &txn.request {
            self.remember(zxid, txn, mark);
        }
        changes
    }

    fn apply_op(&mut self, context: Context, op: &TxnOp) -> Option<Change> {
        match op {
            TxnOp::Create { path, data, acl, kind, parent_creations, parent_acl: _ } => {
                Some(self.create(context, path, data.as_ref(), acl, *kind, *parent_creations))
            }
            TxnOp::Delete { path, stat: _, acl: _, parent_acl: _ } => {
                let id = self.lookup(path).unwrap_or_else(|| panic!("{path} is deleted and does not exist"));
                Some(self.delete(context, id, path))
            }
            TxnOp::SetData { path, data, stat, acl: _ } => Some(self.set_data(context, path, data.as_ref(), stat)),
            TxnOp::SetAcl { path, acl, stat } => {
                self.set_acl(path, acl, stat);
                None
            }
            TxnOp::Check => None,
        }
    }

    fn create(
        &mut self,
        Context { zxid, time_ms, index }: Context,
        path: &str,
        data: Option<&Bytes>,
        acl: &Acl,
        kind: NodeKind,
        parent_creations: u64,
    ) -> Change {
        let parent_path = path::parent(path).unwrap_or_else(|| panic!("the root is created"));
        let name = path::name(path);
        let parent = self.lookup(parent_path).unwrap_or_else(|| panic!("{path} is created without a parent"));
        let before = &self.slab[parent];
        let creations = before.creations() + 1;
        assert!(creations == parent_creations, "{path} is creation {parent_creations} of its parent, not {creations}");
        assert!(!before.kind().owner().is_some(), "{path} is created under an ephemeral");

        let acl_id = self.acls.acquire(acl);
        let (data_slice, stamp) = (data.map(|data| &data[..]), self.views.stamp());
        let birth = Birth { parent, name, data: data_slice, kind, acl: acl_id, zxid, time_ms, stamp };
        let id = self.slab.insert(Znode::new(&birth));
        self.index.insert(&self.slab, id);
        self.change_stat(parent, parent_path, |tree| {
            tree.link(parent, id);
            tree.slab[parent].set_lineage(creations, zxid);
        });
        self.deadlines.update(parent, &self.slab[parent], time_ms);
        self.deadlines.update(id, &self.slab[id], time_ms);
        if let NodeKind::Ephemeral(session) = kind {
            self.sessions.own(session, id);
        }
        self.count_in(id, path);
        self.digest_whole(id, path, Digest::add);
        Change {
            kind: ChangeKind::Created,
            zxid,
            index,
            path: String::from(path),
            stat: self.slab[id].stat(),
            data: data.cloned(),
            previous_data: None,
            acl: acl.clone(),
            parent_acl: self.acl_of(parent).clone(),
        }
    }

    fn delete(&mut self, Context { zxid, time_ms, index }: Context, id: ZnodeId, path: &str) -> Change {
        assert!(!reserved::contains(path), "{path} is deleted, which is reserved");
        let parent_path = path::parent(path).unwrap_or("/");
        let children = self.slab[id].num_children();
        assert!(children == 0, "{path} is deleted and has {children} children");
        let stat = self.slab[id].stat();
        let acl = self.acl_of(id).clone();

        self.digest_whole(id, path, Digest::subtract);
        self.count_out(id, path);
        self.preserve(id);
        self.deadlines.forget(id);
        if let NodeKind::Ephemeral(session) = self.slab[id].kind() {
            self.sessions.disown(session, id);
        }
        let parent = self.slab[id].parent;
        self.change_stat(parent, parent_path, |tree| {
            tree.unlink(parent, id);
            let creations = tree.slab[parent].creations();
            tree.slab[parent].set_lineage(creations, zxid);
        });
        self.deadlines.update(parent, &self.slab[parent], time_ms);
        self.index.remove(&self.slab, id);
        let znode = self.slab.remove(id);
        self.acls.release(znode.acl);
        Change {
            kind: ChangeKind::Deleted,
            zxid,
            index,
            path: String::from(path),
            stat,
            data: None,
            previous_data: znode.into_data(),
            acl,
            parent_acl: self.acl_of(parent).clone(),
        }
    }

    fn set_data(&mut self, context: Context, path: &str, data: Option<&Bytes>, decided: &Stat) -> Change {
        let Context { zxid, time_ms, index } = context;
        let id = self.lookup(path).unwrap_or_else(|| panic!("{path} is set and does not exist"));
        let version = znode::next_version(self.slab[id].version);
        assert!(version == decided.version, "{path} is set to version {}, not {version}", decided.version);
        self.preserve(id);
        self.digest_whole(id, path, Digest::subtract);
        let znode = &mut self.slab[id];
        self.sizes.data_bytes -= znode.bytes().len();
        self.sizes.body_bytes -= znode.body_len();
        let previous_data = znode.replace_data(data.map(|data| &data[..]));
        (znode.version, znode.mzxid, znode.mtime_ms) = (version, zxid, time_ms);
        self.sizes.data_bytes += znode.bytes().len();
        self.sizes.body_bytes += znode.body_len();
        let stat = znode.stat();
        self.digest_whole(id, path, Digest::add);
        if matches!(self.slab[id].kind(), NodeKind::Ttl { .. }) {
            self.deadlines.update(id, &self.slab[id], time_ms);
        }
        Change {
            kind: ChangeKind::DataChanged,
            zxid,
            index,
            path: String::from(path),
            stat,
            data: data.cloned(),
            previous_data,
            acl: self.acl_of(id).clone(),
            parent_acl: self.acl_of(id).clone(),
        }
    }

    fn set_acl(&mut self, path: &str, acl: &Acl, decided: &Stat) {
        let id = self.lookup(path).unwrap_or_else(|| panic!("{path} gets an ACL and does not exist"));
        let aversion = znode::next_version(self.slab[id].aversion);
        assert!(aversion == decided.aversion, "{path} gets ACL version {}, not {aversion}", decided.aversion);
        self.change_stat(id, path, |tree| {
            let new = tree.acls.acquire(acl);
            let znode = &mut tree.slab[id];
            let old = core::mem::replace(&mut znode.acl, new);
            znode.aversion = aversion;
            tree.acls.release(old);
        });
    }

    fn open_session(&mut self, id: SessionId, timeout_ms: u32, secret: SessionSecret) {
        self.sessions.open(id, timeout_ms, secret);
        self.digest.add(sessions::term(id, timeout_ms, secret));
    }

    /// A session of a state that is not the present one yet ends: nobody is told of what goes with it.
    pub(crate) fn end_session(&mut self, zxid: Zxid, time_ms: i64, session: SessionId) {
        self.close_session(Context { zxid, time_ms, index: 0 }, session, &mut Vec::new());
    }

    /// The paths decide the order, since ids differ between servers.
    fn close_session(&mut self, context: Context, session: SessionId, changes: &mut Vec<Change>) {
        let mut owned: Vec<_> = self.sessions.ephemerals(session).map(|id| (self.path_of(id), id)).collect();
        owned.sort_unstable();
        changes.reserve_exact(owned.len());
        for (path, id) in owned {
            let index = changes.len() as u32;
            changes.push(self.delete(Context { index, ..context }, id, &path));
        }
        let Session { id, timeout_ms, secret, .. } =
            self.sessions.get(session).unwrap_or_else(|| panic!("session {session} is closed and does not exist"));
        self.digest.subtract(sessions::term(id, timeout_ms, secret));
        self.sessions.close(session);
        self.requests.close_session(&mut self.digest, session);
    }

    fn remember(&mut self, zxid: Zxid, txn: &Txn, mark: &RequestMark) {
        // The end of a session takes what it remembers with it.
        if txn.session.is_some() && self.sessions.get(txn.session).is_none() {
            return;
        }
        let reply = crate::reply::encode(&crate::reply(zxid, txn));
        let result =
            Remembered { sequence: mark.id.sequence, zxid, operation: mark.operation, reply: reply.into_boxed_slice() };
        self.requests.remember(&mut self.digest, ClientKey::new(txn.session, mark), mark, result);
    }
}
