//! `Swarm`: what a seed draws before anything happens. Not every kind of fault in every run, and not always as much of
//! it: faults that always come together hide what each of them would show alone.

use quorate_replica::limits;
use quorate_storage::sim::{Faults, Ppm, Rng};
use quorate_zab::{Limits, Timing};

/// The configuration of one run. A fault that comes `every` so many milliseconds does not come at all if that is 0.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    pub(crate) voters: usize,
    pub(crate) observers: usize,
    /// How long faults happen.
    pub(crate) chaos_ms: u64,
    pub(crate) clients: ClientSwarm,
    pub(crate) segment_bytes: u64,
    pub(crate) snapshot_records: u64,
    pub(crate) counter_soft_max: u32,
    pub(crate) history_bytes: usize,
    pub(crate) timing: Timing,
    pub(crate) window: Limits,
    pub(crate) network: NetworkSwarm,
    pub(crate) crashes: CrashSwarm,
    pub(crate) clocks: ClockSwarm,
    /// What an operation of the log takes at most, in microseconds, and one of the snapshot writer.
    pub(crate) disk_us: u64,
    pub(crate) snapshot_us: u64,
    pub(crate) disk: Faults,
    pub(crate) fill_every_ms: u64,
    /// How often a turn steps only some of what has arrived.
    pub(crate) partial_turns: Ppm,
    pub(crate) administration: AdministrationSwarm,
    pub(crate) lines: LineSwarm,
    /// So often a leader is cut off from the others and stands still, until they may have another one.
    pub(crate) depose_every_ms: u64,
    /// So often a disk damages what it has held durably.
    pub(crate) damage_every_ms: u64,
    /// What an operation of the log takes at most on one of the servers, in microseconds; 0 as on the others.
    pub(crate) slow_disk_us: u64,
    pub(crate) restores: RestoreSwarm,
}

/// What clients do.
#[derive(Clone, Debug)]
pub(crate) struct ClientSwarm {
    pub(crate) count: usize,
    /// Requests that one client may have under way.
    pub(crate) outstanding: usize,
    pub(crate) value_bytes: u64,
    pub(crate) think_us: u64,
    /// How long a client takes to read what it was sent.
    pub(crate) read_us: u64,
    /// The first client acts only once in so many of its turns: its session may expire.
    pub(crate) first_acts_in: u64,
    /// How often a client goes to another server, at a turn.
    pub(crate) moves: Ppm,
    /// How often its old server does not hear of that for a long time.
    pub(crate) moves_unnoticed: Ppm,
    pub(crate) timeout_ms: u64,
}

/// What the network does.
#[derive(Clone, Debug)]
pub(crate) struct NetworkSwarm {
    pub(crate) latency_us: (u64, u64),
    pub(crate) cut_every_ms: u64,
    pub(crate) isolate_every_ms: u64,
    pub(crate) split_every_ms: u64,
    pub(crate) one_way_every_ms: u64,
    pub(crate) heal_every_ms: u64,
    pub(crate) clog_every_ms: u64,
    pub(crate) clog_ms: u64,
    /// How often a connection to a server that has crashed looks open for long.
    pub(crate) half_open: Ppm,
    /// How often what agreement says goes through its form on the wire.
    pub(crate) encoded: bool,
}

/// How processes end.
#[derive(Clone, Debug)]
pub(crate) struct CrashSwarm {
    pub(crate) crash_every_ms: u64,
    pub(crate) power: Ppm,
    /// How often a crash comes in the middle of a disk operation instead of between two.
    pub(crate) inside: Ppm,
    pub(crate) all_every_ms: u64,
    pub(crate) down_ms: u64,
    pub(crate) wipe_every_ms: u64,
}

/// What clocks do.
#[derive(Clone, Debug)]
pub(crate) struct ClockSwarm {
    /// By how much a clock may be too fast or too slow.
    pub(crate) drift: Ppm,
    pub(crate) pause_every_ms: u64,
    pub(crate) pause_ms: u64,
    pub(crate) jump_every_ms: u64,
}

/// What whoever runs the ensemble asks of it.
#[derive(Clone, Debug)]
pub(crate) struct AdministrationSwarm {
    /// Servers that do not belong to the ensemble at first.
    pub(crate) newcomers: usize,
    pub(crate) every_ms: u64,
    /// How often somebody else is to lead, instead of other servers being members.
    pub(crate) transfers: Ppm,
}

