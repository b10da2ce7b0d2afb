//! Servers that have lost their disks, or find them damaged, copy what there is, and have no say before they have it.

use std::fs;
use std::path::Path;
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

#[tokio::test]
async fn a_server_that_finds_its_log_damaged_sets_it_aside_and_copies_what_there_is() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    fill(&ensemble, &[leader]).await;
    ensemble.agreed().await;
    let damaged = ensemble.others(leader)[0];
    ensemble.kill(damaged);
    let data_dir = ensemble.server(damaged).data_dir();
    damage(&data_dir.join("gen-0000000001"), b"/copied/7");
    ensemble.restart(damaged);
    ensemble.serving(&[1, 2, 3]).await;
    ensemble.agreed().await;
    assert!(data_dir.join("damaged-0000000001").is_dir(), "nobody can look at what it was");
    assert_eq!(read(&client(&ensemble, &[damaged]), "/copied/7").await.unwrap(), "7");
}

/// Changes a byte after each of these bytes, at the beginning of all files of a directory.
fn damage(dir: &Path, after: &[u8]) {
    let mut damaged = 0;
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let written = &bytes[..bytes.len().min(1 << 20)];
        let places = written.windows(after.len()).enumerate().filter(|(_, window)| *window == after);
        let places: Vec<usize> = places.map(|(at, _)| at + after.len()).collect();
        for place in &places {
            bytes[*place] ^= 1;
        }
        damaged += places.len();
        fs::write(&path, bytes).unwrap();
    }
    assert!(damaged > 0, "there was nothing to damage");
}
