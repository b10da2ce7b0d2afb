//! Whose records survive, and how logs come together.

use quorate_types::Zxid;
use quorate_zab::Limits;

use super::*;

#[test]
fn a_txn_that_an_old_leader_logged_alone_is_truncated_and_not_revived() {
    // ZOOKEEPER-1154: it fell between the oldest and the newest record of the new leader, and was taken for a part.
    let (mut world, alone) = with_a_txn_of_three_alone();
    crash(&mut world, &[ONE, TWO, THREE]);
    heal(&mut world);
    start(&mut world, &[ONE, TWO]);
    let leader = settle(&mut world);
    let committed = propose(&mut world, leader, 3);
    settle(&mut world);
    world.start(THREE);
    settle(&mut world);
    assert_eq!(world.server(THREE).disk.chain_at(alone), None);
    assert!(delivered(&world, THREE) >= committed);
}

#[test]
fn an_old_tail_is_truncated_even_if_the_epochs_since_then_have_no_txns() {
    // ZOOKEEPER-2832 (open): without a record of the empty epoch, the server with the old tail looks newest.
    let (mut world, alone) = with_a_txn_of_three_alone();
    crash(&mut world, &[THREE]);
    heal(&mut world);
    settle(&mut world);
    crash(&mut world, &[ONE, TWO]);
    start(&mut world, &[ONE, THREE]);
    assert_eq!(settle(&mut world), ONE);
    assert_eq!(world.server(THREE).disk.chain_at(alone), None);
}

#[test]
fn a_leader_that_comes_back_without_a_restart_gives_up_what_it_logged_alone() {
    // ZOOKEEPER-2845: memory lagged behind the log, and the log was not looked at.
    let (mut world, alone) = with_a_txn_of_three_alone();
    isolate(&mut world, THREE);
    assert!(world.run_until(REST_MS, |world| world.leader().is_some_and(|leader| leader != THREE)));
    let leader = world.leader().unwrap();
    propose(&mut world, leader, 1);
    heal(&mut world);
    settle(&mut world);
    assert_eq!(world.server(THREE).disk.chain_at(alone), None);
    crash(&mut world, &[THREE]);
    world.start(THREE);
    settle(&mut world);
}

#[test]
fn a_tail_that_the_next_leader_has_is_kept() {
    let (mut world, alone) = with_a_txn_of_three_alone();
    crash(&mut world, &[ONE, TWO, THREE]);
    heal(&mut world);
    start(&mut world, &[TWO, THREE]);
    assert_eq!(settle(&mut world), THREE);
    assert!(delivered(&world, TWO) >= alone);
}

#[test]
fn a_follower_that_was_cut_off_after_its_truncation_goes_on_from_its_log() {
    // ZOOKEEPER-2355: it went on from what it remembered to have applied.
    let (mut world, _) = with_a_txn_of_three_alone();
    crash(&mut world, &[THREE]);
    heal(&mut world);
    let leader = settle(&mut world);
    propose(&mut world, leader, 20);
    world.start(THREE);
    assert!(world.run_until(REST_MS, |world| seen(world, "truncated") > 0));
    for connection in world.network.sessions_of(THREE) {
        world.cut(connection);
    }
    settle(&mut world);
}

#[test]
fn what_is_committed_while_a_learner_is_synchronized_reaches_it_once_and_in_order() {
    // ZOOKEEPER-962, 3104, 4394: between the end of the plan and the beginning of broadcast something fell through.
    for cut_ms in [None, Some(3), Some(6), Some(9), Some(12)] {
        let mut world = three();
        let leader = settled(&mut world, &[TWO, THREE]);
        propose(&mut world, leader, 10);
        world.start(ONE);
        for ms in 0..80 {
            world.propose(leader, b"meanwhile").unwrap();
            world.run(1);
            if Some(ms % 20) == cut_ms {
                for connection in world.network.sessions_of(ONE) {
                    world.cut(connection);
                }
            }
        }
        assert_eq!(settle(&mut world), leader);
        assert_eq!(delivered(&world, ONE), delivered(&world, leader));
    }
}

#[test]
fn a_learner_far_behind_is_brought_on_from_the_log_in_small_steps() {
    // ZOOKEEPER-2418, 3526, 4352, 4925: a second cache of committed records had holes.
    let limits =
        Limits { append_bytes_max: 60, window_bytes: 100, window_records: 3, cache_bytes: 0, ..Limits::default() };
    let mut world = World::new(7, Make { limits, ..Make::of(&[1, 2, 3]) });
    let leader = settled(&mut world, &[TWO, THREE]);
    propose(&mut world, leader, 60);
    world.start(ONE);
    assert_eq!(settle(&mut world), leader);
}

/// Server 1 has nothing, the others have purged the log that it would need.
fn where_one_needs_a_snapshot(make: Make) -> World {
    let mut world = World::new(7, make);
    let leader = settled(&mut world, &[TWO, THREE]);
    propose(&mut world, leader, 20);
    settle(&mut world);
    for id in [TWO, THREE] {
        world.take_snapshot(id);
        world.purge(id);
    }
    propose(&mut world, leader, 5);
    world
}

#[test]
fn a_snapshot_and_what_is_proposed_meanwhile_leave_no_gap() {
    // ZOOKEEPER-3104: the snapshot was ahead of what was queued behind it.
    let mut world = where_one_needs_a_snapshot(Make::of(&[1, 2, 3]));
    let leader = world.leader().unwrap();
    world.start(ONE);
    for _ in 0..300 {
        world.propose(leader, b"meanwhile").unwrap();
        world.run(1);
    }
    settle(&mut world);
    assert!(seen(&world, "snapshot installed") > 0);
    assert_eq!(delivered(&world, ONE), delivered(&world, leader));
}

#[test]
fn a_crash_at_any_moment_of_a_snapshot_leaves_a_log_without_a_hole() {
    // ZOOKEEPER-3642, 2872: the snapshot was in memory, or in a file that was not synced.
    for ms in (0..60).step_by(4) {
        let mut world = where_one_needs_a_snapshot(Make::of(&[1, 2, 3]));
        world.start(ONE);
        world.run(20 + ms);
        world.crash(ONE);
        world.start(ONE);
        settle(&mut world);
    }
}

#[test]
fn a_snapshot_that_takes_longer_than_every_limit_times_nobody_out() {
    // ZOOKEEPER-1521, 1697, 2678: a deadline that did not look at the progress ended in endless elections.
    let make = Make { snapshot_pieces: (60, 60), ..Make::of(&[1, 2, 3]) };
    let limit_ms = make.timing.init_limit_ms;
    let mut world = where_one_needs_a_snapshot(make);
    let (lost, began_ms) = (seen(&world, "leader lost"), world.now_ms);
    world.start(ONE);
    assert!(world.run_until(20_000, World::is_settled));
    assert!(world.now_ms > began_ms + 2 * limit_ms, "it was not slow");
    assert_eq!((seen(&world, "snapshot sent"), seen(&world, "leader lost")), (1, lost));
}

#[test]
fn nothing_is_delivered_that_is_not_known_to_be_committed() {
    // ZOOKEEPER-1549: a leader to be took its uncommitted tail for its state.
    let (mut world, alone) = with_a_txn_of_three_alone();
    crash(&mut world, &[ONE, TWO, THREE]);
    heal(&mut world);
    world.start(THREE);
    world.run(1_000);
    assert!(delivered(&world, THREE) < alone);
    assert_ne!(delivered(&world, THREE), Zxid::ZERO);
}
