//! What the shell of a server does: starts, turns of the driver, and the work of the disk threads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate::durable::{RecoverError, Recovered, recover};
use quorate_replica::{
    ClientInput, Config, Delivery, DiskInput, DiskOp, Effects, Halted, Hint, Input, Outbox, SnapshotOp, limits,
};
use quorate_storage::sim::{Crash, Faults};
use quorate_storage::{Options, Salt, SimDisk, Standing, Storage};
use quorate_types::{Op, OutboxId, Request, Role, ServerId, Status, Zxid};
use quorate_zab::{Halt, Member, MemberRole, Members, PeerOutput};

use super::clients::Connection;
use super::server::{Aside, Id, InboxLanes, Process};
use super::world::{CLUSTER, Event, World};

/// How long the log thread waits for work before it prepares room.
const IDLE_US: u64 = 1_000;

/// How often a full disk is looked at again.
const FULL_RETRY_US: u64 = 200_000;

/// How long nothing comes before the log thread says that all of it is durable.
const REST_US: u64 = 1_000_000;

/// From what happens to the turn in which it is stepped.
const WAKE_US: u64 = 40;

impl World {
    /// Starts the process of a server; a start that fails is a crash, too.
    pub(crate) fn start(&mut self, id: Id) {
        if self.is_running(id) || self.servers[id.0].is_retired {
            return;
        }
        self.server(id).incarnation += 1;
        let incarnation = self.servers[id.0].incarnation;
        let Recovered { recovery, log, snapshots, found } = match self.recover(id, self.servers[id.0].disk.clone()) {
            Ok(recovered) => recovered,
            Err(error) if error.is_damage() && self.servers[id.0].is_damaged => return self.give_up_data(id),
            Err(error) => return self.start_failed(id, &format!("{error:?}")),
        };
        self.say(|| format!("{} starts at {:?}, {:?}", id.server(), found.last.zxid, found.truncated));
        if found.truncated.is_some() {
            self.count("torn tails cut");
        }
        if found.snapshot.is_some() {
            self.count("restarts from a snapshot");
        }
        self.server(id).standing = found.meta.standing;
        self.ledger.history.restarted(id, &found, recovery.tree().applied());
        let mut effects = Effects::default();
        let now = self.now_of(id);
        let replica = recovery.finish(now, &mut effects);
        self.server(id).process = Some(Process {
            replica,
            effects,
            lanes: InboxLanes::default(),
            is_turn_due: false,
            heard_ms: now.monotonic_ms,
            log,
            log_queue: Vec::new(),
            log_batch: Vec::new(),
            is_log_due: false,
            hint: Hint::default(),
            stuck: VecDeque::new(),
            is_log_unfinished: true,
            idles: 0,
            idle_due: 0,
            snapshots,
            snapshot_queue: VecDeque::new(),
            is_snapshot_due: false,
            outboxes: BTreeMap::new(),
            ended: BTreeSet::new(),
            lagged: Vec::new(),
            aside: Aside::Free,
            offered: BTreeMap::new(),
            members: BTreeSet::new(),
            // No two processes of a server share one: a txn may still name what an earlier one has opened.
            next_outbox: incarnation << 32,
        });
        self.note(found.last.zxid.0);
        self.ledger.sessions.led_by_another(id, false, now.monotonic_ms);
        self.note_members(id);
        self.turn(id, true);
        self.check_links_of(id);
    }

    /// Whom a server is told of when it is started. One without a memory is told of the present ensemble, and takes part.
    fn told_of(&self, id: Id) -> Members {
        if self.servers[id.0].standing == Standing::Voter {
            return founding(self.swarm.voters, self.swarm.observers);
        }
        let mut members = self.ledger.history.present_members();
        let member = || Member { role: MemberRole::Participant, address: bytes::Bytes::new() };
        members.servers.entry(id.server()).or_insert_with(member);
        Members { version: Zxid::ZERO, ..members }
    }

    /// The servers with which one keeps a link may be others.
    fn note_members(&mut self, id: Id) {
        if let Some(process) = &mut self.servers[id.0].process {
            process.members = process.replica.members().into_keys().map(Id::of).collect();
        }
    }

    /// What a process of this server would begin with, if its disk were this one.
    pub(crate) fn recover(&self, id: Id, disk: SimDisk) -> Result<Recovered<SimDisk>, RecoverError> {
        let (swarm, founding) = (self.swarm.clone(), self.told_of(id));
        let options = self.disk_options();
        let incarnation = self.servers[id.0].incarnation;
        let config = move |server, cluster| Config {
            founding,
            hash_seed: incarnation,
            history_bytes: swarm.history_bytes,
            snapshot_records: swarm.snapshot_records,
            counter_soft_max: swarm.counter_soft_max,
            timing: swarm.timing,
            window: swarm.window,
            staleness_ms: swarm.staleness_ms(),
            ..Config::new(server, cluster, incarnation)
        };
        recover(disk, &options, config, |_, _| ())
    }

