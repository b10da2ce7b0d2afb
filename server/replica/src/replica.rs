//! `Replica`: agreement, state, sessions, watches and pipeline of one server, composed.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use quorate_tree::{Pending, Tree};
use quorate_types::mutation::mutated;
use quorate_types::{
    ClusterId, Code, Epoch, Error, Now, Op, OutboxId, Request, Response, ServerId, SessionId, Status, Tag, Zxid,
};
use quorate_zab::{Digest, Limits, Member, Members, Output, Phase, Timing, Zab};

use crate::Map;
use crate::administration::Administration;
use crate::counting::Counting;
use crate::effect::{Delivery, DiskOp, Effects, Hint};
use crate::effort::Effort;
use crate::ensemble::{Comparison, Received};
use crate::input::{ClientInput, DiskInput, Input};
use crate::lanes::Lanes;
use crate::limits;
use crate::reaping::Reaping;
use crate::room::Room;
use crate::sessions::Sessions;
use crate::snapshotting::Snapshotting;
use crate::speaking::Owner;
use crate::timeliness::Timeliness;
use crate::under_way::UnderWay;
use crate::waiting::Waiting;
use crate::watch::Watches;
use crate::writes::Asker;

/// What does not change while a replica runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This server.
    pub server: ServerId,
    /// Its ensemble.
    pub cluster: ClusterId,
    /// The servers that the ensemble begins with.
    pub founding: Members,
    /// Distinguishes this run of the process from earlier ones: what the disk reports to another is ignored.
    pub incarnation: u64,
    /// Seeds hash maps: random in production, fixed in the simulator.
    pub hash_seed: u64,
    /// Bytes of past changes that watches can resume from.
    pub history_bytes: usize,
    /// Records between two snapshots.
    pub snapshot_records: u64,
    /// Bytes of log between two snapshots.
    pub snapshot_bytes: u64,
    /// See [`quorate_zab::Config::counter_soft_max`].
    pub counter_soft_max: u32,
    /// How long the servers of an ensemble wait for each other.
    pub timing: Timing,
    /// How much of agreement may be under way.
    pub window: Limits,
    /// How old the state may be, in milliseconds, that is shown to whoever does not ask for whatever there is.
    pub staleness_ms: u64,
}

impl Config {
    /// The configuration of a server in production.
    #[must_use]
    pub fn new(server: ServerId, cluster: ClusterId, incarnation: u64) -> Config {
        Config {
            server,
            cluster,
            founding: Members::founding([server]),
            incarnation,
            hash_seed: incarnation,
            history_bytes: limits::HISTORY_BYTES,
            snapshot_records: limits::SNAPSHOT_RECORDS,
            snapshot_bytes: limits::SNAPSHOT_BYTES,
            counter_soft_max: quorate_zab::Config::COUNTER_SOFT_MAX,
            timing: Timing::default(),
            window: Limits::default(),
            staleness_ms: limits::STALENESS_MS,
        }
    }
}

/// The deterministic core of one server.
///
/// The driver calls [`Replica::step`] for each input, then [`Replica::flush`] once, then carries the effects out. It
/// does not read the clients' lane while [`Replica::is_busy`], nor further in this turn once [`Replica::is_flush_due`],
/// and comes back at once while [`Replica::has_work`].
#[derive(Debug)]
pub struct Replica {
    pub(crate) config: Config,
    pub(crate) zab: Zab,
    pub(crate) tree: Tree,
    pub(crate) pending: Pending,
    pub(crate) lanes: Lanes,
    pub(crate) sessions: Sessions,
    pub(crate) watches: Watches,
    pub(crate) snapshotting: Snapshotting,
    pub(crate) reaping: Reaping,
    pub(crate) waiting: Waiting,
    pub(crate) under_way: UnderWay,
    pub(crate) room: Room,
    pub(crate) serving: Serving,
    /// This server is all of its ensemble: nobody else could lead.
    pub(crate) is_alone: bool,
    /// Writes and claims that the leader was asked for and has not answered.
    pub(crate) forwarded: Map<(OutboxId, Tag), ()>,
    /// Sessions that have shown that they live since the leader was told last.
    pub(crate) touched: BTreeSet<SessionId>,
    /// While leading: who speaks for a session.
    pub(crate) owners: Map<SessionId, Owner>,
    /// Outboxes that were let speak for a session, so far.
    pub(crate) grants_so_far: u64,
    pub(crate) administration: Administration,
    pub(crate) comparison: Comparison,
    pub(crate) timeliness: Timeliness,
    pub(crate) received: Option<Received>,
    /// When the last step of a restore was made.
    pub(crate) restore_heard_ms: u64,
    has_work: bool,
    pub(crate) counting: Counting,
    /// Of the answers since the last flush.
    pub(crate) effort: Effort,
    /// Counts from flush to flush. The leader is asked for its word once for everything that comes in one turn.
    pub(crate) turn: u64,
    /// Outboxes with a local request whose turn it is, held back because the turn's effort was spent.
    held_back: VecDeque<OutboxId>,
    /// What agreement has decided and was not carried out yet; empty between steps.
    pub(crate) outputs: Vec<Output>,
    pub(crate) is_carrying_out: bool,
}

