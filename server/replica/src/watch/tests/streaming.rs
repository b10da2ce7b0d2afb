//! How a streaming watch begins, what it is told, and how it ends.

use alloc::string::String;
use alloc::vec::Vec;

use quorate_types::{ChangeFilter, ChangeKind, Resume, StreamWatch, WatchScope};

use super::super::*;
use super::world::{World, anyone, create, create_with, delete, set, spec, user};
use crate::WatchItem;

use WatchScope::{Children, Node, Recursive};

fn resume(watch: StreamWatch, counter: u64, index: u32) -> StreamWatch {
    StreamWatch { start: Some(Resume { zxid: Zxid((1 << 32) + counter), index }), ..watch }
}

/// A world in which /a, /a/b, /a/b/c and /ab were created at 1 to 4 and changed at 5.
fn world() -> World {
    let mut world = World::usual();
    for path in ["/a", "/a/b", "/a/b/c", "/ab"] {
        world.txn(&[create(path)]);
    }
    world.txn(&[set("/a", "1"), set("/a/b", "2"), set("/a/b/c", "3"), set("/ab", "4")]);
    world
}

#[test]
fn a_scope_decides_which_changes_are_told() {
    let check = |scope, path: &str, expected: &[&str]| {
        let mut world = World::usual();
        world.txn(&[create("/a")]);
        world.begin(1, &anyone(), &spec(7, scope, path));
        world.take();
        world.txn(&[
            create("/a/b"),
            create("/a/b/c"),
            create("/ab"),
            set("/a", ""),
            set("/a/b", ""),
            set("/a/b/c", ""),
        ]);
        world.txn(&[delete("/a/b/c")]);
        world.txn(&[delete("/a/b"), delete("/a"), create("/a")]);
        assert_eq!(world.told(), expected, "{scope:?} {path}");
    };
    check(Node, "/a", &["1: w7 told@2 =/a", "1: w7 told@4 -/a +/a"]);
    check(Node, "/a/b", &["1: w7 told@2 +/a/b =/a/b", "1: w7 told@4 -/a/b"]);
    check(Node, "/x", &[]);
    check(Children, "/a", &["1: w7 told@2 +/a/b", "1: w7 told@4 -/a/b -/a +/a"]);
    check(Children, "/a/b", &["1: w7 told@2 +/a/b +/a/b/c", "1: w7 told@3 -/a/b/c", "1: w7 told@4 -/a/b"]);
    check(Children, "/", &["1: w7 told@2 +/ab", "1: w7 told@4 -/a +/a"]);
    check(
        Recursive,
        "/a",
        &["1: w7 told@2 +/a/b +/a/b/c =/a =/a/b =/a/b/c", "1: w7 told@3 -/a/b/c", "1: w7 told@4 -/a/b -/a +/a"],
    );
    check(Recursive, "/a/b/c", &["1: w7 told@2 +/a/b/c =/a/b/c", "1: w7 told@3 -/a/b/c"]);
    check(
        Recursive,
        "/",
        &["1: w7 told@2 +/a/b +/a/b/c +/ab =/a =/a/b =/a/b/c", "1: w7 told@3 -/a/b/c", "1: w7 told@4 -/a/b -/a +/a"],
    );
}

#[test]
fn options_decide_what_an_event_carries() {
    let check = |change: fn(&mut StreamWatch), expected: &[&str]| {
        let mut world = World::usual();
        let mut watch = spec(7, Node, "/a");
        change(&mut watch);
        world.begin(1, &anyone(), &watch);
        world.take();
        world.txn(&[create_with("/a", "x", &quorate_types::Acl::OPEN)]);
        world.txn(&[set("/a", "y")]);
        world.txn(&[delete("/a")]);
        assert_eq!(world.told(), expected);
    };
    check(|_| {}, &["1: w7 told@1 +/a", "1: w7 told@2 =/a", "1: w7 told@3 -/a"]);
    check(|watch| watch.with_data = true, &["1: w7 told@1 +/a=x", "1: w7 told@2 =/a=y", "1: w7 told@3 -/a"]);
    check(
        |watch| (watch.with_data, watch.with_previous_data) = (true, true),
        &["1: w7 told@1 +/a=x", "1: w7 told@2 =/a=y<x", "1: w7 told@3 -/a<y"],
    );
    check(
        |watch| watch.exclude = ChangeFilter::default().with(ChangeKind::Created),
        &["1: w7 told@2 =/a", "1: w7 told@3 -/a"],
    );
    check(
        |watch| {
            watch.exclude = ChangeFilter::default().with(ChangeKind::DataChanged).with(ChangeKind::Deleted);
        },
        &["1: w7 told@1 +/a"],
    );
}

