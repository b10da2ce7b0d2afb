//! States of a subtree at one zxid: initial states of watches, and streamed trees.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use quorate_types::{Acl, StreamTree, StreamWatch, WatchScope};

use super::super::*;
use super::world::{World, anyone, create, create_with, only, path, set, spec, user};

use WatchScope::{Children, Node, Recursive};

/// Slices of two znodes.
fn narrow() -> WatchConfig {
    WatchConfig { slice_items: 2, ..WatchConfig::default() }
}

/// /t with the children /t/0 to /t/{count-1}, created by one txn.
fn world(count: u32, config: WatchConfig) -> World {
    let mut world = World::new(1 << 20, config);
    let mut changes = alloc::vec![create("/t")];
    changes.extend((0..count).map(|child| create_with(&format!("/t/{child}"), "a", &Acl::OPEN)));
    world.txn(&changes);
    world
}

fn initial(id: u64, scope: WatchScope, path: &str) -> StreamWatch {
    StreamWatch { send_initial: true, with_data: true, ..spec(id, scope, path) }
}

fn stream(world: &mut World, outbox: u64, tag: u64, caller: &Arc<Caller>, at: &str) -> Result<(), Error> {
    stream_to(world, outbox, tag, caller, (at, u32::MAX))
}

fn stream_to(
    world: &mut World,
    outbox: u64,
    tag: u64,
    caller: &Arc<Caller>,
    (at, depth_max): (&str, u32),
) -> Result<(), Error> {
    let wanted = StreamTree { path: path(at), with_data: true, depth_max };
    world.watches.stream_tree(&mut world.tree, OutboxId(outbox), Tag(tag), caller, &wanted)
}

#[test]
fn an_initial_state_is_told_before_the_changes_that_follow_it() {
    let check = |scope, path: &str, expected: &[&str]| {
        let mut world = world(2, WatchConfig::default());
        world.txn(&[create("/t/0/x")]);
        world.begin(1, &anyone(), &initial(7, scope, path));
        world.settle();
        world.txn(&[set("/t/0", "b"), create("/t/2"), create("/u")]);
        assert_eq!(world.told(), expected, "{scope:?} {path}");
        assert_eq!(world.tree.view_count(), 0);
    };
    check(Node, "/t/0", &["1: w7 created@2", "1: w7 told@2 +/t/0=a", "1: w7 synced@2", "1: w7 told@3 =/t/0=b"]);
    check(Node, "/u", &["1: w7 created@2", "1: w7 synced@2", "1: w7 told@3 +/u"]);
    check(
        Children,
        "/t",
        &["1: w7 created@2", "1: w7 told@2 +/t +/t/0=a +/t/1=a", "1: w7 synced@2", "1: w7 told@3 +/t/2"],
    );
    check(
        Recursive,
        "/t",
        &[
            "1: w7 created@2",
            "1: w7 told@2 +/t +/t/0=a +/t/0/x +/t/1=a",
            "1: w7 synced@2",
            "1: w7 told@3 =/t/0=b +/t/2",
        ],
    );
}

#[test]
fn a_large_initial_state_is_exact_at_one_zxid_while_writes_go_on() {
    let mut world = world(5, narrow());
    world.begin(1, &anyone(), &initial(7, Recursive, "/t"));
    assert!(world.work());
    world.txn(&[set("/t/0", "b"), set("/t/4", "b")]);
    assert!(world.work());
    world.txn(&[super::world::delete("/t/3"), create("/t/30")]);
    world.settle();
    world.txn(&[set("/t/1", "c")]);
    assert_eq!(
        world.told(),
        [
            "1: w7 created@1",
            "1: w7 told@1 +/t +/t/0=a",
            "1: w7 told@1 +/t/1=a +/t/2=a",
            "1: w7 told@1 +/t/3=a +/t/4=a",
            "1: w7 synced@1",
            "1: w7 told@2 =/t/0=b =/t/4=b",
            "1: w7 told@3 -/t/3 +/t/30",
            "1: w7 told@4 =/t/1=c",
        ]
    );
    assert_eq!(world.tree.view_count(), 0);
}

#[test]
fn what_is_not_told_is_not_visited_either() {
    // Without a view, only what is read in one slice can be told.
    let config = WatchConfig { slice_items: 8, views_max: 0, ..WatchConfig::default() };
    let mut world = world(5, config);
    let grandchildren = (0..500).map(|at| create(&format!("/t/{}/{at:03}", at % 5)));
    world.txn(&grandchildren.collect::<Vec<_>>());
    let secret = create_with("/s", "", &only("ann"));
    world.txn(&[secret, create_with("/t/x", "", &only("ann"))]);
    world.txn(&(0..500).map(|at| create(&format!("/s/{at:03}"))).collect::<Vec<_>>());
    world.txn(&(0..500).map(|at| create(&format!("/t/x/{at:03}"))).collect::<Vec<_>>());
    let mut check = |scope, path: &str, expected: &[&str]| {
        world.begin(1, &anyone(), &initial(7, scope, path));
        while world.work() {}
        assert_eq!(world.told(), expected, "{scope:?} {path}");
        world.close(1);
    };
    let children = "1: w7 told@5 +/t +/t/0=a +/t/1=a +/t/2=a +/t/3=a +/t/4=a +/t/x";
    check(Children, "/t", &["1: w7 created@5", children, "1: w7 synced@5"]);
    check(Children, "/s", &["1: w7 created@5", "1: w7 synced@5"]);
    check(Node, "/t", &["1: w7 created@5", "1: w7 told@5 +/t", "1: w7 synced@5"]);
    // What lies below a secret znode may be open, and is told to whoever watches recursively: nothing can be skipped.
    check(Recursive, "/s", &[]);
}

