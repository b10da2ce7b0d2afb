//! What a backup that is restored means for whoever is not part of the replicated state: sessions' clients, watches, the
//! snapshots of this server; and, for a leader, when a restore may begin and when it is given up.
//!
//! What is gathered of a backup stands in no snapshot, so none begins meanwhile, and the log from before the restore on is
//! kept: whoever starts again, or learns, comes to the same state.

use alloc::vec::Vec;
use quorate_types::mutation::mutated;
use quorate_types::{Caller, Code, Epoch, Error, Now, Op, Request, Restore, Route, SessionId, Txn, Zxid};

use quorate_tree::Prepare;

use crate::effect::Effects;
use crate::limits::RESTORE_SILENCE_MS;
use crate::replica::Replica;
use crate::sessions::Ending;
use crate::writes::Asker;

/// Backups of later epochs than this are refused: their zxids leave no room for what comes after them.
const BACKUP_EPOCH_MAX: Epoch = Epoch(u32::MAX / 2);

/// Who had a session, if the txn replaces the state.
pub(crate) fn ended_by(replica: &Replica, txn: &Txn) -> Option<Vec<SessionId>> {
    txn.replaces_state().then(|| replica.tree.sessions().map(|session| session.id).collect())
}

impl Replica {
    /// The state is that of a backup since `zxid`. Whoever had a session has none any more, and is told that it has
    /// expired: what it holds a lock by, in this state, may never have been.
    pub(crate) fn state_restored(&mut self, zxid: Zxid, ended: Vec<SessionId>, out: &mut Effects) {
        for id in ended.into_iter().filter(|_| !mutated("restore-untold-to-sessions")) {
            self.sessions.closing(id, Ending::Expired);
            self.session_ended(id, out);
        }
        self.sessions.clear();
        self.owners.clear();
        self.touched.clear();
        self.counting.state_replaced();
        self.snapshotting.state_replaced();
        self.watches.state_replaced(&self.tree, zxid, out);
    }

    /// On a leader: whether a backup has zxids that are still to come here, so that a later epoch has to begin first.
    pub(crate) fn is_of_the_future(&self, op: &Op, next: Zxid) -> bool {
        matches!(op, Op::Restore(Restore::Begin { backup }) if *backup >= next && self.tree.restoring().is_none())
    }

    /// On a leader who could propose now: begins an epoch that is later than the backup, and decides about it then.
    pub(crate) fn begin_later_epoch(&mut self, asker: Asker, request: Request, now: Now, out: &mut Effects) {
        let Op::Restore(Restore::Begin { backup }) = request.op else { return };
        if backup.epoch() > BACKUP_EPOCH_MAX {
            let detail = "the backup's zxid is too great to be one: its epochs would be used up";
            return self.conclude_without_txn(asker, Err(Error::new(Code::BadArguments, detail)), now, out);
        }
        self.hold(asker, request, now, out);
        self.with_outputs(now, out, |zab, outputs| zab.begin_epoch_above(backup.epoch(), outputs));
    }

    /// A step was made.
    pub(crate) fn restore_goes_on(&mut self, now: Now) {
        self.restore_heard_ms = now.monotonic_ms;
    }

    /// On a leader: gives up a restore of which nothing was heard for too long.
    pub(crate) fn give_up_restore(&mut self, now: Now, out: &mut Effects) {
        let Some(id) = self.tree.restoring() else { return };
        let op = Op::Restore(Restore::Abort { id });
        if now.monotonic_ms < self.restore_heard_ms + RESTORE_SILENCE_MS || self.pending.must_wait(&op) {
            return;
        }
        self.propose_own(now, out, |pending, tree, zxid| {
            pending.prepare(
                tree,
                &Prepare {
                    op: &op,
                    caller: &Caller::server(),
                    session: SessionId::NONE,
                    request_id: None,
                    route: Route::default(),
                    zxid,
                    wall_ms: now.wall_ms,
                    new_session: SessionId::NONE,
                },
            )
        });
    }
}
