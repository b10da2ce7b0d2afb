//! How an ensemble begins that nobody has told so, and when it must not.

use quorate_types::Role;
use quorate_zab::{Config, History, Input, Members, Notification, Output, Promise, Standing, Start, Zab};

use super::*;

/// Three servers with empty disks. Nobody has said what that means.
fn untold() -> World {
    World::new(7, Make { told: Vec::new(), ..Make::of(&[1, 2, 3]) })
}

#[test]
fn it_begins_once_all_its_voters_are_there_and_not_before() {
    let mut world = untold();
    start(&mut world, &[ONE, TWO]);
    world.run(2_000);
    assert_eq!(world.leader(), None, "server 3 may have everything");
    assert_eq!(world.zab(ONE).unwrap().awaited_founders(), Some(vec![THREE]));
    world.start(THREE);
    settle(&mut world);
    assert_eq!(world.zab(ONE).unwrap().awaited_founders(), None);
}

#[test]
fn it_begins_whatever_happens_to_those_with_whom_it_does() {
    for (victim, restart_ms) in [(ONE, 0), (TWO, 3), (THREE, 8), (ONE, 15), (TWO, 40)] {
        let mut world = untold();
        start(&mut world, &[ONE, TWO, THREE]);
        world.run(restart_ms);
        crash(&mut world, &[victim]);
        world.run(300);
        world.start(victim);
        settle(&mut world);
    }
}

#[test]
fn a_server_alone_begins_at_once() {
    let mut world = World::new(7, Make { told: Vec::new(), ..Make::of(&[1]) });
    world.start(ONE);
    assert_eq!(settle(&mut world), ONE);
}

#[test]
fn two_lost_disks_begin_nothing_without_the_server_that_has_everything() {
    // ZOOKEEPER-261, 2325: they elected each other, and the survivor threw away what it had.
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    let last = propose(&mut world, THREE, 3);
    settle(&mut world);
    crash(&mut world, &[ONE, TWO, THREE]);
    // Nobody can be asked to make up for that, so the ghost, which would say so, is not asked either.
    world.lose_disk(ONE);
    world.lose_disk(TWO);
    start(&mut world, &[ONE, TWO]);
    world.run(2_000);
    assert_eq!(world.leader(), None);
    world.start(THREE);
    world.run(2_000);
    assert_eq!(world.leader(), None, "a majority has lost what it knew: somebody has to decide");
    assert_eq!(world.server(THREE).disk.last().zxid, last);
}

/// Server 1 of two, with an empty disk.
fn a_blank_one() -> Zab {
    let start = Start {
        promise: Promise::default(),
        standing: Standing::Amnesiac,
        may_found: true,
        history: History::new(Zxid::ZERO, 0, Vec::new()),
        commit: Zxid::ZERO,
        log_start: Zxid::ZERO,
        snapshot: None,
    };
    let (mut zab, mut out) = (Zab::new(Config::new(ONE, Members::founding([ONE, TWO])), start), Vec::new());
    zab.start(0, &mut out);
    zab
}

fn said(from: ServerId, founders: &[ServerId], is_blank: bool) -> Input {
    let members = Members::founding(founders.iter().copied());
    let (role, vote, epoch) = (Role::Looking, None, None);
    Input::Notified {
        from,
        notification: Notification { role, round: 1, vote, epoch, members, is_blank, is_answer: true },
    }
}

#[test]
fn those_who_would_begin_another_ensemble_do_not_count() {
    let hear = |founders: &[ServerId], is_blank| {
        let mut zab = a_blank_one();
        zab.step(1, said(TWO, founders, is_blank), &mut Vec::new());
        zab.awaited_founders().unwrap()
    };
    assert_eq!(hear(&[ONE, TWO, THREE], true), [TWO]);
    assert_eq!(hear(&[ONE, TWO], false), [TWO]);
    assert_eq!(hear(&[ONE, TWO], true), []);
}

#[test]
fn nothing_begins_where_somebody_knows_of_something() {
    // All voters of the beginning may have been replaced, and come back with what they were once told of.
    let begins = |others: &[Input]| {
        let (mut zab, mut out) = (a_blank_one(), Vec::new());
        others.iter().chain([&said(TWO, &[ONE, TWO], true)]).for_each(|input| zab.step(1, input.clone(), &mut out));
        out.iter().any(|output| matches!(output, Output::Readmit { .. }))
    };
    assert!(begins(&[]));
    assert!(!begins(&[said(FIVE, &[ONE, TWO], false)]));
    assert!(begins(&[said(FIVE, &[ONE, TWO], false), said(FIVE, &[ONE, TWO], true)]), "it has lost that, too");
}
