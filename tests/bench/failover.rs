//! For how long nobody can write when the leader of three servers goes, in each of four ways.
//!
//! A writer without rest speaks to each server that stays, and tries again at once when it is refused. What counts is
//! the longest time without an acknowledgement, of the server where that was longest. How long it takes until a server
//! notices that its leader has gone is measured apart: that is a matter of settings, the rest is what an election takes.

use std::time::{Duration, Instant};

use quorate_proto::v1;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_tests::harness::{Ensemble, EnsembleOptions, Pulse, longest_gap};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::Plan;
use super::table::Table;

/// Of each way.
const TRIES: u32 = 20;

/// Writers write for so long before and after.
const BEFORE: Duration = Duration::from_millis(400);
const AFTER: Duration = Duration::from_millis(2_500);

/// A server that starts again fills a spare segment of its log, here on the disk that all of them share. Until that is
/// done, so long, it is the others' syncs that are measured.
const SETTLE: Duration = Duration::from_secs(4);

/// Between two looks at whom a server follows.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// What happens to the leader.
#[derive(Clone, Copy, Debug)]
enum Way {
    Killed,
    Paused,
    Partitioned,
    Stopped,
}

/// What one try showed.
struct Try {
    gap: Duration,
    /// Until a server no longer followed the old leader, if it was seen.
    detection: Option<Duration>,
}

impl Way {
    const ALL: [Way; 4] = [Way::Killed, Way::Paused, Way::Partitioned, Way::Stopped];

    fn describe(self) -> &'static str {
        match self {
            Way::Killed => "leader killed",
            Way::Paused => "leader paused",
            Way::Partitioned => "leader partitioned",
            Way::Stopped => "leader stopped gracefully",
        }
    }

    /// Median and worst, in milliseconds.
    fn targets(self) -> (f64, f64) {
        match self {
            Way::Killed => (150.0, 400.0),
            Way::Paused | Way::Partitioned => (900.0, 1_500.0),
            Way::Stopped => (50.0, 50.0),
        }
    }

    fn happen(self, ensemble: &mut Ensemble, leader: u8) {
        match self {
            Way::Killed => ensemble.kill(leader),
            Way::Paused => ensemble.server(leader).pause(),
            Way::Partitioned => ensemble.network().isolate(leader),
            Way::Stopped => ensemble.server(leader).ask_to_stop(),
        }
    }

    async fn mend(self, ensemble: &mut Ensemble, leader: u8) {
        match self {
            Way::Killed => ensemble.restart(leader),
            Way::Paused => return ensemble.server(leader).resume(),
            Way::Partitioned => return ensemble.network().heal(),
            Way::Stopped => {
                ensemble.stop(leader);
                ensemble.restart(leader);
            }
        }
        tokio::time::sleep(SETTLE).await;
    }
}

/// Every way, again and again on one ensemble.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    let dir = Some(plan.dir.join("failover"));
    let mut ensemble = Ensemble::start_with(EnsembleOptions { dir, ..EnsembleOptions::default() });
    for way in Way::ALL {
        let mut tries = Vec::new();
        for _ in 0..TRIES {
            tries.push(attempt(way, &mut ensemble).await);
        }
        let mut gaps: Vec<f64> = tries.iter().map(|one| milliseconds(one.gap)).collect();
        let mut detections: Vec<f64> = tries.iter().filter_map(|one| one.detection).map(milliseconds).collect();
        gaps.sort_by(f64::total_cmp);
        detections.sort_by(f64::total_cmp);
        let noticed = match (median(&detections), detections.last()) {
            (Some(median), Some(worst)) => format!("noticed after {median:.0} ms, at worst {worst:.0} ms"),
            _ => String::new(),
        };
        let (target, worst_target) = way.targets();
        let what = |which: &str| format!("{}, longest time without a write, {which} of {TRIES}", way.describe());
        table.at_most(&what("median"), target, median(&gaps).unwrap_or_default(), "ms", &noticed);
        table.at_most(&what("worst"), worst_target, gaps.last().copied().unwrap_or_default(), "ms", "");
    }
}

async fn attempt(way: Way, ensemble: &mut Ensemble) -> Try {
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let others = ensemble.others(leader);
    let address = |id: u8| ensemble.server(id).address("grpc").to_owned();
    let pulses: Vec<Pulse> = others.iter().map(|id| Pulse::through(&address(*id), &format!("/pulse-{id}"))).collect();
    let mut looking = Vec::new();
    for id in &others {
        let channel = ensemble.server(*id).grpc().await;
        looking.push(left(ClusterServiceClient::new(channel), leader));
    }
    tokio::time::sleep(BEFORE).await;
    let from = Instant::now();
    way.happen(ensemble, leader);
    tokio::time::sleep(AFTER).await;
    let to = Instant::now();

    let mut gap = Duration::ZERO;
    for pulse in pulses {
        gap = gap.max(longest_gap(&pulse.stop().await, from, to));
    }
    let mut first = None;
    for looking in looking {
        looking.abort();
        if let Ok(at) = looking.await {
            first = Some(first.map_or(at, |first: Instant| first.min(at)));
        }
    }
    way.mend(ensemble, leader).await;
    Try { gap, detection: first.map(|at| at - from) }
}

/// Looks until a server no longer follows this leader, and says when that was.
fn left(mut server: ClusterServiceClient<Channel>, leader: u8) -> JoinHandle<Instant> {
    tokio::spawn(async move {
        loop {
            if let Ok(status) = server.status(v1::StatusRequest {}).await
                && status.get_ref().leader_id != u32::from(leader)
            {
                return Instant::now();
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    })
}

fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
