//! `SimDisk`: a disk that carries operations out in order, later, and forgets in a crash what it has not done.

use std::collections::VecDeque;

use bytes::Bytes;
use quorate_types::{Frame, Zxid};
use quorate_zab::{Configs, History, LogRead, Position, Promise, SnapshotBase, Standing, Start};

/// An operation under way.
#[derive(Clone, Debug)]
pub(crate) enum DiskOp {
    Append(Frame),
    Truncate(Zxid),
    Install(SnapshotBase),
    Promise(Promise),
    Readmit,
}

/// What a server's disk holds durably, and what is on its way there.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    pub(crate) promise: Promise,
    pub(crate) standing: Standing,
    pub(crate) may_found: bool,
    /// Where the log begins, and the snapshots that were taken, oldest first; the first stands at the beginning of the
    /// log or before it.
    pub(crate) snapshots: Vec<SnapshotBase>,
    pub(crate) log_start: Position,
    pub(crate) log: Vec<Frame>,
    /// As in the header of the last batch.
    pub(crate) commit_hint: Zxid,
    pub(crate) under_way: VecDeque<(u64, DiskOp)>,
}

impl SimDisk {
    /// A disk that nothing was ever written to. Whoever begins with it counts at once only if he was told that the
    /// ensemble is a new one.
    pub(crate) fn new(standing: Standing) -> SimDisk {
        let beginning = SnapshotBase { position: Position::default(), epochs: Vec::new(), configs: Bytes::new() };
        SimDisk {
            promise: Promise::default(),
            standing,
            may_found: standing == Standing::Amnesiac,
            snapshots: vec![beginning],
            log_start: Position::default(),
            log: Vec::new(),
            commit_hint: Zxid::ZERO,
            under_way: VecDeque::new(),
        }
    }

    /// Makes the next operation durable. Returns its token, and the operation.
    pub(crate) fn complete(&mut self, commit: Zxid) -> Option<(u64, DiskOp)> {
        let (token, op) = self.under_way.pop_front()?;
        self.carry_out(&op, commit);
        Some((token, op))
    }

    fn carry_out(&mut self, op: &DiskOp, commit: Zxid) {
        match op {
            DiskOp::Append(frame) => {
                let last = self.last();
                assert!(frame.continues(last.zxid, last.chain), "{:?} logged after {last:?}", frame.zxid());
                self.log.push(frame.clone());
                self.commit_hint = self.commit_hint.max(commit.min(frame.zxid()));
            }
            DiskOp::Truncate(after) => {
                assert!(*after >= self.newest_snapshot().position.zxid, "truncated to before a snapshot");
                self.log.retain(|frame| frame.zxid() <= *after);
                assert_eq!(self.last().zxid, *after, "there is no such place in the log");
            }
            DiskOp::Install(base) => {
                self.snapshots = vec![base.clone()];
                self.log_start = base.position;
                self.log.clear();
                self.commit_hint = base.position.zxid;
            }
            DiskOp::Promise(promise) => self.promise = *promise,
            DiskOp::Readmit => self.standing = Standing::Voter,
        }
    }

    /// A crash: of what was under way, some of the log's operations were done, in order, and some of the meta record's.
    pub(crate) fn crash(&mut self, log_ops_kept: usize, meta_ops_kept: usize, commit: Zxid) {
        let (mut log_left, mut meta_left) = (log_ops_kept, meta_ops_kept);
        for (_, op) in std::mem::take(&mut self.under_way) {
            let left = match op {
                DiskOp::Append(_) | DiskOp::Truncate(_) | DiskOp::Install(_) => &mut log_left,
                DiskOp::Promise(_) | DiskOp::Readmit => &mut meta_left,
            };
            if *left > 0 {
                *left -= 1;
                self.carry_out(&op, commit);
            }
        }
    }

    /// What a process begins with that starts on this disk.
    pub(crate) fn start(&self) -> Start {
        let base = self.newest_snapshot();
        let mut history = History::from_snapshot(base);
        for frame in self.log.iter().filter(|frame| frame.zxid() > base.position.zxid) {
            history.append(frame.clone());
        }
        Start {
            promise: self.promise,
            standing: self.standing,
            may_found: self.may_found,
            history,
            commit: self.commit_hint,
            log_start: self.log_start.zxid,
            snapshot: (base.position.zxid > Zxid::ZERO).then_some(base.position),
        }
    }

    pub(crate) fn read(&self, after: Zxid, bytes_max: usize) -> LogRead {
        let Some(chain) = self.chain_at(after) else { return LogRead::NotInLog };
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            bytes += frame.bytes().len();
            bytes <= bytes_max || bytes == frame.bytes().len()
        };
        let frames = self.log.iter().filter(|frame| frame.zxid() > after).take_while(fits).cloned().collect();
        LogRead::Found { after: Position { zxid: after, chain }, frames }
    }

    /// The chain hash at a place that is in the log.
    pub(crate) fn chain_at(&self, zxid: Zxid) -> Option<u64> {
        if zxid == self.log_start.zxid {
            return Some(self.log_start.chain);
        }
        let found = self.log.binary_search_by_key(&zxid, Frame::zxid).ok()?;
        Some(self.log[found].chain())
    }

    /// Whether the history up to `zxid`, the one with this chain hash, is durable here, in log or snapshot.
    pub(crate) fn holds(&self, zxid: Zxid, chain: u64) -> bool {
        zxid <= self.log_start.zxid || self.chain_at(zxid) == Some(chain)
    }

    pub(crate) fn last(&self) -> Position {
        self.log.last().map_or(self.log_start, |frame| Position { zxid: frame.zxid(), chain: frame.chain() })
    }

    pub(crate) fn newest_snapshot(&self) -> &SnapshotBase {
        self.snapshots.last().unwrap()
    }

    /// Removes the log up to a snapshot, and older snapshots. Returns where the log begins then.
    pub(crate) fn purge(&mut self) -> Zxid {
        let base = self.newest_snapshot().clone();
        self.log.retain(|frame| frame.zxid() > base.position.zxid);
        self.log_start = base.position;
        self.snapshots = vec![base];
        self.log_start.zxid
    }

    /// The configurations at the end of what is durable.
    pub(crate) fn configs(&self, founding: &Configs) -> Configs {
        let at_base = History::from_snapshot(self.newest_snapshot()).configs().cloned();
        let base = self.newest_snapshot().position.zxid;
        let later = self.log.iter().filter(|frame| frame.zxid() > base);
        later
            .fold(at_base.unwrap_or_else(|| founding.clone()), |configs, frame| configs.after(frame).unwrap_or(configs))
    }
}