/// What a server is to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    /// It knows no established leader.
    No,
    /// It leads in this epoch and has applied everything before its marker. Agreement is in broadcast a moment earlier: what
    /// it has decided to deliver by then is still to be applied.
    Leading(Epoch),
    /// It follows, or observes, an established leader.
    Following {
        /// Whom.
        leader: ServerId,
        /// Since which epoch.
        epoch: Epoch,
    },
}

impl Replica {
    pub(crate) fn new(config: Config, zab: Zab, tree: Tree, snapshot: Zxid, watches: Watches) -> Replica {
        let seed = config.hash_seed;
        Replica {
            zab,
            tree,
            pending: Pending::new(seed),
            lanes: Lanes::new(seed),
            sessions: Sessions::new(seed),
            watches,
            snapshotting: Snapshotting::new(snapshot),
            reaping: Reaping::default(),
            waiting: Waiting::default(),
            under_way: UnderWay::default(),
            room: Room::default(),
            serving: Serving::No,
            is_alone: false,
            forwarded: Map::with_hasher(FixedState::with_seed(seed)),
            touched: BTreeSet::new(),
            owners: Map::with_hasher(FixedState::with_seed(seed)),
            administration: Administration::default(),
            grants_so_far: 0,
            comparison: Comparison::default(),
            timeliness: Timeliness::new(config.staleness_ms),
            received: None,
            restore_heard_ms: 0,
            has_work: false,
            counting: Counting::default(),
            effort: Effort::default(),
            turn: 1,
            held_back: VecDeque::new(),
            outputs: Vec::new(),
            is_carrying_out: false,
            config,
        }
    }

    /// Takes one input. Never blocks and never fails: what is wrong with a request stands in its reply.
    pub fn step(&mut self, input: Input, now: Now, out: &mut Effects) {
        self.sessions.advance(now.monotonic_ms);
        match input {
            Input::Tick { heard_ms } => self.tick(heard_ms, now, out),
            Input::Disk(input) => self.step_disk(input, now, out),
            Input::Client(input) => self.step_client(input, now, out),
            Input::Peer(input) => self.step_zab(input, now, out),
            Input::SnapshotReceived { connection, base, tree } => {
                self.received = Some(Received { base: base.clone(), tree });
                self.step_zab(quorate_zab::Input::SnapshotReceived { connection, base }, now, out);
                if !matches!(out.disk.last(), Some(DiskOp::Install { .. })) {
                    // It belonged to a session that is over.
                    self.received = None;
                }
            }
        }
    }

    /// Ends a batch of steps: one slice of whatever is done in slices, and what the log is to know besides records.
    pub fn flush(&mut self, now: Now, out: &mut Effects) {
        self.catch_up(now, out);
        let is_behind = !self.held_back.is_empty() || self.counting.has_work() || self.has_parked_to_wake();
        self.has_work = self.watches.work(&mut self.tree, out) || is_behind;
        self.timeliness.flush(self.tree.applied(), now.monotonic_ms);
        self.zab.set_digest(Digest { zxid: self.tree.applied(), value: self.tree.digest() });
        self.with_outputs(now, out, |zab, outputs| zab.flush(outputs));
        self.turn += 1;
        self.begin_snapshot_if_due(now, out);
        self.under_way.mark();
        out.hint = Hint { commit: self.zab.commit(), digest: self.tree.digest(), digest_zxid: self.tree.applied() };
    }

    /// Answers what was held back when an earlier turn's effort was spent, as far as the effort of one turn goes: no
    /// more and no less, however much the clients that were heard in this turn have asked for.
    fn catch_up(&mut self, now: Now, out: &mut Effects) {
        self.effort = Effort::default();
        self.count_on(now, out);
        self.wake_parked(now, out);
        while !self.effort.is_spent()
            && let Some(outbox) = self.held_back.pop_front()
        {
            self.answer_next(outbox, now, out);
        }
        self.effort = Effort::default();
    }

    /// Whether so much was answered since the last flush that clients should wait for the next one.
    #[must_use]
    pub fn is_flush_due(&self) -> bool {
        self.effort.is_spent()
    }