/// What whoever keeps backups does.
#[derive(Clone, Debug)]
pub(crate) struct RestoreSwarm {
    pub(crate) every_ms: u64,
    /// Between two steps of a restore.
    pub(crate) pause_us: u64,
    /// How often what is restored is a backup of another ensemble, of a later epoch.
    pub(crate) future: Ppm,
}

/// What is between clients and servers.
#[derive(Clone, Debug)]
pub(crate) struct LineSwarm {
    /// What a request takes to its server, at most.
    pub(crate) latency_us: u64,
    pub(crate) cut_every_ms: u64,
    pub(crate) cut_ms: u64,
    /// How often a client names its session in every request, and does not ask to be the only one to do so.
    pub(crate) unattached: Ppm,
}

fn pick(rng: &mut Rng, choices: &[u64]) -> u64 {
    choices[rng.below(choices.len() as u64) as usize]
}

fn rarely(rng: &mut Rng, choices: &[u64]) -> u64 {
    if rng.coin() { 0 } else { pick(rng, choices) }
}

impl Swarm {
    /// What was thought of later draws from `later`, and what came last from `latest`, so that a seed of which those say
    /// nothing is what it was before.
    pub(crate) fn draw(rng: &mut Rng, later: &mut Rng, latest: &mut Rng) -> Swarm {
        let is_relaxed = later.coin();
        let voters = pick(rng, &[1, 1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 7]) as usize;
        let observers = if voters > 1 { pick(rng, &[0, 0, 0, 1, 1, 2, 3]) as usize } else { 0 };
        Swarm {
            voters,
            observers,
            chaos_ms: pick(rng, &[3_000, 8_000, 20_000]),
            clients: ClientSwarm::draw(rng),
            segment_bytes: pick(rng, &[64 << 10, 64 << 10, 64 << 10, 256 << 10]),
            snapshot_records: pick(rng, &[10, 60, 300, 100_000]),
            counter_soft_max: pick(rng, &[7, 200, 0xffff_0000, 0xffff_0000]) as u32,
            history_bytes: pick(rng, &[2_000, 20_000, 16 << 20]) as usize,
            timing: draw_timing(rng, is_relaxed),
            window: draw_window(rng),
            network: NetworkSwarm::draw(rng),
            crashes: CrashSwarm::draw(rng),
            clocks: ClockSwarm::draw(rng),
            disk_us: pick(rng, &[100, 3_000, 30_000]),
            snapshot_us: pick(rng, &[100, 20_000]),
            disk: Faults {
                sector_bytes: pick(rng, &[512, 4096]) as usize,
                write_error: rarely(rng, &[100, 1_000]) as Ppm,
                sync_error: rarely(rng, &[100, 1_000]) as Ppm,
                read_error: 0,
                torn: pick(rng, &[0, 200_000, 900_000]) as Ppm,
                ..Faults::default()
            },
            fill_every_ms: if rng.below(4) == 0 { pick(rng, &[2_000, 10_000]) } else { 0 },
            partial_turns: rarely(rng, &[100_000, 500_000]) as Ppm,
            administration: AdministrationSwarm::draw(later),
            lines: LineSwarm::draw(later),
            depose_every_ms: rarely(later, &[1_500, 4_000]),
            slow_disk_us: rarely(later, &[100_000, 400_000]),
            damage_every_ms: rarely(later, &[1_000, 4_000]),
            restores: RestoreSwarm::draw(latest),
        }
    }

    /// Those whom the ensemble begins with.
    pub(crate) fn founders(&self) -> usize {
        self.voters + self.observers
    }

    /// How old a state may be shown: as in production, or so little that servers are often too far behind.
    pub(crate) fn staleness_ms(&self) -> u64 {
        if self.chaos_ms > 10_000 { limits::STALENESS_MS } else { 1_000 }
    }

    pub(crate) fn servers(&self) -> usize {
        self.founders() + self.administration.newcomers
    }
}

/// Most of what happens in a run is pings: some runs have fewer of them, and more time for everything else.
fn draw_timing(rng: &mut Rng, is_relaxed: bool) -> Timing {
    let production = Timing::default();
    let production = if is_relaxed { Timing { ping_ms: 3 * production.ping_ms, ..production } } else { production };
    match rng.below(3) {
        0 => production,
        1 => Timing { epoch_interval_ms: 1_000, init_limit_ms: 3_000, ..production },
        _ => Timing { sync_limit_ms: 500, init_limit_ms: 2_000, epoch_interval_ms: 500, ..production },
    }
}

