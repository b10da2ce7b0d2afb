//! Deciding whether a container or a TTL znode whose time has come may really go.

use quorate_types::txn::Route;
use quorate_types::{Caller, Code, Error, NodeKind, Op, Path, Precondition, SessionId, WriteOp, Zxid};

use super::{Pending, Prepare, Prepared};
use crate::{Reap, Tree};

impl Pending {
    /// Decides the deletion of what [`Tree::due`] named. It was due in the applied state; all that may have happened to
    /// it since is checked here. An answer instead of a txn means that it stays.
    pub fn prepare_reap(&mut self, tree: &Tree, reap: &Reap, zxid: Zxid, wall_ms: i64) -> Prepared {
        let Some(op) = self.reap_op(tree, reap) else {
            let detail = "it has changed since it came due";
            return Prepared::Answer(Err(Error::at(Code::BadVersion, reap.path.as_str(), detail)));
        };
        let request = Prepare {
            op: &op,
            caller: &Caller::server(),
            session: SessionId::NONE,
            request_id: None,
            route: Route::default(),
            zxid,
            wall_ms,
            new_session: SessionId::NONE,
        };
        self.prepare(tree, &request)
    }

    fn reap_op(&self, tree: &Tree, reap: &Reap) -> Option<Op> {
        let state = self.overlay.znode(tree, &reap.path)?;
        let is_same = state.stat.mzxid == reap.mzxid && state.kind == reap.kind;
        let may_go = match state.kind {
            NodeKind::Container => state.creations > 0,
            NodeKind::Ttl { .. } => true,
            NodeKind::Persistent | NodeKind::Ephemeral(_) => false,
        };
        let path = Path::new(reap.path.as_str()).ok()?;
        let precondition = Precondition::Mzxid(reap.mzxid);
        (is_same && may_go && state.stat.num_children == 0).then_some(Op::Write(WriteOp::Delete { path, precondition }))
    }
}
