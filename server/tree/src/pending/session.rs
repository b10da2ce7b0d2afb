//! Deciding the beginning and the end of a session.

use alloc::string::String;
use alloc::vec::Vec;

use quorate_types::txn::Deleted;
use quorate_types::{NodeKind, SessionId, SessionSecret, TxnBody, limits, path};

use super::overlay::ZnodeState;
use super::step::Step;

/// Bytes of the list of a closed session's ephemerals. A longer one stays out of the txn: the watch history that is
/// rebuilt from the log then begins after it.
const DELETED_BYTES_MAX: usize = 1024 * 1024;

impl Step<'_> {
    pub(super) fn open_session(&mut self, id: SessionId, timeout_ms: u32, secret: SessionSecret) -> TxnBody {
        assert!(id.is_some(), "a session is opened without a name");
        assert!(!self.overlay.session_exists(self.tree, id), "session {id} is opened a second time");
        let timeout_ms = timeout_ms.clamp(limits::SESSION_TIMEOUT_MS_MIN, limits::SESSION_TIMEOUT_MS_MAX);
        self.overlay.open_session(self.zxid, id);
        TxnBody::OpenSession { id, timeout_ms, secret }
    }

    /// Deletes what the session owns, pending creations included. From now on it is expired.
    pub(super) fn close_session(&mut self) -> TxnBody {
        let id = self.session;
        let mut paths = self.tree.ephemerals(id);
        paths.extend(self.overlay.created_by(id).iter().map(|path| String::from(&**path)));
        paths.sort_unstable();
        paths.dedup();
        self.overlay.reserve(paths.len());
        let (mut deleted, mut bytes, mut count) = (Some(Vec::new()), 0, 0);
        // Siblings mostly follow each other: their parent is changed once for all of them.
        let mut parent: Option<(String, ZnodeState)> = None;
        for path in paths {
            let Some(state) = self.znode(&path).filter(|state| state.kind == NodeKind::Ephemeral(id)) else { continue };
            let parent_path = path::parent(&path).expect("the root is no ephemeral");
            if parent.as_ref().is_none_or(|(at, _)| at != parent_path) {
                self.put_back(parent.take());
            }
            let (_, parent) = parent.get_or_insert_with(|| {
                let state = self.znode(parent_path).expect("a znode that exists has a parent");
                (String::from(parent_path), state)
            });
            let gone: Deleted = self.take_out(&path, state, parent);
            count += 1;
            bytes += gone.encoded_len();
            deleted = deleted.filter(|_| bytes <= DELETED_BYTES_MAX);
            if let Some(deleted) = &mut deleted {
                deleted.push(gone);
            }
        }
        self.put_back(parent);
        self.overlay.disown(self.zxid, self.tree, id, count);
        self.overlay.close_session(self.zxid, self.tree, id);
        TxnBody::CloseSession { id, deleted }
    }

    fn put_back(&mut self, znode: Option<(String, ZnodeState)>) {
        if let Some((path, state)) = znode {
            self.set(&path, Some(state));
        }
    }
}
