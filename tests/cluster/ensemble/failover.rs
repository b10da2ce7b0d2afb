//! The leader dies, and nobody who looks at another server loses anything.

use futures_util::StreamExt as _;
use quorate_client::{EventKind, Watch, WatchEvent, WatchKind};
use quorate_tests::harness::Ensemble;
use quorate_tests::report;

use super::{PATIENCE, client};

const WRITES_BEFORE: u32 = 20;
const WRITES_AFTER: u32 = 20;

/// What happened to which path, with the txn that did it.
type Change = (u64, EventKind, String);

/// Reads a watch until it has told so many changes.
async fn changes(watch: &mut Watch, count: usize) -> Vec<Change> {
    let mut told = Vec::new();
    while told.len() < count {
        let next = tokio::time::timeout(PATIENCE, watch.next()).await;
        let event = next.unwrap_or_else(|_| panic!("only {} of {count} changes are told: {told:?}", told.len()));
        if let WatchEvent::Events(events) = event.expect("a watch goes on").unwrap() {
            told.extend(events.into_iter().map(|event| (event.zxid, event.kind, event.path)));
        }
    }
    told
}

#[tokio::test]
async fn the_leader_is_killed_and_nothing_that_was_acknowledged_is_lost_or_told_twice() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    let [reader_at, watcher_at] = ensemble.others(leader)[..] else { panic!("three servers") };
    ensemble.serving(&[1, 2, 3]).await;
    // The writer speaks to the leader itself, the watch stands at a server that will go as well.
    let writer = client(&ensemble, &[leader, reader_at, watcher_at]);
    let reader = client(&ensemble, &[reader_at]);
    let watcher = client(&ensemble, &[watcher_at, reader_at]);
    let base = writer.create("/kept", "").await.unwrap();
    let mut watch = watcher.watch("/kept").kind(WatchKind::Recursive).from(base.zxid, None).start();

    let mut expected: Vec<Change> = Vec::new();
    for number in 0..WRITES_BEFORE {
        let path = format!("/kept/{number}");
        let created = writer.create(&path, number.to_string()).await.unwrap();
        expected.push((created.zxid, EventKind::Created, path.clone()));
        // Another server has it as soon as it is asked for a state that has it.
        let bound = writer.last_header().unwrap().bound();
        assert!(bound.zxid >= created.zxid);
        let seen = reader.get(&path).min_zxid(bound).await.unwrap();
        assert_eq!((seen.data.unwrap(), seen.stat.czxid), (number.to_string().into(), created.zxid));
    }
    assert_eq!(changes(&mut watch, expected.len()).await, expected);

    ensemble.kill(leader);
    for number in 0..WRITES_AFTER {
        let path = format!("/kept/{number}");
        let updated = writer.set(&path, "again").await.unwrap();
        expected.push((updated.zxid, EventKind::Changed, path));
    }
    let successor = ensemble.leader().await;
    assert_ne!(successor, leader);
    // The dead server comes back; the one that the watch stands at goes.
    ensemble.restart(leader);
    ensemble.serving(&[leader]).await;
    ensemble.kill(watcher_at);
    let deleted = writer.delete("/kept/0").await.unwrap();
    expected.push((deleted.zxid, EventKind::Deleted, "/kept/0".to_owned()));
    assert_eq!(changes(&mut watch, (WRITES_AFTER + 1) as usize).await, expected[WRITES_BEFORE as usize..]);

    ensemble.restart(watcher_at);
    let zxid = ensemble.agreed().await;
    assert!(zxid >= deleted.zxid);
    for server in 1..=3 {
        let children = client(&ensemble, &[server]).children("/kept").await.unwrap();
        assert_eq!(children.children.len() as u32, WRITES_BEFORE - 1, "server {server}");
    }
    report::note(&format!(
        "failover: {} writes and as many changes told, through the deaths of the leader and of a watch's server",
        expected.len()
    ));
}
