//! `World`: servers, disks and network on one virtual clock. What happens next is decided by a seed alone.

use std::collections::BTreeMap;

use quorate_types::{Epoch, Role, ServerId, Zxid};
use quorate_zab::{
    Config, Configs, ConnectionId, Halt, Input, Limits, Members, Notification, Output, PeerOutput, Phase, SnapshotBase,
    Standing, Timing, Vote, Zab,
};

use crate::disk::{DiskOp, SimDisk};
use crate::ghost::Ghost;
use crate::invariants;
use crate::network::Network;
use crate::rng::Rng;

/// How the world is made.
#[derive(Clone, Debug)]
pub(crate) struct Make {
    pub(crate) founders: Vec<ServerId>,
    /// Those of them that were told that the ensemble is a new one. The others have to find out.
    pub(crate) told: Vec<ServerId>,
    /// Servers that were added later, with an empty disk.
    pub(crate) joiners: Vec<ServerId>,
    pub(crate) counter_soft_max: u32,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
    /// Most messages take so long ...
    pub(crate) latency_ms: (u64, u64),
    pub(crate) disk_ms: (u64, u64),
    /// In so many pieces a snapshot is received.
    pub(crate) snapshot_pieces: (u64, u64),
    /// How often a notification arrives that says something else than was said. Elections are no matter of safety, so
    /// nothing that they lead to may do harm.
    pub(crate) lies_per_mille: u64,
    /// How often a server sends at once what a step has led to, and not only a little later.
    pub(crate) flush_per_mille: u64,
}

impl Make {
    /// A quiet world with these servers.
    pub(crate) fn of(founders: &[u8]) -> Make {
        Make {
            founders: founders.iter().map(|id| ServerId(*id)).collect(),
            told: founders.iter().map(|id| ServerId(*id)).collect(),
            joiners: Vec::new(),
            counter_soft_max: 1_000_000,
            limits: Limits::default(),
            timing: Timing {
                ping_ms: 20,
                sync_limit_ms: 200,
                stall_limit_ms: 200,
                init_limit_ms: 600,
                finalize_ms: 10,
                resend_ms: 30,
                resend_ms_max: 200,
                redial_ms: 10,
                park_ms: 50,
                epoch_interval_ms: 150,
            },
            latency_ms: (1, 3),
            disk_ms: (1, 3),
            snapshot_pieces: (0, 3),
            lies_per_mille: 0,
            flush_per_mille: 1000,
        }
    }
}

/// One server: its process, if it runs, and its disk.
pub(crate) struct Server {
    pub(crate) zab: Option<Zab>,
    pub(crate) disk: SimDisk,
    incarnation: u64,
    pub(crate) paused_until_ms: u64,
    /// Its clock shows `offset + rate * now / 1000`.
    pub(crate) clock: (u64, u64),
    wake_at_ms: u64,
    pub(crate) is_disk_busy: bool,
    /// The disk does nothing at the moment.
    pub(crate) is_disk_stuck: bool,
    is_flush_due: bool,
    pub(crate) halted: Option<Halt>,
    /// The snapshot that was put aside.
    pub(crate) received: Option<SnapshotBase>,
    /// What other replicas have said to this one's.
    pub(crate) heard: Vec<Vec<u8>>,
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Disk(ServerId),
    Arrive(ConnectionId, ServerId),
    Notified { from: ServerId, to: ServerId, notification: Notification },
    Wake(ServerId),
    Flush(ServerId),
    Dial { from: ServerId, to: ServerId },
    CheckLink { from: ServerId, to: ServerId },
    Read { server: ServerId, token: u64, after: Zxid, bytes_max: usize },
    Snapshot { connection: ConnectionId, from: ServerId, to: ServerId, zxid: Zxid, pieces: u64 },
}

/// Servers, disks and network on one virtual clock.
pub(crate) struct World {
    pub(crate) now_ms: u64,
    pub(crate) rng: Rng,
    pub(crate) make: Make,
    pub(crate) servers: BTreeMap<ServerId, Server>,
    pub(crate) network: Network,
    pub(crate) ghost: Ghost,
    /// An event belongs to the incarnation of the server that it happens to; `u64::MAX` if it outlives them.
    events: BTreeMap<(u64, u64), (u64, Event)>,
    events_so_far: u64,
    pub(crate) traces: bool,
}

