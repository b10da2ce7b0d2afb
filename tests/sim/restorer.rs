//! `Restorer`: who takes backups, of whichever server, and restores them later, step by step, through whichever server; or
//! does not come to an end.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use quorate_replica::outbox::OutboxLimits;
use quorate_replica::{ClientInput, Delivery, Input, Order};
use quorate_storage::sim::Rng;
use quorate_types::limits::RESTORE_CHUNK_BYTES_MAX;
use quorate_types::{Caller, Code, Op, OutboxId, Reply, Request, Response, Restore, Tag, Zxid};

use super::backup::Backup;
use super::clients::Connection;
use super::invariants::judged::Number;
use super::invariants::restores::Verdict;
use super::server::Id;
use super::world::{Event, World};

/// Whoever has heard nothing for so long asks elsewhere.
const PATIENCE_US: u64 = 4_000_000;

/// What it takes to read an answer, at most.
const READ_US: u64 = 1_000;

/// Backups that are kept: an older one makes room.
const KEPT_MAX: usize = 3;

/// Bytes of backups that are sent before there is peace: every server logs them, and every disk is in memory.
const SENT_BYTES_MAX: usize = 3 << 20;

/// Between two steps when there is peace.
const PEACE_PAUSE_US: u64 = 10_000;

/// Who restores backups.
pub(crate) struct Restorer {
    rng: Rng,
    pub(crate) connection: Option<Connection>,
    is_read_due: bool,
    next_tag: u64,
    asked: Option<Asked>,
    /// Of what it was told that nobody knows the outcome of: without an order, an answer may come nevertheless.
    doubtful: BTreeSet<Tag>,
    kept: Vec<Rc<Backup>>,
    restoring: Option<Restoring>,
    sent_bytes: usize,
    /// In peace: a backup is to be restored, and was not yet.
    pub(crate) is_wanted: bool,
}

/// What it waits for.
struct Asked {
    tag: Tag,
    op: Op,
    since_us: u64,
    /// What its server had applied by then.
    applied: Zxid,
    /// What the judge of shared znodes calls it, if it may change them.
    numbers: Vec<Number>,
}

/// A backup on its way back.
struct Restoring {
    backup: Rc<Backup>,
    /// Once it has begun.
    id: Option<Zxid>,
    /// Chunks that were taken, of this many bytes each.
    chunks: u32,
    chunk_bytes: usize,
    /// Nothing else was sent than what stands in the backup.
    is_good: bool,
    /// All that can be done is to say so.
    is_given_up: bool,
}

impl Restorer {
    pub(crate) fn new(rng: Rng) -> Restorer {
        Restorer {
            rng,
            connection: None,
            is_read_due: false,
            next_tag: 1,
            asked: None,
            doubtful: BTreeSet::new(),
            kept: Vec::new(),
            restoring: None,
            sent_bytes: 0,
            is_wanted: false,
        }
    }

    /// The process of a server has ended.
    pub(crate) fn disconnected_from(&mut self, id: Id) {
        if self.connection.take_if(|connection| connection.server == id).is_some() {
            self.lost();
        }
    }

    /// Nobody knows what has come of what it asked for: it cannot go on.
    fn lost(&mut self) {
        if self.asked.take().is_some()
            && let Some(restoring) = &mut self.restoring
        {
            restoring.is_given_up = true;
        }
    }

    fn keep(&mut self, backup: Rc<Backup>) {
        if self.kept.len() == KEPT_MAX {
            self.kept.swap_remove(self.rng.below(KEPT_MAX as u64) as usize);
        }
        self.kept.push(backup);
    }

    /// What it does next with the backup that it restores. `None` if it leaves that in the middle.
    fn next_step(&mut self, is_doubtful: bool) -> Option<Restore> {
        let (rng, is_wanted) = (&mut self.rng, self.is_wanted);
        let restoring = self.restoring.as_mut()?;
        let Some(id) = restoring.id else {
            // Whatever became of its beginning: nobody could go on with that.
            return (!restoring.is_given_up).then_some(Restore::Begin { backup: restoring.backup.zxid });
        };
        if restoring.is_given_up || (!is_wanted && rng.below(30) == 0) {
            return (rng.below(4) > 0).then_some(Restore::Abort { id });
        }
        let from = restoring.chunks as usize * restoring.chunk_bytes;
        if from >= restoring.backup.content.len() {
            let digest = restoring.backup.digest;
            return Some(if is_doubtful { Restore::Abort { id } } else { Restore::Finish { id, digest } });
        }
        let upto = (from + restoring.chunk_bytes).min(restoring.backup.content.len());
        let mut bytes = restoring.backup.content.slice(from..upto);
        self.sent_bytes += upto - from;
        if !is_wanted && rng.below(60) == 0 {
            restoring.is_good = false;
            let mut damaged = bytes.to_vec();
            damaged[rng.below((upto - from) as u64) as usize] ^= 1 << rng.below(8);
            bytes = Bytes::from(damaged);
        }
        Some(Restore::Chunk { id, index: restoring.chunks, bytes })
    }
}

