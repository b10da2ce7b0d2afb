//! Several servers on this machine: what all of them together spend for one operation, how far a write is from what the
//! disk allows, and how soon a server that was away has caught up.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quorate_proto::v1;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_tests::harness::{Server, ServerOptions};

use super::Plan;
use super::channel::{create, pipelined, set};
use super::latency::against_the_disk;
use super::load::{Door, Shape, Workload, payload};
use super::million;
use super::table::{Table, histogram};

/// How long servers may take to agree on a leader.
const LEADER_MAX: Duration = Duration::from_secs(30);

/// What a follower misses while it is away.
const MISSED: u64 = 100_000;

/// An ensemble without anything between its servers.
pub(crate) struct Ensemble {
    pub(crate) servers: Vec<Server>,
    /// The arguments that every server has.
    common: Vec<String>,
    voters: usize,
    dir: std::path::PathBuf,
}

impl Ensemble {
    /// Starts so many servers, and waits until all of them serve.
    pub(crate) async fn start(plan: &Plan, name: &str, voters: usize, observers: usize, more: &[&str]) -> Ensemble {
        let listeners: Vec<_> =
            (0..=voters + observers).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let member = |(at, listener): (usize, &std::net::TcpListener)| {
            let role = if at < voters { "" } else { ":observer" };
            format!("{}={}{role}", at + 1, listener.local_addr().unwrap())
        };
        // One more than there are servers, for one that comes later.
        let members: Vec<String> = listeners.iter().enumerate().map(member).collect();
        drop(listeners);
        let mut common = vec!["--member".to_owned(), members.join(",")];
        common.extend(more.iter().map(ToString::to_string));
        let mut ensemble = Ensemble { servers: Vec::new(), common, voters, dir: plan.dir.join(name) };
        for _ in 0..voters + observers {
            ensemble.add(&["--initialize"]);
        }
        ensemble.serving().await;
        ensemble
    }

    /// Starts another server.
    pub(crate) fn add(&mut self, more: &[&str]) {
        let id = (self.servers.len() + 1).to_string();
        let mut arguments = vec!["--server-id".to_owned(), id.clone()];
        arguments.extend(self.common.iter().cloned());
        arguments.extend(more.iter().map(ToString::to_string));
        let data_dir = Some(self.dir.join(id));
        self.servers.push(Server::start_with(ServerOptions { data_dir, arguments, ..ServerOptions::default() }));
    }

