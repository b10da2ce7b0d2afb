//! How the ensemble changes.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_types::{Role, Zxid};
use quorate_zab::{Configs, Halt, Input, Member, MemberRole, NotReconfigured, Notification, Standing, Vote, Zab};

use super::*;

fn participants(ids: &[ServerId]) -> BTreeMap<ServerId, Member> {
    let member = || Member { role: MemberRole::Participant, address: Bytes::new() };
    ids.iter().map(|id| (*id, member())).collect()
}

/// Servers 1 to 3 form an ensemble; 4 and 5 have joined it as learners and are trusted.
fn with_joiners() -> World {
    let make = Make { joiners: vec![FOUR, FIVE], ..Make::of(&[1, 2, 3]) };
    let mut world = World::new(7, make);
    start(&mut world, &[FOUR, FIVE]);
    settled(&mut world, &[ONE, TWO, THREE]);
    let all_trusted = |world: &World| world.servers.values().all(|one| one.disk.standing == Standing::Voter);
    assert!(world.run_until(REST_MS, all_trusted));
    // Until the leader knows it, too.
    world.run(20);
    assert_eq!(settle(&mut world), THREE);
    world
}

fn reconfigure(world: &mut World, to: &[ServerId]) -> Result<Zxid, NotReconfigured> {
    let leader = world.leader().unwrap();
    let version = world.with(leader, |zab, out| zab.reconfigure(participants(to), None, b"", out)).unwrap();
    world.flush(leader);
    version
}

fn voters(world: &World, id: ServerId) -> Vec<ServerId> {
    world.zab(id).unwrap().history().configs().unwrap().voters().collect()
}

#[test]
fn an_ensemble_moves_to_other_servers_and_the_old_ones_may_go() {
    let mut world = with_joiners();
    let before = propose(&mut world, THREE, 5);
    reconfigure(&mut world, &[THREE, FOUR, FIVE]).unwrap();
    let told = |world: &World| [ONE, TWO].iter().all(|id| world.servers[id].halted.is_some());
    assert!(world.run_until(REST_MS, told));
    let version = world.zab(FIVE).unwrap().history().configs().unwrap().newest().unwrap().version;
    assert_eq!(world.servers[&ONE].halted, Some(Halt::Removed { version }));
    crash(&mut world, &[ONE, TWO]);
    crash(&mut world, &[THREE, FOUR, FIVE]);
    start(&mut world, &[FOUR, FIVE]);
    assert_eq!(settle(&mut world), FIVE);
    assert!(delivered(&world, FOUR) >= before);
    assert_eq!(world.zab(FOUR).map(Zab::role), Some(Role::Following));
}

#[test]
fn a_leader_that_is_removed_finishes_its_work_and_hands_over() {
    let mut world = with_joiners();
    reconfigure(&mut world, &[FOUR, FIVE]).unwrap();
    assert!(world.run_until(REST_MS, |world| world.leader().is_some_and(|leader| leader >= FOUR)));
    let leader = settle(&mut world);
    assert_eq!(voters(&world, leader), [FOUR, FIVE]);
    propose(&mut world, leader, 3);
    settle(&mut world);
}

#[test]
fn during_the_joint_phase_neither_configuration_decides_alone() {
    let mut world = with_joiners();
    crash(&mut world, &[ONE, TWO]);
    // The old configuration has lost its quorum, so nothing that the new one has is committed.
    let version = reconfigure(&mut world, &[THREE, FOUR, FIVE]).unwrap();
    world.run(50);
    assert!(world.zab(THREE).unwrap().commit() < version);
    assert!([THREE, FOUR, FIVE].iter().all(|id| world.servers[id].disk.last().zxid >= version));
    world.run(1_000);
    assert_eq!(world.leader(), None);
    world.start(ONE);
    settle(&mut world);
    assert_eq!(voters(&world, THREE), [THREE, FOUR, FIVE]);
}

#[test]
fn a_reconfiguration_that_only_its_leader_has_logged_is_rolled_back_with_its_record() {
    let mut world = with_joiners();
    silence(&mut world, THREE);
    reconfigure(&mut world, &[THREE]).unwrap();
    world.run(10);
    assert!(world.zab(THREE).unwrap().history().configs().and_then(Configs::pending).is_some());
    crash(&mut world, &[THREE]);
    heal(&mut world);
    settle(&mut world);
    world.start(THREE);
    settle(&mut world);
    assert_eq!(voters(&world, THREE), [ONE, TWO, THREE]);
}

