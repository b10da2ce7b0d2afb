//! LogContinuity, LogMatching, LeaderUnique, EpochMonotone, PrefixConsistency, CommitTruth, AckTruth, NoCommittedTruncation,
//! AppliedBound, SnapshotTruth, ConfigSafety, Digest: all servers have one history, what was acknowledged is durable with a quorum of
//! every configuration that counts and stays there, and the state at a zxid is the same wherever and whenever it is reached.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use quorate_replica::DiskOp;
use quorate_storage::Standing;
use quorate_types::{Change, Epoch, Frame, FrameKind, Members, ServerId, Status, Txn, Zxid};
use quorate_zab::{Configs, Message, Promise};

use super::restores::Restores;
use crate::sim::server::Id;

/// A record that some server has logged.
struct Record {
    frame: Frame,
    prev: Zxid,
    /// A bit for each server that had it durably at some time while it could be trusted.
    held: u32,
    /// The configurations that are active from this record on.
    configs: Rc<Configs>,
}

impl Record {
    fn is_held_by_quorum_of(&self, configs: &Configs) -> bool {
        configs.is_quorum(|server| self.held & (1 << Id::of(server).0) != 0)
    }
}

/// What one server has, as far as what it asked of its disk and what that has reported say.
#[derive(Default)]
struct Copy {
    /// Every record from the beginning, submitted or durable.
    log: Vec<Zxid>,
    durable: Zxid,
    /// How much of the one history it has applied since it was started.
    applied: usize,
    /// What it has told others to have durably.
    vouched: Zxid,
    promised: Epoch,
    /// Its newest snapshot since it was started.
    snapshot: Zxid,
}

/// The one history of the ensemble, and every server's part of it.
pub(crate) struct History {
    founding: Rc<Configs>,
    /// The records that have ended a joint phase, by the version of what they have made final.
    finals: BTreeMap<Zxid, Rc<Configs>>,
    records: HashMap<Zxid, Record>,
    /// What some server has applied, in order.
    committed: Vec<Zxid>,
    leaders: BTreeMap<Epoch, ServerId>,
    /// For whom a server has counted in an epoch, since its disk was last lost.
    counted: BTreeMap<(Id, Epoch), ServerId>,
    copies: Vec<Copy>,
    acknowledged: Zxid,
    digests: BTreeMap<Zxid, u128>,
}

impl History {
    pub(crate) fn new(founding: Members, servers: usize) -> History {
        History {
            founding: Rc::new(Configs::of(founding)),
            finals: BTreeMap::new(),
            records: HashMap::new(),
            committed: Vec::new(),
            leaders: BTreeMap::new(),
            counted: BTreeMap::new(),
            copies: (0..servers).map(|_| Copy::default()).collect(),
            acknowledged: Zxid::ZERO,
            digests: BTreeMap::new(),
        }
    }

    /// A replica has handed this to its log thread. Whether it is a record that nobody has logged before.
    pub(crate) fn submitted(&mut self, id: Id, op: &DiskOp) -> bool {
        match op {
            DiskOp::Append { frame, .. } => return self.appended(id, frame),
            DiskOp::Truncate { after, .. } => {
                self.removed(id, *after);
                let copy = &mut self.copies[id.0];
                copy.vouched = copy.vouched.min(*after);
            }
            DiskOp::Install { base, .. } => {
                let index = self.committed.binary_search(&base.zxid);
                let index =
                    index.unwrap_or_else(|_| panic!("PrefixConsistency: {id:?} installs {base:?}, never applied"));
                assert_eq!(self.records[&base.zxid].frame.chain(), base.chain, "PrefixConsistency: {id:?} installs");
                self.removed(id, base.zxid);
                let copy = &mut self.copies[id.0];
                copy.log = self.committed[..=index].to_vec();
                copy.vouched = copy.vouched.min(base.zxid);
            }
            DiskOp::Promise { .. } | DiskOp::Readmit { .. } | DiskOp::Read { .. } | DiskOp::Purge { .. } => {}
        }
        false
    }

    fn appended(&mut self, id: Id, frame: &Frame) -> bool {
        let (zxid, log) = (frame.zxid(), &mut self.copies[id.0].log);
        let prev = log.last().copied().unwrap_or(Zxid::ZERO);
        let prev_chain = self.records.get(&prev).map_or(0, |record| record.frame.chain());
        assert!(frame.continues(prev, prev_chain), "LogContinuity: {id:?} logs {zxid:?} after {prev:?}");
        log.push(zxid);
        let is_new = !self.records.contains_key(&zxid);
        match self.records.get(&zxid) {
            Some(known) => assert_eq!(known.frame.chain(), frame.chain(), "LogMatching: {id:?} logs another {zxid:?}"),
            None => {
                let configs = self.configs_after(prev, frame);
                self.records.insert(zxid, Record { frame: frame.clone(), prev, held: 0, configs });
            }
        }
        if frame.kind() == FrameKind::Marker {
            let leader = ServerId(frame.payload()[0]);
            let first = *self.leaders.entry(zxid.epoch()).or_insert(leader);
            assert_eq!(first, leader, "LeaderUnique: two leaders of {:?}", zxid.epoch());
        }
        is_new
    }

