//! Invariant: no session expires before its timeout has passed, and no ephemeral outlives its session.

use std::collections::BTreeMap;

use quorate_tree::Tree;
use quorate_types::{SessionId, path};

/// The sessions that were opened, and when the server must last have heard of them.
#[derive(Default)]
pub(crate) struct SessionLog {
    heard: BTreeMap<SessionId, (u64, u64)>,
    pub(crate) expired: u64,
}

impl SessionLog {
    pub(crate) fn opened(&mut self, id: SessionId, timeout_ms: u32, now_ms: u64) {
        let before = self.heard.insert(id, (now_ms, u64::from(timeout_ms)));
        assert!(before.is_none(), "session id {id} was given out twice");
    }

    /// A request of the session was answered, so it was looked at no earlier than this.
    pub(crate) fn heard(&mut self, id: SessionId, sent_ms: u64) {
        if let Some((heard_ms, _)) = self.heard.get_mut(&id) {
            *heard_ms = (*heard_ms).max(sent_ms);
        }
    }

    pub(crate) fn expired(&mut self, id: SessionId, now_ms: u64) {
        let (heard_ms, timeout_ms) = self.heard[&id];
        assert!(now_ms >= heard_ms + timeout_ms, "session {id} heard of at {heard_ms} expired at {now_ms}");
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