    pub(crate) fn disk_options(&self) -> Options {
        Options { segment_bytes: self.swarm.segment_bytes, snapshot_flush_bytes: 20_000, ..Options::default() }
    }

    /// The data are damaged: the server sets them aside, and copies what the others have.
    fn give_up_data(&mut self, id: Id) {
        self.count("data given up");
        let disk = self.servers[id.0].disk.clone();
        disk.set_faults(self.quiet_disk());
        let salt = Salt(self.chances.faults.next_u64());
        drop(Storage::start_over(disk, &self.disk_options(), CLUSTER, id.server(), salt).expect("a quiet disk works"));
        self.servers[id.0].disk.set_faults(self.swarm.disk.clone());
        self.server(id).is_damaged = false;
        self.start(id);
    }

    fn start_failed(&mut self, id: Id, error: &str) {
        self.say(|| format!("{} cannot start: {error}", id.server()));
        self.count("failed starts");
        assert!(!error.contains("Corrupt"), "NoCorruption: crashes were taken for corruption: {error}");
        // Whoever runs it makes room, or waits for the disk to behave.
        self.crash(id);
        let faults = Faults { capacity_bytes: u64::MAX, ..self.quiet_disk() };
        self.servers[id.0].disk.set_faults(faults);
        self.schedule(500_000, None, Event::Start(id));
    }

    pub(crate) fn quiet_disk(&self) -> Faults {
        Faults { write_error: 0, sync_error: 0, ..self.swarm.disk.clone() }
    }

    /// The process ends, and perhaps the machine.
    pub(crate) fn crash(&mut self, id: Id) {
        let power = self.chances.faults.chance(self.swarm.crashes.power);
        self.crash_as(id, if power { Crash::Power } else { Crash::Process });
    }

    pub(crate) fn crash_as(&mut self, id: Id, how: Crash) {
        self.count(if how == Crash::Power { "power losses" } else { "crashes" });
        self.note_cell(id, if how == Crash::Power { "power loss" } else { "crash" });
        self.say(|| format!("{} crashes", id.server()));
        let server = self.server(id);
        server.process = None;
        server.stop_at = None;
        server.paused_until_us = 0;
        server.disk = server.disk.crash(how);
        self.end_connections_of(id);
        self.disconnect_clients_of(id);
    }

    /// Whether the machine was stopped in the middle of something.
    pub(crate) fn is_stopped(&self, id: Id) -> bool {
        let server = &self.servers[id.0];
        server.stop_at.is_some_and(|at| server.disk.operations() >= at)
    }

    /// The machine ends because of its disk, and will come back.
    pub(crate) fn fail(&mut self, id: Id) {
        if !self.is_stopped(id) {
            self.count("disk errors");
        }
        self.crash(id);
        let in_us = self.chances.faults.below(self.swarm.crashes.down_ms * 1000 + 1);
        self.schedule(in_us, None, Event::Start(id));
    }

    // ---- The driver ------------------------------------------------------------------------------------------------

