//! `Nemesis`: breaks and mends an ensemble at random, until its time is up; in the end everything is whole.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use quorate_tests::harness::{Ensemble, Files};
use tokio::runtime::Handle;

use super::members;
use crate::cluster::random::Random;

/// How long something stays broken.
const HOLD_MS: (u64, u64) = (50, 2_000);

/// How long nothing more is broken.
const CALM_MS: (u64, u64) = (50, 700);

/// How slow ways become.
const DELAY_MS: (u64, u64) = (2, 80);

/// How slow disks become: each sync takes so much longer.
const SYNC_MS: (u64, u64) = (5, 400);

/// By how much wall clocks are wrong, in either direction.
const WALL_MS: (u64, u64) = (1_000, 26 * 3_600_000);

/// For how long machines have been suspended when they wake up.
const SUSPENDED_MS: (u64, u64) = (1_000, 600_000);

/// What a process ends with because of its storage device (`EX_IOERR`).
const EXIT_IO_ERROR: i32 = 74;

/// Between two looks at the clock.
const STEP: Duration = Duration::from_millis(10);

/// What is broken, and how it is mended.
#[derive(Clone, Debug)]
enum Fault {
    /// These processes are gone and have to be started.
    Gone(Vec<u8>),
    /// These stand still and have to go on.
    Paused(Vec<u8>),
    /// This one sleeps, as its machine does, and wakes up so much later by its clocks.
    Suspended(u8, Duration),
    /// The disk of this one is slow, hangs or is full.
    Disk(u8),
    /// The next sync of this one's log fails, if there is one: it has had so many failures before.
    Failing(u8, u64),
    /// The wall clock of this one is wrong.
    Clock(u8),
    /// These ways are cut, or so slow.
    Ways(Vec<(u8, u8, Option<Duration>)>),
}

/// How often what was done.
pub(super) type Counts = BTreeMap<&'static str, u32>;

/// Breaks things.
pub(super) struct Nemesis {
    ensemble: Ensemble,
    random: Random,
    /// How many things are broken at the same time.
    hands: usize,
    /// The one server that may lose its disk: two could make the ensemble forget.
    forgetful: u8,
    /// So many servers vote at least, whoever they are.
    voters_min: usize,
    broken: Vec<(Instant, Fault)>,
    done: Counts,
}

impl Nemesis {
    pub(super) fn new(ensemble: Ensemble, mut random: Random, hands: usize) -> Nemesis {
        let forgetful = random.between(1, ensemble.ids().count() as u64 + 1) as u8;
        let voters_min = ensemble.voters();
        Nemesis { ensemble, random, hands, forgetful, voters_min, broken: Vec::new(), done: BTreeMap::new() }
    }

    /// Does so for a while, on a thread that may block. Returns the ensemble, whole, and how often it did what.
    pub(super) fn rage(mut self, duration: Duration, runtime: &Handle) -> (Ensemble, Counts) {
        let until = Instant::now() + duration;
        let mut calm_until = Instant::now();
        while Instant::now() < until {
            self.mend(Instant::now());
            self.bury();
            if self.broken.len() < self.hands && Instant::now() >= calm_until {
                if self.random.between(0, 6) == 0 {
                    self.change_members(runtime);
                } else {
                    self.break_something(runtime);
                }
                calm_until = Instant::now() + self.milliseconds(CALM_MS);
            }
            thread::sleep(STEP);
        }
        self.mend(until + duration);
        self.bury();
        (self.ensemble, self.done)
    }

    fn milliseconds(&mut self, (low, high): (u64, u64)) -> Duration {
        Duration::from_millis(self.random.between(low, high))
    }

