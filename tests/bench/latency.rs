//! One client, one operation at a time: how far a write is from what the disk allows.
//!
//! An idle machine's cores and disk sleep, so two low-priority loops keep them awake, and the disk's own limit is
//! measured in between, A B A B.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use quorate_tests::harness::Server;

use super::Plan;
use super::channel::{pipelined, set, upsert};
use super::load::{Done, payload};
use super::table::{Table, histogram};

/// Interleaved rounds.
const ROUNDS: u32 = 6;

/// Keeps the cores awake while it lives.
struct Awake(Vec<Child>);

impl Awake {
    fn begin() -> Awake {
        let idle = || Command::new("nice").args(["-n", "19", "sh", "-c", "while :; do :; done"]).spawn().unwrap();
        Awake((0..2).map(|_| idle()).collect())
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Writes 4 KiB and syncs, again and again, within a file whose blocks are there already; in µs.
pub(crate) fn fdatasync_p50(dir: &Path, period: Duration) -> u64 {
    const FILE_BYTES: u64 = 16 << 20;
    let path = dir.join("fdatasync");
    let mut file = File::create(&path).unwrap();
    file.write_all(&vec![1; FILE_BYTES as usize]).unwrap();
    file.sync_all().unwrap();
    let (block, mut latencies, began) = (vec![2; 4096], histogram(), Instant::now());
    let mut at = 0;
    while began.elapsed() < period {
        let began = Instant::now();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
        latencies.saturating_record(began.elapsed().as_micros() as u64);
        at = (at + 4096) % FILE_BYTES;
    }
    drop(file);
    std::fs::remove_file(path).unwrap();
    latencies.value_at_quantile(0.5)
}

async fn sets(server: &Server, plan: &Plan) -> Done {
    let until = Instant::now() + plan.seconds / ROUNDS;
    let data = payload();
    pipelined(server.grpc().await, 1, until, |_| Some(set("/a".into(), data.clone()))).await
}

/// Set, one client, one outstanding, against one `fdatasync`.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    let server = super::start(plan, "latency", &[]);
    let (ratio, note) = against_the_disk(&server, plan).await;
    table.at_most("write latency, 1 x 1", 1.6, ratio, "x fdatasync", &note);
}

/// The median of a set as a multiple of one `fdatasync`, and both in words.
pub(crate) async fn against_the_disk(server: &Server, plan: &Plan) -> (f64, String) {
    let _awake = Awake::begin();
    let until = Instant::now() + plan.seconds;
    pipelined(server.grpc().await, 1, until, |id| (id == 0).then(|| upsert("/a".into(), payload()))).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(fdatasync_p50(&plan.dir, plan.seconds / ROUNDS));
        ours.push(sets(server, plan).await.latencies.value_at_quantile(0.5));
    }
    ours.sort_unstable();
    theirs.sort_unstable();
    let (ours, theirs) = (ours[ours.len() / 2], theirs[theirs.len() / 2]);
    (ours as f64 / theirs as f64, format!("set p50 {ours} µs, fdatasync p50 {theirs} µs"))
}
