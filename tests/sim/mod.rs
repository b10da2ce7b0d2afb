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
//! | `stranger` | who knows nothing and reads once |
//! | `administrator` | who changes the members, and who is to lead |
//! | `restorer`, `backup` | who takes backups and restores them; what is in one |
//! | `lines` | what is between a client and its server |
//! | `faults`, `coverage` | what goes wrong; what was hit by it |
//! | `peace` | what has to come to pass when nothing goes wrong any more |
//! | `invariants` | what has to hold, and where each of it is checked |
//! | `past` | seeds that have found something |
//! | `mutations` | errors put in on purpose, in a build of `tests/mutations` alone |
//!
//! `QUORATE_SIM_SEED=n` runs one seed and prints its trace; `QUORATE_SIM_SEEDS=n` runs so many,
//! `QUORATE_SIM_FIRST=n` from this one on.

mod administrator;
mod backup;
mod clients;
mod connections;
mod coverage;
mod driver;
mod faults;
mod invariants;
mod lines;
#[cfg(quorate_mutations)]
mod mutations;
mod network;
mod past;
mod peace;
mod restorer;
mod server;
mod stranger;
mod swarm;
mod transfer;
mod wires;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use quorate_tests::report;

use self::world::{Outcome, World};

/// Seeds of a usual run.
const SEEDS: u64 = 2_000;

/// So many seeds run side by side.
const THREADS: usize = 2;

/// When so many seeds have failed, there is enough to look at.
const FAILURES_MAX: usize = 20;

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
    "clients cut off",
    "requests that come late",
    "deposed x leading",
    "data given up",
    "members changed",
    "newcomers who vote",
    "servers let go",
    "leadership handed over",
    "restores finished",
    "restores that came to nothing",
    "backups of another ensemble restored",
];

fn repro(seed: u64) -> String {
    format!("QUORATE_SIM_SEED={seed} cargo test -p quorate-tests --test main -- sim:: --nocapture")
}

/// Runs a seed twice, and compares that. What it fails with, if it does.
fn run(seed: u64) -> Result<Outcome, String> {
    let twice = || {
        let first = World::new(seed, false).run();
        assert_eq!(World::new(seed, false).run(), first, "Deterministic: seed {seed} does not do the same again");
        first
    };
    catch_unwind(AssertUnwindSafe(twice)).map_err(|panic| {
        eprintln!("seed {seed} failed; repeat it with\n  {}", repro(seed));
        failure_of(&*panic)
    })
}

/// The beginning of what a run fails with, which names the invariant: NoPanic where it is the servers themselves that
/// found something wrong.
fn failure_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("?").lines().next().unwrap_or_default();
    let text = text.trim_start_matches("assertion `left ").trim_start_matches("== right` failed: ");
    let text = text.trim_start_matches("!= right` failed: ");
    let is_name = |name: &str| name.starts_with(|letter: char| letter.is_ascii_uppercase()) && !name.contains(' ');
    let named = text.split_once(": ").is_some_and(|(name, _)| is_name(name));
    let text = if named { text.to_owned() } else { format!("NoPanic: {text}") };
    text.chars().take(110).collect()
}

/// A seed, with what it has done or failed with.
type Run = (u64, Result<Outcome, String>);

/// Runs seeds side by side, until too many of them fail. Returns what each of them has done, in the order of the seeds, and
/// how many seconds of a processor that took.
fn run_all(seeds: &[u64]) -> (Vec<Run>, f64) {
    let (next, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let (mut done, before) = (Vec::new(), processor_seconds());
        while failures.load(Ordering::Relaxed) < FAILURES_MAX
            && let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(seed) = seeds.get(index)
        {
            let result = run(*seed);
            failures.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            done.push((index, (*seed, result)));
        }
        (done, processor_seconds() - before)
    };
    let finished: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a seed that fails is caught")).collect()
    });
    let seconds = finished.iter().map(|(_, seconds)| seconds).sum();
    let mut done: Vec<_> = finished.into_iter().flat_map(|(done, _)| done).collect();
    done.sort_by_key(|(index, _)| *index);
    (done.into_iter().map(|(_, done)| done).collect(), seconds)
}

/// What this thread has used of a processor so far, where the system says so; otherwise what has passed.
fn processor_seconds() -> f64 {
    static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let on_processor = std::fs::read_to_string("/proc/thread-self/schedstat");
    let nanoseconds = on_processor.ok().and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| BEGAN.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn an_ensemble_loses_nothing_and_goes_on_whatever_fails() {
    if let Some(seed) = number("QUORATE_SIM_SEED") {
        println!("{:#?}", World::new(seed, true).run());
        return;
    }
    let seeds = number("QUORATE_SIM_SEEDS").unwrap_or(SEEDS * report::scale() as u64);
    let first = number("QUORATE_SIM_FIRST").unwrap_or(0);
    let all: Vec<u64> = past::SEEDS.iter().map(|(seed, _)| *seed).chain(first..first + seeds).collect();
    let began = Instant::now();
    let (done, seconds) = run_all(&all);
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for (seed, result) in done {
        match result {
            Ok(outcome) => outcomes.push(outcome),
            Err(failure) => failed.push(format!("seed {seed}: {failure}")),
        }
    }
    assert!(failed.is_empty(), "these have failed:\n{}", failed.join("\n"));
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let simulated_ms: u64 = outcomes.iter().map(|outcome| outcome.simulated_ms).sum();
    for (name, count) in outcomes.into_iter().flat_map(|outcome| outcome.counts) {
        *counts.entry(name).or_default() += count;
    }
    report::note(&format!(
        "simulator: {seeds} seeds, each twice, {} simulated s in {:.0} s ({:.0} per processor s)",
        2 * simulated_ms / 1000,
        began.elapsed().as_secs_f64(),
        (2 * simulated_ms) as f64 / 1000.0 / seconds
    ));
    report::note(&format!("simulator: {counts:?}"));
    for name in COLD {
        assert!(seeds < SEEDS || counts.get(*name).is_some_and(|count| *count > 0), "no {name} in {seeds} seeds");
    }
}
