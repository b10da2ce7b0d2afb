//! What a server knows of the ensemble.

use quorate_types::{Ensemble, MemberRole, MemberState, MemberStatus};
use quorate_zab::Zab;

use super::*;

fn view(world: &World, of: ServerId) -> Ensemble {
    world.zab(of).map(Zab::ensemble).unwrap()
}

fn member(ensemble: &Ensemble, server: ServerId) -> &MemberStatus {
    ensemble.members.iter().find(|member| member.server == server).unwrap()
}

#[test]
fn a_leader_knows_how_far_everybody_is() {
    let make = Make { joiners: vec![FOUR], ..Make::of(&[1, 2, 3]) };
    let mut world = World::new(7, make);
    start(&mut world, &[FOUR]);
    settled(&mut world, &[ONE, TWO, THREE]);
    // The joiner is readmitted in an epoch of its own.
    world.run(15_000);
    settle(&mut world);
    let last = propose(&mut world, THREE, 3);
    world.run(500);

    let seen = view(&world, THREE);
    assert_eq!((seen.told_by, seen.leader, seen.quorum), (THREE, THREE, 2));
    assert_eq!((seen.version, seen.pending, seen.epoch), (Zxid::ZERO, None, last.epoch()));
    assert_eq!(seen.members.iter().map(|member| member.server).collect::<Vec<_>>(), [ONE, TWO, THREE, FOUR]);
    for server in [ONE, TWO] {
        let follower = member(&seen, server);
        assert_eq!((follower.role, follower.state), (Some(MemberRole::Participant), MemberState::Following));
        assert_eq!((follower.zxid, follower.behind, follower.lag_ms), (Some(last), Some(0), Some(0)));
        assert!(follower.latency_ms.is_some_and(|latency_ms| latency_ms < 20), "{follower:?}");
        assert!(!follower.is_synchronizing && !follower.is_amnesiac);
    }
    assert_eq!((member(&seen, THREE).state, member(&seen, THREE).zxid), (MemberState::Leading, Some(last)));
    let joiner = member(&seen, FOUR);
    assert_eq!((joiner.role, joiner.state), (None, MemberState::Observing));
}

#[test]
fn a_follower_that_is_not_heard_lags_behind_and_then_is_unreachable() {
    let mut world = three();
    settled(&mut world, &[ONE, TWO, THREE]);
    world.run(500);
    silence(&mut world, TWO);
    propose(&mut world, THREE, 3);
    world.run(150);
    let seen = view(&world, THREE);
    let silent = member(&seen, TWO);
    assert_eq!((silent.state, silent.behind), (MemberState::Following, Some(3)));
    assert!(silent.lag_ms.is_some_and(|lag_ms| (100..=155).contains(&lag_ms)), "{silent:?}");
    assert_eq!(member(&seen, ONE).lag_ms, Some(0));

    isolate(&mut world, TWO);
    world.run(2_000);
    let seen = view(&world, THREE);
    let gone = member(&seen, TWO);
    assert_eq!((gone.state, gone.zxid, gone.lag_ms), (MemberState::Unreachable, None, None));

    let alone = view(&world, TWO);
    assert_eq!((alone.told_by, alone.leader), (TWO, ServerId(0)));
    let states: Vec<MemberState> = alone.members.iter().map(|member| member.state).collect();
    assert_eq!(states, [MemberState::Unreachable, MemberState::Looking, MemberState::Unreachable]);
}

#[test]
fn a_follower_knows_whom_it_follows_and_of_others_what_they_have_said() {
    let mut world = three();
    settled(&mut world, &[ONE, TWO, THREE]);
    world.run(500);
    let seen = view(&world, ONE);
    assert_eq!((seen.told_by, seen.leader), (ONE, THREE));
    let states: Vec<MemberState> = seen.members.iter().map(|member| member.state).collect();
    assert_eq!(states, [MemberState::Following, MemberState::Following, MemberState::Leading]);
    assert_eq!(member(&seen, TWO).zxid, None, "that only its leader knows");
}
