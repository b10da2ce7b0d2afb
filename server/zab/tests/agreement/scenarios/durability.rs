//! Nothing is said before the disk has it.

use quorate_types::Zxid;
use quorate_zab::{Limits, Phase, Zab};

use super::*;

#[test]
fn a_server_does_not_vote_before_its_disk_has_what_it_was_given() {
    // ZOOKEEPER-4541, 4712: the vote said (1,1), and (1,2) was written afterwards.
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    world.stick_disk(ONE, true);
    world.stick_disk(TWO, true);
    let last = propose(&mut world, THREE, 1);
    world.run(10);
    assert_eq!(world.zab(ONE).unwrap().history().last(), last);
    crash(&mut world, &[THREE]);
    world.run(1_000);
    assert_eq!(world.zab(ONE).unwrap().leader(), None);
    world.stick_disk(ONE, false);
    world.stick_disk(TWO, false);
    settle(&mut world);
    assert!(delivered(&world, ONE) >= last, "both have it, so it is committed with the marker");
}

/// Server 3 leads in epoch 1, with a txn that server 2 has as well. Both went down. Then 2 leads, and 1, which has
/// nothing, has promised it an epoch. The disk of 1 does no more.
fn where_one_has_promised_and_logs_nothing() -> (World, Zxid) {
    let mut world = three();
    settled(&mut world, &[TWO, THREE]);
    let last = propose(&mut world, THREE, 1);
    settle(&mut world);
    crash(&mut world, &[TWO, THREE]);
    start(&mut world, &[ONE, TWO]);
    assert!(world.run_until(REST_MS, |world| world.servers[&ONE].disk.promise.leader == Some(TWO)));
    world.stick_disk(ONE, true);
    world.run(100);
    (world, last)
}

#[test]
fn a_leader_is_established_only_when_its_history_is_durable_with_a_quorum() {
    // ZOOKEEPER-3911, 4646, 4785: NEWLEADER was acknowledged while its history was on the way to the disk.
    let (mut world, last) = where_one_has_promised_and_logs_nothing();
    assert!(world.zab(ONE).unwrap().history().last() > last, "it has received everything");
    assert_eq!(world.zab(TWO).map(Zab::phase), Some(Phase::Synchronization));
    world.stick_disk(ONE, false);
    assert_eq!(settle(&mut world), TWO);
}

#[test]
fn a_server_without_the_history_of_an_epoch_is_not_taken_for_one_of_that_epoch() {
    // ZOOKEEPER-4643: the new epoch was durable before the history, and the server with the least led.
    let (mut world, last) = where_one_has_promised_and_logs_nothing();
    crash(&mut world, &[ONE, TWO]);
    start(&mut world, &[ONE, THREE]);
    assert_eq!(settle(&mut world), THREE);
    assert!(delivered(&world, ONE) >= last);
}

#[test]
fn a_leader_asks_for_no_epoch_that_it_has_not_durably_promised_itself() {
    // ZOOKEEPER-1291: after a crash it proposed the same epoch again, with another history.
    let mut world = three();
    world.stick_disk(THREE, true);
    start(&mut world, &[ONE, TWO, THREE]);
    world.run(300);
    assert_eq!(world.zab(THREE).map(Zab::phase), Some(Phase::Discovery));
    assert!([ONE, TWO].iter().all(|id| world.zab(*id).unwrap().promise().0.leader.is_none()));
    world.stick_disk(THREE, false);
    assert_eq!(settle(&mut world), THREE);
}

#[test]
fn a_quorum_of_followers_commits_without_the_leaders_disk_and_the_leader_delivers_after_it() {
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    world.stick_disk(THREE, true);
    let last = propose(&mut world, THREE, 1);
    world.run(20);
    assert_eq!(world.zab(THREE).map(Zab::commit), Some(last));
    assert!(delivered(&world, ONE) == last && delivered(&world, THREE) < last);
    world.stick_disk(THREE, false);
    settle(&mut world);
}

#[test]
fn lost_disks_elect_nobody_and_truncate_nobody() {
    // ZOOKEEPER-261, 2325, 3644: two empty servers elected each other and truncated the survivor.
    let mut world = three();
    settled(&mut world, &[ONE, TWO, THREE]);
    let last = propose(&mut world, THREE, 5);
    settle(&mut world);
    crash(&mut world, &[ONE, TWO]);
    world.wipe(ONE);
    world.wipe(TWO);
    start(&mut world, &[ONE, TWO]);
    world.run(3_000);
    assert_eq!(world.leader(), None);
    assert_eq!(world.server(THREE).disk.last().zxid, last);
}

#[test]
fn a_lost_disk_counts_again_with_the_marker_of_an_epoch_that_was_discovered_after_it_came_back() {
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    propose(&mut world, THREE, 5);
    settle(&mut world);
    let (lost, epoch) = (seen(&world, "leader lost"), world.zab(THREE).unwrap().epoch());
    crash(&mut world, &[ONE]);
    world.wipe(ONE);
    world.start(ONE);
    let is_voter = |world: &World| world.servers[&ONE].disk.standing == quorate_zab::Standing::Voter;
    assert!(world.run_until(REST_MS, is_voter));
    assert_eq!(settle(&mut world), THREE);
    assert_eq!(world.zab(THREE).map(Zab::epoch), Some(epoch.next()), "one epoch, begun in place");
    assert_eq!(seen(&world, "leader lost"), lost);
    // And it does count.
    crash(&mut world, &[TWO]);
    propose(&mut world, THREE, 1);
    settle(&mut world);
}

#[test]
fn a_leader_whose_disk_stalls_leaves_it_to_those_who_can_go_on() {
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    world.stick_disk(THREE, true);
    let last = propose(&mut world, THREE, 1);
    assert!(world.run_until(REST_MS, |world| world.leader().is_some_and(|leader| leader != THREE)));
    let leader = world.leader().unwrap();
    assert!(delivered(&world, leader) > last);
    // Alone, it would have waited.
    world.stick_disk(THREE, false);
    settle(&mut world);
    crash(&mut world, &[ONE]);
    let leader = settle(&mut world);
    world.stick_disk(leader, true);
    propose(&mut world, leader, 1);
    world.run(1_000);
    assert_eq!(world.leader(), Some(leader));
}

#[test]
fn a_lost_disk_that_is_about_to_catch_up_elects_nobody_who_lacks_what_it_had_acknowledged() {
    // By our reading, the rule that an empty server casts no vote leaves this window open in ZooKeeper.
    let limits = Limits { append_records_max: 1, window_records: 1, ..Limits::default() };
    let mut world = World::new(7, Make { limits, ..Make::of(&[1, 2, 3]) });
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    world.stick_disk(TWO, true);
    let last = propose(&mut world, THREE, 12);
    assert!(world.run_until(190, |world| world.zab(THREE).unwrap().commit() == last), "servers 1 and 3 have it");
    crash(&mut world, &[ONE]);
    world.wipe(ONE);
    world.start(ONE);
    let follows = |world: &World| world.zab(ONE).unwrap().phase() == Phase::Broadcast;
    assert!(world.run_until(100, follows));
    assert!(world.server(ONE).disk.last().zxid < last, "it is on its way");
    world.run(3);
    crash(&mut world, &[THREE]);
    world.stick_disk(TWO, false);
    world.run(1_000);
    assert_eq!(world.leader(), None);
    world.start(THREE);
    assert_eq!(settle(&mut world), THREE);
    assert!(delivered(&world, TWO) > last);
}
