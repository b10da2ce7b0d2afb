//! A million znodes of 100 bytes: how fast they come in, what they take, what a snapshot of them costs the writers, and
//! how soon the server is back after `kill -9`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quorate_proto::v1;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::Server;

use super::Plan;
use super::channel::{create, pipelined, set};
use super::load::payload;
use super::table::{Table, histogram};

const ZNODES: u64 = 1_000_000;
const CLIENTS: u64 = 8;
const OUTSTANDING: u64 = 256;

async fn status(server: &Server) -> v1::StatusResponse {
    ClusterServiceClient::new(server.grpc().await).status(v1::StatusRequest {}).await.unwrap().into_inner()
}

pub(crate) async fn load(server: &Server) -> f64 {
    let (began, far) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
    let connections = join_all((0..CLIENTS).map(|_| server.grpc())).await;
    let each = ZNODES / CLIENTS;
    let clients = connections.into_iter().enumerate().map(|(client, connection)| {
        let data = payload();
        pipelined(connection, OUTSTANDING, far, move |id| {
            // A thousand to a directory.
            let path = || format!("/million/{client}-{}/{:06}", id / 1000, id % 1000);
            (id < each).then(|| create(path(), data.clone()))
        })
    });
    join_all(clients).await;
    ZNODES as f64 / began.elapsed().as_secs_f64()
}

/// The zxid of the newest snapshot, and how many records follow it.
async fn newest_snapshot(server: &Server) -> (u64, u64) {
    let storage = status(server).await.storage.unwrap_or_default();
    (storage.snapshot_zxid, storage.logged_zxid - storage.snapshot_zxid)
}

/// Waits until a snapshot holds nearly everything.
pub(crate) async fn snapshot_of_all(server: &Server) {
    // The second one begins at the end of the load, as its interval is a little less than half of it.
    while newest_snapshot(server).await.1 > ZNODES / 20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The p99 of writes in windows of a tenth of a second, with and without a snapshot being written.
async fn writes_around_a_snapshot(server: &Server, table: &mut Table) {
    let (before, _) = newest_snapshot(server).await;
    let connection = server.grpc().await;
    let (mut quiet, mut busy) = (histogram(), histogram());
    // The threshold is a number of records: write until it is passed, and until that snapshot is there.
    let (mut written, mut done) = (0_u64, false);
    while !done {
        let until = Instant::now() + Duration::from_millis(500);
        let data = payload();
        let window = pipelined(connection.clone(), 64, until, |id| {
            Some(set(format!("/million/0-0/{:06}", id % 1000), data.clone()))
        });
        let window = window.await;
        written += window.operations;
        let (newest, _) = newest_snapshot(server).await;
        // The second half of the way to the threshold is quiet; what comes after it and before the new snapshot is busy.
        if written < super::SNAPSHOT_RECORDS - 100_000 {
            quiet.add(window.latencies).unwrap();
        } else {
            busy.add(window.latencies).unwrap();
        }
        done = newest > before && written >= super::SNAPSHOT_RECORDS;
    }
    let (quiet, busy) = (quiet.value_at_quantile(0.99) as f64, busy.value_at_quantile(0.99) as f64);
    let note = format!("p99 {:.1} ms without, {:.1} ms around it, {written} writes", quiet / 1000.0, busy / 1000.0);
    table.at_most("write p99 while a snapshot of 1 M is written", 2.0, busy / quiet, "x without", &note);
}

/// Everything about a million znodes.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    let records = super::SNAPSHOT_RECORDS.to_string();
    let mut server = super::start(plan, "million", &["--snapshot-records", &records]);
    let empty = server.stats().resident_bytes;
    let rate = load(&server).await;
    table.at_least("bulk load of 1 M x 100 B by Channel", 100_000.0, rate, "/s", "");
    snapshot_of_all(&server).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
    let note = format!("empty {:.1} MiB", mib(empty));
    table.at_most("1 M x 100 B, after load and snapshot", 250.0, mib(server.stats().resident_bytes), "MiB", &note);
    restart(&mut server, "1 M: kill -9 to first read", table).await;
    writes_around_a_snapshot(&server, table).await;
    restart(&mut server, "1 M: the same, after those writes", table).await;
}

/// Kills the server, and waits until it answers a read again.
async fn restart(server: &mut Server, what: &str, table: &mut Table) {
    let (_, behind) = newest_snapshot(server).await;
    server.kill();
    let began = Instant::now();
    server.restart();
    let mut client = ZnodeServiceClient::new(server.grpc().await);
    client.get(v1::GetRequest { path: "/million/0-0/000000".into(), options: None }).await.unwrap();
    let note = format!("{behind} records after the snapshot");
    table.at_most(what, 1.0, began.elapsed().as_secs_f64(), "s", &note);
}