#[test]
fn a_watch_goes_on_strictly_after_the_change_that_was_seen() {
    let check = |counter, index, expected: &[&str]| {
        let mut world = world();
        world.take();
        world.begin(1, &anyone(), &resume(spec(7, Recursive, "/a"), counter, index));
        world.settle();
        world.txn(&[delete("/a/b/c")]);
        assert_eq!(world.told(), expected, "after ({counter},{index})");
    };
    let whole = u32::MAX;
    check(5, whole, &["1: w7 created@5", "1: w7 told@6 -/a/b/c"]);
    check(5, 2, &["1: w7 created@4", "1: w7 told@6 -/a/b/c"]);
    check(5, 1, &["1: w7 created@4", "1: w7 told@5 =/a/b/c", "1: w7 told@6 -/a/b/c"]);
    check(5, 0, &["1: w7 created@4", "1: w7 told@5 =/a/b =/a/b/c", "1: w7 told@6 -/a/b/c"]);
    check(4, whole, &["1: w7 created@4", "1: w7 told@5 =/a =/a/b =/a/b/c", "1: w7 told@6 -/a/b/c"]);
    check(2, 0, &["1: w7 created@1", "1: w7 told@3 +/a/b/c", "1: w7 told@5 =/a =/a/b =/a/b/c", "1: w7 told@6 -/a/b/c"]);
}

#[test]
fn a_watch_that_cannot_begin_says_why() {
    let check = |history_bytes, watch: &StreamWatch, expected: &str| {
        let mut world = World::new(history_bytes, WatchConfig { streaming_max: 2, ..WatchConfig::default() });
        (1..=5).for_each(|id| {
            world.txn(&[create(&alloc::format!("/{id}"))]);
        });
        world.begin(1, &anyone(), &spec(1, Node, "/a"));
        world.take();
        world.begin(1, &anyone(), watch);
        world.settle();
        assert_eq!(world.told(), [expected], "{watch:?}");
        let expected_count = if watch.id == WatchId(1) { 0 } else { 1 };
        assert_eq!(world.watches.count(), expected_count);
    };
    let whole = u32::MAX;
    check(0, &resume(spec(7, Node, "/a"), 4, whole), "1: w7 canceled COMPACTED resume@4 oldest@5");
    check(0, &resume(spec(7, Node, "/a"), 5, 3), "1: w7 canceled COMPACTED resume@4 oldest@5");
    check(1 << 20, &resume(spec(7, Node, "/a"), 6, whole), "1: w7 canceled ZXID_UNKNOWN resume@6");
    let both = StreamWatch { send_initial: true, ..resume(spec(7, Node, "/a"), 4, whole) };
    check(1 << 20, &both, "1: w7 canceled BAD_ARGUMENTS resume@4");
    let often = StreamWatch { progress_ms: 99, ..spec(7, Node, "/a") };
    check(1 << 20, &often, "1: w7 canceled BAD_ARGUMENTS resume@none");
    // The name is taken: nothing may follow a `canceled`, so both end.
    check(1 << 20, &spec(1, Recursive, "/b"), "1: w1 canceled BAD_ARGUMENTS resume@5");
}

#[test]
fn an_outbox_has_a_maximum_of_watches() {
    let mut world = World::new(1 << 20, WatchConfig { streaming_max: 2, ..WatchConfig::default() });
    let initial = StreamWatch { send_initial: true, ..spec(2, Node, "/a") };
    world.begin(1, &anyone(), &spec(1, Node, "/a"));
    world.begin(1, &anyone(), &initial);
    world.begin(1, &anyone(), &spec(3, Node, "/a"));
    world.begin(2, &anyone(), &spec(3, Node, "/a"));
    assert_eq!(world.told(), ["1: w1 created@none", "1: w3 canceled QUOTA_EXCEEDED resume@none", "2: w3 created@none"]);
    assert_eq!(world.watches.count(), 3);
}

#[test]
fn a_canceled_watch_is_told_nothing_more() {
    let mut world = world();
    world.begin(1, &anyone(), &spec(1, Node, "/a"));
    world.begin(1, &anyone(), &spec(2, Node, "/a"));
    world.begin(1, &anyone(), &resume(spec(3, Node, "/a"), 2, u32::MAX));
    world.begin(1, &anyone(), &StreamWatch { send_initial: true, ..spec(4, Node, "/a") });
    world.take();
    for id in [1, 3, 4, 5] {
        world.operate(1, &anyone(), &WatchOp::Cancel(WatchId(id)));
    }
    world.txn(&[set("/a", "")]);
    world.settle();
    assert_eq!(
        world.told(),
        [
            "1: w1 canceled  resume@5",
            "1: w3 canceled  resume@2",
            "1: w4 canceled  resume@none",
            "1: w5 canceled NO_WATCHER resume@none",
            "1: w2 told@6 =/a",
        ]
    );
    assert_eq!(world.watches.count(), 1);
}

