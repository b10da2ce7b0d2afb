//! Many watches: what is counted here is work and memory, not time.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use quorate_types::{Event, Resume, StreamWatch, WatchScope};

use super::super::*;
use super::world::{World, anyone, create, set, spec};
use crate::{Delivery, WatchItem};

fn events(deliveries: &[(OutboxId, Delivery)]) -> Vec<(OutboxId, usize, &Arc<[Event]>)> {
    deliveries
        .iter()
        .filter_map(|(outbox, delivery)| match delivery {
            Delivery::Watch { watches, item: WatchItem::Events(events) } => Some((*outbox, watches.len(), events)),
            _ => None,
        })
        .collect()
}

#[test]
fn ten_thousand_watches_on_a_hundred_outboxes_are_told_by_a_hundred_deliveries_of_one_event() {
    let mut world = World::usual();
    world.txn(&[create("/a")]);
    for outbox in 1..=100 {
        // A client that sends its identity with each request is still one and the same.
        (0..100).for_each(|id| world.begin(outbox, &anyone(), &spec(id, WatchScope::Node, "/a")));
    }
    assert_eq!((world.watches.count(), world.watches.live.registry().group_count()), (10_000, 100));
    world.take();
    world.txn(&[set("/a", "x")]);
    let deliveries = world.take();
    let told = events(&deliveries);
    assert_eq!(told.len(), 100);
    let is_shared = |(at, (outbox, watches, events)): (usize, &(OutboxId, usize, &Arc<[Event]>))| {
        *outbox == OutboxId(at as u64 + 1) && *watches == 100 && Arc::ptr_eq(events, told[0].2)
    };
    assert!(told.iter().enumerate().all(is_shared));
    (1..=100).for_each(|outbox| world.close(outbox));
    assert_eq!((world.watches.count(), world.watches.live.registry().group_count()), (0, 0));
}

/// A history of `count` changes below /a, each of its own txn.
fn long_history(count: u64, config: WatchConfig) -> World {
    let mut world = World::new(1 << 30, config);
    world.txn(&[create("/a")]);
    (0..100).for_each(|child| {
        world.txn(&[create(&format!("/a/{child}"))]);
    });
    (0..count).for_each(|at| {
        world.txn(&[set(&format!("/a/{}", at % 100), "x")]);
    });
    world
}

/// How many slices it takes until everybody has caught up, and how many events each outbox was told of.
fn slices(world: &mut World) -> (usize, BTreeMap<OutboxId, usize>) {
    let (mut slices, mut told) = (0, BTreeMap::new());
    loop {
        let has_more = world.work();
        slices += 1;
        for (outbox, watches, events) in events(&world.take()) {
            *told.entry(outbox).or_default() += watches * events.len();
            world.ready(outbox.0);
        }
        let is_behind = |streams: &Streams| streams.has_work();
        if !has_more && !world.watches.streams.values().any(is_behind) {
            return (slices, told);
        }
    }
}

#[test]
fn however_many_watches_of_an_outbox_resume_the_history_is_read_about_once() {
    let check = |start: fn(u64) -> u64, owed: usize| {
        let mut world = long_history(10_000, WatchConfig::default());
        let end = world.tree.applied().0;
        for id in 0..1_000 {
            let start = Some(Resume { zxid: Zxid(end - start(id)), index: u32::MAX });
            let path = format!("/a/{}", id % 100);
            world.begin(1, &anyone(), &StreamWatch { start, ..spec(id, WatchScope::Node, &path) });
        }
        world.take();
        let (slices, told) = slices(&mut world);
        assert_eq!(told[&OutboxId(1)], owed);
        // Each watch by itself would have taken more than a thousand.
        let events_bytes = owed * 16 + 10_000 * 400;
        assert!(slices <= 10_000 / 4_096 + events_bytes / (256 * 1024) + 4, "{slices} slices");
        assert_eq!(world.watches.count(), 1_000);
    };
    check(|_| 10_000, 100_000);
    // Each from somewhere else: watch `id` has missed the changes from the (10 * id)th on, and is owed its own znode's.
    let owed = |id: u64| (10 * id..10_000).filter(|at| at % 100 == id % 100).count();
    check(|id| 10 * (1_000 - id), (0..1_000).map(owed).sum());
}

#[test]
fn outboxes_that_resume_from_the_same_place_share_what_they_are_told() {
    let mut world = long_history(500, WatchConfig::default());
    let start = Some(Resume { zxid: Zxid((1 << 32) + 1), index: u32::MAX });
    let plain = StreamWatch { start, ..spec(1, WatchScope::Recursive, "/a") };
    let watches = [plain.clone(), StreamWatch { with_data: true, ..plain.clone() }, plain.clone(), plain];
    for (outbox, watch) in (1..).zip(&watches) {
        world.begin(outbox, &anyone(), watch);
    }
    world.take();
    while world.work() {}
    let deliveries = world.take();
    let told = |outbox| events(&deliveries).into_iter().filter(move |(of, ..)| *of == OutboxId(outbox));
    assert!((1..=4).all(|outbox| told(outbox).count() == 600));
    let is_shared = |one, other| told(one).zip(told(other)).all(|(one, other)| Arc::ptr_eq(one.2, other.2));
    assert!(is_shared(1, 3) && is_shared(3, 4));
    assert!(told(1).zip(told(2)).all(|(one, two)| one.2[0].data.is_none() && two.2[0].stat == one.2[0].stat));
    assert!(told(2).skip(100).all(|(.., events)| events[0].data.is_some()));
}

#[test]
fn whoever_does_not_read_costs_one_slice_of_memory() {
    let mut world = long_history(2_000, WatchConfig { slice_bytes: 10_000, ..WatchConfig::default() });
    for outbox in 1..=100 {
        for id in 0..10 {
            let start = Some(Resume { zxid: Zxid((1 << 32) + 1), index: u32::MAX });
            world.begin(outbox, &anyone(), &StreamWatch { start, ..spec(id, WatchScope::Recursive, "/a") });
        }
    }
    while world.work() {}
    let mut bytes: BTreeMap<OutboxId, usize> = BTreeMap::new();
    for (outbox, delivery) in world.take() {
        *bytes.entry(outbox).or_default() += crate::outbox::delivery_bytes(&delivery);
    }
    assert_eq!(bytes.len(), 100);
    assert!(bytes.values().all(|bytes| *bytes <= 10 * 300 + 10_000 + 1_000), "{bytes:?}");
    assert!(!world.work());
    assert_eq!(world.told(), [""; 0], "nobody has read anything");
    let (_, told) = slices(&mut {
        (1..=100).for_each(|outbox| world.ready(outbox));
        world
    });
    assert!(told.values().all(|told| *told <= 10 * 2_100));
}

#[test]
fn outboxes_take_turns() {
    let mut world = long_history(1_000, WatchConfig { slice_items: 10, ..WatchConfig::default() });
    let start = Some(Resume { zxid: Zxid((1 << 32) + 1), index: u32::MAX });
    for outbox in 1..=3 {
        world.begin(outbox, &anyone(), &StreamWatch { start, ..spec(1, WatchScope::Recursive, "/a") });
    }
    world.take();
    for outbox in [1, 2, 3, 1, 2, 3] {
        assert!(world.work());
        let deliveries = world.take();
        assert_eq!(deliveries.len(), 10);
        assert!(deliveries.iter().all(|(of, _)| *of == OutboxId(outbox)));
    }
}
