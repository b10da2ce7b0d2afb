//! Epochs: who promises what to whom, and how a new one begins.

use quorate_types::Epoch;
use quorate_zab::{Phase, Promise, Zab};

use super::*;

#[test]
fn a_server_that_promised_a_later_epoch_to_somebody_who_failed_comes_back_without_an_election() {
    // ZOOKEEPER-790 and its kin: it refused every leader until somebody happened to hold an election.
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    propose(&mut world, THREE, 2);
    settle(&mut world);
    let lost = seen(&world, "leader lost");
    crash(&mut world, &[ONE]);
    world.server(ONE).disk.promise = Promise { epoch: Epoch(9), leader: Some(ONE) };
    world.start(ONE);
    assert_eq!(settle(&mut world), THREE);
    assert_eq!(world.zab(ONE).map(Zab::epoch), Some(Epoch(10)));
    assert_eq!(seen(&world, "leader lost"), lost, "nobody else has noticed");
}

#[test]
fn a_counter_that_runs_out_begins_a_new_epoch_in_place() {
    // ZOOKEEPER-1277: the counter ran into the bits of the epoch.
    let mut world = World::new(7, Make { counter_soft_max: 5, ..Make::of(&[1, 2, 3]) });
    let leader = settled(&mut world, &[ONE, TWO, THREE]);
    let (mut proposed, lost) = (0, seen(&world, "leader lost"));
    while proposed < 60 {
        proposed += usize::from(world.propose(leader, b"payload").is_some());
        world.run(1);
    }
    assert_eq!(settle(&mut world), leader);
    assert!(world.zab(leader).unwrap().epoch() >= Epoch(9));
    assert_eq!((seen(&world, "leader lost"), seen(&world, "truncated")), (lost, 0));
}

#[test]
fn leadership_is_handed_over_without_an_election() {
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    let last = propose(&mut world, THREE, 3);
    let epoch = world.zab(THREE).unwrap().epoch();
    assert_eq!(world.with(THREE, |zab, _| zab.transfer(Some(ONE))), Some(Ok(ONE)));
    assert_eq!(world.propose(THREE, b"held back"), None);
    let takes_over = |world: &World| world.leader() == Some(ONE);
    assert!(world.run_until(60, takes_over), "it took longer than an election may");
    assert_eq!(settle(&mut world), ONE);
    assert_eq!(world.zab(ONE).map(Zab::epoch), Some(epoch.next()));
    assert!(delivered(&world, ONE) > last);
}

#[test]
fn a_handover_to_a_server_that_does_not_answer_costs_an_election_or_nothing() {
    for crash_first in [false, true] {
        let mut world = three();
        assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
        world.stick_disk(TWO, true);
        propose(&mut world, THREE, 1);
        assert_eq!(world.with(THREE, |zab, _| zab.transfer(Some(TWO))), Some(Ok(TWO)));
        world.run(20);
        assert_eq!(world.zab(THREE).map(Zab::phase), Some(Phase::Broadcast), "it waits for the target's log");
        if crash_first {
            crash(&mut world, &[TWO]);
            world.run(50);
        } else {
            world.run(300);
            world.stick_disk(TWO, false);
        }
        let leader = settle(&mut world);
        propose(&mut world, leader, 1);
    }
}

/// What the old leader, or anybody, has said while it led must not make the new one give up before they have come.
#[test]
fn leadership_goes_back_and_forth_whatever_was_said_before() {
    for seed in 0..20 {
        for voters in [&[1, 2][..], &[1, 2, 3]] {
            let mut world = World::new(seed, Make::of(voters));
            start(&mut world, &voters.iter().map(|id| ServerId(*id)).collect::<Vec<_>>());
            settle(&mut world);
            for target in [ONE, TWO, ONE, TWO] {
                let leader = world.leader().unwrap();
                if leader == target {
                    continue;
                }
                world.with(leader, |zab, _| zab.transfer(Some(target))).unwrap().unwrap();
                world.run(50);
                assert_eq!(settle(&mut world), target, "seed {seed}, {voters:?}");
            }
        }
    }
}
