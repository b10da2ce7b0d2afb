//! Random schedules: whatever was reported as done is there after every crash, in order, and nothing else is.
//!
//! A failing seed prints how to run it again; `SEEDS=100000` runs that many.

use super::run::{Run, Totals};

/// Enough to meet every kind of fault in every kind of operation, in a few seconds.
const SEEDS: u64 = 100;

#[test]
fn what_was_reported_survives_every_schedule() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let mut totals = Totals::default();
    for seed in seeds.clone() {
        let repro = Repro(seed);
        totals.add(&Run::new(seed).run());
        std::mem::forget(repro);
    }
    if seeds.end - seeds.start >= SEEDS {
        totals.check();
    }
}

/// Says on a panic how to see it again.
struct Repro(u64);

impl Drop for Repro {
    fn drop(&mut self) {
        eprintln!("to see it again: SEED={} cargo test -p quorate-storage what_was_reported", self.0);
    }
}