#[test]
fn a_new_leader_finishes_the_reconfiguration_that_it_finds() {
    let mut world = with_joiners();
    let version = reconfigure(&mut world, &[TWO, FOUR, FIVE]).unwrap();
    let logged = |world: &World| [ONE, TWO, FOUR, FIVE].iter().all(|id| world.servers[id].disk.last().zxid >= version);
    assert!(world.run_until(50, logged));
    crash(&mut world, &[THREE]);
    let leader = settle(&mut world);
    assert!([TWO, FOUR, FIVE].contains(&leader));
    assert_eq!(voters(&world, leader), [TWO, FOUR, FIVE]);
    world.start(THREE);
    settle(&mut world);
}

#[test]
fn a_reconfiguration_is_refused_for_a_reason() {
    let mut world = with_joiners();
    let refused = |world: &mut World, to: &[ServerId], if_version| {
        world.with(THREE, |zab, out| zab.reconfigure(participants(to), if_version, b"", out)).unwrap().unwrap_err()
    };
    assert_eq!(refused(&mut world, &[], None), NotReconfigured::NoVoters);
    let current = Zxid::ZERO;
    assert_eq!(refused(&mut world, &[THREE], Some(Zxid(5))), NotReconfigured::BadVersion { current });
    crash(&mut world, &[FOUR, FIVE]);
    world.run(50);
    assert_eq!(refused(&mut world, &[THREE, FOUR, FIVE], None), NotReconfigured::NewQuorumNotReady);
    world
        .with(THREE, |zab, out| zab.reconfigure(participants(&[ONE, THREE]), Some(current), b"", out))
        .unwrap()
        .unwrap();
    assert_eq!(refused(&mut world, &[THREE], None), NotReconfigured::InProgress);
    let follower = world.with(ONE, |zab, out| zab.reconfigure(participants(&[ONE]), None, b"", out));
    assert_eq!(follower, Some(Err(NotReconfigured::NotLeading)));
}

#[test]
fn a_server_whose_disk_was_lost_is_no_voter_that_a_reconfiguration_may_count_on() {
    let mut world = World::new(7, Make::of(&[1, 2, 3]));
    settled(&mut world, &[ONE, TWO, THREE]);
    crash(&mut world, &[ONE]);
    world.wipe(ONE);
    // No epoch begins while nobody may: as long as the leader has just begun one, the server stays without a vote.
    world.make.timing.epoch_interval_ms = 100_000;
    crash(&mut world, &[TWO, THREE]);
    settled(&mut world, &[TWO, THREE]);
    world.start(ONE);
    settle(&mut world);
    assert_eq!(world.server(ONE).disk.standing, Standing::Amnesiac);
    assert_eq!(reconfigure(&mut world, &[ONE]), Err(NotReconfigured::NewQuorumNotReady));
}

#[test]
fn the_old_configuration_alone_discovers_nothing_whatever_an_election_says() {
    let mut world = with_joiners();
    let version = reconfigure(&mut world, &[FOUR, FIVE]).unwrap();
    let logged = |world: &World| world.servers.values().all(|server| server.disk.last().zxid >= version);
    assert!(world.run_until(50, |world| logged(world) && world.zab(THREE).unwrap().commit() >= version));
    // Servers 1 and 2 do not learn any more that it is committed, nor what the new configuration commits afterwards.
    for outside in [THREE, FOUR, FIVE] {
        for old in [ONE, TWO] {
            world.network.block(outside, old);
            world.network.block(old, outside);
        }
    }
    check_all_links(&mut world);
    assert!(world.run_until(REST_MS, |world| world.leader().is_some_and(|leader| leader >= FOUR)));
    let leader = world.leader().unwrap();
    propose(&mut world, leader, 3);
    world.run(500);
    let vote = Some(Vote { last: world.servers[&TWO].disk.last().zxid, priority: 0, leader: TWO });
    for (from, to) in [(ONE, TWO), (FOUR, TWO), (FIVE, TWO), (TWO, ONE), (FOUR, ONE), (FIVE, ONE)] {
        let members = world.founding();
        let (role, round, epoch) = (Role::Looking, 1_000, None);
        let forged = Notification { role, round, vote, epoch, members, is_blank: false, is_answer: true };
        world.step(to, Input::Notified { from, notification: forged });
    }
    world.run(20);
    assert_eq!(world.zab(TWO).map(Zab::role), Some(Role::Leading), "the election has decided");
    assert_eq!(world.zab(ONE).and_then(Zab::leader), Some(TWO));
    let begun = seen(&world, "epoch begun");
    world.run(1_000);
    assert_eq!(seen(&world, "epoch begun"), begun);
    heal(&mut world);
    settle(&mut world);
}
