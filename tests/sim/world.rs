//! `World`: servers, disks, network and clients on one virtual clock. What happens next is decided by a seed alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use quorate_storage::sim::{Faults, Rng};
use quorate_storage::{Salt, SimDisk, Standing, Storage};
use quorate_types::{ClusterId, Now, OutboxId, ServerId, Zxid};
use quorate_zab::{ConnectionId, Notification};

use super::administrator::Administrator;
use super::clients::Client;
use super::driver::founding;
use super::faults::Fault;
use super::invariants::Ledger;
use super::lines::Late;
use super::network::Network;
use super::restorer::Restorer;
use super::server::{Clock, Id, Server};
use super::stranger::Stranger;
use super::swarm::Swarm;
use super::transfer::Transfer;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);

/// More events than this in a second, for each server and client, are a loop that does not end.
const EVENTS_PER_SECOND_MAX: u64 = 10_000;

/// What a run has done, for the sums and for the comparison of two runs of a seed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) simulated_ms: u64,
    /// A hash of everything that happened, with its times.
    pub(crate) trace: u64,
    pub(crate) applied: Zxid,
    pub(crate) counts: BTreeMap<String, u64>,
}

/// Something that is going to happen.
pub(crate) enum Event {
    Start(Id),
    Turn(Id),
    Tick(Id),
    Log(Id),
    LogIdle(Id),
    Snapshot(Id),
    Arrive(ConnectionId),
    Notified { from: Id, to: Id, notification: Box<Notification> },
    Dial { from: Id, to: Id },
    DialFailed { from: Id, to: Id },
    CheckLink { from: Id, to: Id },
    Transfer(Box<Transfer>),
    Act(usize),
    Read(usize),
    Sent(usize),
    Late(Box<Late>),
    Administer,
    AdministratorReads,
    Restore,
    RestorerReads,
    Visit,
    Gone(Id, OutboxId),
    Fault(Fault),
}

/// An event with its time. Events of one moment happen in the order in which they were scheduled.
struct Scheduled {
    at_us: u64,
    number: u64,
    /// It belongs to this process of the server that it happens to; `None` if it outlives that.
    incarnation: Option<u64>,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

/// One stream of chance for each thing that draws, so that more of one leaves the others as they were.
pub(crate) struct Chances {
    pub(crate) network: Rng,
    pub(crate) disk: Rng,
    pub(crate) process: Rng,
    pub(crate) faults: Rng,
}

/// Servers, disks, network and clients on one virtual clock.
pub(crate) struct World {
    pub(crate) verbose: bool,
    pub(crate) now_us: u64,
    pub(crate) swarm: Swarm,
    pub(crate) chances: Chances,
    pub(crate) servers: Vec<Server>,
    pub(crate) network: Network,
    pub(crate) clients: Vec<Client>,
    pub(crate) administrator: Administrator,
    pub(crate) restorer: Restorer,
    pub(crate) stranger: Stranger,
    pub(crate) ledger: Ledger,
    pub(crate) is_peace: bool,
    /// Clients send nothing new.
    pub(crate) is_quiet: bool,
    events: BinaryHeap<Reverse<Scheduled>>,
    events_so_far: u64,
    /// When the present second of simulated time began, and how many events there had been by then.
    second: (u64, u64),
    trace: u64,
    counts: BTreeMap<String, u64>,
}

impl World {
    pub(crate) fn new(seed: u64, verbose: bool) -> World {
        let mut rng = Rng::new(seed);
        let mut later = Rng::new(!seed);
        let mut latest = Rng::new(seed.rotate_left(56));
        let swarm = Swarm::draw(&mut rng, &mut later, &mut latest);
        if verbose {
            println!("{swarm:#?}");
        }
        let mut stream = || Rng::new(rng.next_u64());
        let chances = Chances { network: stream(), disk: stream(), process: stream(), faults: stream() };
        // By a generator of its own, so that what earlier seeds have found stays where it is.
        let is_told = Rng::new(seed.rotate_left(32)).below(4) > 0;
        let standing = if is_told { Standing::Voter } else { Standing::New };
        let servers = (0..swarm.servers()).map(|id| make_server(Id(id), standing, &swarm, &mut stream())).collect();
        let mut attaches = || !later.chance(swarm.lines.unattached);
        let clients = (0..swarm.clients.count as u64).map(|id| Client::new(id, stream(), attaches())).collect();
        let slow_disk = Id(later.below(swarm.servers() as u64) as usize);
        let mut world = World {
            verbose,
            now_us: 1_000_000,
            chances,
            servers,
            network: Network::default(),
            clients,
            administrator: Administrator::new(Rng::new(later.next_u64())),
            restorer: Restorer::new(latest),
            stranger: Stranger::new(Rng::new(seed.rotate_left(48))),
            ledger: Ledger::new(founding(swarm.voters, swarm.observers), swarm.servers(), swarm.staleness_ms()),
            is_peace: false,
            is_quiet: false,
            events: BinaryHeap::new(),
            events_so_far: 0,
            second: (0, 0),
            trace: 0,
            counts: BTreeMap::new(),
            swarm,
        };
        if world.swarm.slow_disk_us > 0 {
            world.server(slow_disk).disk_us = world.swarm.slow_disk_us;
        }
        for id in world.ids() {
            let in_us = world.chances.process.below(200_000);
            world.schedule(in_us, None, Event::Start(id));
        }
        for client in 0..world.clients.len() {
            world.schedule(300_000, None, Event::Act(client));
        }
        world.administer_later();
        world.restore_later();
        world.stranger_comes_later();
        world
    }

