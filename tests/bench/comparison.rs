//! `Comparison`: two servers that are measured in turns, A B A B, since a machine's speed changes from minute to
//! minute but seldom within seconds.

use std::time::Duration;

use super::Plan;
use super::latency::fdatasync_p50;
use super::load::Turn;

/// Before its first turn, each server works for turns of this length that are not counted ...
const WARM_UP: Duration = Duration::from_secs(10);

/// ... until it has done so much, since a JVM goes by that when it compiles what it will need ...
const WARM_UP_OPERATIONS: u64 = 20_000;

/// ... but no more of them than this.
const WARM_UP_TURNS_MAX: u32 = 6;

/// How long the disk is looked at between two turns.
const DISK: Duration = Duration::from_millis(500);

/// The medians of one server's turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Medians {
    /// Operations per second.
    pub(crate) rate: f64,
    /// CPU time of the server for one operation, in µs.
    pub(crate) cpu: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Two servers under the same load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) ours: Medians,
    pub(crate) theirs: Medians,
    /// Median of one `fdatasync` between the turns: no write is faster.
    pub(crate) fdatasync_ms: f64,
}

impl Comparison {
    /// Takes the plan's turns of each server, and says how each went. A turn lasts as long as it is told.
    pub(crate) async fn measure(
        what: &str,
        plan: &Plan,
        mut ours: impl AsyncFnMut(Duration) -> Turn,
        mut theirs: impl AsyncFnMut(Duration) -> Turn,
    ) -> Comparison {
        let tell = |who: &str, turn: &Turn| {
            println!("  {what}: {who} {:.2} µs CPU/op, {}", turn.cpu_per_operation(), turn.describe());
        };
        warm_up(&mut ours).await;
        warm_up(&mut theirs).await;
        let (mut our_turns, mut their_turns, mut disk) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.turns {
            disk.push(fdatasync_p50(&plan.dir, DISK) as f64 / 1000.0);
            our_turns.push(ours(plan.seconds).await);
            their_turns.push(theirs(plan.seconds).await);
            tell("Quorate", &our_turns[our_turns.len() - 1]);
            tell("ZooKeeper", &their_turns[their_turns.len() - 1]);
        }
        let (ours, theirs) = (Medians::of(&our_turns), Medians::of(&their_turns));
        Comparison { ours, theirs, fdatasync_ms: median(disk) }
    }

    /// How many times less CPU time ours takes for one operation.
    pub(crate) fn cpu_ratio(&self) -> f64 {
        self.theirs.cpu / self.ours.cpu
    }

    /// How many times more operations ours does in the same time.
    pub(crate) fn rate_ratio(&self) -> f64 {
        self.ours.rate / self.theirs.rate
    }

    /// Both in words.
    pub(crate) fn describe(&self) -> String {
        let Comparison { ours, theirs, fdatasync_ms } = self;
        format!("{} to {}; fdatasync p50 {fdatasync_ms:.2} ms", ours.describe(), theirs.describe())
    }
}

impl Medians {
    fn of(turns: &[Turn]) -> Medians {
        let of = |value: &dyn Fn(&Turn) -> f64| median(turns.iter().map(value).collect());
        let quantile_ms = |turn: &Turn, quantile| turn.done.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Medians {
            rate: of(&|turn| turn.done.rate()),
            cpu: of(&Turn::cpu_per_operation),
            p50_ms: of(&|turn| quantile_ms(turn, 0.5)),
            p99_ms: of(&|turn| quantile_ms(turn, 0.99)),
        }
    }

    fn describe(&self) -> String {
        let Medians { rate, cpu, p50_ms, p99_ms } = self;
        format!("{rate:.0} /s ({cpu:.2} µs CPU, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms)")
    }
}

async fn warm_up(turn: &mut impl AsyncFnMut(Duration) -> Turn) {
    let mut operations = 0;
    for _ in 0..WARM_UP_TURNS_MAX {
        operations += turn(WARM_UP).await.done.operations;
        if operations >= WARM_UP_OPERATIONS {
            break;
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
