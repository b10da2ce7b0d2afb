//! `Nemesis`: breaks and mends an ensemble at random, until its time is up; in the end everything is whole.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use quorate_tests::harness::Ensemble;
use tokio::runtime::Handle;

use crate::cluster::random::Random;

/// How long something stays broken.
const HOLD_MS: (u64, u64) = (50, 2_000);

/// How long nothing more is broken.
const CALM_MS: (u64, u64) = (50, 700);

/// How slow ways become.
const DELAY_MS: (u64, u64) = (2, 80);

/// Between two looks at the clock.
const STEP: Duration = Duration::from_millis(10);

/// What is broken, and how it is mended.
#[derive(Clone, Debug)]
enum Fault {
    /// These processes are gone and have to be started.
    Gone(Vec<u8>),
    /// These stand still and have to go on.
    Paused(Vec<u8>),
    /// These ways are cut, or so slow.
    Ways(Vec<(u8, u8, Option<Duration>)>),
}

/// Breaks things.
pub(super) struct Nemesis {
    ensemble: Ensemble,
    random: Random,
    /// How many things are broken at the same time.
    hands: usize,
    /// The one server that may lose its disk: two could make the ensemble forget.
    forgetful: u8,
    broken: Vec<(Instant, Fault)>,
    done: BTreeMap<&'static str, u32>,
}

impl Nemesis {
    pub(super) fn new(ensemble: Ensemble, mut random: Random, hands: usize) -> Nemesis {
        let forgetful = random.between(1, ensemble.ids().count() as u64 + 1) as u8;
        Nemesis { ensemble, random, hands, forgetful, broken: Vec::new(), done: BTreeMap::new() }
    }

    /// Does so for a while, on a thread that may block. Returns the ensemble, whole, and how often it did what.
    pub(super) fn rage(mut self, duration: Duration, runtime: &Handle) -> (Ensemble, BTreeMap<&'static str, u32>) {
        let until = Instant::now() + duration;
        let mut calm_until = Instant::now();
        while Instant::now() < until {
            self.mend(Instant::now());
            if self.broken.len() < self.hands && Instant::now() >= calm_until {
                self.break_something(runtime);
                calm_until = Instant::now() + self.milliseconds(CALM_MS);
            }
            thread::sleep(STEP);
        }
        self.mend(until + duration);
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
                Fault::Ways(_) => self.set_ways(),
            }
        }
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
                Fault::Ways(_) => false,
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
        let everybody: Vec<u8> = self.ensemble.ids().collect();
        let others = self.ensemble.others(victim);
        let both = |one: u8, other: u8| [(one, other, None), (other, one, None)];
        let (name, fault) = match self.random.between(0, 22) {
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
            11 => {
                unharmed.iter().for_each(|id| self.ensemble.server(*id).pause());
                ("all paused", Fault::Paused(unharmed))
            }
            12..15 => ("isolated", Fault::Ways(others.iter().flat_map(|other| both(victim, *other)).collect())),
            15 => ("deaf", Fault::Ways(others.iter().map(|other| (*other, victim, None)).collect())),
            16 => ("dumb", Fault::Ways(others.iter().map(|other| (victim, *other, None)).collect())),
            17..19 => {
                let (one, other): (Vec<u8>, Vec<u8>) = everybody.iter().partition(|_| self.random.between(0, 2) == 0);
                let ways = one.iter().flat_map(|a| other.iter().flat_map(move |b| both(*a, *b)));
                ("split", Fault::Ways(ways.collect()))
            }
            19 => {
                let delay = Some(self.milliseconds(DELAY_MS));
                (
                    "slow",
                    Fault::Ways(
                        others.iter().flat_map(|other| [(victim, *other, delay), (*other, victim, delay)]).collect(),
                    ),
                )
            }
            20 => {
                others.iter().for_each(|other| self.ensemble.network().reset(victim, *other));
                ("reset", Fault::Ways(Vec::new()))
            }
            _ if unharmed.contains(&self.forgetful) => {
                self.ensemble.wipe(self.forgetful);
                ("wiped", Fault::Gone(vec![self.forgetful]))
            }
            _ => return,
        };
        *self.done.entry(name).or_default() += 1;
        println!("storm: {name} {fault:?}");
        let until = Instant::now() + self.milliseconds(HOLD_MS);
        self.broken.push((until, fault));
        self.set_ways();
    }
}
