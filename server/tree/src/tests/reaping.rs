//! Containers and TTL znodes: when they come due, and what saves them.

use alloc::vec::Vec;

use quorate_types::{ChangeKind, Code, CreateMode, NodeKind, Op, Reply};

use super::fixture::*;
use crate::{CONTAINER_GRACE_MS, Prepared, Reap, SnapshotDecoder, SnapshotEncoder};

fn due(ensemble: &Ensemble, wall_ms: i64) -> Vec<Reap> {
    let due = ensemble.leader.due(wall_ms, 100);
    assert_eq!(ensemble.follower.due(wall_ms, 100), due);
    due
}

fn due_paths(ensemble: &Ensemble, wall_ms: i64) -> Vec<alloc::string::String> {
    due(ensemble, wall_ms).into_iter().map(|reap| reap.path).collect()
}

#[test]
fn a_ttl_znode_comes_due_when_it_was_not_changed_for_longer_than_its_ttl() {
    let mut ensemble = Ensemble::new();
    ensemble.must(create_as("/t", CreateMode::Ttl { ttl_ms: 50 }));
    assert_eq!(ensemble.stat("/t").ephemeral_owner, quorate_types::SessionId::NONE);
    assert_eq!(ensemble.leader.next_due_ms(), Some(1051));
    assert_eq!((due_paths(&ensemble, 1050), due_paths(&ensemble, 1051)), ([].into(), ["/t".into()].into()));
    ensemble.wall_ms = 1040;
    ensemble.must(set("/t", "x"));
    assert_eq!(ensemble.leader.next_due_ms(), Some(1091));
    // Children keep it, and their coming and going is no change of it.
    ensemble.must(create("/t/child"));
    assert_eq!(ensemble.leader.next_due_ms(), None);
    ensemble.wall_ms = 5000;
    ensemble.must(delete("/t/child"));
    assert_eq!(ensemble.leader.next_due_ms(), Some(1091));
    ensemble.must(delete("/t"));
    assert_eq!(ensemble.leader.next_due_ms(), None);
}

#[test]
fn a_container_comes_due_some_time_after_its_last_child_went() {
    let mut ensemble = Ensemble::new();
    ensemble.must(create_as("/c", CreateMode::Container));
    assert_eq!(ensemble.leader.next_due_ms(), None, "a container that never had a child stays");
    ensemble.must(create("/c/a"));
    ensemble.must(create("/c/b"));
    ensemble.wall_ms = 2000;
    ensemble.must(delete("/c/a"));
    assert_eq!(ensemble.leader.next_due_ms(), None);
    ensemble.must(delete("/c/b"));
    assert_eq!(ensemble.leader.next_due_ms(), Some(2000 + CONTAINER_GRACE_MS + 1));
    ensemble.must(set("/c", "x"));
    assert_eq!(ensemble.leader.next_due_ms(), Some(2000 + CONTAINER_GRACE_MS + 1));
    ensemble.must(create("/c/d"));
    assert_eq!(ensemble.leader.next_due_ms(), None);
}

#[test]
fn what_is_due_goes_the_earliest_first() {
    let mut ensemble = Ensemble::new();
    for (at, ttl_ms) in [("/late", 30), ("/early", 10), ("/middle", 20)] {
        ensemble.must(create_as(at, CreateMode::Ttl { ttl_ms }));
    }
    assert_eq!(due_paths(&ensemble, 9000), ["/early", "/middle", "/late"]);
    assert_eq!(ensemble.leader.due(9000, 2).len(), 2);
    let reap = due(&ensemble, 9000).remove(0);
    assert_eq!(reap.kind, NodeKind::Ttl { ttl_ms: 10 });
    let Prepared::Txn(txn) = ensemble.prepare_reap(&reap) else { panic!() };
    assert_eq!(crate::reply(ensemble.last, &txn), Reply::Deleted);
    ensemble.changes.clear();
    ensemble.apply_all();
    assert_eq!((ensemble.changes[0].kind, ensemble.changes[0].path.as_str()), (ChangeKind::Deleted, "/early"));
}

#[test]
fn whatever_happened_since_saves_a_znode_from_the_reaper() {
    let mut ensemble = Ensemble::new();
    for at in ["/set", "/child", "/gone", "/recreated", "/other-kind"] {
        ensemble.must(create_as(at, CreateMode::Ttl { ttl_ms: 10 }));
    }
    ensemble.must(create_as("/container", CreateMode::Container));
    ensemble.must(create("/container/child"));
    ensemble.must(delete("/container/child"));
    let reaps = due(&ensemble, 90_000);
    assert_eq!(reaps.len(), 6);
    let ops = [
        set("/set", "x"),
        create("/child/c"),
        delete("/gone"),
        delete("/recreated"),
        create_as("/recreated", CreateMode::Ttl { ttl_ms: 10 }),
        delete("/other-kind"),
        create("/other-kind"),
        create("/container/again"),
    ];
    ops.into_iter().for_each(|op| drop(ensemble.prepare(&Op::Write(op))));
    for reap in &reaps {
        let answer = ensemble.prepare_reap(reap);
        let refused = matches!(&answer, Prepared::Answer(Err(error)) if error.code() == Code::BadVersion);
        assert!(refused, "{reap:?}: {answer:?}");
    }
    ensemble.apply_all();
    assert!(reaps.iter().all(|reap| ensemble.prepare_reap(reap) == ensemble.prepare_reap(reap)));
}

#[test]
fn a_restored_server_knows_the_deadlines() {
    let mut ensemble = Ensemble::new();
    ensemble.must(create_as("/t", CreateMode::Ttl { ttl_ms: 50 }));
    ensemble.must(create_as("/busy", CreateMode::Ttl { ttl_ms: 50 }));
    ensemble.must(create("/busy/child"));
    ensemble.must(create_as("/c", CreateMode::Container));
    ensemble.must(create("/c/child"));
    ensemble.must(delete("/c/child"));
    ensemble.must(create_as("/never-used", CreateMode::Container));
    let mut encoder = SnapshotEncoder::new(&mut ensemble.leader);
    let mut decoder = SnapshotDecoder::new(1);
    while let Some(chunk) = encoder.next_chunk(&ensemble.leader, usize::MAX) {
        decoder.push(&chunk).unwrap();
    }
    let restored = decoder.finish().unwrap();
    assert_eq!(restored.due(i64::MAX, 9), ensemble.leader.due(i64::MAX, 9));
    assert_eq!(restored.next_due_ms(), ensemble.leader.next_due_ms());
}
