//! A server that is cut off from the majority decides nothing and vouches for nothing, says so, and catches up as soon
//! as it can.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use quorate_client::{Client, Consistency, Error, Reason, Watch, WatchEvent};
use quorate_tests::harness::Ensemble;

use super::{client, read};

/// How long a server on its own is asked again and again.
const ALONE: Duration = Duration::from_millis(1_500);

/// A state that is older is not shown.
const STALENESS: Duration = Duration::from_millis(quorate_replica::limits::STALENESS_MS);

/// Of a call to a server that may not answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// Asks a server alone, and does not wait for long.
fn impatient(ensemble: &Ensemble, id: u8) -> Client {
    ensemble.client(&[id]).request_timeout(PATIENCE).build()
}

#[track_caller]
fn assert_cannot_tell(error: &Error) {
    let reasons = [Reason::Unavailable, Reason::DeadlineExceeded, Reason::Timeout];
    assert!(reasons.contains(&error.reason()), "{error:?}");
}

async fn readiness(ensemble: &Ensemble, id: u8) -> (u16, String) {
    let answer = ensemble.server(id).rest().get("/readyz").await.unwrap();
    (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn a_leader_without_followers_neither_writes_nor_vouches_for_what_it_reads() {
    let ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    let others = ensemble.others(leader);
    ensemble.serving(&[1, 2, 3]).await;
    let majority = client(&ensemble, &others);
    majority.create("/value", "0").await.unwrap();
    assert_eq!(readiness(&ensemble, leader).await.0, 200);

    ensemble.network().isolate(leader);
    let began = Instant::now();
    let alone = impatient(&ensemble, leader);
    let (mut acknowledged, mut refusals) = (0_u32, 0);
    while began.elapsed() < ALONE {
        // It does not know yet that it is alone, but must behave as if it did.
        let refused = alone.set("/value", "lost").await.unwrap_err();
        assert_cannot_tell(&refused);
        let written = majority.set("/value", (acknowledged + 1).to_string()).await;
        acknowledged += u32::from(written.is_ok());
        match read(&alone, "/value").await {
            Err(error) => assert_cannot_tell(&error),
            Ok(value) => panic!("the one server that is cut off vouches for {value}, {acknowledged} is acknowledged"),
        }
        refusals += 2;
    }
    assert!(acknowledged > 0 && refusals > 0, "{acknowledged} writes, {refusals} refusals");
    let stale = alone.get("/value").consistency(Consistency::Local).await.unwrap();
    assert_eq!(stale.data.unwrap(), "0", "what nobody acknowledged is not shown either");
    let (status, body) = readiness(&ensemble, leader).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("UNAVAILABLE") && body.contains("looking"), "{body}");

    ensemble.network().heal();
    ensemble.serving(&[leader]).await;
    ensemble.agreed().await;
    assert_eq!(readiness(&ensemble, leader).await.0, 200);
    for id in 1..=3 {
        assert_eq!(read(&client(&ensemble, &[id]), "/value").await.unwrap(), acknowledged.to_string());
    }
    // What it missed was a difference, and was sent as one.
    assert!(!ensemble.server(leader).log().contains("a snapshot was received"));
}

#[tokio::test]
async fn a_follower_that_only_cannot_be_heard_or_only_cannot_hear_does_no_harm() {
    let ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let follower = ensemble.others(leader)[0];
    let majority = client(&ensemble, &ensemble.others(follower));
    majority.create("/value", "0").await.unwrap();
    let cuts: [fn(&Ensemble, u8, u8); 2] = [
        |ensemble, one, other| ensemble.network().cut(one, other),
        |ensemble, one, other| ensemble.network().cut(other, one),
    ];
    for (round, cut) in cuts.into_iter().enumerate() {
        ensemble.others(follower).into_iter().for_each(|other| cut(&ensemble, follower, other));
        let began = Instant::now();
        let mut written = 0;
        while began.elapsed() < ALONE {
            majority.set("/value", format!("{round}-{written}")).await.unwrap();
            written += 1;
        }
        assert!(written > 20, "only {written} writes in {ALONE:?}");
        let epoch = ensemble.status(leader).await.unwrap().header.epoch;
        ensemble.network().heal();
        ensemble.serving(&[follower]).await;
        ensemble.agreed().await;
        let status = ensemble.status(leader).await.unwrap();
        assert_eq!((status.leader_id, status.header.epoch), (leader.into(), epoch), "nobody was deposed");
    }
}

#[tokio::test]
async fn whoever_trusts_in_a_server_that_is_cut_off_for_long_is_sent_elsewhere() {
    let ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let follower = ensemble.others(leader)[0];
    let majority = client(&ensemble, &ensemble.others(follower));
    majority.create("/value", "0").await.unwrap();
    ensemble.agreed().await;
    // It comes to the follower first, and knows of the others.
    let order = [&[follower][..], &ensemble.others(follower)].concat();
    let mut watch = client(&ensemble, &order).watch("/value").with_data().start();
    let begun = watch.next().await;
    assert!(matches!(begun, Some(Ok(WatchEvent::Created { .. }))), "{begun:?}");
    majority.set("/value", "1").await.unwrap();
    assert_eq!(next_value(&mut watch).await, "1");

    ensemble.network().isolate(follower);
    let began = Instant::now();
    majority.set("/value", "2").await.unwrap();
    let alone = impatient(&ensemble, follower);
    let refused = loop {
        match alone.get("/value").await {
            Ok(_) => assert!(began.elapsed() < 2 * STALENESS, "what is long past is shown"),
            Err(error) => break error,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_cannot_tell(&refused);
    assert!(began.elapsed() > STALENESS / 2, "reads go on for a while: there may be a new leader soon");
    assert_eq!(next_value(&mut watch).await, "2", "the watch goes on elsewhere and has missed nothing");
    let local = alone.get("/value").consistency(Consistency::Local).await.unwrap();
    assert_eq!(local.data.unwrap(), "1", "whoever asks for whatever there is gets it");

    ensemble.network().heal();
    ensemble.serving(&[follower]).await;
    assert_eq!(alone.get("/value").await.unwrap().data.unwrap(), "2");
}

/// What the next change has made of a znode.
async fn next_value(watch: &mut Watch) -> String {
    loop {
        let told = tokio::time::timeout(super::PATIENCE, watch.next()).await.expect("the watch is told in time");
        if let WatchEvent::Events(events) = told.expect("a watch does not end").unwrap() {
            let data = events[0].data.clone();
            return String::from_utf8(data.unwrap_or_default().to_vec()).unwrap();
        }
    }
}