    /// ConfigSafety: the two records of a change alternate, the first really changes something and is committed when the
    /// second is written, and the second says the same as the first. Returns what is active after a record.
    fn configs_after(&mut self, prev: Zxid, frame: &Frame) -> Rc<Configs> {
        let (zxid, before) = (frame.zxid(), self.configs_at(prev));
        let Some(after) = before.after(frame) else { return before };
        let after = Rc::new(after);
        match frame.kind() {
            FrameKind::Reconfig => {
                let (newest, pending) = (before.newest(), after.pending().expect("it was just added"));
                assert!(before.pending().is_none(), "ConfigSafety: {zxid:?} begins a change within another one");
                assert_eq!(pending.version, zxid, "ConfigSafety: of the change at {zxid:?}");
                let is_new = newest.is_none_or(|newest| newest.servers != pending.servers);
                assert!(is_new, "ConfigSafety: {zxid:?} changes nothing");
            }
            FrameKind::ConfigFinal => {
                assert_eq!(before.pending(), after.newest(), "ConfigSafety: {zxid:?} ends another change");
                let version = after.newest().expect("there is one").version;
                let is_committed = self.records[&version].is_held_by_quorum_of(&self.records[&version].configs);
                assert!(is_committed, "ConfigSafety: {zxid:?} ends a change that is not committed");
                self.finals.insert(version, Rc::clone(&after));
            }
            FrameKind::Marker => assert_eq!(before, after, "ConfigSafety: the marker {zxid:?} names another ensemble"),
            FrameKind::Txn => unreachable!("a txn changes no configuration"),
        }
        after
    }

    fn configs_at(&self, zxid: Zxid) -> Rc<Configs> {
        Rc::clone(self.records.get(&zxid).map_or(&self.founding, |record| &record.configs))
    }

    /// What a server's log ends with.
    pub(crate) fn configs_of(&self, id: Id) -> Rc<Configs> {
        self.configs_at(self.copies[id.0].log.last().copied().unwrap_or(Zxid::ZERO))
    }

    /// The configurations by which anybody may still decide: those at the ends of all logs, but for those that a later
    /// one, which is final, has taken the place of.
    pub(crate) fn live_configs(&self) -> Vec<Rc<Configs>> {
        let version = self.final_members().version;
        let mut live = vec![self.configs_at(self.last())];
        for id in (0..self.copies.len()).map(Id) {
            let configs = self.configs_of(id);
            if configs.newest().is_some_and(|newest| newest.version >= version) && !live.contains(&configs) {
                live.push(configs);
            }
        }
        live
    }

    /// The configuration that is committed to be the only one, as far as anybody has applied that.
    pub(crate) fn final_members(&self) -> Members {
        self.configs_at(self.last()).present().expect("an ensemble has members").clone()
    }

    /// Everybody who belongs to the ensemble, or is about to.
    pub(crate) fn present_members(&self) -> Members {
        let configs = self.configs_at(self.last());
        Members { servers: configs.servers(), ..configs.newest().expect("an ensemble has members").clone() }
    }

    /// What a version stands for, if anybody has ever logged it.
    pub(crate) fn members_of(&self, version: Zxid) -> Option<&Members> {
        match version {
            Zxid::ZERO => self.founding.newest(),
            _ => self.records.get(&version)?.configs.pending().filter(|members| members.version == version),
        }
    }

    /// The newest version that anybody has ever logged.
    pub(crate) fn newest_version(&self) -> Zxid {
        let newest = self.copies.iter().filter_map(|copy| self.records.get(copy.log.last()?)?.configs.newest());
        newest.map(|members| members.version).max().unwrap_or(Zxid::ZERO)
    }

    /// Whether a change is committed and final.
    pub(crate) fn is_final(&self, version: Zxid) -> bool {
        version <= self.final_members().version && self.finals.contains_key(&version) || version == Zxid::ZERO
    }

    /// The records of committed changes, in order.
    pub(crate) fn reconfigs(&self) -> impl Iterator<Item = &Frame> {
        let frames = self.committed.iter().map(|zxid| &self.records[zxid].frame);
        frames.filter(|frame| frame.kind() == FrameKind::Reconfig)
    }