fn draw_window(rng: &mut Rng) -> Limits {
    if rng.coin() {
        return Limits::default();
    }
    Limits {
        append_bytes_max: pick(rng, &[300, 5_000, 1 << 20]) as usize,
        append_records_max: pick(rng, &[1, 3, 1_024]) as usize,
        window_bytes: pick(rng, &[1, 3_000, 4 << 20]) as usize,
        window_records: pick(rng, &[1, 8, 8_192]) as usize,
        cache_bytes: pick(rng, &[0, 2_000, 8 << 20]) as usize,
        ..Limits::default()
    }
}

impl ClientSwarm {
    fn draw(rng: &mut Rng) -> ClientSwarm {
        ClientSwarm {
            count: 1 + rng.below(6) as usize,
            outstanding: pick(rng, &[1, 4, 32]) as usize,
            value_bytes: pick(rng, &[10, 300, 5_000]),
            think_us: pick(rng, &[20_000, 100_000, 500_000]),
            read_us: pick(rng, &[500, 20_000]),
            first_acts_in: pick(rng, &[1, 200]),
            moves: pick(rng, &[0, 10_000, 50_000]) as Ppm,
            moves_unnoticed: pick(rng, &[0, 500_000]) as Ppm,
            timeout_ms: pick(rng, &[1_000, 3_000]),
        }
    }
}

impl NetworkSwarm {
    fn draw(rng: &mut Rng) -> NetworkSwarm {
        NetworkSwarm {
            latency_us: (pick(rng, &[50, 500]), pick(rng, &[200, 3_000, 25_000])),
            cut_every_ms: rarely(rng, &[200, 1_500, 6_000]),
            isolate_every_ms: rarely(rng, &[1_500, 6_000]),
            split_every_ms: rarely(rng, &[1_500, 6_000]),
            one_way_every_ms: rarely(rng, &[1_500, 6_000]),
            heal_every_ms: pick(rng, &[800, 3_000]),
            clog_every_ms: rarely(rng, &[500, 3_000]),
            clog_ms: pick(rng, &[100, 1_000, 5_000]),
            half_open: pick(rng, &[0, 500_000]) as Ppm,
            encoded: rng.below(4) == 0,
        }
    }
}

impl CrashSwarm {
    fn draw(rng: &mut Rng) -> CrashSwarm {
        CrashSwarm {
            crash_every_ms: rarely(rng, &[400, 2_000, 8_000]),
            power: pick(rng, &[0, 500_000, 1_000_000]) as Ppm,
            inside: pick(rng, &[0, 500_000, 900_000]) as Ppm,
            all_every_ms: if rng.below(4) == 0 { 6_000 } else { 0 },
            down_ms: pick(rng, &[50, 1_000, 4_000]),
            wipe_every_ms: rarely(rng, &[1_500, 6_000]),
        }
    }
}

impl AdministrationSwarm {
    fn draw(rng: &mut Rng) -> AdministrationSwarm {
        let every_ms = rarely(rng, &[300, 1_000, 3_000]);
        AdministrationSwarm {
            newcomers: if every_ms > 0 { pick(rng, &[0, 1, 2, 3]) as usize } else { 0 },
            every_ms,
            transfers: pick(rng, &[0, 300_000, 1_000_000]) as Ppm,
        }
    }
}

impl RestoreSwarm {
    fn draw(rng: &mut Rng) -> RestoreSwarm {
        RestoreSwarm {
            every_ms: if rng.below(4) == 0 { pick(rng, &[200, 600, 2_000]) } else { 0 },
            pause_us: pick(rng, &[2_000, 20_000, 300_000]),
            future: pick(rng, &[0, 200_000, 500_000]) as Ppm,
        }
    }
}

impl LineSwarm {
    fn draw(rng: &mut Rng) -> LineSwarm {
        LineSwarm {
            latency_us: rarely(rng, &[2_000, 50_000]),
            cut_every_ms: rarely(rng, &[300, 1_500]),
            cut_ms: pick(rng, &[300, 2_000, 7_000]),
            unattached: pick(rng, &[0, 0, 500_000]) as Ppm,
        }
    }
}

impl ClockSwarm {
    fn draw(rng: &mut Rng) -> ClockSwarm {
        ClockSwarm {
            drift: pick(rng, &[0, 0, 1_000, 50_000]) as Ppm,
            pause_every_ms: rarely(rng, &[1_000, 5_000]),
            pause_ms: pick(rng, &[100, 1_000, 6_000]),
            jump_every_ms: rarely(rng, &[2_000]),
        }
    }
}