#[test]
fn nothing_is_left_of_a_closed_outbox() {
    let mut world = world();
    for outbox in [1, 2] {
        for id in 0..10 {
            world.begin(outbox, &anyone(), &spec(id, Node, "/a"));
            world.begin(outbox, &anyone(), &spec(100 + id, Recursive, "/"));
            world.begin(outbox, &anyone(), &resume(spec(200 + id, Children, "/a"), id % 4, u32::MAX));
            world.begin(outbox, &anyone(), &StreamWatch { send_initial: true, ..spec(300 + id, Children, "/a") });
        }
    }
    assert_eq!(world.watches.count(), 80);
    world.close(1);
    world.take();
    assert_eq!(world.watches.count(), 40);
    world.settle();
    world.txn(&[set("/a", "")]);
    assert!(world.take().iter().all(|(outbox, _)| *outbox == OutboxId(2)));
    world.close(2);
    assert_eq!(world.watches.count(), 0);
    assert_eq!(world.tree.view_count(), 0);
    assert_eq!(world.watches.live.registry().group_count(), 0);
    world.txn(&[delete("/a/b/c")]);
    world.settle();
    world.tick(1_000_000);
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn a_lagging_watch_is_removed_without_a_word() {
    let mut world = world();
    world.begin(1, &anyone(), &spec(1, Node, "/a"));
    world.begin(1, &anyone(), &spec(2, Node, "/a"));
    world.take();
    world.watches.lagged(OutboxId(1), WatchId(1));
    world.watches.lagged(OutboxId(1), WatchId(9));
    world.watches.lagged(OutboxId(9), WatchId(1));
    world.txn(&[set("/a", "")]);
    assert_eq!(world.told(), ["1: w2 told@6 =/a"]);
}

#[test]
fn watches_that_are_told_the_same_share_it() {
    let mut world = world();
    for outbox in [3, 1, 2] {
        for id in 0..4 {
            world.begin(outbox, &anyone(), &spec(id, Node, "/a"));
        }
        // Another path and another scope, but for a change of /a the same content.
        world.begin(outbox, &anyone(), &spec(4, Recursive, "/"));
        world.begin(outbox, &anyone(), &StreamWatch { with_data: true, ..spec(5, Node, "/a") });
    }
    world.take();
    world.txn(&[set("/a", "x")]);
    let deliveries = world.take();
    let text: Vec<String> =
        deliveries.iter().map(|(outbox, it)| alloc::format!("{}: {}", outbox.0, super::world::text(it))).collect();
    assert_eq!(
        text,
        [
            "1: w0,1,2,3,4 told@6 =/a",
            "1: w5 told@6 =/a=x",
            "2: w0,1,2,3,4 told@6 =/a",
            "2: w5 told@6 =/a=x",
            "3: w0,1,2,3,4 told@6 =/a",
            "3: w5 told@6 =/a=x",
        ]
    );
    let shared: Vec<_> = deliveries
        .iter()
        .map(|(_, delivery)| match delivery {
            crate::Delivery::Watch { item: WatchItem::Events(events), .. } => events,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(shared.iter().step_by(2).all(|events| Arc::ptr_eq(events, shared[0])));
    assert!(shared.iter().skip(1).step_by(2).all(|events| Arc::ptr_eq(events, shared[1])));
}

#[test]
fn progress_is_told_when_nothing_else_was_for_the_interval() {
    let mut world = world();
    world.begin(1, &anyone(), &StreamWatch { progress_ms: 100, ..spec(1, Node, "/a") });
    world.begin(2, &anyone(), &spec(1, Node, "/a"));
    world.begin(1, &user("x"), &resume(spec(2, Node, "/a"), 5, u32::MAX));
    world.take();
    let mut check = |ms, change: bool, expected: &[&str]| {
        world.tick(ms);
        if change {
            world.txn(&[set("/a", "")]);
        }
        assert_eq!(world.told(), expected, "at {}", world.now.monotonic_ms);
    };
    check(99, false, &[]);
    check(1, false, &["1: w1 progress@5"]);
    check(60, true, &["1: w1,2 told@6 =/a", "2: w1 told@6 =/a"]);
    check(60, false, &[]);
    check(40, false, &["1: w1 progress@6"]);
    check(9_899, false, &["1: w1 progress@6"]);
    check(1, false, &["2: w1 progress@6", "1: w2 progress@6"]);
    world.operate(1, &anyone(), &WatchOp::Cancel(WatchId(1)));
    world.close(2);
    world.take();
    world.tick(50_000);
    assert_eq!(world.told(), ["1: w2 progress@6"]);
}

#[test]
fn a_watch_behind_is_told_of_no_progress_until_it_has_caught_up() {
    let mut world = World::new(1 << 20, WatchConfig { slice_bytes: 1, ..WatchConfig::default() });
    (0..3).for_each(|id| {
        world.txn(&[create(&alloc::format!("/{id}"))]);
    });
    let watch = StreamWatch { progress_ms: 100, ..resume(spec(1, Recursive, "/"), 1, u32::MAX) };
    world.begin(1, &anyone(), &watch);
    assert!(!world.work());
    world.tick(1_000);
    assert_eq!(world.told(), ["1: w1 created@1", "1: w1 told@2 +/1"]);
    world.settle();
    world.tick(1_000);
    assert_eq!(world.told(), ["1: w1 told@3 +/2", "1: w1 progress@3"]);
}
