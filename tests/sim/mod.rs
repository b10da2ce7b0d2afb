//! The simulator: one server, its clients and its disk, on a simulated clock, from one seed.
//!
//! The replica, the work of the disk threads and the storage are those of production; the disk underneath forgets,
//! tears, fails and fills up. A seed first draws the kinds and intensities of its faults (uniform faults would hide
//! bugs that need one fault alone), then a schedule of clients' requests, turns of the driver, disk work, time and
//! crashes. At the end the faults stop, the server starts once more, outlives a full disk, and everything that was
//! acknowledged is looked for.
//!
//! | file | holds |
//! | --- | --- |
//! | `swarm` | what a seed draws first |
//! | `world` | the machine, the running process, and the schedule |
//! | `world/full_disk` | invariant: a full disk refuses writes, and no longer than it is full |
//! | `clients` | who writes, reads and watches, and what they were told |
//! | `history` | invariant: what was acknowledged is in the log for ever, under the same hash |
//! | `writes` | invariant: an acknowledged write is there, a refused one is not, an unknown one is at most once |
//! | `watching` | invariant: a watch that resumes sees every change once, in order |
//! | `judged` | invariant: what clients saw of shared znodes is linearizable |
//! | `sessions` | invariant: no session expires early, no ephemeral outlives its session |
//!
//! `QUORATE_SIM_SEED=n` runs one seed and prints its trace; `QUORATE_SIM_SEEDS=n` runs so many.

mod clients;
mod history;
mod judged;
mod sessions;
mod swarm;
mod watching;
mod world;
mod writes;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use quorate_tests::report;

use self::world::{Outcome, World};

/// Seeds of a usual run.
const SEEDS: u64 = 2_000;

/// One in so many seeds runs twice, to see that it does the same again.
const REPEATED: u64 = 50;

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
fn nothing_acknowledged_is_lost_on_a_disk_that_forgets_tears_fails_and_fills_up() {
    if let Some(seed) = number("QUORATE_SIM_SEED") {
        println!("{:#?}", run(seed, true));
        return;
    }
    let seeds = number("QUORATE_SIM_SEEDS").unwrap_or(SEEDS * report::scale() as u64);
    let began = Instant::now();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut simulated_ms = 0;
    for seed in 0..seeds {
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
    // A fault that never happened was not survived.
    for name in [
        "crashes",
        "power losses",
        "disk errors",
        "full disks",
        "torn tails cut",
        "snapshots",
        "restarts from a snapshot",
    ] {
        assert!(seeds < SEEDS || counts.get(name).is_some_and(|count| *count > 0), "no {name} in {seeds} seeds");
    }
}