    /// Something has arrived: a turn is due.
    pub(crate) fn wake(&mut self, id: Id) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        if !std::mem::replace(&mut process.is_turn_due, true) {
            let in_us = WAKE_US + self.chances.process.below(WAKE_US);
            self.schedule(in_us, Some(id), Event::Turn(id));
        }
    }

    /// One turn: steps what has arrived, flushes, and carries out what that leads to.
    pub(crate) fn turn(&mut self, id: Id, tick: bool) {
        let now = self.now_of(id);

        let is_partial = !self.is_peace && self.chances.process.chance(self.swarm.partial_turns);
        let mut upto = if is_partial { self.chances.process.below(4) } else { u64::MAX };
        let Some(process) = &mut self.servers[id.0].process else { return };
        process.is_turn_due = false;
        let Process { replica, effects, lanes, lagged, .. } = process;
        for (outbox, watch) in lagged.drain(..) {
            replica.step(Input::Client(ClientInput::Lagged { outbox, watch }), now, effects);
        }
        while upto > 0
            && let Some(input) = lanes.disk.pop_front()
        {
            upto -= 1;
            replica.step(input, now, effects);
        }
        self.step_peers(id, &mut upto);
        self.step_clients(id, &mut upto);
        let Some(process) = &mut self.servers[id.0].process else { return };
        if process.lanes.clients.is_empty() {
            process.heard_ms = now.monotonic_ms;
        }
        if tick {
            let heard_ms = process.heard_ms;
            process.replica.step(Input::Tick { heard_ms }, now, &mut process.effects);
            self.ledger.sessions.ticked(id);
            let in_us = limits::TICK_MS * 1000 * 1_000_000 / self.servers[id.0].clock.rate;
            self.schedule(in_us, Some(id), Event::Tick(id));
        }
        self.finish_turn(id);
    }

    fn step_peers(&mut self, id: Id, upto: &mut u64) {
        let now = self.now_of(id);
        while *upto > 0 {
            let Some(process) = &mut self.servers[id.0].process else { return };
            let Some((input, told)) = process.lanes.peers.pop_front() else { return };
            *upto -= 1;
            if let Input::Peer(quorate_zab::Input::Message { connection, .. }) = &input {
                let sender = self.network.ends(*connection).map(|(_, other)| (other.server, other.incarnation));
                if let Some(sender) = sender {
                    self.ledger.sessions.heard(id, sender, told, now.monotonic_ms);
                }
            }
            let ended = match &input {
                Input::Peer(quorate_zab::Input::Disconnected(connection)) => Some(*connection),
                _ => None,
            };
            process.replica.step(input, now, &mut process.effects);
            if let Some(connection) = ended {
                self.forget_transfers(id, connection);
            }
            self.note_installation(id);
        }
    }

    fn step_clients(&mut self, id: Id, upto: &mut u64) {
        let now = self.now_of(id);
        let Some(process) = &mut self.servers[id.0].process else { return };
        if process.replica.is_busy() {
            return;
        }
        while *upto > 0
            && let Some(input) = process.lanes.clients.pop_front()
        {
            *upto -= 1;
            if let Input::Client(ClientInput::Request { request, outbox, .. }) = &input
                && !process.has_ended(*outbox)
                && let Request { session: Some((session, _)), op, deadline_ms, .. } = request
                && *deadline_ms > now.monotonic_ms
            {
                let status = process.replica.status();
                let is_known = process.replica.tree().session(*session).is_some();
                let leads = status.role == Role::Leading && status.leader == id.server();
                // A write is a sign of life when it has come to the leader, which is sooner than the next tick.
                let is_told = matches!(op, Op::Read { .. } | Op::Touch | Op::Sync);
                let follows = !leads && status.leader != ServerId::default() && is_told;
                if is_known {
                    self.ledger.sessions.shown(id, *session, leads, follows, now.monotonic_ms);
                }
            }
            process.replica.step(input, now, &mut process.effects);
        }
    }

    /// Flushes the replica and dispatches what the turn has led to.
    fn finish_turn(&mut self, id: Id) {
        let now = self.now_of(id);
        let process = self.servers[id.0].process.as_mut().expect("it has a turn");
        process.replica.flush(now, &mut process.effects);
        let mut effects = std::mem::take(&mut process.effects);
        let status = process.replica.status();
        let has_work = process.replica.has_work() || !process.lagged.is_empty();
        let is_behind = !process.lanes.disk.is_empty() || !process.lanes.peers.is_empty();
        let is_behind = is_behind || (!process.lanes.clients.is_empty() && !process.replica.is_busy());
        process.hint = effects.hint;
        self.note(status.applied.0 ^ status.digest as u64);
        self.note_role(id, &status);
        self.ledger.turned(id, &status, &effects.disk, self.now_us);
        for op in &effects.disk {
            let leads = status.leader == id.server();
            self.ledger.sessions.submitted(id, op, leads, now.monotonic_ms);
        }
        if let Some(halted) = effects.halted {
            return self.halted(id, halted);
        }
        self.submit(id, &mut effects);
        for output in effects.peers.drain(..) {
            self.carry_out(id, output);
        }
        self.deliver(id, &mut effects);
        effects.clear();
        if let Some(process) = &mut self.servers[id.0].process {
            process.effects = effects;
        }
        if has_work || is_behind {
            self.wake(id);
        }
    }

    /// ConfigSafety: a server is let go when a configuration without it is final, and not before.
    fn halted(&mut self, id: Id, halted: Halted) {
        let Halted::Agreement(Halt::Removed { version }) = halted else {
            panic!("Divergence: {} stops with {halted:?}", id.server());
        };
        let history = &self.ledger.history;
        let names = history.members_of(version).is_none_or(|members| members.servers.contains_key(&id.server()));
        assert!(!names, "ConfigSafety: {} is let go by {version:?}, which names it", id.server());
        self.count("servers let go");
        self.crash_as(id, Crash::Process);
        // Whoever starts it again has a learner, and may make it a member again.
        self.server(id).is_retired = self.is_peace;
        let in_us = self.chances.faults.below(3_000_000);
        self.schedule(in_us, None, Event::Start(id));
    }

    /// Tells those who want to know when a server gets another role.
    fn note_role(&mut self, id: Id, status: &Status) {
        let leads = status.role == Role::Leading && status.leader == id.server();
        let led_by = status.leader;
        if leads {
            self.ledger.administration.leads(led_by);
        }
        if self.servers[id.0].led_by != led_by {
            self.servers[id.0].led_by = led_by;
            let now_ms = self.now_of(id).monotonic_ms;
            self.ledger.sessions.led_by_another(id, leads, now_ms);
            self.count(match (leads, led_by == ServerId::default()) {
                (true, _) => "leaders established",
                (false, true) => "leaders lost",
                (false, false) => "leaders followed",
            });
            self.say(|| format!("{} is led by {led_by:?}", id.server()));
        }
    }

    fn deliver(&mut self, id: Id, effects: &mut Effects) {
        let incarnation = self.servers[id.0].incarnation;
        let process = self.servers[id.0].process.as_mut().expect("it has a turn");
        let mut lost = Vec::new();
        let mut readers: Vec<OutboxId> = Vec::new();
        for (outbox, delivery) in effects.outbox.drain(..) {
            let Some(queue) = process.outboxes.get_mut(&outbox) else { continue };
            if let Delivery::Close(error) = &delivery {
                process.ended.insert(outbox);
                if self.verbose {
                    println!("{:>10.3} {} closes {outbox:?}: {error}", self.now_us as f64 / 1000.0, id.server());
                }
            }
            let from = Connection { server: id, incarnation, outbox };
            self.stranger.is_sent(from, &delivery, self.now_us, &mut self.ledger);
            queue.push(delivery);
            process.lagged.extend(queue.take_lagged().into_iter().map(|watch| (outbox, watch)));
            if queue.is_lost() {
                lost.push(outbox);
            }
            if readers.last() != Some(&outbox) {
                readers.push(outbox);
            }
        }
        for outbox in lost {
            process.lanes.clients.push_back(Input::Client(ClientInput::Closed { outbox }));
        }
        for outbox in readers {
            self.read_soon(id, outbox);
        }
    }

    // ---- The disk threads ------------------------------------------------------------------------------------------

    fn submit(&mut self, id: Id, effects: &mut Effects) {
        let process = self.servers[id.0].process.as_mut().expect("it has a turn");
        process.log_queue.append(&mut effects.disk);
        process.snapshot_queue.extend(effects.snapshot.drain(..));
        self.log_soon(id);
        self.snapshot_soon(id);
    }

    /// The log thread takes all that is queued, if it is not at work.
    fn log_soon(&mut self, id: Id) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        if process.is_log_due || process.log_queue.is_empty() {
            return;
        }
        process.is_log_due = true;
        std::mem::swap(&mut process.log_queue, &mut process.log_batch);
        let disk_us = if self.is_peace { self.swarm.disk_us } else { self.servers[id.0].disk_us };
        let in_us = 20 + self.chances.disk.below(disk_us);
        self.schedule(in_us, Some(id), Event::Log(id));
    }

    /// The log thread has written a batch.
    pub(crate) fn log_works(&mut self, id: Id) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        process.is_log_due = false;
        let ops = process.log_batch.clone();
        let done = process.log.carry_out(&mut process.log_batch, process.hint);
        let done = match done {
            Ok(done) if !self.is_stopped(id) => done,
            Ok(_) | Err(_) => return self.fail(id),
        };
        // What found no room is stuck, and is told of later.
        let synced = done.inputs.iter().filter_map(synced).max();
        self.note_durable(id, ops, synced);
        self.report(id, done.inputs, done.unfinished);
    }

    fn note_durable(&mut self, id: Id, ops: Vec<DiskOp>, synced: Option<u64>) {
        let server = &mut self.servers[id.0];
        let Some(process) = &mut server.process else { return };
        process.stuck.extend(ops);
        while let Some(op) = process.stuck.front()
            && op.token().is_none_or(|token| synced.is_some_and(|synced| token <= synced))
            && let Some(op) = process.stuck.pop_front()
        {
            if matches!(op, DiskOp::Readmit { .. }) {
                server.standing = Standing::Voter;
            }
            self.ledger.history.durable(id, &op, server.standing);
        }
    }

    fn report(&mut self, id: Id, inputs: Vec<DiskInput>, unfinished: bool) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        if !inputs.is_empty() {
            process.lanes.disk.extend(inputs.into_iter().map(Input::Disk));
            self.wake(id);
        }
        self.log_soon(id);
        let Some(process) = &mut self.servers[id.0].process else { return };
        let idle_us = match (unfinished, process.log.is_low()) {
            (true, false) => Some(IDLE_US),
            (true, true) => Some(FULL_RETRY_US),
            (false, _) => (!process.log.is_at_rest()).then_some(REST_US),
        };
        process.idles += 1;
        process.is_log_unfinished = unfinished;
        if let Some(idle_us) = idle_us.filter(|_| !process.is_log_due) {
            process.idle_due = process.idles;
            self.schedule(idle_us, Some(id), Event::LogIdle(id));
        }
    }

    /// The log thread has had nothing to do for a while.
    pub(crate) fn log_is_idle(&mut self, id: Id) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        if process.is_log_due || process.idle_due != process.idles {
            return;
        }
        let done = match process.is_log_unfinished {
            true => process.log.idle(process.hint),
            false => process.log.rest(process.hint),
        };
        let done = match done {
            Ok(done) if !self.is_stopped(id) => done,
            Ok(_) | Err(_) => return self.fail(id),
        };
        let synced = done.inputs.iter().filter_map(synced).max();
        self.note_durable(id, Vec::new(), synced);
        self.report(id, done.inputs, done.unfinished);
    }

    fn snapshot_soon(&mut self, id: Id) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        if process.is_snapshot_due || process.snapshot_queue.is_empty() {
            return;
        }
        process.is_snapshot_due = true;
        let in_us = 20 + self.chances.disk.below(self.swarm.snapshot_us);
        self.schedule(in_us, Some(id), Event::Snapshot(id));
    }

    /// The snapshot thread has done one thing.
    pub(crate) fn snapshot_works(&mut self, id: Id) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        process.is_snapshot_due = false;
        let Some(op) = process.snapshot_queue.pop_front() else { return };
        let adopts = matches!(op, SnapshotOp::Adopt { .. });
        let done = process.snapshots.carry_out(op, || true);
        if self.is_stopped(id) {
            return self.fail(id);
        }
        let Some(process) = &mut self.servers[id.0].process else { return };
        if adopts {
            process.aside = Aside::Free;
        }
        let input = match done {
            Ok(input) => input,
            Err(_) => Some(DiskInput::SnapshotFailed),
        };
        let counted = match &input {
            Some(DiskInput::SnapshotWritten { .. }) => Some("snapshots"),
            Some(DiskInput::SnapshotFailed) => Some("failed snapshots"),
            _ => None,
        };
        if let Some(input) = input {
            process.lanes.disk.push_back(Input::Disk(input));
            self.wake(id);
        }
        if let Some(counted) = counted {
            self.count(counted);
        }
        self.snapshot_soon(id);
    }

    /// For the sessions and links of a server.
    fn carry_out(&mut self, id: Id, output: PeerOutput) {
        match output {
            PeerOutput::Notify { to, notification } => self.notify(id, Id::of(to), notification),
            PeerOutput::Dial { to } => self.dial(id, Id::of(to)),
            PeerOutput::Send { connection, message } => self.send(id, connection, message),
            PeerOutput::Close { connection } => self.close(id, connection),
            PeerOutput::SendSnapshot { connection, zxid, .. } => {
                if let Some(process) = &mut self.servers[id.0].process {
                    process.offered.insert(connection, zxid);
                }
            }
            PeerOutput::ReceiveSnapshot { connection, from, base } => self.fetch(id, connection, Id::of(from), base),
            PeerOutput::MembersChanged(_) => {
                self.note_members(id);
                self.check_links_of(id);
            }
        }
    }

    pub(crate) fn outbox(&mut self, id: Id, outbox: OutboxId) -> Option<&mut Outbox> {
        self.servers[id.0].process.as_mut()?.outboxes.get_mut(&outbox)
    }
}

fn synced(input: &DiskInput) -> Option<u64> {
    if let DiskInput::Synced { token, .. } = input { Some(*token) } else { None }
}

/// Whom the ensemble begins with.
pub(crate) fn founding(voters: usize, observers: usize) -> Members {
    let mut members = Members::founding((0..voters).map(|id| Id(id).server()));
    for id in voters..voters + observers {
        let observer = Member { role: MemberRole::Observer, address: bytes::Bytes::new() };
        members.servers.insert(Id(id).server(), observer);
    }
    members
}