    pub(crate) fn run(mut self) -> Outcome {
        self.schedule_faults();
        self.pass(self.swarm.chaos_ms * 1000);
        self.make_peace();
        let mut counts = std::mem::take(&mut self.counts);
        let mut add = |name: &str, count: u64| *counts.entry(name.to_owned()).or_default() += count;
        add("acknowledged", self.ledger.writes.acknowledged);
        add("refused", self.ledger.writes.refused);
        add("unknown", self.ledger.writes.unknown);
        add("reads compared", self.ledger.reads.checked);
        add("answers to strangers", self.ledger.timeliness.checked);
        add("expired sessions", self.ledger.sessions.expired);
        add("members changed", self.ledger.administration.changed);
        add("leadership handed over", self.ledger.administration.handed_over);
        let (restored, foreign) = self.ledger.restores.counts();
        add("restores finished", restored);
        add("backups of another ensemble restored", foreign);
        add("restores that came to nothing", self.ledger.restores.dropped);
        add("resumed watches", self.clients.iter().map(|client| client.watching.resumed).sum());
        add("compacted watches", self.clients.iter().map(|client| client.watching.compacted).sum());
        add("events", self.events_so_far);
        Outcome {
            simulated_ms: self.now_us / 1000 - 1_000,
            trace: self.trace,
            applied: self.ledger.history.last(),
            counts,
        }
    }

    pub(crate) fn ids(&self) -> Vec<Id> {
        (0..self.servers.len()).map(Id).collect()
    }

    pub(crate) fn server(&mut self, id: Id) -> &mut Server {
        &mut self.servers[id.0]
    }

    pub(crate) fn is_running(&self, id: Id) -> bool {
        self.servers[id.0].process.is_some()
    }

    pub(crate) fn now_of(&self, id: Id) -> Now {
        self.servers[id.0].clock.now(self.now_us)
    }

    // ---- Time ------------------------------------------------------------------------------------------------------

    pub(crate) fn schedule(&mut self, in_us: u64, whose: Option<Id>, event: Event) {
        let incarnation = whose.map(|id| self.servers[id.0].incarnation);
        self.schedule_at(self.now_us + in_us, incarnation, event);
    }

    pub(crate) fn schedule_at(&mut self, at_us: u64, incarnation: Option<u64>, event: Event) {
        self.events_so_far += 1;
        self.events.push(Reverse(Scheduled { at_us, number: self.events_so_far, incarnation, event }));
    }

    /// Lets everything happen that is due in the next microseconds.
    pub(crate) fn pass(&mut self, us: u64) {
        let until_us = self.now_us + us;
        while self.events.peek().is_some_and(|Reverse(next)| next.at_us <= until_us)
            && let Some(Reverse(Scheduled { at_us, incarnation, event, .. })) = self.events.pop()
        {
            self.now_us = self.now_us.max(at_us);
            self.happen(incarnation, event);
            self.check_work();
        }
        self.now_us = until_us;
    }