    /// Waits until every server has a leader.
    pub(crate) async fn serving(&self) {
        let began = Instant::now();
        while !join_all(self.servers.iter().map(status)).await.iter().all(|status| status.serving) {
            assert!(began.elapsed() < LEADER_MAX, "no leader");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where the leader, and where some follower, is among the servers.
    async fn roles(&self) -> (usize, usize) {
        let leader = status(&self.servers[0]).await.leader_id as usize - 1;
        (leader, (0..self.voters).find(|at| *at != leader).unwrap())
    }
}

async fn status(server: &Server) -> v1::StatusResponse {
    ClusterServiceClient::new(server.grpc().await).status(v1::StatusRequest {}).await.unwrap().into_inner()
}

fn zxid(status: &v1::StatusResponse) -> u64 {
    status.header.as_ref().map_or(0, |header| header.zxid)
}

/// Waits until a server has come as far as another one was, and says how long that took.
async fn caught_up(behind: &Server, ahead: &Server) -> f64 {
    let began = Instant::now();
    let wanted = zxid(&status(ahead).await);
    loop {
        let now = status(behind).await;
        if now.serving && zxid(&now) >= wanted {
            return began.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Everything about ensembles.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    let three = operations(plan, table, 3, 0, [2.5, 5.0, 16.0, 19.0]).await;
    for (voters, observers) in [(5, 0), (3, 2)] {
        // Each server does its share; a follower's is at most the whole divided by three.
        let more = three.map(|cost| cost * (voters + observers) as f64 / 3.0);
        operations(plan, table, voters, observers, more).await;
    }
    latencies(plan, table).await;
    returning(plan, table).await;
    joining(plan, table).await;
}

/// Get, linearizable get, set and create over Channels, 16 clients x 32 outstanding, through all servers.
async fn operations(plan: &Plan, table: &mut Table, voters: usize, observers: usize, targets: [f64; 4]) -> [f64; 4] {
    let name = format!("ensemble-{voters}-{observers}");
    let ensemble = Ensemble::start(plan, &name, voters, observers, &[]).await;
    let door = Door::Channel(&ensemble.servers);
    door.prepare().await;
    let workloads = [Workload::Get, Workload::GetLinearizable, Workload::Set, Workload::Create];
    let mut costs = targets;
    for (cost, workload) in costs.iter_mut().zip(workloads) {
        let target = *cost;
        let turn = door.run(workload, Shape::PIPELINED, plan.seconds).await;
        let servers = if observers == 0 { format!("{voters}") } else { format!("{voters} + {observers}") };
        let what = format!("{servers} servers: Channel {}, {}", workload.describe(), Shape::PIPELINED.describe());
        *cost = turn.cpu_per_operation();
        table.at_most(&what, (target * 10.0).round() / 10.0, *cost, "µs CPU/op", &turn.describe());
    }
    costs
}

/// One client, one write at a time, through the leader and through a follower.
async fn latencies(plan: &Plan, table: &mut Table) {
    let ensemble = Ensemble::start(plan, "ensemble-latency", 3, 0, &[]).await;
    let (leader, follower) = ensemble.roles().await;
    for (name, at) in [("the leader", leader), ("a follower", follower)] {
        let (ratio, note) = against_the_disk(&ensemble.servers[at], plan).await;
        table.at_most(&format!("3 servers: write latency through {name}, 1 x 1"), 2.5, ratio, "x fdatasync", &note);
    }
}

/// A follower that was killed and missed a lot.
async fn returning(plan: &Plan, table: &mut Table) {
    let mut ensemble = Ensemble::start(plan, "ensemble-returning", 3, 0, &[]).await;
    let (leader, follower) = ensemble.roles().await;
    ensemble.servers[follower].kill();
    let far = Instant::now() + Duration::from_secs(3600);
    let connection = ensemble.servers[leader].grpc().await;
    let next = |id| match id {
        0 => Some(create("/a".into(), payload())),
        id => (id <= MISSED).then(|| set("/a".into(), payload())),
    };
    pipelined(connection.clone(), 256, far, next).await;
    let window = Duration::from_secs(2);
    let write = async |until| pipelined(connection.clone(), 16, until, |_| Some(set("/a".into(), payload()))).await;
    let mut quiet = histogram();
    quiet.add(write(Instant::now() + window).await.latencies).unwrap();
    ensemble.servers[follower].restart();
    let (took, busy) =
        tokio::join!(caught_up(&ensemble.servers[follower], &ensemble.servers[leader]), write(Instant::now() + window));
    table.at_most(
        "follower back after 100 k missed txns",
        1.0,
        took,
        "s",
        "from its doors' opening, while others write",
    );
    let (quiet, busy) = (quiet.value_at_quantile(0.99) as f64, busy.latencies.value_at_quantile(0.99) as f64);
    let note = format!("p99 {:.1} ms before, {:.1} ms then", quiet / 1000.0, busy / 1000.0);
    table.at_most("write p99 meanwhile", 2.0, busy / quiet, "x before", &note);
}

/// A new server that copies a million znodes.
async fn joining(plan: &Plan, table: &mut Table) {
    let mut ensemble = Ensemble::start(plan, "ensemble-joining", 3, 0, &["--snapshot-records", "480000"]).await;
    let (leader, _) = ensemble.roles().await;
    million::load(&ensemble.servers[leader]).await;
    million::snapshot_of_all(&ensemble.servers[leader]).await;
    let began = Instant::now();
    ensemble.add(&[]);
    let (new, leader) = (&ensemble.servers[3], &ensemble.servers[leader]);
    caught_up(new, leader).await;
    let took = began.elapsed().as_secs_f64();
    table.at_most("new observer with 1 M znodes", 3.0, took, "s", "from the start of its process");
}
