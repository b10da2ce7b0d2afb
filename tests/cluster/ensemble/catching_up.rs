//! A server that was away for long is told what it missed, or, if nobody knows that any more, is given a copy of
//! everything.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use quorate_client::{Client, Consistency};
use quorate_tests::harness::{Ensemble, EnsembleOptions};
use quorate_tests::report;

use super::{PATIENCE, client};

const MISSED: u32 = 20_000;

/// Longer than a leader waits for a follower that is silent.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// More than are kept.
const SNAPSHOTS: usize = 6;

/// Written at a time.
const BATCH: u32 = 500;

async fn write(writer: &Client, count: u32, bytes: usize) {
    for batch in 0..count / BATCH {
        let data = vec![b'x'; bytes];
        let path = |at: u32| format!("/missed-{}", (batch * BATCH + at) % 1_000);
        try_join_all((0..BATCH).map(|at| writer.set(path(at), data.clone()).upsert().send())).await.unwrap();
    }
}

#[tokio::test]
async fn a_follower_that_missed_many_txns_is_told_them() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let away = ensemble.others(leader)[0];
    ensemble.kill(away);
    write(&client(&ensemble, &ensemble.others(away)), MISSED, 100).await;
    let began = Instant::now();
    ensemble.restart(away);
    ensemble.agreed().await;
    let took = began.elapsed();
    assert!(!ensemble.server(away).log().contains("a snapshot was received"), "the difference was enough");
    report::note(&format!("catching up: {MISSED} txns and the start in {} ms", took.as_millis()));
}

#[tokio::test]
async fn a_server_that_comes_back_shows_nobody_what_is_long_past() {
    // ZOOKEEPER-3023, 3500: it served its clients with hundreds of thousands of txns still to apply.
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let away = ensemble.others(leader)[0];
    let writer = client(&ensemble, &ensemble.others(away));
    writer.create("/latest", "old").await.unwrap();
    ensemble.agreed().await;
    ensemble.kill(away);
    write(&writer, MISSED, 100).await;
    writer.set("/latest", "new").await.unwrap();
    ensemble.restart(away);
    // It has "old" on its disk, and would rather say nothing. Whoever asks anew each time has seen nothing before.
    let began = Instant::now();
    let shown = loop {
        let stranger = ensemble.client(&[away]).request_timeout(PATIENCE).build();
        match stranger.get("/latest").await {
            Ok(znode) => break String::from_utf8(znode.data.unwrap().to_vec()).unwrap(),
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
    };
    assert_eq!(shown, "new");
}

#[tokio::test]
async fn a_follower_whose_txns_are_purged_is_given_a_snapshot() {
    let arguments = ["--segment-bytes", "1MiB", "--snapshot-records", "1000"].map(str::to_owned).to_vec();
    let mut ensemble = Ensemble::start_with(EnsembleOptions { arguments, ..EnsembleOptions::default() });
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let away = ensemble.others(leader)[0];
    ensemble.network().isolate(away);
    let writer = client(&ensemble, &ensemble.others(away));
    // Until it is given up, what it lacks is kept for it.
    ensemble
        .wait_for("a server that is cut off to notice", async || ensemble.status(away).await.filter(|s| !s.serving))
        .await;
    tokio::time::sleep(GIVEN_UP).await;
    // More than a leader keeps in memory. Of several snapshots the newest few are kept, and the log from the oldest of
    // these; they take their time, and writes do not wait for them.
    write(&writer, 12_000, 1_000).await;
    let snapshots = |id| ensemble.server(id).log().matches("a snapshot is written and verified").count();
    let began = Instant::now();
    while ensemble.others(away).into_iter().any(|id| snapshots(id) < SNAPSHOTS) {
        assert!(began.elapsed() < 3 * PATIENCE, "there are too few snapshots");
        write(&writer, 2_000, 1_000).await;
    }
    ensemble.network().heal();
    ensemble.serving(&[away]).await;
    ensemble.agreed().await;
    assert!(ensemble.server(away).log().contains("a snapshot was received"), "the log is still all there");
    // What it was given is on its disk as well.
    ensemble.kill(away);
    ensemble.restart(away);
    ensemble.agreed().await;
    let local = client(&ensemble, &[away]).children("/").consistency(Consistency::Local).await.unwrap();
    assert_eq!(local.children.iter().filter(|child| child.name.starts_with("missed-")).count(), 1_000);
}
