//! `World`: the machine with its disk and clock, the process that runs on it, and the schedule that a seed draws.

mod full_disk;

use std::collections::{BTreeMap, VecDeque};

use quorate::durable::{LogWork, Recovered, SnapshotWork, recover};
use quorate_replica::outbox::OutboxLimits;
use quorate_replica::{
    ClientInput, Config, Delivery, DiskInput, DiskOp, Effects, Hint, Input, Order, Outbox, Replica, SnapshotOp,
};
use quorate_storage::sim::{Crash, Faults, Rng};
use quorate_storage::{Options, Salt, SimDisk, Storage};
use quorate_types::{ClusterId, Frame, FrameKind, Now, OutboxId, ServerId, SessionId, Txn, TxnBody, Zxid};

use super::clients::{Client, Shared};
use super::history::History;
use super::judged::Judged;
use super::sessions::SessionLog;
use super::swarm::Swarm;
use super::writes::Writes;

const CLUSTER: ClusterId = ClusterId(0xc1);
const SERVER: ServerId = ServerId(1);

/// A disk of this size is full: smaller than what some runs write.
const FULL_BYTES: u64 = 0;

/// What a run has done, for the sums and for the comparison of two runs of a seed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) simulated_ms: u64,
    pub(crate) digest: u128,
    pub(crate) applied: Zxid,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

/// A running server: the replica and what the threads around it hold.
struct Process {
    replica: Replica,
    effects: Effects,
    log: LogWork<SimDisk>,
    snapshots: SnapshotWork<SimDisk>,
    disk_queue: Vec<DiskOp>,
    hint: Hint,
    snapshot_queue: VecDeque<SnapshotOp>,
    inputs: VecDeque<Input>,
    /// Everything that arrived before this moment was stepped.
    heard_ms: u64,
    outboxes: BTreeMap<OutboxId, Outbox>,
}

impl Process {
    /// Steps some of what has arrived: of the disk alone while clients are held up.
    fn step_some(&mut self, count: u64, now: Now) {
        if !self.replica.is_busy() {
            for _ in 0..count {
                let Some(input) = self.inputs.pop_front() else { break };
                self.replica.step(input, now, &mut self.effects);
            }
        } else if let Some(at) = self.inputs.iter().position(|input| matches!(input, Input::Disk(_))) {
            let input = self.inputs.remove(at).expect("it was just found");
            self.replica.step(input, now, &mut self.effects);
        }
        if self.inputs.is_empty() {
            self.heard_ms = now.monotonic_ms;
        }
    }

    /// Time passes, however much waits.
    fn tick(&mut self, now: Now) {
        if self.inputs.is_empty() {
            self.heard_ms = now.monotonic_ms;
        }
        self.replica.step(Input::Tick { heard_ms: self.heard_ms }, now, &mut self.effects);
    }
}

/// The session whose end this record is, if the server gave it up by itself.
fn given_up(frame: &Frame) -> Option<SessionId> {
    let txn = (frame.kind() == FrameKind::Txn).then(|| Txn::decode(frame.payload()).expect("it was just encoded"))?;
    match txn.body {
        TxnBody::CloseSession { id, .. } if txn.route.server == ServerId::default() => Some(id),
        _ => None,
    }
}

pub(crate) struct World {
    verbose: bool,
    rng: Rng,
    swarm: Swarm,
    disk: SimDisk,
    now: Now,
    began_ms: u64,
    incarnation: u64,
    next_outbox: u64,
    process: Option<Process>,
    clients: Vec<Client>,
    history: History,
    writes: Writes,
    sessions: SessionLog,
    judged: Judged,
    stop_at: Option<u64>,
    counts: BTreeMap<&'static str, u64>,
}

