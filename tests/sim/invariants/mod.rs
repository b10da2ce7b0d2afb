//! What has to hold, each family in a file of its own. A failure names its invariant first.
//!
//! | invariant | where it is checked |
//! | --- | --- |
//! | LeaderUnique, EpochMonotone, PromiseTruth, LogContinuity, LogMatching, AckTruth, CommitTruth, PrefixConsistency, NoCommittedTruncation, AppliedBound, SnapshotTruth, ConfigSafety, Digest | `history`, at every turn, on what the production storage has really kept |
//! | Agreement, TotalOrder, Integrity, LocalPrimaryOrder, GlobalPrimaryOrder, CommittedNeverLost | they follow from one history whose every record was durable with a quorum, and from LogMatching: `history` |
//! | SessionTable, SessionTruth, Ephemerals, NoEarlyExpiry | `sessions` |
//! | ReadYourWrites, MonotonicReads | `reads`, against every value that a znode had |
//! | Timeliness | `timeliness`, at every answer to a stranger |
//! | SessionFifo | `order` |
//! | ClientZxid, SyncFresh, RealTime | the clients themselves, at every reply |
//! | WatchOrder | `watching` |
//! | AckedWrites, ErrorTruth | `writes`, in the end |
//! | Linearizable | `judged`, by a judge who knows no zxids, which also judges errors |
//! | RestoreTruth | `restores`, at every step of a restore and every answer to one; the state that it leads to in the end |
//! | AdminTruth | `administration`, at every answer to whoever changes the members or asks for another leader |
//! | BoundedMemory, BoundedWork | the world, at every message and at every event |
//! | NoCorruption | a start: no crash is taken for a disk that lies |
//! | Liveness, Stability | `peace` |
//! | NoPanic | the servers' own assertions, which end a run as they would end a process |
//!
//! Not here: PrimaryIntegrity, LeaderCompleteness and ProcessConsistency, which speak of what only agreement knows and
//! which its own random walk holds it to; LeaseTruth, since there are no leases.

pub(crate) mod administration;
pub(crate) mod history;
pub(crate) mod judged;
pub(crate) mod order;
pub(crate) mod reads;
pub(crate) mod restores;
pub(crate) mod sessions;
pub(crate) mod timeliness;
pub(crate) mod watching;
pub(crate) mod writes;

use quorate_replica::DiskOp;
use quorate_types::{FrameKind, Members, Status, Txn, TxnBody, Zxid};

use self::administration::Administration;
use self::history::History;
use self::judged::Judged;
use self::order::Order;
use self::reads::Reads;
use self::restores::Restores;
use self::sessions::SessionLog;
use self::timeliness::Timeliness;
use self::writes::Writes;
use super::server::Id;

/// All that the invariants remember.
pub(crate) struct Ledger {
    pub(crate) history: History,
    pub(crate) sessions: SessionLog,
    pub(crate) reads: Reads,
    pub(crate) timeliness: Timeliness,
    pub(crate) order: Order,
    pub(crate) writes: Writes,
    pub(crate) judged: Judged,
    pub(crate) restores: Restores,
    pub(crate) administration: Administration,
}

impl Ledger {
    pub(crate) fn new(founding: Members, servers: usize, staleness_ms: u64) -> Ledger {
        Ledger {
            history: History::new(founding, servers),
            sessions: SessionLog::new(servers),
            reads: Reads::default(),
            timeliness: Timeliness::new(staleness_ms),
            order: Order::default(),
            writes: Writes::default(),
            judged: Judged::default(),
            restores: Restores::default(),
            administration: Administration::default(),
        }
    }

    /// A server has had a turn, which has led to these operations of its disk.
    pub(crate) fn turned(&mut self, id: Id, status: &Status, disk: &[DiskOp], now_us: u64) {
        // What was delivered in this turn stood in the log before whatever the turn has done to it since.
        let removes = |op: &DiskOp| matches!(op, DiskOp::Truncate { .. } | DiskOp::Install { .. });
        let (first, last) = disk.split_at(disk.iter().position(removes).unwrap_or(disk.len()));
        first.iter().for_each(|op| self.submitted(id, op));
        for frame in self.history.turned(id, status) {
            self.timeliness.committed(frame.zxid(), now_us);
            match frame.kind() {
                FrameKind::Txn => {
                    let txn = Txn::decode(frame.payload()).expect("a record that was applied can be read");
                    self.committed(frame.zxid(), &txn);
                }
                FrameKind::Marker => self.restores.epoch_began(),
                FrameKind::Reconfig | FrameKind::ConfigFinal => {}
            }
        }
        last.iter().for_each(|op| self.submitted(id, op));
    }

    fn committed(&mut self, zxid: Zxid, txn: &Txn) {
        self.sessions.committed(zxid, txn);
        self.order.committed(txn.route);
        if let TxnBody::Restore(step) = &txn.body {
            if let Some(backup) = self.restores.committed(zxid, txn.route, step) {
                self.sessions.replaced(zxid);
                self.reads.replaced(zxid, &backup);
            }
            return;
        }
        let changes = txn.changes(zxid).expect("sessions here own few ephemerals");
        changes.into_iter().for_each(|change| self.reads.committed(change));
    }

    fn submitted(&mut self, id: Id, op: &DiskOp) {
        let is_new = self.history.submitted(id, op);
        if let DiskOp::Append { frame, .. } = op
            && is_new
            && frame.kind() == FrameKind::Txn
        {
            self.sessions.proposed(&Txn::decode(frame.payload()).expect("it was just encoded"));
        }
    }
}