impl World {
    pub(crate) fn restore_later(&mut self) {
        let swarm = &self.swarm.restores;
        if swarm.every_ms == 0 {
            return;
        }
        let pause_us = match (&self.restorer.restoring, self.is_peace) {
            (None, _) => swarm.every_ms * 1000,
            (Some(_), false) => swarm.pause_us,
            (Some(_), true) => PEACE_PAUSE_US,
        };
        let in_us = 1 + self.restorer.rng.below(2 * pause_us);
        self.schedule(in_us, None, Event::Restore);
    }

    /// The restorer has time to do something.
    pub(crate) fn restore(&mut self) {
        if !self.is_peace || self.restorer.is_wanted {
            self.go_on_restoring();
        }
        self.restore_later();
    }

    fn go_on_restoring(&mut self) {
        match &self.restorer.asked {
            Some(asked) if self.now_us < asked.since_us + PATIENCE_US => return,
            Some(_) => self.restorer_leaves(),
            None if self.restorer.rng.below(20) == 0 => self.restorer_leaves(),
            None => {}
        }
        if let Some(op) = self.choose_restore() {
            self.ask_as_restorer(op);
        }
    }

    fn choose_restore(&mut self) -> Option<Op> {
        if self.restorer.restoring.is_none() {
            let rng = &mut self.restorer.rng;
            let has_one = !self.restorer.kept.is_empty();
            if rng.chance(self.swarm.restores.future) {
                let backup = Rc::new(Backup::of_the_future(self.ledger.history.last(), rng));
                self.kept(backup);
            } else if !has_one || (!self.restorer.is_wanted && rng.below(3) == 0) {
                return Some(Op::Snapshot);
            }
            if self.ledger.judged.is_any_doubtful() {
                return None;
            }
            let Restorer { rng, kept, sent_bytes, .. } = &mut self.restorer;
            let backup = Rc::clone(&kept[rng.below(kept.len() as u64) as usize]);
            if !self.is_peace && *sent_bytes + backup.content.len() > SENT_BYTES_MAX {
                return None;
            }
            let few = 1 + rng.below(5) as usize;
            let chunk_bytes = backup.content.len().div_ceil(few).min(RESTORE_CHUNK_BYTES_MAX);
            let (id, chunks, is_good, is_given_up) = (None, 0, true, false);
            self.restorer.restoring = Some(Restoring { backup, id, chunks, chunk_bytes, is_good, is_given_up });
        }
        let step = self.restorer.next_step(self.ledger.judged.is_any_doubtful());
        if matches!(step, None | Some(Restore::Abort { .. })) {
            let restoring = self.restorer.restoring.take();
            if step.is_none() && restoring.is_some_and(|restoring| restoring.id.is_some()) {
                self.count("restores left in the middle");
            }
        }
        step.map(Op::Restore)
    }

    fn kept(&mut self, backup: Rc<Backup>) {
        self.ledger.restores.kept(&backup);
        self.restorer.keep(backup);
    }

    /// Asks whichever server, over the connection that there is or a new one.
    fn ask_as_restorer(&mut self, op: Op) {
        if self.restorer.connection.is_none() && !self.restorer_connects() {
            return;
        }
        let Some(Connection { server, outbox, .. }) = self.restorer.connection else { return };
        let tag = Tag(self.restorer.next_tag);
        self.restorer.next_tag += 1;
        self.say(|| format!("the restorer asks {} for {tag:?} {}", server.server(), describe(&op)));
        let numbers = match (&op, &self.restorer.restoring) {
            (Op::Restore(Restore::Finish { .. }), Some(restoring)) => self.ledger.judged.restoring(&restoring.backup),
            _ => Vec::new(),
        };
        let mut request = Request::new(op.clone(), Arc::new(Caller::anonymous()));
        if self.restorer.rng.below(4) == 0 {
            request.deadline_ms = self.now_of(server).monotonic_ms + 1 + self.restorer.rng.below(10_000);
        }
        let Some(process) = &mut self.servers[server.0].process else { return };
        let applied = process.replica.tree().applied();
        self.restorer.asked = Some(Asked { tag, op, since_us: self.now_us, applied, numbers });
        process.lanes.clients.push_back(Input::Client(ClientInput::Request { outbox, tag, request }));
        self.wake(server);
    }

