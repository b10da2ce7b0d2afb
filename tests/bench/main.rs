//! The load generator: throughput, latency, and above all the CPU time that the server spends for one operation.
//!
//! `cargo bench -p quorate-tests --bench bench -- all`, or the name of one group. Every group starts a server of its
//! own in the release profile, with its data on the disk below `--dir`. Machines differ and are noisy, so what counts
//! is the server's CPU time per operation, memory, and latency as a multiple of one `fdatasync` measured in between.
//!
//! | file | holds |
//! | --- | --- |
//! | `table` | what is reported, next to what was aimed at |
//! | `load` | clients, what they do again and again, and what that takes of a server |
//! | `channel` | pipelined operations over `SessionService.Channel` |
//! | `unary` | one operation per call, over gRPC and over REST |
//! | `latency` | one client, one operation at a time, against the disk's own limit |
//! | `million` | a million znodes: load, memory, snapshot, restart |
//! | `watches` | fan-out, resumption, many connections |
//! | `events` | event streams of the gateway |
//! | `sessions` | idle sessions |
//! | `line` | a Channel with one operation at a time |
//! | `churn` | sessions that come and go, beside ZooKeeper |
//! | `ensemble` | several servers: CPU of all of them, latency, servers that come back or join |
//! | `failover` | for how long nobody can write when a leader goes |
//! | `rivals` | get, set and create beside ZooKeeper |
//! | `comparison` | two servers in turns: A B A B |
//! | `zookeeper` | a real ZooKeeper and a client of its protocol |
//!
//! What compares with ZooKeeper needs Java and Maven, which fetches it below `target/`.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

mod channel;
mod churn;
mod comparison;
mod ensemble;
mod events;
mod failover;
mod latency;
mod line;
mod load;
mod million;
mod rivals;
mod sessions;
mod table;
mod unary;
mod watches;
mod zookeeper;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use quorate_tests::harness::{Server, ServerOptions};

use self::table::Table;

/// Which measurements to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Group {
    All,
    Channel,
    Unary,
    Rest,
    Latency,
    Million,
    Fanout,
    Resume,
    Connections,
    Sse,
    Sessions,
    Churn,
    Rivals,
    Ensemble,
    Failover,
}

/// Measures one server of Quorate.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which measurements to take.
    #[arg(default_value = "all")]
    groups: Vec<Group>,
    /// How long each workload runs, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often two servers that are compared take turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Where the servers' data goes; it should be on a real disk.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Passed by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What every measurement is given.
pub(crate) struct Plan {
    pub(crate) seconds: Duration,
    /// Of each of two servers that are compared.
    pub(crate) turns: u32,
    pub(crate) dir: PathBuf,
}

/// Records between two snapshots, where a group wants to know when one comes.
const SNAPSHOT_RECORDS: u64 = 480_000;

/// A server with its data below the plan's directory.
fn start(plan: &Plan, name: &str, arguments: &[&str]) -> Server {
    Server::start_with(ServerOptions {
        data_dir: Some(plan.dir.join(name)),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        ..ServerOptions::default()
    })
}

fn main() {
    let arguments = Arguments::parse();
    let home = tempfile::Builder::new()
        .prefix("quorate-bench-")
        .tempdir_in(arguments.dir.clone().unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()))
        .unwrap();
    let plan =
        Plan { seconds: Duration::from_secs(arguments.seconds), turns: arguments.turns, dir: home.path().to_owned() };
    let wanted = |group| arguments.groups.iter().any(|wanted| *wanted == group || *wanted == Group::All);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut table = Table::default();
    runtime.block_on(async {
        if wanted(Group::Channel) {
            channel::measure(&plan, &mut table).await;
        }
        if wanted(Group::Unary) {
            unary::measure_grpc(&plan, &mut table).await;
        }
        if wanted(Group::Rest) {
            unary::measure_rest(&plan, &mut table).await;
        }
        if wanted(Group::Latency) {
            latency::measure(&plan, &mut table).await;
        }
        if wanted(Group::Million) {
            million::measure(&plan, &mut table).await;
        }
        if wanted(Group::Fanout) {
            watches::measure_fan_out(&plan, &mut table).await;
        }
        if wanted(Group::Resume) {
            watches::measure_resumption(&plan, &mut table).await;
        }
        if wanted(Group::Connections) {
            watches::measure_connections(&plan, &mut table).await;
        }
        if wanted(Group::Sse) {
            events::measure(&plan, &mut table).await;
        }
        if wanted(Group::Sessions) {
            sessions::measure(&plan, &mut table).await;
        }
        if wanted(Group::Churn) {
            churn::measure(&plan, &mut table).await;
        }
        if wanted(Group::Ensemble) {
            ensemble::measure(&plan, &mut table).await;
        }
        if wanted(Group::Rivals) {
            rivals::measure(&plan, &mut table).await;
        }
        if wanted(Group::Failover) {
            failover::measure(&plan, &mut table).await;
        }
    });
    println!("\n{}", table.markdown());
}