impl World {
    pub(crate) fn new(seed: u64, make: Make) -> World {
        let mut rng = Rng::new(seed);
        let server = |standing, rng: &mut Rng| Server {
            zab: None,
            disk: SimDisk::new(standing),
            incarnation: 0,
            paused_until_ms: 0,
            clock: (rng.range(0, 100_000), 1000),
            wake_at_ms: u64::MAX,
            is_disk_busy: false,
            is_disk_stuck: false,
            is_flush_due: false,
            halted: None,
            received: None,
            heard: Vec::new(),
        };
        let standing = |id| if make.told.contains(id) { Standing::Voter } else { Standing::Amnesiac };
        let founders = make.founders.iter().map(|id| (*id, standing(id)));
        let joiners = make.joiners.iter().map(|id| (*id, Standing::Amnesiac));
        let servers = founders.chain(joiners).map(|(id, standing)| (id, server(standing, &mut rng))).collect();
        World {
            now_ms: 0,
            rng,
            make,
            servers,
            network: Network::default(),
            ghost: Ghost::default(),
            events: BTreeMap::new(),
            events_so_far: 0,
            traces: std::env::var_os("QUORATE_ZAB_TRACE").is_some(),
        }
    }

    pub(crate) fn ids(&self) -> Vec<ServerId> {
        self.servers.keys().copied().collect()
    }

    pub(crate) fn server(&mut self, id: ServerId) -> &mut Server {
        self.servers.get_mut(&id).unwrap()
    }

    pub(crate) fn zab(&self, id: ServerId) -> Option<&Zab> {
        self.servers[&id].zab.as_ref()
    }

    pub(crate) fn founding(&self) -> Members {
        Members::founding(self.make.founders.iter().copied())
    }

    // ---- Time ------------------------------------------------------------------------------------------------------

    /// Lets everything happen that is due in the next `ms`.
    pub(crate) fn run(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        let before = self.events_so_far;
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= until_ms
        {
            let ((at_ms, _), (incarnation, event)) = entry.remove_entry();
            self.now_ms = self.now_ms.max(at_ms);
            self.happen(incarnation, event);
        }
        self.now_ms = until_ms;
        let events = self.events_so_far - before;
        assert!(events <= 2_000 + 2_000 * ms, "BoundedWork: {events} events in {ms} ms");
    }

    /// Lets time pass until `done`, for at most `ms`. Whether it came to that.
    pub(crate) fn run_until(&mut self, ms: u64, done: impl Fn(&World) -> bool) -> bool {
        let until_ms = self.now_ms + ms;
        while !done(self) {
            if self.now_ms >= until_ms {
                return false;
            }
            self.run(1);
        }
        true
    }

    pub(crate) fn schedule(&mut self, in_ms: u64, whose: Option<ServerId>, event: Event) {
        let incarnation = whose.map_or(u64::MAX, |id| self.servers[&id].incarnation);
        self.events_so_far += 1;
        self.events.insert((self.now_ms + in_ms, self.events_so_far), (incarnation, event));
    }

