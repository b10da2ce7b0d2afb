//! `Overlay`: the state as it will be once all that is pending is applied, where that differs from the tree.

use alloc::sync::Arc;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quorate_types::{Acl, NodeKind, SessionId, Stat, Zxid};
use smallvec::SmallVec;

use crate::Tree;

/// What a decision needs to know of a znode. Its data is not part of that.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ZnodeState {
    pub(super) stat: Stat,
    pub(super) creations: u64,
    pub(super) kind: NodeKind,
    pub(super) acl: Acl,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
struct PendingZnode {
    /// The last pending txn that touched it.
    zxid: Zxid,
    /// `None`: it will not exist.
    state: Option<ZnodeState>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
struct PendingSession {
    /// The last pending txn that touched it.
    zxid: Zxid,
    is_open: bool,
    /// Ephemerals that it will own.
    ephemerals: u32,
    /// Paths of ephemerals that pending txns created; some may be gone again.
    created: Vec<Arc<str>>,
}

/// How to take back one step of the request that is being prepared.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
enum Undo {
    Znode(Arc<str>, Option<PendingZnode>),
    NewSession(SessionId),
    Session { id: SessionId, zxid: Zxid, is_open: bool, ephemerals: u32, created: usize },
}

/// Pending znodes by path, pending sessions, and the savepoint of the request at hand.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Overlay {
    znodes: HashMap<Arc<str>, PendingZnode, FixedState>,
    sessions: HashMap<SessionId, PendingSession, FixedState>,
    /// Since the savepoint, oldest first.
    undo: Vec<Undo>,
}

impl Overlay {
    pub(super) fn new(hash_seed: u64) -> Overlay {
        let hasher = FixedState::with_seed(hash_seed);
        let (znodes, sessions) = (HashMap::with_hasher(hasher.clone()), HashMap::with_hasher(hasher));
        Overlay { znodes, sessions, undo: Vec::new() }
    }

    /// The znode as it will be.
    pub(super) fn znode(&self, tree: &Tree, path: &str) -> Option<ZnodeState> {
        match self.znodes.get(path) {
            Some(pending) => pending.state.clone(),
            None => tree.lookup(path).map(|id| {
                let znode = &tree.slab[id];
                ZnodeState {
                    stat: znode.stat(),
                    creations: znode.creations(),
                    kind: znode.kind(),
                    acl: tree.acl_of(id).clone(),
                }
            }),
        }
    }

    /// Makes room for so many znodes more, so that a large request does not move what it has done so far.
    pub(super) fn reserve(&mut self, count: usize) {
        self.znodes.reserve(count);
        self.undo.reserve(count);
    }

    pub(super) fn set(&mut self, zxid: Zxid, path: &str, state: Option<ZnodeState>) {
        let pending = PendingZnode { zxid, state };
        let key = match self.znodes.get_key_value_mut(path) {
            Some((key, slot)) => {
                let before = core::mem::replace(slot, pending);
                self.undo.push(Undo::Znode(Arc::clone(key), Some(before)));
                return;
            }
            None => Arc::<str>::from(path),
        };
        self.znodes.insert(Arc::clone(&key), pending);
        self.undo.push(Undo::Znode(key, None));
    }

    /// Paths that pending txns will have left in existence at or below `top`.
    pub(super) fn pending_below(&self, top: &str) -> impl Iterator<Item = &Arc<str>> {
        let lives = |(path, pending): &(&Arc<str>, &PendingZnode)| {
            pending.state.is_some() && quorate_types::path::is_at_or_below(path, top)
        };
        self.znodes.iter().filter(lives).map(|(path, _)| path)
    }

    /// Znodes that pending txns touch.
    pub(super) fn len(&self) -> usize {
        self.znodes.len()
    }

    /// Whether pending txns touch the znode.
    pub(super) fn is_pending(&self, path: &str) -> bool {
        self.znodes.contains_key(path)
    }

    pub(super) fn is_session_open(&self, tree: &Tree, id: SessionId) -> bool {
        match self.sessions.get(&id) {
            Some(session) => session.is_open,
            None => tree.session(id).is_some(),
        }
    }

    pub(super) fn session_exists(&self, tree: &Tree, id: SessionId) -> bool {
        self.sessions.contains_key(&id) || tree.session(id).is_some()
    }