    /// What follows `after` goes from a server's log.
    fn removed(&mut self, id: Id, after: Zxid) {
        let log = &mut self.copies[id.0].log;
        let kept = log.partition_point(|zxid| *zxid <= after);
        for zxid in log.drain(kept..) {
            let committed = self.committed.binary_search(&zxid).is_ok();
            assert!(!committed, "NoCommittedTruncation: {id:?} removes {zxid:?}");
        }
    }

    /// The log thread has made this durable.
    pub(crate) fn durable(&mut self, id: Id, op: &DiskOp, standing: Standing) {
        let copy = &mut self.copies[id.0];
        match op {
            DiskOp::Append { frame, .. } => copy.durable = frame.zxid(),
            DiskOp::Truncate { after, .. } => copy.durable = copy.durable.min(*after),
            DiskOp::Install { base, .. } => copy.durable = base.zxid,
            DiskOp::Promise { .. } | DiskOp::Readmit { .. } | DiskOp::Read { .. } | DiskOp::Purge { .. } => {}
        }
        self.hold(id, standing);
    }

    /// Notes what a server has durably, as far as it counts.
    fn hold(&mut self, id: Id, standing: Standing) {
        if standing != Standing::Voter {
            return;
        }
        let (copy, bit) = (&self.copies[id.0], 1 << id.0);
        let durable = copy.log.partition_point(|zxid| *zxid <= copy.durable);
        for zxid in copy.log[..durable].iter().rev() {
            let record = self.records.get_mut(zxid).expect("what is logged is known");
            if record.held & bit != 0 {
                break;
            }
            record.held |= bit;
        }
    }

    /// A server is what it is after a turn. Returns what is thereby known to be committed.
    pub(crate) fn turned(&mut self, id: Id, status: &Status) -> Vec<Frame> {
        let before = *self.digests.entry(status.applied).or_insert(status.digest);
        assert_eq!(before, status.digest, "Digest: the state of {id:?} at {:?} is not what it was", status.applied);
        assert!(
            status.applied <= status.committed.min(status.durable) && status.durable <= status.logged,
            "AppliedBound: {id:?} is at {status:?}"
        );
        let mut new = Vec::new();
        let copy = &mut self.copies[id.0];
        let newest = status.snapshot;
        assert!(newest >= copy.snapshot, "SnapshotTruth: of {:?} and {newest:?} {id:?} has the latter", copy.snapshot);
        copy.snapshot = newest;
        while let Some(zxid) = copy.log.get(copy.applied).filter(|zxid| **zxid <= status.applied) {
            match self.committed.get(copy.applied) {
                Some(known) => assert_eq!(known, zxid, "PrefixConsistency: {id:?} applies what others do not"),
                None => {
                    let record = &self.records[zxid];
                    // Once a change is final, what is not committed yet needs a quorum of the new configuration alone.
                    let latest = record.configs.pending().and_then(|pending| self.finals.get(&pending.version));
                    let is_quorum = record.is_held_by_quorum_of(&record.configs)
                        || latest.is_some_and(|configs| record.is_held_by_quorum_of(configs));
                    assert!(is_quorum, "CommitTruth: {id:?} applies {zxid:?}, which is with {:b} only", record.held);
                    self.committed.push(*zxid);
                    new.push(record.frame.clone());
                }
            }
            copy.applied += 1;
        }
        let last = copy.applied.checked_sub(1).map_or(Zxid::ZERO, |last| copy.log[last]);
        assert_eq!(last, status.applied, "AppliedBound: {id:?} has applied what it has not logged, or gone back");
        new
    }

    /// A server says this to another one.
    pub(crate) fn said(&mut self, id: Id, to: ServerId, message: &Message) {
        let copy = &mut self.copies[id.0];
        match message {
            Message::Ack { durable, .. } => {
                assert!(*durable <= copy.durable, "AckTruth: {id:?} acknowledges {durable:?}, has {:?}", copy.durable);
                copy.vouched = copy.vouched.max(*durable);
            }
            Message::AckEpoch { epoch, counts, last, .. } => {
                assert_eq!(last.zxid, copy.durable, "AckTruth: the log of {id:?} in {epoch:?}");
                copy.vouched = copy.vouched.max(last.zxid);
                copy.promised = copy.promised.max(*epoch);
                if *counts {
                    let first = *self.counted.entry((id, *epoch)).or_insert(to);
                    assert_eq!(first, to, "PromiseTruth: {id:?} counts for two leaders in {epoch:?}");
                }
            }
            Message::LeaderInfo { epoch } => copy.promised = copy.promised.max(*epoch),
            _ => {}
        }
    }