#[test]
fn an_event_of_an_initial_state_can_be_gone_on_from() {
    let mut world = world(1, narrow());
    world.begin(1, &anyone(), &initial(7, Recursive, "/t"));
    world.settle();
    let last = world.take().into_iter().filter_map(|(_, delivery)| match delivery {
        crate::Delivery::Watch { item: crate::WatchItem::Events(events), .. } => events.last().cloned(),
        _ => None,
    });
    let last = last.last().unwrap();
    let start = Some(quorate_types::Resume { zxid: last.zxid, index: last.index });
    world.begin(1, &anyone(), &StreamWatch { start, ..spec(8, Recursive, "/t") });
    world.txn(&[set("/t", "b")]);
    assert_eq!(world.told(), ["1: w8 created@1", "1: w7 told@2 =/t=b", "1: w8 told@2 =/t"]);
}

#[test]
fn what_is_streamed_waits_until_it_is_read() {
    let mut world = world(3, WatchConfig { slice_bytes: 1, ..WatchConfig::default() });
    world.begin(1, &anyone(), &initial(7, Recursive, "/t"));
    world.begin(2, &anyone(), &spec(8, Recursive, "/t"));
    let mut check = |expected: &[&str]| {
        while world.work() {}
        assert_eq!(world.told(), expected);
        world.ready(1);
    };
    check(&["2: w8 created@1", "1: w7 created@1", "1: w7 told@1 +/t"]);
    check(&["1: w7 told@1 +/t/0=a"]);
    check(&["1: w7 told@1 +/t/1=a"]);
    check(&["1: w7 told@1 +/t/2=a"]);
    check(&["1: w7 synced@1"]);
    check(&[]);
}

#[test]
fn what_lies_deeper_than_is_wanted_is_not_visited() {
    // What is visited in one slice is told together.
    let config = WatchConfig { slice_items: 8, ..WatchConfig::default() };
    let mut world = world(2, config);
    world.txn(&(0..500).map(|at| create(&format!("/t/0/{at:03}"))).collect::<Vec<_>>());
    world.txn(&[create("/t/1/x"), create("/t/1/x/y")]);
    let mut check = |at: &str, depth_max, expected: &str| {
        stream_to(&mut world, 1, 5, &anyone(), (at, depth_max)).unwrap();
        while world.work() {}
        assert_eq!(world.told(), [format!("1: t5@3 {expected}"), String::from("1: t5@3 end")], "{at} {depth_max}");
    };
    check("/t", 0, "/t");
    check("/t", 1, "/t /t/0=a /t/1=a");
    check("/t/1", 1, "/t/1=a /t/1/x");
    check("/t/1", 2, "/t/1=a /t/1/x /t/1/x/y");
    check("/t/1", u32::MAX, "/t/1=a /t/1/x /t/1/x/y");
}

#[test]
fn a_streamed_tree_shows_one_zxid_and_leaves_out_what_may_not_be_read() {
    let mut world = world(2, narrow());
    world.txn(&[create_with("/t/s", "s", &only("ann")), create("/t/s/o"), create("/t/t")]);
    stream(&mut world, 1, 5, &user("ann"), "/t").unwrap();
    stream(&mut world, 2, 6, &anyone(), "/t").unwrap();
    stream(&mut world, 2, 7, &anyone(), "/t/0").unwrap();
    assert!(world.work());
    world.txn(&[super::world::delete("/t/t")]);
    world.settle();
    let told = world.told();
    let of = |tag: &str| told.iter().filter(|line| line.contains(tag)).cloned().collect::<Vec<String>>();
    assert_eq!(of(" t5"), ["1: t5@2 /t /t/0=a", "1: t5@2 /t/1=a /t/s=s", "1: t5@2 /t/s/o /t/t", "1: t5@2 end"]);
    assert_eq!(of(" t6"), ["2: t6@3 /t /t/0=a", "2: t6@3 /t/1=a", "2: t6@3 end"]);
    assert_eq!(of(" t7"), ["2: t7@3 /t/0=a", "2: t7@3 end"]);
    assert_eq!(world.tree.view_count(), 0);
}