    /// BoundedWork: nothing leads to itself without end.
    fn check_work(&mut self) {
        if self.now_us >= self.second.0 + 1_000_000 {
            self.second = (self.now_us, self.events_so_far);
        }
        let (events, parties) = (self.events_so_far - self.second.1, (self.servers.len() + self.clients.len()) as u64);
        assert!(events <= parties * EVENTS_PER_SECOND_MAX, "BoundedWork: {events} events within a second");
    }

    /// Lets time pass until `done`, for at most so many milliseconds. Whether it came to that.
    pub(crate) fn pass_until(&mut self, ms: u64, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let until_us = self.now_us + ms * 1000;
        while !done(self) {
            if self.now_us >= until_us {
                return false;
            }
            self.pass(20_000);
        }
        true
    }

    fn happen(&mut self, incarnation: Option<u64>, event: Event) {
        let on_process = match &event {
            Event::Turn(id) | Event::Tick(id) | Event::Log(id) | Event::LogIdle(id) | Event::Snapshot(id) => Some(*id),
            _ => None,
        };
        if let Some(id) = on_process {
            let server = &self.servers[id.0];
            if server.process.is_none() || incarnation.is_some_and(|own| own != server.incarnation) {
                return;
            }
            if server.paused_until_us > self.now_us {
                return self.schedule_at(server.paused_until_us, incarnation, event);
            }
            self.note(id.0 as u64);
        }
        match event {
            Event::Start(id) => self.start(id),
            Event::Turn(id) => self.turn(id, false),
            Event::Tick(id) => self.turn(id, true),
            Event::Log(id) => self.log_works(id),
            Event::LogIdle(id) => self.log_is_idle(id),
            Event::Snapshot(id) => self.snapshot_works(id),
            Event::Arrive(connection) => self.arrive(connection),
            Event::Notified { from, to, notification } => self.notified(from, to, incarnation, *notification),
            Event::Dial { from, to } => self.dialed(from, to, incarnation),
            Event::DialFailed { from, to } => self.dial_failed(from, to, incarnation),
            Event::CheckLink { from, to } => self.check_link(from, to),
            Event::Transfer(transfer) => self.transfer(*transfer),
            Event::Act(client) => self.client_acts(client),
            Event::Read(client) => self.client_reads(client),
            Event::Sent(client) => self.sent(client),
            Event::Late(late) => self.late(*late),
            Event::Administer => self.administer(),
            Event::AdministratorReads => self.administrator_reads(),
            Event::Restore => self.restore(),
            Event::RestorerReads => self.restorer_reads(),
            Event::Visit => self.stranger_comes(),
            Event::Gone(id, outbox) => self.client_gone(id, incarnation, outbox),
            Event::Fault(fault) => self.strike(fault),
        }
    }

    // ---- What is told ----------------------------------------------------------------------------------------------

    /// Notes for the trace what has just happened.
    pub(crate) fn note(&mut self, what: u64) {
        let mixed = (self.trace ^ what ^ self.now_us.rotate_left(20)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.trace = mixed ^ (mixed >> 29);
    }

    pub(crate) fn count(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(what.to_owned(), 1)),
        }
        self.say(|| what.to_owned());
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>10.3} {}", self.now_us as f64 / 1000.0, what());
        }
    }
}

/// A server with an empty disk: one that was told that the ensemble is a new one, or one that has to find out.
fn make_server(id: Id, standing: Standing, swarm: &Swarm, rng: &mut Rng) -> Server {
    let quiet = Faults { write_error: 0, sync_error: 0, ..swarm.disk.clone() };
    let disk = SimDisk::new(rng.next_u64(), quiet);
    let salt = Salt(rng.next_u64());
    let standing = if id.0 < swarm.founders() { standing } else { Standing::New };
    Storage::initialize(disk.clone(), CLUSTER, id.server(), standing, salt).expect("a new disk can be initialized");
    disk.set_faults(swarm.disk.clone());
    let drift = u64::from(swarm.clocks.drift);
    let clock = Clock {
        offset_ms: 1_000 + rng.below(1_000_000),
        rate: 1_000_000 - drift + rng.below(2 * drift + 1),
        wall_ms: 1_700_000_000_000 + rng.below(1_000) as i64,
    };
    Server {
        id,
        disk,
        clock,
        incarnation: 0,
        process: None,
        paused_until_us: 0,
        stop_at: None,
        disk_us: swarm.disk_us,
        standing,
        is_damaged: false,
        is_retired: false,
        led_by: ServerId::default(),
    }
}