    /// Ephemerals that the session will own.
    pub(super) fn ephemeral_count(&self, tree: &Tree, id: SessionId) -> u32 {
        match self.sessions.get(&id) {
            Some(session) => session.ephemerals,
            None => tree.session(id).map_or(0, |session| session.ephemerals),
        }
    }

    pub(super) fn open_session(&mut self, zxid: Zxid, id: SessionId) {
        self.sessions.insert(id, PendingSession { zxid, is_open: true, ephemerals: 0, created: Vec::new() });
        self.undo.push(Undo::NewSession(id));
    }

    pub(super) fn close_session(&mut self, zxid: Zxid, tree: &Tree, id: SessionId) {
        self.session_mut(zxid, tree, id).is_open = false;
    }

    /// The session will own the znode that was just set.
    pub(super) fn own(&mut self, zxid: Zxid, tree: &Tree, id: SessionId, path: &str) {
        let (key, _) = self.znodes.get_key_value(path).expect("an ephemeral is set before it is owned");
        let key = Arc::clone(key);
        let session = self.session_mut(zxid, tree, id);
        session.ephemerals += 1;
        session.created.push(key);
    }

    /// The session will own so many znodes less.
    pub(super) fn disown(&mut self, zxid: Zxid, tree: &Tree, id: SessionId, count: u32) {
        self.session_mut(zxid, tree, id).ephemerals -= count;
    }

    /// Paths of which some are the session's pending ephemerals and no pending ephemeral is missing.
    pub(super) fn created_by(&self, id: SessionId) -> &[Arc<str>] {
        self.sessions.get(&id).map_or(&[], |session| &session.created)
    }

    fn session_mut(&mut self, zxid: Zxid, tree: &Tree, id: SessionId) -> &mut PendingSession {
        let undo = &mut self.undo;
        let session = self.sessions.entry(id).and_modify(|session| {
            let PendingSession { zxid, is_open, ephemerals, ref created } = *session;
            undo.push(Undo::Session { id, zxid, is_open, ephemerals, created: created.len() });
        });
        let session = session.or_insert_with(|| {
            undo.push(Undo::NewSession(id));
            let applied = tree.session(id);
            let ephemerals = applied.map_or(0, |session| session.ephemerals);
            PendingSession { zxid, is_open: applied.is_some(), ephemerals, created: Vec::new() }
        });
        session.zxid = zxid;
        session
    }

    /// Takes everything back that was done since the last commit.
    pub(super) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Znode(path, Some(before)) => {
                    self.znodes.insert(path, before);
                }
                Undo::Znode(path, None) => {
                    self.znodes.remove(&path);
                }
                Undo::NewSession(id) => {
                    self.sessions.remove(&id);
                }
                Undo::Session { id, zxid, is_open, ephemerals, created } => {
                    let session = self.sessions.get_mut(&id).expect("a session that was touched is there");
                    session.created.truncate(created);
                    (session.zxid, session.is_open, session.ephemerals) = (zxid, is_open, ephemerals);
                }
            }
        }
    }

    /// Keeps what was done since the last commit, and says what that touched.
    pub(super) fn commit(&mut self) -> (SmallVec<[Arc<str>; 2]>, SmallVec<[SessionId; 1]>) {
        let (mut paths, mut sessions) = (SmallVec::new(), SmallVec::new());
        for undo in self.undo.drain(..) {
            match undo {
                Undo::Znode(path, _) => paths.push(path),
                Undo::NewSession(id) | Undo::Session { id, .. } => sessions.push(id),
            }
        }
        (paths, sessions)
    }

    /// Drops what the txn at `zxid` was the last to touch: the tree has it now.
    pub(super) fn forget(&mut self, zxid: Zxid, paths: &[Arc<str>], sessions: &[SessionId]) {
        for path in paths {
            if self.znodes.get(path).is_some_and(|pending| pending.zxid <= zxid) {
                self.znodes.remove(path);
            }
        }
        for id in sessions {
            if self.sessions.get(id).is_some_and(|pending| pending.zxid <= zxid) {
                self.sessions.remove(id);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.znodes.clear();
        self.sessions.clear();
        self.undo.clear();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.znodes.is_empty() && self.sessions.is_empty() && self.undo.is_empty()
    }
}
