//! `Swarm`: what a seed draws before anything happens.

use quorate_storage::sim::{Faults, Ppm, Rng};

/// The configuration of one run.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    pub(crate) steps: u64,
    pub(crate) clients: usize,
    /// Requests that one client may have under way.
    pub(crate) outstanding: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) snapshot_records: u64,
    pub(crate) counter_soft_max: u32,
    pub(crate) history_bytes: usize,
    pub(crate) value_bytes: u64,
    /// How often the process, or the machine, ends at a step.
    pub(crate) crash: Ppm,
    /// Of these, how many take the power.
    pub(crate) power: Ppm,
    /// How often a crash comes in the middle of a disk operation instead of between two.
    pub(crate) crash_inside: Ppm,
    /// How often the disk fills up, and how often it is emptied again, at a step.
    pub(crate) fill: Ppm,
    pub(crate) drain: Ppm,
    /// How much time passes with a tick.
    pub(crate) tick_ms: u64,
    /// The first client acts only once in so many of its turns: its session may expire.
    pub(crate) first_client_acts_in: u64,
    /// How often time leaps, at a step, and by how much.
    pub(crate) leap: Ppm,
    pub(crate) leap_ms: u64,
    pub(crate) faults: Faults,
}

impl Swarm {
    pub(crate) fn draw(rng: &mut Rng) -> Swarm {
        let pick = |rng: &mut Rng, choices: &[u64]| choices[rng.below(choices.len() as u64) as usize];
        let rarely = |rng: &mut Rng, choices: &[u64]| if rng.coin() { 0 } else { pick(rng, choices) as Ppm };
        let sector_bytes = pick(rng, &[512, 4096]) as usize;
        Swarm {
            steps: pick(rng, &[200, 600, 1_500]),
            clients: 1 + rng.below(4) as usize,
            outstanding: pick(rng, &[1, 4, 32]) as usize,
            segment_bytes: pick(rng, &[64 << 10, 256 << 10]),
            snapshot_records: pick(rng, &[10, 60, 100_000]),
            counter_soft_max: pick(rng, &[7, 200, 0xffff_0000]) as u32,
            history_bytes: pick(rng, &[2_000, 20_000, 16 << 20]) as usize,
            value_bytes: pick(rng, &[10, 300, 5_000]),
            crash: rarely(rng, &[1_000, 5_000, 30_000]),
            power: pick(rng, &[0, 500_000, 1_000_000]) as Ppm,
            crash_inside: pick(rng, &[0, 500_000, 900_000]) as Ppm,
            fill: rarely(rng, &[2_000, 10_000]),
            drain: pick(rng, &[20_000, 100_000]) as Ppm,
            tick_ms: pick(rng, &[50, 200]),
            first_client_acts_in: pick(rng, &[1, 60]),
            leap: rarely(rng, &[5_000]),
            leap_ms: pick(rng, &[500, 5_000, 100_000]),
            faults: Faults {
                sector_bytes,
                write_error: rarely(rng, &[500, 3_000]),
                sync_error: rarely(rng, &[500, 3_000]),
                read_error: 0,
                torn: pick(rng, &[0, 200_000, 900_000]) as Ppm,
                ..Faults::default()
            },
        }
    }
}
