//! `Sessions`: who may own ephemerals. Liveness is not kept here: the leader measures it, and only its verdict, the
//! end of a session, is replicated.

use alloc::collections::{BTreeMap, BTreeSet};

use quorate_types::{SessionId, SessionSecret};
use xxhash_rust::xxh3::xxh3_128;

use crate::znode::ZnodeId;

/// What is known of a session on every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Granted, in milliseconds.
    pub timeout_ms: u32,
    /// What its client proves itself with.
    pub secret: SessionSecret,
    /// Znodes that it owns.
    pub ephemerals: u32,
}

#[derive(Debug)]
struct State {
    timeout_ms: u32,
    secret: SessionSecret,
    ephemerals: BTreeSet<ZnodeId>,
}

/// All sessions, in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: BTreeMap<SessionId, State>,
    ephemeral_count: usize,
}

impl Sessions {
    /// A session begins; its id must be new.
    pub(crate) fn open(&mut self, id: SessionId, timeout_ms: u32, secret: SessionSecret) {
        let state = State { timeout_ms, secret, ephemerals: BTreeSet::new() };
        let before = self.by_id.insert(id, state);
        assert!(before.is_none(), "session {id} is opened a second time");
    }

    /// A session without ephemerals ends.
    pub(crate) fn close(&mut self, id: SessionId) {
        let state = self.by_id.remove(&id);
        let left = state.unwrap_or_else(|| panic!("session {id} is closed and does not exist")).ephemerals.len();
        assert!(left == 0, "session {id} is closed with {left} ephemerals left");
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<Session> {
        self.by_id.get(&id).map(|state| view(id, state))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Session> {
        self.by_id.iter().map(|(id, state)| view(*id, state))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Ephemerals of all sessions.
    pub(crate) fn ephemeral_count(&self) -> usize {
        self.ephemeral_count
    }

    /// The znodes of a session, in no order that means anything.
    pub(crate) fn ephemerals(&self, id: SessionId) -> impl Iterator<Item = ZnodeId> {
        self.by_id.get(&id).into_iter().flat_map(|state| state.ephemerals.iter().copied())
    }

    pub(crate) fn own(&mut self, id: SessionId, znode: ZnodeId) {
        let state = self.by_id.get_mut(&id);
        let state = state.unwrap_or_else(|| panic!("session {id} creates an ephemeral and does not exist"));
        assert!(state.ephemerals.insert(znode), "session {id} owns the new znode {znode:?} already");
        self.ephemeral_count += 1;
    }

    pub(crate) fn disown(&mut self, id: SessionId, znode: ZnodeId) {
        let state = self.by_id.get_mut(&id);
        let state = state.unwrap_or_else(|| panic!("session {id} loses an ephemeral and does not exist"));
        assert!(state.ephemerals.remove(&znode), "session {id} does not own its ephemeral {znode:?}");
        self.ephemeral_count -= 1;
    }
}

fn view(id: SessionId, state: &State) -> Session {
    let ephemerals = state.ephemerals.len() as u32;
    Session { id, timeout_ms: state.timeout_ms, secret: state.secret, ephemerals }
}

/// The digest's term for a session; what it owns is in the terms of its ephemerals.
pub(crate) fn term(id: SessionId, timeout_ms: u32, secret: SessionSecret) -> u128 {
    let mut bytes = [0; 8 + 4 + 16];
    bytes[..8].copy_from_slice(&id.0.to_le_bytes());
    bytes[8..12].copy_from_slice(&timeout_ms.to_le_bytes());
    bytes[12..].copy_from_slice(&secret.0);
    xxh3_128(&bytes)
}