    /// Mends what was broken long enough.
    fn mend(&mut self, now: Instant) {
        let (over, broken) = std::mem::take(&mut self.broken).into_iter().partition(|(until, _)| *until <= now);
        self.broken = broken;
        for (_, fault) in over {
            match fault {
                Fault::Gone(servers) => servers.into_iter().for_each(|id| self.ensemble.restart(id)),
                Fault::Paused(servers) => servers.into_iter().for_each(|id| self.ensemble.server(id).resume()),
                Fault::Suspended(server, slept) => {
                    self.ensemble.server(server).faults().jump_ahead(slept);
                    self.ensemble.server(server).resume();
                }
                Fault::Disk(server) => self.ensemble.server(server).faults().mend_disk(),
                Fault::Failing(server, failed_before) => self.mend_failing(server, failed_before),
                // It may have left for good.
                Fault::Clock(server) if !self.ensemble.ids().any(|id| id == server) => {}
                Fault::Clock(server) => self.ensemble.server(server).faults().set_wall_clock(0),
                Fault::Ways(_) => self.set_ways(),
            }
        }
    }

    /// A server whose log could not be synced ends.
    fn mend_failing(&mut self, server: u8, failed_before: u64) {
        let faults = self.ensemble.server(server).faults();
        faults.mend_disk();
        // A sync may be on its way that was told to fail and is not counted yet.
        thread::sleep(STEP);
        if faults.counts().failed == failed_before {
            return;
        }
        let status = self.ensemble.wait_for_end(server);
        assert_eq!(status.code(), Some(EXIT_IO_ERROR), "server {server}: {}", self.ensemble.server(server).log());
        self.count("ended by a failing disk");
        self.ensemble.restart(server);
    }

    /// Makes the network as the present faults want it.
    fn set_ways(&self) {
        let network = self.ensemble.network();
        network.heal();
        for (_, fault) in &self.broken {
            let Fault::Ways(ways) = fault else { continue };
            for (from, to, delay) in ways {
                match delay {
                    Some(delay) => network.slow_down(*from, *to, *delay),
                    None => network.cut(*from, *to),
                }
            }
        }
    }

    /// Servers whose processes nothing has happened to.
    fn unharmed(&self) -> Vec<u8> {
        let harmed = |id: u8| {
            self.broken.iter().any(|(_, fault)| match fault {
                Fault::Gone(servers) | Fault::Paused(servers) => servers.contains(&id),
                Fault::Suspended(server, _) | Fault::Disk(server) | Fault::Failing(server, _) => *server == id,
                Fault::Clock(..) | Fault::Ways(_) => false,
            })
        };
        self.ensemble.ids().filter(|id| !harmed(*id)).collect()
    }

    /// A server: the leader as often as not, if there is one.
    fn victim(&mut self, among: &[u8], runtime: &Handle) -> Option<u8> {
        let any = *among.get(self.random.between(0, among.len().max(1) as u64) as usize)?;
        if self.random.between(0, 2) == 0 {
            return Some(any);
        }
        let leader = runtime.block_on(self.ensemble.leader_now(among));
        Some(leader.unwrap_or(any))
    }

    fn break_something(&mut self, runtime: &Handle) {
        let unharmed = self.unharmed();
        let Some(victim) = self.victim(&unharmed, runtime) else { return };
        let (name, fault) = match self.random.between(0, 30) {
            0..13 => self.break_process(victim, unharmed),
            13..22 => self.break_network(victim),
            _ => self.break_machine(victim),
        };
        self.count(name);
        println!("storm: {name} {fault:?}");
        let hold = self.milliseconds(HOLD_MS);
        // Longer than a disk may hang before somebody minds.
        let hold = if matches!(fault, Fault::Disk(_)) { 2 * hold } else { hold };
        self.broken.push((Instant::now() + hold, fault));
        self.set_ways();
    }

    /// Those who were removed and whose removal nobody answered end by themselves when they hear of it.
    fn bury(&mut self) {
        for id in self.unharmed() {
            if !self.ensemble.is_alive(id) {
                let log = self.ensemble.server(id).log();
                assert!(log.contains("this server was removed from the ensemble"), "server {id} has ended: {log}");
                self.ensemble.retire(id);
                self.count("ended because they were removed");
            }
        }
    }