impl World {
    pub(crate) fn new(seed: u64, verbose: bool) -> World {
        let mut rng = Rng::new(seed);
        let swarm = Swarm::draw(&mut rng);
        if verbose {
            println!("{swarm:#?}");
        }
        let quiet = Faults { write_error: 0, sync_error: 0, ..swarm.faults.clone() };
        let disk = SimDisk::new(rng.next_u64(), quiet);
        Storage::initialize(disk.clone(), CLUSTER, SERVER, Salt(rng.next_u64()))
            .expect("a new disk can be initialized");
        let now = Now { monotonic_ms: 1_000_000, wall_ms: 1_700_000_000_000 };
        World {
            verbose,
            clients: (0..swarm.clients as u64).map(Client::new).collect(),
            rng,
            swarm,
            disk,
            began_ms: now.monotonic_ms,
            now,
            incarnation: 0,
            next_outbox: 0,
            process: None,
            history: History::default(),
            writes: Writes::default(),
            sessions: SessionLog::default(),
            judged: Judged::default(),
            stop_at: None,
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        self.disk.set_faults(self.swarm.faults.clone());
        for _ in 0..self.swarm.steps {
            if self.process.is_none() {
                self.start();
            }
            self.step();
        }
        self.finish()
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
        self.say(|| what.to_owned());
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>9} {}", self.now.monotonic_ms - self.began_ms, what());
        }
    }

    fn step(&mut self) {
        if self.rng.chance(self.swarm.crash) {
            if self.rng.chance(self.swarm.crash_inside) {
                let operation = self.disk.operations() + self.rng.below(30);
                self.stop_at = Some(operation);
                self.disk.stop_at(operation);
            } else {
                return self.crash();
            }
        }
        if self.rng.chance(self.swarm.fill) {
            self.count("full disks");
            self.disk.set_faults(Faults { capacity_bytes: FULL_BYTES, ..self.disk.faults() });
        } else if self.rng.chance(self.swarm.drain) {
            self.disk.set_faults(Faults { capacity_bytes: u64::MAX, ..self.disk.faults() });
        }
        if self.rng.chance(self.swarm.leap) {
            self.now.monotonic_ms += self.swarm.leap_ms;
            self.now.wall_ms += self.swarm.leap_ms as i64;
            if self.rng.coin() {
                self.now.wall_ms -= 2 * self.swarm.leap_ms as i64;
            }
        }
        match self.rng.below(100) {
            0..40 => self.client_acts(),
            40..60 => self.driver_turns(),
            60..75 => self.log_works(),
            75..85 => self.snapshots_work(),
            85..92 => self.tick(),
            _ => self.client_reads(),
        }
    }

    /// Starts the process; a start that fails is a crash, too.
    fn start(&mut self) {
        self.incarnation += 1;
        let options =
            Options { segment_bytes: self.swarm.segment_bytes, snapshot_flush_bytes: 20_000, ..Options::default() };
        let (incarnation, swarm) = (self.incarnation, self.swarm.clone());
        let config = move |server, cluster| Config {
            hash_seed: incarnation,
            history_bytes: swarm.history_bytes,
            snapshot_records: swarm.snapshot_records,
            counter_soft_max: swarm.counter_soft_max,
            ..Config::new(server, cluster, incarnation)
        };
        let Recovered { recovery, log, snapshots, found } =
            match recover(self.disk.clone(), &options, config, |_, _| ()) {
                Ok(recovered) => recovered,
                Err(error) => {
                    self.say(|| format!("the start failed: {error}"));
                    self.count("failed starts");
                    // Whoever runs it makes room, or waits for the disk to behave.
                    let quiet =
                        Faults { capacity_bytes: u64::MAX, write_error: 0, sync_error: 0, ..self.swarm.faults.clone() };
                    let message = format!("{error:?}");
                    assert!(!message.contains("Corrupt"), "crashes were taken for corruption: {error}");
                    self.crash();
                    self.disk.set_faults(quiet);
                    return;
                }
            };
        self.say(|| format!("started at {:?}, clean {}, {:?}", found.last.zxid, found.clean, found.truncated));
        self.history.restarted(found.last.zxid, found.last.chain);
        if found.truncated.is_some() {
            self.count("torn tails cut");
        }
        if found.snapshot.is_some() {
            self.count("restarts from a snapshot");
        }
        let mut effects = Effects::default();
        let replica = recovery.finish(self.now, &mut effects);
        let mut process = Process {
            replica,
            effects,
            log,
            snapshots,
            disk_queue: Vec::new(),
            hint: Hint::default(),
            snapshot_queue: VecDeque::new(),
            inputs: VecDeque::new(),
            heard_ms: self.now.monotonic_ms,
            outboxes: BTreeMap::new(),
        };
        process.tick(self.now);
        self.process = Some(process);
        self.finish_turn();
    }

    fn crash(&mut self) {
        let power = self.rng.chance(self.swarm.power);
        self.count(if power { "power losses" } else { "crashes" });
        self.process = None;
        self.stop_at = None;
        self.judged.crashed();
        self.disk = self.disk.crash(if power { Crash::Power } else { Crash::Process });
        for client in &mut self.clients {
            client.disconnected(&mut self.writes);
        }
        self.now.monotonic_ms += self.rng.below(3_000);
        self.now.wall_ms += self.rng.below(3_000) as i64;
    }

    /// Whether the machine was stopped in the middle of something.
    fn is_stopped(&self) -> bool {
        self.stop_at.is_some_and(|at| self.disk.operations() >= at)
    }

    fn client_acts(&mut self) {
        let Some(process) = &mut self.process else { return };
        let which = self.rng.below(self.clients.len() as u64) as usize;
        if which == 0 && self.rng.below(self.swarm.first_client_acts_in) > 0 {
            return;
        }
        let client = &mut self.clients[which];
        let outbox = match client.outbox {
            Some(outbox) => outbox,
            None => {
                self.next_outbox += 1;
                let outbox = OutboxId(self.next_outbox);
                client.outbox = Some(outbox);
                process.inputs.push_back(Input::Client(ClientInput::Open { outbox, order: Order::Fifo }));
                let limits = OutboxLimits { bytes_max: 1 << 20, watch_bytes_max: 8_000, low_water_bytes: 2_000 };
                process.outboxes.insert(outbox, Outbox::new(limits));
                if let Some((tag, request)) = client.attach(self.now.monotonic_ms) {
                    process.inputs.push_back(Input::Client(ClientInput::Request { outbox, tag, request }));
                }
                outbox
            }
        };
        for _ in 0..=self.rng.below(8) {
            if client.outstanding() >= self.swarm.outstanding {
                break;
            }
            let (tag, request) = client.next(&mut Shared {
                rng: &mut self.rng,
                now_ms: self.now.monotonic_ms,
                value_bytes: self.swarm.value_bytes,
                writes: &mut self.writes,
                sessions: &mut self.sessions,
                judged: &mut self.judged,
            });
            if self.verbose {
                println!("{:>9} client {which} sends {tag:?} {:?}", self.now.monotonic_ms - self.began_ms, request.op);
            }
            process.inputs.push_back(Input::Client(ClientInput::Request { outbox, tag, request }));
        }
    }

    /// The driver steps some of what has arrived and carries out what that leads to.
    fn driver_turns(&mut self) {
        let count = self.rng.below(20) + 1;
        let Some(process) = &mut self.process else { return };
        process.step_some(count, self.now);
        self.finish_turn();
    }

    fn finish_turn(&mut self) {
        let Some(process) = &mut self.process else { return };
        process.replica.flush(self.now, &mut process.effects);
        let status = process.replica.status();
        self.history.reached(status.applied, status.digest);
        for op in process.effects.disk.drain(..) {
            if let DiskOp::Append { frame, .. } = &op {
                self.history.submitted(frame.clone());
                if let Some(session) = given_up(frame) {
                    self.sessions.given_up(session, self.now.monotonic_ms);
                }
            }
            process.disk_queue.push(op);
        }
        process.hint = process.effects.hint;
        process.snapshot_queue.extend(process.effects.snapshot.drain(..));
        for (outbox, delivery) in process.effects.outbox.drain(..) {
            if let Some(queue) = process.outboxes.get_mut(&outbox) {
                queue.push(delivery);
                let lagged = queue.take_lagged();
                process
                    .inputs
                    .extend(lagged.into_iter().map(|watch| Input::Client(ClientInput::Lagged { outbox, watch })));
            }
        }
    }

    /// The log thread takes all that is queued, or looks for room.
    fn log_works(&mut self) {
        let Some(process) = &mut self.process else { return };
        let done = if !process.disk_queue.is_empty() {
            process.log.carry_out(&mut process.disk_queue, process.hint)
        } else if process.log.is_at_rest() || self.rng.coin() {
            process.log.idle(process.hint)
        } else {
            process.log.rest(process.hint)
        };
        match done {
            Ok(done) if !self.is_stopped() => {
                if let Some(process) = &mut self.process {
                    process.inputs.extend(done.inputs.into_iter().map(Input::Disk));
                }
            }
            Ok(_) => self.crash(),
            Err(error) => {
                self.say(|| format!("the log failed: {error}"));
                if !self.is_stopped() {
                    self.count("disk errors");
                }
                self.crash();
            }
        }
    }

    fn snapshots_work(&mut self) {
        let Some(process) = &mut self.process else { return };
        let Some(op) = process.snapshot_queue.pop_front() else { return };
        let done = process.snapshots.carry_out(op, || true);
        if self.is_stopped() {
            return self.crash();
        }
        let Some(process) = &mut self.process else { return };
        match done {
            Ok(None) => {}
            Ok(Some(input)) => {
                let written = matches!(input, DiskInput::SnapshotWritten { .. });
                process.inputs.push_back(Input::Disk(input));
                if written {
                    self.count("snapshots");
                }
            }
            Err(_) => {
                process.inputs.push_back(Input::Disk(DiskInput::SnapshotFailed));
                self.count("failed snapshots");
            }
        }
    }

    fn tick(&mut self) {
        self.now.monotonic_ms += self.swarm.tick_ms;
        self.now.wall_ms += self.swarm.tick_ms as i64;
        if let Some(process) = &mut self.process {
            process.tick(self.now);
        }
        self.finish_turn();
    }

    /// A client reads what its outbox holds.
    fn client_reads(&mut self) {
        let which = self.rng.below(self.clients.len() as u64) as usize;
        self.read_outbox(which);
    }

    fn read_outbox(&mut self, which: usize) {
        let Some(process) = &mut self.process else { return };
        let client = &mut self.clients[which];
        let Some(outbox) = client.outbox else { return };
        let Some(queue) = process.outboxes.get_mut(&outbox) else { return };
        let mut batch = Vec::new();
        let popped = queue.pop(&mut batch, 64 << 10);
        if popped.ready {
            process.inputs.push_back(Input::Client(ClientInput::Ready { outbox }));
        }
        for delivery in batch {
            if self.verbose {
                println!("{:>9} client {which} gets {delivery:?}", self.now.monotonic_ms - self.began_ms);
            }
            if matches!(delivery, Delivery::Close(_)) {
                process.outboxes.remove(&outbox);
                process.inputs.push_back(Input::Client(ClientInput::Closed { outbox }));
                return client.disconnected(&mut self.writes);
            }
            let zxid = client.receive(
                delivery,
                &mut Shared {
                    rng: &mut self.rng,
                    now_ms: self.now.monotonic_ms,
                    value_bytes: self.swarm.value_bytes,
                    writes: &mut self.writes,
                    sessions: &mut self.sessions,
                    judged: &mut self.judged,
                },
            );
            self.history.acknowledged(zxid);
        }
    }

    /// The faults end; the server starts once more, catches up, and is examined.
    fn finish(mut self) -> Outcome {
        self.swarm = Swarm { crash: 0, fill: 0, leap: 0, ..self.swarm };
        let quiet = Faults { write_error: 0, sync_error: 0, capacity_bytes: u64::MAX, ..self.swarm.faults.clone() };
        self.crash();
        self.disk.set_faults(quiet);
        self.start();
        for client in &mut self.clients {
            // A client that only watches from now on.
            client.disconnected(&mut self.writes);
        }
        for which in 0..self.clients.len() {
            self.watch_again(which);
        }
        for _ in 0..400 {
            self.log_works();
            self.snapshots_work();
            self.tick();
            self.driver_turns();
            for which in 0..self.clients.len() {
                self.read_outbox(which);
                if self.clients[which].outbox.is_some() && !self.clients[which].watching.running {
                    self.watch_again(which);
                }
            }
        }
        self.outlive_a_full_disk();
        // Time stands still: what was proposed last comes to its end.
        for _ in 0..1_000 {
            self.log_works();
            self.driver_turns();
            (0..self.clients.len()).for_each(|which| self.read_outbox(which));
        }
        self.examine()
    }

    fn watch_again(&mut self, which: usize) {
        let Some(process) = &mut self.process else { return };
        let client = &mut self.clients[which];
        if client.outbox.is_none() {
            self.next_outbox += 1;
            let outbox = OutboxId(self.next_outbox);
            client.outbox = Some(outbox);
            process.inputs.push_back(Input::Client(ClientInput::Open { outbox, order: Order::Fifo }));
            process.outboxes.insert(outbox, Outbox::new(OutboxLimits::default()));
        }
        let (tag, request) = client.watch_only(self.now.monotonic_ms);
        let outbox = client.outbox.expect("it was just opened");
        process.inputs.push_back(Input::Client(ClientInput::Request { outbox, tag, request }));
    }

    fn examine(mut self) -> Outcome {
        let process = self.process.take().expect("the server runs");
        let status = process.replica.status();
        assert!(status.serving, "the server does not serve in the end: {status:?}");
        assert_eq!(status.applied, status.logged, "not everything was applied in the end");
        let tree = process.replica.tree();
        self.writes.check(tree);
        SessionLog::check(tree);
        assert_eq!(self.history.replayed().digest(), tree.digest(), "the history leads to another state");
        for client in &self.clients {
            assert!(client.watching.running, "a watch does not run in the end");
            client.watching.check(self.history.changes());
        }
        let judged = self.judged.check(tree);
        let mut add = |name, count| *self.counts.entry(name).or_default() += count;
        add("acknowledged", self.writes.acknowledged);
        add("refused", self.writes.refused);
        add("unknown", self.writes.unknown);
        add("judged operations", judged);
        add("expired sessions", self.sessions.expired);
        add("resumed watches", self.clients.iter().map(|client| client.watching.resumed).sum());
        add("compacted watches", self.clients.iter().map(|client| client.watching.compacted).sum());
        Outcome {
            simulated_ms: self.now.monotonic_ms - self.began_ms,
            digest: status.digest,
            applied: status.applied,
            counts: self.counts,
        }
    }
}
