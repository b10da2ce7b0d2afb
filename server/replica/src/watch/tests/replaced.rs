//! The whole state is replaced: who watches is told so, and nobody waits for what will never come.

use alloc::format;

use quorate_types::{Acl, StreamTree, StreamWatch, WatchScope};

use super::super::*;
use super::world::{World, anyone, create, create_with, path, spec};

use WatchScope::Recursive;

/// A state with /new only, at a later zxid.
fn other_state(zxid: Zxid) -> Tree {
    let mut other = World::usual();
    other.txn(&[create("/new")]);
    other.tree.advance(Zxid(zxid.0 + 5));
    other.tree
}

#[test]
fn watches_and_streamed_trees_end_with_the_state_that_they_show() {
    let mut world = World::new(1 << 20, WatchConfig { slice_items: 2, slice_bytes: 1_000, ..WatchConfig::default() });
    let mut changes = alloc::vec![create("/t")];
    changes.extend((0..20).map(|child| create_with(&format!("/t/{child}"), &"a".repeat(99), &Acl::OPEN)));
    let zxid = world.txn(&changes);
    world.begin(1, &anyone(), &spec(1, Recursive, "/"));
    world.begin(1, &anyone(), &spec(2, Recursive, "/t"));
    let initial = |id| StreamWatch { send_initial: true, with_data: true, ..spec(id, Recursive, "/t") };
    world.begin(2, &anyone(), &initial(3));
    let streamed = (OutboxId(3), Tag(9));
    let wanted = StreamTree { path: path("/t"), with_data: true, depth_max: u32::MAX };
    world.watches.stream_tree(&mut world.tree, streamed.0, streamed.1, &anyone(), &wanted).unwrap();
    while world.work() {}
    world.take();
    assert!(world.tree.view_count() > 0);

    world.tree = other_state(zxid);
    let zxid = world.tree.applied();
    world.watches.state_replaced(&world.tree, zxid, &mut world.out);
    let at = zxid.counter();
    let ended = |outbox, watches| format!("{outbox}: w{watches} canceled COMPACTED resume@none oldest@{at}");
    assert_eq!(world.told(), [ended(1, "1,2"), ended(2, "3"), "3: t9 UNAVAILABLE".into()]);
    assert_eq!((world.watches.count(), world.watches.history_start()), (0, zxid));
    assert!(!world.work());
    // The names are free again, and the history goes on from there.
    let resume = quorate_types::Resume { zxid, index: u32::MAX };
    world.begin(1, &anyone(), &StreamWatch { start: Some(resume), ..spec(1, Recursive, "/") });
    world.begin(2, &anyone(), &initial(3));
    world.settle();
    let expected = [format!("1: w1 created@{at}"), format!("2: w3 created@{at}"), format!("2: w3 synced@{at}")];
    assert_eq!(world.told(), expected);
}

#[test]
fn whoever_watches_as_zookeeper_does_is_told_that_it_has_changed() {
    let mut world = World::usual();
    let zxid = world.txn(&[create("/gone"), create("/new")]);
    for at in ["/gone", "/new"] {
        world.read(1, &anyone(), &ReadOp::Get { path: path(at) }).unwrap();
        let persistent = WatchOp::AddPersistent { path: path(at), recursive: true };
        world.operate(2, &anyone(), &persistent).unwrap().unwrap();
    }
    let children = ReadOp::Children { path: path("/"), after: "".into(), limit: 0, with_stat: false, with_data: false };
    world.read(1, &anyone(), &children).unwrap();
    world.tree = other_state(zxid);
    let zxid = world.tree.applied();
    world.watches.state_replaced(&world.tree, zxid, &mut world.out);
    let at = zxid.counter();
    let told = |line: &str| format!("{line}@{at}");
    let expected = ["1: children /", "1: deleted /gone", "2: deleted /gone", "1: changed /new", "2: changed /new"];
    assert_eq!(world.told(), expected.map(told));
    assert_eq!(world.watches.count(), 2, "what stays until it is removed is still there");
    world.watches.state_replaced(&world.tree, zxid, &mut world.out);
    assert_eq!(world.told(), ["2: deleted /gone", "2: changed /new"].map(told), "and is told again, unlike the others");
}
