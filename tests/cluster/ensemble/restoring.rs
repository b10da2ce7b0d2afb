//! Backups that are restored while clients go on, servers die, and disks are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use quorate_client::{Client, CreateMode, Reason, SessionState, WatchEvent};
use quorate_tests::harness::Ensemble;
use tokio::sync::oneshot;

use super::{PATIENCE, client, read};

/// Znodes of 100 kB: several steps of a restore.
const LARGE: u32 = 20;

async fn backup(client: &Client) -> Vec<Bytes> {
    let snapshot = client.snapshot().await.unwrap();
    snapshot.map(Result::unwrap).collect().await
}

/// Writes all the time, whatever becomes of it, until told to stop: how many writes were made.
async fn load(client: Client, stop: Arc<AtomicBool>, made: Arc<AtomicU64>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let create = client.create(format!("/load/{number}"), "").parents().timeout(Duration::from_secs(1));
        if create.await.is_ok() {
            made.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn exists(client: &Client, path: &str) -> bool {
    client.sync().await.unwrap();
    client.exists(path).await.unwrap().stat.is_some()
}

#[tokio::test]
async fn a_restore_is_everywhere_or_nowhere_whoever_dies_and_whoever_comes_later() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let writer = client(&ensemble, &ensemble.others(leader));
    for number in 0..LARGE {
        writer.create(format!("/old/{number}"), "x".repeat(100_000)).parents().await.unwrap();
    }
    let session = writer.open_session(Duration::from_secs(30)).await.unwrap();
    session.create("/old/lock", "").mode(CreateMode::Ephemeral).await.unwrap();
    let pieces = backup(&writer).await;
    writer.create("/since", "kept or gone").await.unwrap();

    let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let loading = tokio::spawn(load(client(&ensemble, &[1, 2, 3]), Arc::clone(&stop), Arc::clone(&made)));

    // The leader dies when half of it is there.
    let (first, rest) = pieces.split_at(pieces.len() / 2);
    let (half_sent, is_half_sent) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let (first, rest) = (first.to_vec(), rest.to_vec());
    let gate = stream::once(async move {
        half_sent.send(()).unwrap();
        may_go_on.await.unwrap();
        Bytes::new()
    });
    let restoring = writer.restore(stream::iter(first).chain(gate).chain(stream::iter(rest)));
    let restoring = tokio::spawn(restoring.send());
    is_half_sent.await.unwrap();
    ensemble.kill(leader);
    let next = ensemble.leader_among(&ensemble.others(leader)).await;
    // With a step under way it has failed by now, and nobody asks for more.
    let _ = go_on.send(());
    let failed = tokio::time::timeout(PATIENCE, restoring).await.unwrap().unwrap().unwrap_err();
    assert_eq!(failed.reason(), Reason::Unavailable, "{failed}");
    ensemble.restart(leader);
    ensemble.serving(&[1, 2, 3]).await;
    for server in 1..=3 {
        assert!(exists(&client(&ensemble, &[server]), "/since").await, "server {server} lost what nobody gave up");
    }

    // Another attempt, through a server that does not lead, while others write.
    let at = ensemble.others(next)[0];
    let asked = client(&ensemble, &[at]);
    let mut watch = asked.watch("/since").start();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Created { .. }))));
    let before = made.load(Ordering::Relaxed);
    let restored = tokio::time::timeout(PATIENCE, asked.restore(stream::iter(pieces.clone())).send()).await.unwrap();
    let restored = restored.unwrap();
    assert!(restored.zxid > restored.backup_zxid);
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            match watch.next().await {
                Some(Err(error)) => return error,
                Some(Ok(WatchEvent::Progress { .. } | WatchEvent::Created { .. })) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(ended.await.unwrap().reason(), Reason::Compacted);
    let expired = tokio::time::timeout(PATIENCE, async {
        while session.state() != SessionState::Expired {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    expired.await.expect("the session never notices");
    for server in 1..=3 {
        let client = client(&ensemble, &[server]);
        assert!(!exists(&client, "/since").await, "server {server} has what was given up");
        assert!(!exists(&client, "/old/lock").await, "server {server} keeps an ephemeral without a session");
        assert_eq!(read(&client, "/old/7").await.unwrap().len(), 100_000);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(made.load(Ordering::Relaxed) > before, "nobody can write any more");
    stop.store(true, Ordering::Relaxed);
    loading.await.unwrap();
    ensemble.agreed().await;

    // Whoever has lost everything copies the state as it is now, and so does whoever only starts again.
    let wiped = ensemble.others(next)[1];
    ensemble.wipe(wiped);
    ensemble.restart(wiped);
    ensemble.kill(at);
    ensemble.restart(at);
    ensemble.serving(&[1, 2, 3]).await;
    ensemble.agreed().await;
    assert!(!exists(&client(&ensemble, &[wiped]), "/since").await);
    assert_eq!(read(&client(&ensemble, &[wiped]), "/old/7").await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn the_backup_of_another_ensemble_is_restored_only_if_that_is_meant() {
    let source = Ensemble::start();
    let leader = source.leader().await;
    source.serving(&[1, 2, 3]).await;
    let there = client(&source, &[leader]);
    there.create("/theirs", "x").await.unwrap();
    let pieces = backup(&there).await;
    let server = quorate_tests::harness::Server::start();
    let here = Client::builder().addresses([server.address("grpc")]).build();
    here.create("/ours", "x").await.unwrap();
    let refused = here.restore(stream::iter(pieces.clone())).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::BadArguments);
    assert!(refused.message().contains("force_cluster"), "{refused}");
    let mut damaged = pieces.concat();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let damaged = here.restore(stream::iter([Bytes::from(damaged)])).force_cluster().await.unwrap_err();
    assert_eq!(damaged.reason(), Reason::BadArguments);
    let cut_off = here.restore(stream::iter(pieces[..1].iter().map(|piece| piece.slice(..100)).collect::<Vec<_>>()));
    assert_eq!(cut_off.force_cluster().await.unwrap_err().reason(), Reason::BadArguments);
    assert!(exists(&here, "/ours").await);
    let cluster_id = here.last_header().unwrap().cluster_id;
    here.restore(stream::iter(pieces)).force_cluster().await.unwrap();
    assert!(exists(&here, "/theirs").await && !exists(&here, "/ours").await);
    assert_eq!(here.last_header().unwrap().cluster_id, cluster_id, "it is still who it was");
}