    fn restorer_connects(&mut self) -> bool {
        let running: Vec<Id> = self.ids().into_iter().filter(|id| self.is_running(*id)).collect();
        if running.is_empty() {
            return false;
        }
        let rng = &mut self.restorer.rng;
        let id = running[rng.below(running.len() as u64) as usize];
        let order = [Order::Fifo, Order::None][rng.below(2) as usize];
        let connection = self.open_outbox(id, order, OutboxLimits::default());
        self.restorer.connection = Some(connection);
        true
    }

    fn restorer_leaves(&mut self) {
        self.restorer.lost();
        if let Some(Connection { server, outbox, .. }) = self.restorer.connection.take() {
            let in_us = self.restorer.rng.below(2_000);
            self.schedule(in_us, Some(server), Event::Gone(server, outbox));
        }
    }

    pub(crate) fn restorer_reads_soon(&mut self) {
        if !std::mem::replace(&mut self.restorer.is_read_due, true) {
            let in_us = 20 + self.restorer.rng.below(READ_US);
            self.schedule(in_us, None, Event::RestorerReads);
        }
    }

    pub(crate) fn restorer_reads(&mut self) {
        self.restorer.is_read_due = false;
        let Some(Connection { server, outbox, .. }) = self.restorer.connection else { return };
        let Some(queue) = self.outbox(server, outbox) else { return };
        let mut batch = Vec::new();
        queue.pop(&mut batch, usize::MAX);
        for delivery in batch {
            self.say(|| format!("the restorer gets {delivery:?}"));
            match delivery {
                Delivery::Reply { tag, response, .. } => self.restorer_is_told(server, outbox, tag, &response),
                Delivery::Close(_) => return self.restorer_leaves(),
                other => panic!("nobody asked for {other:?}"),
            }
        }
    }

    fn restorer_is_told(&mut self, server: Id, outbox: OutboxId, tag: Tag, response: &Response) {
        let Some(Asked { op, applied, numbers, .. }) = self.restorer.asked.take_if(|asked| asked.tag == tag) else {
            assert!(self.restorer.doubtful.remove(&tag), "RestoreTruth: {tag:?} is answered twice: {response:?}");
            return;
        };
        let Op::Restore(step) = op else { return self.backup_taken(server, applied, response) };
        let is_good = self.restorer.restoring.as_ref().is_some_and(|restoring| restoring.is_good);
        let verdict = self.ledger.restores.told((server.server(), outbox, tag), &step, is_good, response);
        if verdict == Verdict::Unknown {
            self.restorer.doubtful.insert(tag);
        }
        self.ledger.judged.restored(&numbers, verdict);
        let Some(restoring) = &mut self.restorer.restoring else { return };
        match (step, verdict) {
            (Restore::Begin { .. }, Verdict::Done(zxid)) => restoring.id = Some(zxid),
            (Restore::Chunk { .. }, Verdict::Done(_)) => restoring.chunks += 1,
            (Restore::Finish { .. }, Verdict::Done(_)) => {
                (self.restorer.restoring, self.restorer.is_wanted) = (None, false);
            }
            _ => restoring.is_given_up = true,
        }
    }

    /// A server says that its snapshot is on its disk; or that there will be none.
    fn backup_taken(&mut self, id: Id, applied: Zxid, response: &Response) {
        let zxid = match response {
            Ok(Reply::SnapshotTaken { zxid }) => *zxid,
            Ok(other) => panic!("a snapshot was asked for, and {other:?} came"),
            Err(error) => {
                let is_expected = matches!(
                    error.code(),
                    Code::Unavailable
                        | Code::DeadlineExceeded
                        | Code::DiskFull
                        | Code::Throttled
                        | Code::RestoreInProgress
                );
                return assert!(is_expected, "SnapshotTruth: there is none, for {error:?}");
            }
        };
        assert!(zxid >= applied, "SnapshotTruth: one of {zxid:?} has all that was applied at {applied:?}");
        let Some(process) = &self.servers[id.0].process else { return };
        // A newer one may have taken its place, or the disk may have stopped.
        let Ok(backup) = process.snapshots.dir().copy(zxid).and_then(Backup::of_file) else { return };
        self.ledger.history.stated(backup.zxid, backup.digest);
        self.count("backups");
        self.kept(Rc::new(backup));
    }

    /// In peace: a backup is to be restored, until one is; or none any more.
    pub(crate) fn want_restore(&mut self, is_wanted: bool) {
        self.restorer_leaves();
        (self.restorer.restoring, self.restorer.is_wanted) = (None, is_wanted);
    }
}

/// Without the bytes of a chunk.
fn describe(op: &Op) -> String {
    match op {
        Op::Restore(Restore::Chunk { id, index, bytes }) => format!("chunk {index} of {id:?}, {} bytes", bytes.len()),
        other => format!("{other:?}"),
    }
}
