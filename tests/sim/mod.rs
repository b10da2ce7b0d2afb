//! The simulator: an ensemble of one server or several, its clients, its network and its disks, on a simulated clock,
//! from one seed.
//!
//! The replicas, the work of the disk threads and the storage are those of production; the disks underneath forget, tear,
//! fail and fill up, and the network between them delays, loses and parts. A seed first draws the kinds and intensities
//! of its faults, then everything else. In the end the faults stop, and what has to come to pass in peace must.
//!
//! | file | holds |
//! | --- | --- |
//! | `swarm` | what a seed draws first |
//! | `world` | the clock, what happens next, and the trace |
//! | `server`, `driver` | a machine with its process; what the shell of a server does |
//! | `network`, `wires`, `transfer` | sessions and links; what travels on them; snapshots from one server to another |
//! | `clients`, `connections` | who writes, reads and watches, at one server after another |
//! | `faults`, `coverage` | what goes wrong; what was hit by it |
//! | `peace` | what has to come to pass when nothing goes wrong any more |
//! | `invariants` | what has to hold, and where each of it is checked |
//! | `past` | seeds that have found something |
//!
//! `QUORATE_SIM_SEED=n` runs one seed and prints its trace; `QUORATE_SIM_SEEDS=n` runs so many,
//! `QUORATE_SIM_FIRST=n` from this one on.

mod clients;
mod connections;
mod coverage;
mod driver;
mod faults;
mod invariants;
mod network;
mod past;
mod peace;
mod server;
mod swarm;
mod transfer;
mod wires;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use quorate_tests::report;

use self::world::{Outcome, World};

/// Seeds of a usual run.
const SEEDS: u64 = 2_000;

/// One in so many seeds runs twice, to see that it does the same again.
const REPEATED: u64 = 50;

/// What has to happen in a usual run: a fault that never happened was not survived.
const COLD: &[&str] = &[
    "crash x leading",
    "crash x following",
    "power loss x leading",
    "power loss x following",
    "disk errors",
    "full disk x leading",
    "torn tails cut",
    "snapshots",
    "restarts from a snapshot",
    "snapshots installed",
    "disk lost x following",
    "isolated x leading",
    "one way x leading",
    "pause x leading",
    "clients left in silence",
];

fn repro(seed: u64) -> String {
    format!("QUORATE_SIM_SEED={seed} cargo test -p quorate-tests --test main -- sim:: --nocapture")
}

fn run(seed: u64, verbose: bool) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| World::new(seed, verbose).run())) {
        Ok(outcome) => outcome,
        Err(panic) => {
            eprintln!("seed {seed} failed; repeat it with\n  {}", repro(seed));
            std::panic::resume_unwind(panic)
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn an_ensemble_loses_nothing_and_goes_on_whatever_fails() {
    if let Some(seed) = number("QUORATE_SIM_SEED") {
        println!("{:#?}", run(seed, true));
        return;
    }
    let seeds = number("QUORATE_SIM_SEEDS").unwrap_or(SEEDS * report::scale() as u64);
    let first = number("QUORATE_SIM_FIRST").unwrap_or(0);
    let began = Instant::now();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut simulated_ms = 0;
    for seed in past::SEEDS.iter().map(|(seed, _)| *seed).chain(first..first + seeds) {
        let outcome = run(seed, false);
        if seed.is_multiple_of(REPEATED) {
            assert_eq!(run(seed, false), outcome, "seed {seed} is not deterministic; {}", repro(seed));
        }
        simulated_ms += outcome.simulated_ms;
        for (name, count) in outcome.counts {
            *counts.entry(name).or_default() += count;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let speed = simulated_ms as f64 / 1000.0 / seconds;
    report::note(&format!(
        "simulator: {seeds} seeds, {} simulated s in {seconds:.0} s ({speed:.0} per s)",
        simulated_ms / 1000
    ));
    report::note(&format!("simulator: {counts:?}"));
    for name in COLD {
        assert!(seeds < SEEDS || counts.get(*name).is_some_and(|count| *count > 0), "no {name} in {seeds} seeds");
    }
}