    /// Not a fault, but an opportunity for some. Those who are harmed stay: they could not be switched off.
    fn change_members(&mut self, runtime: &Handle) {
        let unharmed = self.unharmed();
        let changing = members::change(&mut self.ensemble, self.voters_min, &unharmed, &mut self.random);
        if let Some(name) = runtime.block_on(changing) {
            println!("storm: {name}");
            self.count(name);
        }
    }

    fn count(&mut self, name: &'static str) {
        *self.done.entry(name).or_default() += 1;
    }

    fn break_process(&mut self, victim: u8, unharmed: Vec<u8>) -> (&'static str, Fault) {
        match self.random.between(0, 13) {
            0..4 => {
                self.ensemble.kill(victim);
                ("killed", Fault::Gone(vec![victim]))
            }
            4 => {
                unharmed.iter().for_each(|id| self.ensemble.kill(*id));
                ("all killed", Fault::Gone(unharmed))
            }
            5..7 => {
                self.ensemble.stop(victim);
                ("stopped", Fault::Gone(vec![victim]))
            }
            7..11 => {
                self.ensemble.server(victim).pause();
                ("paused", Fault::Paused(vec![victim]))
            }
            11 if unharmed.contains(&self.forgetful) => {
                self.ensemble.wipe(self.forgetful);
                ("wiped", Fault::Gone(vec![self.forgetful]))
            }
            _ => {
                unharmed.iter().for_each(|id| self.ensemble.server(*id).pause());
                ("all paused", Fault::Paused(unharmed))
            }
        }
    }

    fn break_network(&mut self, victim: u8) -> (&'static str, Fault) {
        let everybody: Vec<u8> = self.ensemble.ids().collect();
        let others = self.ensemble.others(victim);
        let both = |one: u8, other: u8, delay| [(one, other, delay), (other, one, delay)];
        match self.random.between(0, 9) {
            0..3 => ("isolated", Fault::Ways(others.iter().flat_map(|other| both(victim, *other, None)).collect())),
            3 => ("deaf", Fault::Ways(others.iter().map(|other| (*other, victim, None)).collect())),
            4 => ("dumb", Fault::Ways(others.iter().map(|other| (victim, *other, None)).collect())),
            5..7 => {
                let (one, other): (Vec<u8>, Vec<u8>) = everybody.iter().partition(|_| self.random.between(0, 2) == 0);
                let ways = one.iter().flat_map(|a| other.iter().flat_map(move |b| both(*a, *b, None)));
                ("split", Fault::Ways(ways.collect()))
            }
            7 => {
                let delay = Some(self.milliseconds(DELAY_MS));
                ("slow", Fault::Ways(others.iter().flat_map(|other| both(victim, *other, delay)).collect()))
            }
            _ => {
                others.iter().for_each(|other| self.ensemble.network().reset(victim, *other));
                ("reset", Fault::Ways(Vec::new()))
            }
        }
    }

    /// Its disk and its clocks.
    fn break_machine(&mut self, victim: u8) -> (&'static str, Fault) {
        let (sync, slept) = (self.milliseconds(SYNC_MS), self.milliseconds(SUSPENDED_MS));
        let wrong_by_ms = self.random.between(WALL_MS.0, WALL_MS.1) as i64;
        let wrong_by_ms = if self.random.between(0, 2) == 0 { wrong_by_ms } else { -wrong_by_ms };
        let server = self.ensemble.server(victim);
        let faults = server.faults();
        match self.random.between(0, 8) {
            0..2 => {
                faults.slow_down(sync, sync / 20);
                ("slow disks", Fault::Disk(victim))
            }
            2..4 => {
                faults.hang(Files::ALL);
                ("hung disks", Fault::Disk(victim))
            }
            4 => {
                faults.fill(Files::ALL);
                ("full disks", Fault::Disk(victim))
            }
            5 => {
                let failed_before = faults.counts().failed;
                faults.fail_next_sync(Files::LOG);
                ("failing disks", Fault::Failing(victim, failed_before))
            }
            6 => {
                faults.set_wall_clock(wrong_by_ms);
                ("wrong clocks", Fault::Clock(victim))
            }
            _ => {
                server.pause();
                ("suspended", Fault::Suspended(victim, slept))
            }
        }
    }
}
