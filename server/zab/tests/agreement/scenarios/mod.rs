//! Scripts: what went wrong in other implementations, and what must go right here. Each is named after what it shows;
//! an issue of ZooKeeper that it retells is cited.

mod discovery;
mod durability;
mod elections;
mod founding;
mod histories;
mod membership;
mod service;
mod view;

use quorate_types::{ServerId, Zxid};

use crate::faults::check_all_links;
use crate::world::{Make, World};

const ONE: ServerId = ServerId(1);
const TWO: ServerId = ServerId(2);
const THREE: ServerId = ServerId(3);
const FOUR: ServerId = ServerId(4);
const FIVE: ServerId = ServerId(5);

/// How long a quiet world may take to come to rest.
const REST_MS: u64 = 2_000;

/// Three servers with empty logs, none of them running.
fn three() -> World {
    World::new(7, Make::of(&[1, 2, 3]))
}

fn start(world: &mut World, ids: &[ServerId]) {
    ids.iter().for_each(|id| world.start(*id));
}

fn crash(world: &mut World, ids: &[ServerId]) {
    ids.iter().for_each(|id| world.crash_keeping(*id, 0, 0));
}

/// Waits until everybody who runs follows one leader and has delivered everything. Returns the leader.
fn settle(world: &mut World) -> ServerId {
    assert!(world.run_until(REST_MS, World::is_settled), "no rest");
    world.leader().unwrap()
}

/// A settled world of these servers, in which the last one leads: by election, or because it is handed over to him.
fn settled(world: &mut World, ids: &[ServerId]) -> ServerId {
    start(world, ids);
    let (leader, wanted) = (settle(world), *ids.last().unwrap());
    if leader != wanted {
        world.with(leader, |zab, _| zab.transfer(Some(wanted))).unwrap().unwrap();
        world.run(50);
        settle(world);
    }
    assert_eq!(world.leader(), Some(wanted));
    wanted
}

/// Proposes so many txns at a leader, one each millisecond. Returns the last.
fn propose(world: &mut World, leader: ServerId, count: usize) -> Zxid {
    let mut last = Zxid::ZERO;
    for _ in 0..count {
        last = world.propose(leader, b"payload").unwrap();
        world.run(1);
    }
    last
}

/// Nothing gets from `id` to anybody.
fn silence(world: &mut World, id: ServerId) {
    for other in world.ids() {
        world.network.block(id, other);
    }
}

/// Nothing gets from `id` to anybody, or back.
fn isolate(world: &mut World, id: ServerId) {
    for other in world.ids() {
        world.network.block(id, other);
        world.network.block(other, id);
    }
    check_all_links(world);
}

fn heal(world: &mut World) {
    world.network.heal();
    check_all_links(world);
}

fn delivered(world: &World, id: ServerId) -> Zxid {
    world.zab(id).unwrap().history().delivered()
}

fn seen(world: &World, what: &str) -> u64 {
    world.ghost.seen.get(what).copied().unwrap_or(0)
}

/// Server 3 leads, and has logged a txn that nobody else has. It is not running.
fn with_a_txn_of_three_alone() -> (World, Zxid) {
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    propose(&mut world, THREE, 1);
    settle(&mut world);
    silence(&mut world, THREE);
    let alone = propose(&mut world, THREE, 1);
    world.run(10);
    assert_eq!(world.server(THREE).disk.last().zxid, alone);
    (world, alone)
}
