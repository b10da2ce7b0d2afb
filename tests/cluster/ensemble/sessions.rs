//! Sessions belong to the ensemble: they outlive servers and leaders, and end only when their owners have.

use std::time::{Duration, Instant};

use quorate_client::{Client, Consistency, CreateMode, SessionState};
use quorate_tests::harness::{Ensemble, EnsembleOptions};

use super::client;

/// The shortest there is, twice.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a disk takes that is slow.
const SLOW_SYNC: Duration = Duration::from_millis(200);

/// Some syncs of it, and much less than the timeout.
const MOVED_AFTER_MAX: Duration = Duration::from_millis(1_400);

async fn exists(client: &Client, path: &str) -> bool {
    client.exists(path).consistency(Consistency::Linearizable).await.unwrap().stat.is_some()
}

#[tokio::test]
async fn a_session_outlives_the_leader_and_moves_with_its_ephemerals() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let [next, last] = ensemble.others(leader)[..] else { panic!("three servers") };
    let owner = client(&ensemble, &[leader, next, last]);
    let session = owner.open_session(TIMEOUT).await.unwrap();
    session.create("/ephemeral", "mine").mode(CreateMode::Ephemeral).await.unwrap();
    ensemble.kill(leader);
    let observer = client(&ensemble, &[last]);
    let began = Instant::now();
    while began.elapsed() < 2 * TIMEOUT {
        assert!(exists(&observer, "/ephemeral").await, "gone after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(session.state(), SessionState::Connected);
    let second = session.create("/second", "").mode(CreateMode::Ephemeral).await.unwrap();
    assert_eq!(second.stat.ephemeral_owner, session.id());
    assert_eq!(session.ephemerals().await.unwrap().paths, ["/ephemeral", "/second"]);
    ensemble.restart(leader);
    session.close().await.unwrap();
    assert!(!exists(&observer, "/ephemeral").await && !exists(&observer, "/second").await);
    ensemble.agreed().await;
}

#[tokio::test]
async fn a_session_whose_owner_is_gone_ends_after_its_timeout_and_not_before() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let [at, other] = ensemble.others(leader)[..] else { panic!("three servers") };
    let owner = client(&ensemble, &[at, other]);
    let session = owner.open_raw(TIMEOUT).await.unwrap();
    owner.create("/owned", "").mode(CreateMode::Ephemeral).session(session.credential.clone()).await.unwrap();
    // The last that is heard of it; then its server and the leader go, one after the other.
    owner.keep_alive_once(&session.credential).await.unwrap();
    let heard = Instant::now();
    ensemble.kill(leader);
    let observer = client(&ensemble, &[other, at]);
    while exists(&observer, "/owned").await {
        // A new leader gives it its timeout again, so twice that and what an election takes is the end.
        assert!(heard.elapsed() < 2 * TIMEOUT + Duration::from_secs(3), "it still lives after {:?}", heard.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(heard.elapsed() >= TIMEOUT, "it ended after {:?}", heard.elapsed());
    let refused = owner.keep_alive_once(&session.credential).await.unwrap_err();
    assert_eq!(refused.reason(), quorate_client::Reason::SessionExpired);
}

#[tokio::test]
async fn a_leader_that_stands_still_ends_no_session_of_clients_that_live() {
    let ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let others = ensemble.others(leader);
    let owner = client(&ensemble, &others);
    let session = owner.open_session(TIMEOUT).await.unwrap();
    let created = session.create("/alive", "").mode(CreateMode::Ephemeral).await.unwrap();
    ensemble.server(leader).pause();
    let successor = ensemble.leader_among(&others).await;
    assert_ne!(successor, leader);
    tokio::time::sleep(2 * TIMEOUT).await;
    // For it no time has passed in which it could have heard of anybody.
    ensemble.server(leader).resume();
    ensemble.serving(&[leader]).await;
    tokio::time::sleep(TIMEOUT).await;
    let stat = owner.exists("/alive").consistency(Consistency::Linearizable).await.unwrap().stat;
    assert_eq!(stat.map(|stat| stat.czxid), Some(created.stat.czxid));
    assert_eq!(session.state(), SessionState::Connected);
}

#[tokio::test]
async fn an_ensemble_that_stands_still_as_a_whole_ends_no_session() {
    let ensemble = Ensemble::start();
    ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let owner = client(&ensemble, &[1, 2, 3]);
    let session = owner.open_session(TIMEOUT).await.unwrap();
    let created = session.create("/alive", "").mode(CreateMode::Ephemeral).await.unwrap();
    ensemble.ids().for_each(|id| ensemble.server(id).pause());
    tokio::time::sleep(2 * TIMEOUT).await;
    ensemble.ids().for_each(|id| ensemble.server(id).resume());
    tokio::time::sleep(TIMEOUT).await;
    let stat = owner.exists("/alive").consistency(Consistency::Linearizable).await.unwrap().stat;
    assert_eq!(stat.map(|stat| stat.czxid), Some(created.stat.czxid));
    assert_eq!(session.state(), SessionState::Connected);
}

#[tokio::test]
async fn a_session_outlives_the_removal_of_its_server() {
    let ensemble = Ensemble::start_with(EnsembleOptions { has_faults: true, ..EnsembleOptions::default() });
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let leaving = ensemble.others(leader)[0];
    let left = ensemble.others(leaving);
    let owner = client(&ensemble, &[leaving, left[0], left[1]]);
    let session = owner.open_session(TIMEOUT).await.unwrap();
    let created = session.create("/mine", "").mode(CreateMode::Ephemeral).await.unwrap();
    // There is always something that it has to write when it hears that it has to go.
    ensemble.server(leaving).faults().slow_down(SLOW_SYNC, Duration::ZERO);
    let writer = client(&ensemble, &left);
    let writing = tokio::spawn(async move {
        loop {
            writer.set("/others", "busy").upsert().await.unwrap();
        }
    });
    let observer = client(&ensemble, &left);
    observer.reconfigure().remove(leaving.into()).await.unwrap();
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < TIMEOUT {
        let asked = Instant::now();
        session.set("/mine", "still").await.unwrap();
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    writing.abort();
    assert!(slowest < MOVED_AFTER_MAX, "the server that has to go has kept its client for {slowest:?}");
    let stat = observer.exists("/mine").consistency(Consistency::Linearizable).await.unwrap().stat;
    assert_eq!(stat.map(|stat| stat.czxid), Some(created.stat.czxid));
}