    pub(crate) fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        self.rng.range(low, high)
    }

    fn happen(&mut self, incarnation: u64, event: Event) {
        let whose = match &event {
            Event::Disk(id) | Event::Wake(id) | Event::Flush(id) | Event::Arrive(_, id) => *id,
            Event::Notified { to, .. } | Event::Snapshot { to, .. } => *to,
            Event::Dial { from, .. } | Event::CheckLink { from, .. } => *from,
            Event::Read { server, .. } => *server,
        };
        let server = &self.servers[&whose];
        if server.zab.is_none() || incarnation != u64::MAX && incarnation != server.incarnation {
            return;
        }
        if server.paused_until_ms > self.now_ms {
            let in_ms = server.paused_until_ms - self.now_ms;
            let whose = (incarnation != u64::MAX).then_some(whose);
            return self.schedule(in_ms, whose, event);
        }
        match event {
            Event::Disk(id) => self.disk_done(id),
            Event::Arrive(connection, to) => self.arrive(connection, to),
            Event::Notified { from, to, notification } => {
                if self.network.passes(from, to) {
                    let notification = self.told(notification);
                    self.step(to, Input::Notified { from, notification });
                }
            }
            Event::Wake(id) => {
                self.server(id).wake_at_ms = u64::MAX;
                self.step(id, Input::Tick);
            }
            Event::Flush(id) => self.flush(id),
            Event::Dial { from, to } => self.dialed(from, to),
            Event::CheckLink { from, to } => self.check_link(from, to),
            Event::Read { server, token, after, bytes_max } => {
                let read = self.servers[&server].disk.read(after, bytes_max);
                self.step(server, Input::LogRead { token, read });
            }
            Event::Snapshot { connection, from, to, zxid, pieces } => self.transfer(connection, from, to, zxid, pieces),
        }
    }

    /// What is heard when somebody says this: in a world of lies, that somebody else leads, or should.
    fn told(&mut self, said: Notification) -> Notification {
        if !self.rng.chance(self.make.lies_per_mille) {
            return said;
        }
        // For a while all lies are in favour of the same server.
        let ids = self.ids();
        let leader = ids[(self.now_ms / 60) as usize % ids.len()];
        let vote = Some(Vote { last: Zxid(1 << 62), priority: 0, leader });
        let role = self.rng.pick(&[Role::Looking, Role::Looking, Role::Following, Role::Leading]);
        Notification { role, vote, ..said }
    }

    // ---- Servers ---------------------------------------------------------------------------------------------------

    /// Starts, or restarts, the process of a server on what its disk holds.
    pub(crate) fn start(&mut self, id: ServerId) {
        assert!(self.servers[&id].zab.is_none(), "{id:?} runs already");
        let founding = self.known_to(id);
        let config = Config {
            counter_soft_max: self.make.counter_soft_max,
            timing: self.make.timing,
            limits: self.make.limits,
            ..Config::new(id, founding)
        };
        let zab = Zab::new(config, self.servers[&id].disk.start());
        invariants::restarted(&mut self.ghost, id, &zab, &self.servers[&id].disk);
        let server = self.server(id);
        server.zab = Some(zab);
        server.incarnation += 1;
        (server.is_disk_busy, server.is_flush_due, server.wake_at_ms) = (false, false, u64::MAX);
        let mut out = Vec::new();
        let now_ms = self.clock(id);
        self.server(id).zab.as_mut().unwrap().start(now_ms, &mut out);
        self.trace(id, "starts");
        self.carry_out(id, out);
        for other in self.ids().into_iter().filter(|other| *other != id) {
            self.check_links(id, other);
        }
    }

    /// Whom a server is told of when it is started. One without a memory is told of the present ensemble.
    fn known_to(&self, id: ServerId) -> Members {
        let Server { disk, .. } = &self.servers[&id];
        let newest = self.servers.values().max_by_key(|server| server.disk.last().zxid).unwrap();
        match disk.standing {
            Standing::Voter => self.founding(),
            Standing::Amnesiac => {
                let founding = Configs::of(self.founding());
                newest.disk.configs(&founding).newest().unwrap().clone()
            }
        }
    }

    /// The process ends, at any moment. What its disk was doing may or may not be done.
    pub(crate) fn crash(&mut self, id: ServerId) {
        let under_way = self.servers[&id].disk.under_way.len() as u64;
        let (log_kept, meta_kept) = (self.rng.range(0, under_way) as usize, self.rng.range(0, under_way) as usize);
        self.crash_keeping(id, log_kept, meta_kept);
    }

    /// The process ends, and of what its disk was doing so much is done.
    pub(crate) fn crash_keeping(&mut self, id: ServerId, log_kept: usize, meta_kept: usize) {
        let Some(zab) = self.server(id).zab.take() else { return };
        self.trace(id, "crashes");
        let server = self.server(id);
        server.is_disk_stuck = false;
        server.disk.crash(log_kept, meta_kept, zab.commit());
        server.incarnation += 1;
        server.halted = None;
        for connection in self.network.sessions_of(id) {
            self.cut(connection);
            if let Some((mine, _)) = self.network.ends(connection, id) {
                mine.is_open = false;
            }
        }
        self.network.links_up.retain(|(from, _)| *from != id);
        for other in self.ids().into_iter().filter(|other| *other != id) {
            self.check_links(id, other);
        }
        invariants::survived(self, id);
    }

    /// The disk of a server that does not run is replaced by an empty one.
    pub(crate) fn wipe(&mut self, id: ServerId) {
        self.lose_disk(id);
        invariants::committed_never_lost(self);
    }

    /// The same, also if the others are not enough to make up for it.
    pub(crate) fn lose_disk(&mut self, id: ServerId) {
        assert!(self.servers[&id].zab.is_none(), "{id:?} still runs");
        self.server(id).disk = SimDisk::new(Standing::Amnesiac);
        self.ghost.promised.retain(|(server, _), _| *server != id);
        self.ghost.history(id).clear();
        self.ghost.see("disk lost");
    }

    pub(crate) fn clock(&self, id: ServerId) -> u64 {
        let (offset, rate) = self.servers[&id].clock;
        offset + self.now_ms * rate / 1000
    }

    pub(crate) fn step(&mut self, id: ServerId, input: Input) {
        let now_ms = self.clock(id);
        if self.traces && !matches!(input, Input::Tick) {
            self.trace(id, &format!("<- {input:?}"));
        }
        self.with(id, |zab, out| zab.step(now_ms, input, out));
        if self.rng.chance(self.make.flush_per_mille) {
            self.flush(id);
        } else if !self.servers[&id].is_flush_due {
            self.server(id).is_flush_due = true;
            let in_ms = self.rng.range(0, 3);
            self.schedule(in_ms, Some(id), Event::Flush(id));
        }
        self.wake_in_time(id);
    }

    pub(crate) fn flush(&mut self, id: ServerId) {
        self.server(id).is_flush_due = false;
        self.with(id, |zab, out| zab.flush(out));
    }

    /// Does something with a server that runs, and carries out what it leads to.
    pub(crate) fn with<T>(&mut self, id: ServerId, act: impl FnOnce(&mut Zab, &mut Vec<Output>) -> T) -> Option<T> {
        let mut out = Vec::new();
        let zab = self.server(id).zab.as_mut()?;
        let led = zab.role() == Role::Leading;
        let done = act(zab, &mut out);
        if led {
            invariants::commit_truth(self, id);
        }
        self.carry_out(id, out);
        Some(done)
    }

    fn wake_in_time(&mut self, id: ServerId) {
        let Some(zab) = self.zab(id) else { return };
        let (offset, rate) = self.servers[&id].clock;
        let due_ms = zab.wake_ms();
        if due_ms == u64::MAX {
            return;
        }
        let at_ms = (due_ms.saturating_sub(offset) * 1000).div_ceil(rate).max(self.now_ms + 1);
        if at_ms < self.servers[&id].wake_at_ms {
            self.server(id).wake_at_ms = at_ms;
            self.schedule(at_ms - self.now_ms, Some(id), Event::Wake(id));
        }
    }

    fn carry_out(&mut self, id: ServerId, outputs: Vec<Output>) {
        for output in outputs {
            if self.traces && !matches!(output, Output::Append { .. } | Output::Deliver(_)) {
                self.trace(id, &format!("-> {output:?}"));
            }
            self.carry_out_one(id, output);
        }
        invariants::applied_bound(self, id);
    }

    fn carry_out_one(&mut self, id: ServerId, output: Output) {
        match output {
            Output::Append { token, frame } => {
                invariants::logged(self, id, &frame);
                self.submit(id, token, DiskOp::Append(frame));
            }
            Output::Promise { token, promise } => self.submit(id, token, DiskOp::Promise(promise)),
            Output::Truncate { token, after } => {
                invariants::truncated(&mut self.ghost, id, after);
                self.submit(id, token, DiskOp::Truncate(after));
            }
            Output::Readmit { token } => self.submit(id, token, DiskOp::Readmit),
            Output::InstallSnapshot { token, base } => {
                let received = self.server(id).received.take().filter(|received| received.position == base);
                self.submit(id, token, DiskOp::Install(received.expect("what is installed was received")));
            }
            Output::ReadLog { token, after, bytes_max } => {
                let in_ms = self.between(self.make.disk_ms);
                self.schedule(in_ms, Some(id), Event::Read { server: id, token, after, bytes_max });
            }
            Output::Deliver(frame) => invariants::delivered(&mut self.ghost, id, &frame),
            Output::Restored(at) => invariants::restored(&mut self.ghost, id, at),
            Output::Established(epoch) => invariants::established(self, id, epoch),
            Output::Following { .. } => self.ghost.see("following"),
            Output::Looking => self.ghost.see("leader lost"),
            Output::ReadIndex { id: read, zxid } => invariants::read_fresh(&mut self.ghost, read, zxid),
            Output::FromLearner { connection, payload, .. } => {
                self.server(id).heard.push(payload.to_vec());
                self.with(id, |zab, out| zab.to_learner(connection, payload, out));
            }
            Output::FromLeader(payload) => self.server(id).heard.push(payload.to_vec()),
            Output::Digest(_) => {}
            Output::Peer(output) => self.carry_out_for_peers(id, output),
            Output::Halt(halt) => {
                assert!(matches!(halt, Halt::Removed { .. }), "Divergence: {id:?} stopped with {halt:?}");
                self.ghost.see("removed");
                self.server(id).halted = Some(halt);
            }
        }
    }

    fn carry_out_for_peers(&mut self, id: ServerId, output: PeerOutput) {
        match output {
            PeerOutput::MembersChanged(_) => {}
            PeerOutput::Notify { to, notification } => {
                if self.network.links_up.contains(&(id, to)) && self.network.passes(id, to) {
                    let in_ms = self.between(self.make.latency_ms);
                    // A link ends with the process at its other end, and nothing said on it reaches the next one.
                    self.schedule(in_ms, Some(to), Event::Notified { from: id, to, notification });
                }
            }
            PeerOutput::Dial { to } => {
                let in_ms = self.between(self.make.latency_ms);
                self.schedule(in_ms, Some(id), Event::Dial { from: id, to });
            }
            PeerOutput::Send { connection, message } => {
                invariants::said(self, id, connection, &message);
                self.send(id, connection, message);
            }
            PeerOutput::Close { connection } => self.close(id, connection),
            PeerOutput::SendSnapshot { .. } => self.ghost.see("snapshot sent"),
            PeerOutput::ReceiveSnapshot { connection, from, base } => {
                let pieces = self.between(self.make.snapshot_pieces);
                self.schedule(2, None, Event::Snapshot { connection, from, to: id, zxid: base.zxid, pieces });
            }
        }
    }

    // ---- What is so ------------------------------------------------------------------------------------------------

    /// The server that leads in the latest epoch, if it is established.
    pub(crate) fn leader(&self) -> Option<ServerId> {
        let leads = |zab: &Zab| zab.role() == Role::Leading && zab.phase() == Phase::Broadcast;
        let leaders = self.servers.iter().filter_map(|(id, server)| Some((*id, server.zab.as_ref()?)));
        leaders.filter(|(_, zab)| leads(zab)).max_by_key(|(_, zab)| zab.epoch()).map(|(id, _)| id)
    }

    /// Proposes a txn at a server. `None` if it cannot now.
    pub(crate) fn propose(&mut self, id: ServerId, payload: &[u8]) -> Option<Zxid> {
        let zxid = self.with(id, |zab, out| {
            let zxid = zab.next_zxid(out).ok()?;
            zab.propose(zxid, payload, out);
            Some(zxid)
        })??;
        self.flush(id);
        self.wake_in_time(id);
        Some(zxid)
    }

    /// A server is asked for a linearizable read.
    pub(crate) fn read(&mut self, id: ServerId) {
        self.ghost.reads_so_far += 1;
        let read = self.ghost.reads_so_far;
        let acknowledged = self.ghost.acknowledged;
        if self.with(id, |zab, _| zab.read_index(read)).is_some_and(|asked| asked.is_ok()) {
            self.ghost.reads.insert(read, acknowledged);
            self.flush(id);
        }
    }

    /// Whether everybody who runs and was not removed follows one established leader, and has all that it has.
    pub(crate) fn is_settled(&self) -> bool {
        let Some(leader) = self.leader() else { return false };
        let last = self.zab(leader).unwrap().history().last();
        let epoch: Epoch = last.epoch();
        self.servers.values().filter(|server| server.halted.is_none()).filter_map(|server| server.zab.as_ref()).all(
            |zab| {
                zab.phase() == Phase::Broadcast
                    && zab.leader() == Some(leader)
                    && zab.epoch() == epoch
                    && zab.history().delivered() == last
            },
        )
    }

    pub(crate) fn trace(&self, id: ServerId, what: &str) {
        if self.traces {
            println!("{:>6} {:>2} {what}", self.now_ms, id.0);
        }
    }
}
