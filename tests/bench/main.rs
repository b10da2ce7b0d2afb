//! The load generator: throughput, latency, and above all the CPU time that the server spends for one operation.
//!
//! `cargo bench -p quorate-tests --bench bench -- all`, or the name of one group. Every group starts a server of its
//! own in the release profile, with its data on the disk below `--dir`. Machines differ and are noisy, so what counts
//! is the server's CPU time per operation, memory, and latency as a multiple of one `fdatasync` measured in between.
//!
//! | file | holds |
//! | --- | --- |
//! | `table` | what is reported, next to what was aimed at |
//! | `channel` | pipelined operations over `SessionService.Channel` |
//! | `unary` | one operation per call, over gRPC and over REST |
//! | `latency` | one client, one operation at a time, against the disk's own limit |
//! | `million` | a million znodes: load, memory, snapshot, restart |
//! | `watches` | fan-out, resumption, many connections |
//! | `sessions` | idle sessions, and sessions that come and go |
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

mod channel;
mod latency;
mod million;
mod sessions;
mod table;
mod unary;
mod watches;

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
    Sessions,
    Churn,
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
    pub(crate) dir: PathBuf,
}

/// Records between two snapshots, where a group wants to know when one comes.
const SNAPSHOT_RECORDS: u64 = 500_000;

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
    let plan = Plan { seconds: Duration::from_secs(arguments.seconds), dir: home.path().to_owned() };
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
        if wanted(Group::Sessions) {
            sessions::measure_idle(&plan, &mut table).await;
        }
        if wanted(Group::Churn) {
            sessions::measure_churn(&plan, &mut table).await;
        }
    });
    println!("\n{}", table.markdown());
}