#[test]
fn a_tree_that_cannot_be_streamed_says_why() {
    let mut world = world(1, WatchConfig { views_max: 2, ..WatchConfig::default() });
    world.txn(&[create_with("/s", "s", &only("ann"))]);
    assert_eq!(stream(&mut world, 1, 1, &anyone(), "/nowhere").unwrap_err().code(), Code::NoNode);
    stream(&mut world, 1, 2, &anyone(), "/s").unwrap();
    stream(&mut world, 1, 3, &anyone(), "/t/0").unwrap();
    assert_eq!(stream(&mut world, 1, 4, &anyone(), "/t").unwrap_err().code(), Code::Throttled);
    world.txn(&[super::world::delete("/t/0")]);
    world.settle();
    assert_eq!(world.told(), ["1: t2 NO_AUTH", "1: t3 NO_NODE"]);
}

#[test]
fn an_acl_in_a_streamed_tree_is_masked_for_those_who_may_not_change_it() {
    let mut world = World::usual();
    let mut entries = only("ann").entries();
    entries.push(quorate_types::AclEntry {
        perms: quorate_types::Perms::READ,
        scheme: "world".into(),
        id: "anyone".into(),
    });
    world.txn(&[create_with("/s", "", &Acl::new(entries.clone()))]);
    stream(&mut world, 1, 1, &user("ann"), "/s").unwrap();
    stream(&mut world, 2, 1, &anyone(), "/s").unwrap();
    world.settle();
    let shown: Vec<_> = world
        .take()
        .into_iter()
        .filter_map(|(_, delivery)| match delivery {
            crate::Delivery::Tree { nodes, .. } => Some(nodes[0].acl.entries()),
            _ => None,
        })
        .collect();
    assert_eq!(shown, [entries.clone(), quorate_tree::acl::visible(&Acl::new(entries.clone()), &anyone())]);
    assert_ne!(shown[1], entries);
}

#[test]
fn whoever_pins_too_much_is_given_up() {
    let config = WatchConfig { slice_bytes: 200, pinned_bytes_max: 20_000, ..WatchConfig::default() };
    let mut world = World::new(1 << 20, config);
    let large = "x".repeat(10_000);
    world.txn(&[create("/t"), create("/t/0")]);
    (1..5).for_each(|child| {
        world.txn(&[create_with(&format!("/t/{child}"), &large, &Acl::OPEN)]);
    });
    world.begin(1, &anyone(), &initial(7, Recursive, "/t"));
    stream(&mut world, 2, 5, &anyone(), "/t").unwrap();
    while world.work() {}
    world.take();
    assert_eq!(world.tree.view_count(), 2);
    for data in ["", &large, "", &large, ""] {
        world.txn(&[set("/t/4", data)]);
    }
    assert!(!world.work());
    assert_eq!(world.told(), [""; 0], "only what the views show is pinned, however much comes after it");
    world.txn(&[set("/t/2", ""), set("/t/3", "")]);
    world.settle();
    assert_eq!(world.told(), ["1: w7 canceled LAGGED resume@none", "2: t5 LAGGED"]);
    assert_eq!((world.tree.view_count(), world.watches.count()), (0, 0));
}

#[test]
fn an_initial_state_that_the_history_has_left_behind_is_given_up() {
    let mut world = world(9, WatchConfig { slice_bytes: 200, ..WatchConfig::default() });
    world.watches.history = History::new(world.tree.applied(), 2_000);
    world.begin(1, &anyone(), &initial(7, Recursive, "/t"));
    while world.work() {}
    (0..20).for_each(|_| {
        world.txn(&[set("/t/8", "x")]);
    });
    world.take();
    world.settle();
    assert_eq!(world.told(), ["1: w7 canceled LAGGED resume@none"]);
    assert_eq!((world.tree.view_count(), world.watches.count()), (0, 0));
}

#[test]
fn what_is_large_waits_for_a_view_and_what_is_small_does_not() {
    let mut world =
        world(9, WatchConfig { slice_items: 4, slice_bytes: 1_000, views_max: 1, ..WatchConfig::default() });
    world.begin(1, &anyone(), &initial(1, Recursive, "/t"));
    while world.work() {}
    let expected =
        ["1: w1 created@1", "1: w1 told@1 +/t +/t/0=a +/t/1=a +/t/2=a", "1: w1 told@1 +/t/3=a +/t/4=a +/t/5=a"];
    assert_eq!(world.told(), expected, "as much as the outbox has room for");
    world.begin(2, &anyone(), &initial(2, Recursive, "/t"));
    world.begin(3, &anyone(), &initial(3, Node, "/t/3"));
    world.begin(4, &anyone(), &initial(4, Recursive, "/t"));
    while world.work() {}
    assert_eq!(world.told(), ["3: w3 created@1", "3: w3 told@1 +/t/3=a", "3: w3 synced@1"]);
    assert_eq!(world.tree.view_count(), 1);
    world.close(2);
    world.watches.lagged(OutboxId(1), WatchId(1));
    while world.work() {}
    assert_eq!(world.told().first().map(String::as_str), Some("4: w4 created@1"));
    assert_eq!(world.tree.view_count(), 1);
    world.settle();
    assert_eq!(world.told().last().map(String::as_str), Some("4: w4 synced@1"));
    assert_eq!(world.tree.view_count(), 0);
}