    /// Whether so much is on its way to the disk, or waits behind that, that clients have to wait.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let records = self.zab.history().last().0.saturating_sub(self.zab.history().delivered().0);
        let same_epoch = self.zab.history().last().epoch() == self.zab.history().delivered().epoch();
        self.under_way.bytes() >= limits::UNDER_WAY_BYTES_MAX as u64
            || (same_epoch && records >= limits::UNDER_WAY_RECORDS_MAX as u64)
            || self.lanes.waiting_bytes() + self.waiting.barrier_bytes >= limits::WAITING_BYTES_MAX
    }

    /// Whether there is more to be done than waiting for the next input.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.has_work
    }

    /// When the next [`Input::Tick`] is due, on the monotonic clock, if nothing happens before.
    #[must_use]
    pub fn wake_ms(&self) -> u64 {
        self.zab.wake_ms()
    }

    /// Everybody with whom a link is to be kept in the beginning, this server among them or not.
    #[must_use]
    pub fn members(&self) -> BTreeMap<ServerId, Member> {
        self.zab.members()
    }

    /// The replicated state, for whoever compares it.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What this server is, does and holds.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            role: self.zab.role(),
            epoch: self.zab.epoch(),
            leader: self.leader(),
            serving: (self.is_established() || self.is_following())
                && self.timeliness.was_current()
                && !self.room.is_full,
            logged: self.zab.history().last(),
            durable: self.zab.durable(),
            committed: self.zab.commit(),
            applied: self.tree.applied(),
            snapshot: self.snapshotting.newest(),
            history: self.watches.history_start(),
            disk_full: self.room.is_full,
            awaits: self.zab.awaited_founders().unwrap_or_default(),
            znodes: self.tree.znode_count() as u64,
            data_bytes: self.tree.data_bytes() as u64,
            ephemerals: self.tree.ephemeral_count() as u64,
            sessions: self.tree.session_count() as u64,
            watches: self.watches.count() as u64,
            outboxes: self.lanes.len() as u64,
            digest: self.tree.digest(),
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.zab.phase() == Phase::Broadcast && self.serving == Serving::Leading(self.zab.epoch())
    }

    /// Whether this server has an established leader that is another one.
    pub(crate) fn is_following(&self) -> bool {
        matches!(self.serving, Serving::Following { .. })
    }

    pub(crate) fn step_zab(&mut self, input: quorate_zab::Input, now: Now, out: &mut Effects) {
        self.with_outputs(now, out, |zab, outputs| zab.step(now.monotonic_ms, input, outputs));
    }

    fn tick(&mut self, heard_ms: u64, now: Now, out: &mut Effects) {
        self.step_zab(quorate_zab::Input::Tick, now, out);
        self.tell_touched(now, out);
        self.ask_how_old(now.monotonic_ms);
        self.let_go_if_too_old(now, out);
        if self.is_established() {
            self.expire_sessions(now.monotonic_ms.saturating_sub(heard_ms), now, out);
            self.reap(now, out);
            self.leave_to_others_with_room(now);
            self.give_up_restore(now, out);
        }
        self.tree.sweep(limits::SWEEP_PER_TICK);
        self.give_up_held(now, out);
        self.give_up_administration(now, out);
        if self.is_established() && !self.zab.is_handing_over() {
            // Of a transfer that was given up nobody else tells.
            self.resume_held(now, out);
        }
        self.give_up_parked(now, out);
        self.watches.tick(&self.tree, now, out);
    }

    fn step_disk(&mut self, input: DiskInput, now: Now, out: &mut Effects) {
        match input {
            DiskInput::Synced { incarnation, token } => {
                if incarnation == self.config.incarnation {
                    self.under_way.synced(token);
                    self.step_zab(quorate_zab::Input::Synced(token), now, out);
                }
            }
            DiskInput::Space { low } => self.room_changed(low, now, out),
            DiskInput::SnapshotReady => self.continue_snapshot(out),
            DiskInput::SnapshotWritten { zxid, chain, oldest_kept } => {
                self.snapshot_written(zxid, chain, oldest_kept, now, out);
            }
            DiskInput::SnapshotFailed => self.snapshot_failed(now, out),
            DiskInput::LogRead { token, read } => self.step_zab(quorate_zab::Input::LogRead { token, read }, now, out),
        }
    }

    fn step_client(&mut self, input: ClientInput, now: Now, out: &mut Effects) {
        match input {
            ClientInput::Open { outbox, order } => self.lanes.open(outbox, order),
            ClientInput::Request { outbox, tag, request } => self.request(outbox, tag, request, now, out),
            ClientInput::Ready { outbox } => {
                self.watches.ready(outbox);
                self.has_work = true;
            }
            ClientInput::Lagged { outbox, watch } => self.watches.lagged(outbox, watch),
            ClientInput::Closed { outbox } => self.close_outbox(outbox),
        }
    }

    fn request(&mut self, outbox: OutboxId, tag: Tag, mut request: Request, now: Now, out: &mut Effects) {
        let Some(lane) = self.lanes.get_mut(outbox) else { return };
        if !lane.has_room() {
            let detail = "so many requests of this connection wait already; read its replies first";
            return self.end_outbox(outbox, Error::new(Code::Throttled, detail), out);
        }
        let bound = lane.session;
        // Whoever opens a session does so on nobody's behalf: the last one may have ended.
        let is_opening = matches!(request.op, Op::OpenSession { .. });
        if request.session.is_none() && bound.is_some() && !is_opening {
            request.session = self.tree.session(bound).map(|session| (bound, session.secret));
            if request.session.is_none() {
                lane.expect(tag);
                return self.answer(outbox, tag, Err(session_expired()), now, out);
            }
        }
        if is_write(&request.op) {
            lane.expect_write(tag);
            self.write(outbox, tag, request, now, out);
        } else if matches!(request.op, Op::Members | Op::TransferLeadership { .. }) {
            lane.expect(tag);
            self.administer(outbox, tag, request, now, out);
        } else if matches!(request.op, Op::StreamTree(_)) {
            // A stream ends when it ends, and says so itself: nothing waits in line behind it.
            self.local(outbox, tag, request, now, out);
        } else if lane.is_idle() {
            lane.expect(tag);
            self.local(outbox, tag, request, now, out);
        } else {
            // A sign of life counts when it comes, however long the writes before it take.
            let session = request.session;
            self.lanes.enqueue(outbox, tag, request, self.turn);
            self.touch(session);
        }
    }

    /// Emits the answer to a request, and goes on with what waited behind it.
    pub(crate) fn answer(&mut self, outbox: OutboxId, tag: Tag, response: Response, now: Now, out: &mut Effects) {
        self.answer_at(self.tree.applied(), outbox, tag, response, now, out);
    }

    pub(crate) fn answer_at(
        &mut self,
        zxid: Zxid,
        outbox: OutboxId,
        tag: Tag,
        response: Response,
        now: Now,
        out: &mut Effects,
    ) {
        if self.lanes.complete(outbox, tag, zxid, response, out) {
            self.answer_next(outbox, now, out);
        }
    }

    /// Answers the local requests at the head of a lane, as far as the turn's effort goes.
    fn answer_next(&mut self, outbox: OutboxId, now: Now, out: &mut Effects) {
        loop {
            if self.effort.is_spent() {
                return self.held_back.push_back(outbox);
            }
            let Some((tag, request, came)) = self.lanes.next_local(outbox) else { return };
            // The answer is completed here and not by `local`: a loop goes on behind it, not the stack.
            match self.try_local(outbox, tag, request, came, now, out) {
                Some((zxid, response)) => {
                    if !self.lanes.complete(outbox, tag, zxid, response, out) {
                        return;
                    }
                }
                None => return,
            }
        }
    }

    fn close_outbox(&mut self, outbox: OutboxId) {
        if let Some(session) = self.lanes.close(outbox) {
            self.sessions.detach(session, outbox);
        }
        self.watches.closed(&mut self.tree, outbox);
        if !self.waiting.held.is_empty() && !mutated("held-write-outlives-client") {
            // Whoever sent it may have gone on elsewhere: what comes after that must not be overtaken by it.
            self.waiting.held.retain(|held| !matches!(held.asker, Asker::Here(closed, _) if closed == outbox));
            self.waiting.held_bytes = self.waiting.held.iter().map(|held| held.request.charge()).sum();
        }
    }

    /// Emits a last word and forgets the outbox.
    pub(crate) fn end_outbox(&mut self, outbox: OutboxId, error: Error, out: &mut Effects) {
        if self.lanes.contains(outbox) {
            self.close_outbox(outbox);
            out.outbox.push((outbox, Delivery::Close(error)));
        }
    }

    pub(crate) fn status_reply(&self) -> Box<Status> {
        Box::new(self.status())
    }
}

/// Whether the op is decided by the leader, and takes a place in the history.
fn is_write(op: &Op) -> bool {
    match op {
        Op::Write(_)
        | Op::Multi(_)
        | Op::DeleteTree { .. }
        | Op::OpenSession { .. }
        | Op::CloseSession
        | Op::Restore(_)
        | Op::Reconfigure { .. } => true,
        Op::Read { .. }
        | Op::MultiRead(_)
        | Op::Sync
        | Op::AttachSession { .. }
        | Op::Touch
        | Op::Watch(_)
        | Op::StreamTree(_)
        | Op::Snapshot
        | Op::Status
        | Op::Members
        | Op::TransferLeadership { .. } => false,
    }
}

pub(crate) fn session_expired() -> Error {
    Error::new(Code::SessionExpired, "the session has ended or never was; open a new one")
}

#[cfg(test)]
mod tests;