    /// Whether this is all that a server was thought to have durably, and no more trust than it had.
    pub(crate) fn is_kept(&self, id: Id, found: &quorate_storage::Recovered, standing: Standing) -> bool {
        let copy = &self.copies[id.0];
        let is_as_trusted = standing == Standing::Voter || found.meta.standing == Standing::Amnesiac;
        is_as_trusted && found.last.zxid >= copy.durable.max(copy.vouched) && found.meta.accepted_epoch >= copy.promised
    }

    /// A process has started on what its disk holds.
    pub(crate) fn restarted(&mut self, id: Id, found: &quorate_storage::Recovered, applied: Zxid) {
        let last = found.last;
        let Copy { vouched, promised, .. } = self.copies[id.0];
        assert!(last.zxid >= vouched, "AckTruth: {id:?} has said to have {vouched:?}, and begins with {last:?}");
        let promise = Promise { epoch: found.meta.accepted_epoch, leader: found.meta.accepted_leader };
        assert!(
            promise.epoch >= promised,
            "EpochMonotone: {id:?} has promised {promised:?}, and begins with {promise:?}"
        );
        let known = self.records.get(&last.zxid).map_or(0, |record| record.frame.chain());
        assert_eq!(known, last.chain, "LogMatching: {id:?} begins with {last:?}, which nobody has written");
        let (mut tail, mut at) = (Vec::new(), last.zxid);
        let common = loop {
            match self.committed.binary_search(&at) {
                Ok(index) => break index + 1,
                Err(_) if at == Zxid::ZERO => break 0,
                Err(_) => tail.push(at),
            }
            at = self.records[&at].prev;
        };
        let log: Vec<Zxid> = self.committed[..common].iter().chain(tail.iter().rev()).copied().collect();
        let applied = log.partition_point(|zxid| *zxid <= applied);
        let (applied, snapshot) = (applied.min(common), Zxid::ZERO);
        self.copies[id.0] = Copy { applied, durable: last.zxid, log, vouched, promised, snapshot };
        self.hold(id, found.meta.standing);
    }

    /// The disk of a server is lost, and with it all that it has said.
    pub(crate) fn wiped(&mut self, id: Id) {
        self.copies[id.0] = Copy::default();
        self.counted.retain(|(server, _), _| *server != id);
    }

    /// A client was told of the txn at `zxid`, or of a state that includes it.
    pub(crate) fn acknowledged(&mut self, zxid: Zxid) {
        let is_committed = zxid == Zxid::ZERO || self.committed.binary_search(&zxid).is_ok();
        assert!(is_committed, "CommitTruth: {zxid:?} was acknowledged, and nobody has applied it");
        self.acknowledged = self.acknowledged.max(zxid);
    }

    /// The greatest zxid of which any client was told.
    pub(crate) fn last_acknowledged(&self) -> Zxid {
        self.acknowledged
    }

    /// What was committed last.
    pub(crate) fn last(&self) -> Zxid {
        self.committed.last().copied().unwrap_or(Zxid::ZERO)
    }

    fn txns(&self) -> impl Iterator<Item = (Zxid, Txn)> + '_ {
        let frames = self.committed.iter().map(|zxid| &self.records[zxid].frame);
        frames
            .filter(|frame| frame.kind() == FrameKind::Txn)
            .map(|frame| (frame.zxid(), Txn::decode(frame.payload()).expect("a record that was applied can be read")))
    }

    /// Every change of every committed txn, in order, but for those that lie between a state and the backup that took its
    /// place.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let txns = self.txns().filter(|(_, txn)| !txn.replaces_state());
        txns.flat_map(|(zxid, txn)| txn.changes(zxid).expect("sessions here own few ephemerals")).collect()
    }

    /// Somebody has said this of the state at `zxid`.
    pub(crate) fn stated(&mut self, zxid: Zxid, digest: u128) {
        let before = *self.digests.entry(zxid).or_insert(digest);
        assert_eq!(before, digest, "Digest: the state at {zxid:?} is not what it was");
    }

    /// The whole history, applied to an empty tree: it leads to the digest of every state that any server was in.
    pub(crate) fn replayed(&self, restores: &Restores) -> quorate_tree::Tree {
        let mut tree = quorate_tree::Tree::new(99);
        for zxid in &self.committed {
            let frame = &self.records[zxid].frame;
            match frame.kind() {
                FrameKind::Txn => {
                    tree.apply(*zxid, &Txn::decode(frame.payload()).expect("a record that was applied can be read"));
                    restores.check_state(&mut tree);
                }
                FrameKind::Marker | FrameKind::Reconfig | FrameKind::ConfigFinal => tree.advance(*zxid),
            }
            if let Some(digest) = self.digests.get(zxid) {
                assert_eq!(*digest, tree.digest(), "Digest: the history leads to another state at {zxid:?}");
            }
        }
        tree
    }
}
