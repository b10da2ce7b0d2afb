//! Invariant: no session expires before its timeout has passed, and no ephemeral outlives its session.

use std::collections::BTreeMap;

use quorate_tree::Tree;
use quorate_types::{SessionId, path};

/// The sessions that were opened.
#[derive(Default)]
pub(crate) struct SessionLog {
    opened: BTreeMap<SessionId, Signs>,
    pub(crate) expired: u64,
}

/// The signs of life of one session.
struct Signs {
    timeout_ms: u64,
    /// When the last one reached the server, looked at or not.
    last_ms: u64,
    /// It was silent for its timeout: from then on it may end at any moment.
    was_silent: bool,
}

impl SessionLog {
    pub(crate) fn opened(&mut self, id: SessionId, timeout_ms: u32, now_ms: u64) {
        let signs = Signs { timeout_ms: u64::from(timeout_ms), last_ms: now_ms, was_silent: false };
        let before = self.opened.insert(id, signs);
        assert!(before.is_none(), "session id {id} was given out twice");
    }

    /// A request of the session has reached the server.
    pub(crate) fn heard(&mut self, id: SessionId, now_ms: u64) {
        if let Some(signs) = self.opened.get_mut(&id) {
            signs.was_silent |= now_ms >= signs.last_ms + signs.timeout_ms;
            signs.last_ms = now_ms;
        }
    }

    /// The server has proposed to end the session, and nobody had asked for it.
    pub(crate) fn given_up(&mut self, id: SessionId, now_ms: u64) {
        self.heard(id, now_ms);
        // One that was opened for a client that never heard of it is nobody's.
        let may_end = self.opened.get(&id).is_none_or(|signs| signs.was_silent);
        assert!(may_end, "session {id} was given up at {now_ms} although it was never silent for its timeout");
        self.expired += 1;
    }

    pub(crate) fn check(tree: &Tree) {
        for session in tree.sessions() {
            let owned = tree.ephemerals(session.id);
            assert_eq!(owned.len(), session.ephemerals as usize);
        }
        let owned: usize = tree.sessions().map(|session| session.ephemerals as usize).sum();
        assert_eq!(owned, tree.ephemeral_count(), "an ephemeral without a session");
        for session in tree.sessions() {
            for ephemeral in tree.ephemerals(session.id) {
                assert!(path::is_at_or_below(&ephemeral, "/e"), "{ephemeral} is no ephemeral of ours");
                let stat = tree.stat(&ephemeral).expect("an owned znode exists");
                assert_eq!(stat.ephemeral_owner, session.id);
            }
        }
    }
}
