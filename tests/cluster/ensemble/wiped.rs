//! Servers that have lost their disks copy what there is, and have no say before they have it.

use std::time::Duration;

use quorate_client::{Consistency, Role};
use quorate_tests::harness::Ensemble;

use super::{client, read};

const ZNODES: u32 = 50;

/// Much longer than an election takes.
const NO_ELECTION: Duration = Duration::from_secs(3);

async fn fill(ensemble: &Ensemble, servers: &[u8]) {
    let writer = client(ensemble, servers);
    for number in 0..ZNODES {
        writer.create(format!("/copied/{number}"), number.to_string()).parents().await.unwrap();
    }
}

#[tokio::test]
async fn a_wiped_server_counts_only_when_it_has_copied_everything() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let [wiped, away] = ensemble.others(leader)[..] else { panic!("three servers") };
    // Only the leader and the server that is about to lose everything know of these.
    ensemble.kill(away);
    fill(&ensemble, &[leader, wiped]).await;
    ensemble.wipe(wiped);
    ensemble.restart(wiped);
    // Two of three servers are there, but one of them cannot vouch for anything.
    tokio::time::sleep(NO_ELECTION).await;
    for id in [leader, wiped] {
        let status = ensemble.status(id).await.unwrap();
        assert!(!status.serving && status.header.role == Role::Looking, "{status:?}");
    }
    ensemble.restart(away);
    ensemble.serving(&[1, 2, 3]).await;
    ensemble.agreed().await;
    assert_eq!(read(&client(&ensemble, &[wiped]), "/copied/0").await.unwrap(), "0");
    // Now it counts: it and the one that was away are enough.
    client(&ensemble, &[wiped]).set("/copied/0", "before").await.unwrap();
    ensemble.agreed().await;
    ensemble.kill(leader);
    client(&ensemble, &[wiped, away]).set("/copied/0", "after").await.unwrap();
    let listed = client(&ensemble, &[wiped]).children("/copied").await.unwrap();
    assert_eq!(listed.children.len() as u32, ZNODES);
    ensemble.restart(leader);
    ensemble.agreed().await;
}

#[tokio::test]
async fn two_wiped_servers_do_not_outvote_the_one_that_remembers() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    fill(&ensemble, &[leader]).await;
    ensemble.agreed().await;
    let others = ensemble.others(leader);
    others.iter().for_each(|id| ensemble.wipe(*id));
    others.iter().for_each(|id| ensemble.restart(*id));
    tokio::time::sleep(NO_ELECTION).await;
    for id in 1..=3 {
        let status = ensemble.status(id).await.unwrap();
        assert!(!status.serving, "nobody may serve: {status:?}");
        assert_eq!(status.header.role, Role::Looking);
    }
    // What the survivor has is still there to be read, by those who ask for no more than that.
    let survivor = client(&ensemble, &[leader]);
    let kept = survivor.children("/copied").consistency(Consistency::Local).await.unwrap();
    assert_eq!(kept.children.len() as u32, ZNODES);
}
