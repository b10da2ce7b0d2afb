//! Who comes to lead, how fast, and who has to stop.

use quorate_types::{Epoch, Role, Zxid};
use quorate_zab::{
    Config, History, Input, MemberRole, Members, Notification, Phase, Promise, Standing, Start, Vote, Zab,
};

use super::*;

#[test]
fn observers_are_never_counted() {
    // ZOOKEEPER-2959: a leader with observers enough believed to have a quorum.
    let make = Make { joiners: vec![THREE, FOUR, FIVE], ..Make::of(&[1, 2]) };
    let mut world = World::new(7, make);
    start(&mut world, &[THREE, FOUR, FIVE]);
    let leader = settled(&mut world, &[ONE, TWO]);
    assert_eq!((leader, world.zab(FIVE).map(Zab::role)), (TWO, Some(Role::Observing)));
    crash(&mut world, &[ONE]);
    world.run(1_000);
    assert_eq!(world.leader(), None);
    world.start(ONE);
    settle(&mut world);
}

#[test]
fn a_late_server_joins_whatever_rounds_the_others_have_been_through() {
    // ZOOKEEPER-1732, 1805, 1818: votes for the same leader differed in round or zxid, and never made a quorum.
    let mut world = World::new(7, Make::of(&[1, 2, 3, 4, 5]));
    assert_eq!(settled(&mut world, &[TWO, THREE, FOUR, FIVE]), FIVE);
    for id in [TWO, THREE, TWO] {
        crash(&mut world, &[id]);
        world.start(id);
        assert_eq!(settle(&mut world), FIVE);
    }
    let epoch = world.zab(FIVE).unwrap().epoch();
    world.start(ONE);
    assert_eq!(settle(&mut world), FIVE);
    assert_eq!(world.zab(FIVE).map(Zab::epoch), Some(epoch));
}

#[test]
fn the_longest_log_leads_and_priority_only_breaks_ties() {
    let votes =
        |last: u32, priority, leader| Vote { last: Zxid::new(Epoch(1), last), priority, leader: ServerId(leader) };
    assert!(votes(5, 0, 1) > votes(4, 9, 3));
    assert!(votes(5, 2, 1) > votes(5, 1, 3));
    assert!(votes(5, 1, 3) > votes(5, 1, 2));
    let mut world = three();
    settled(&mut world, &[ONE, TWO]);
    propose(&mut world, TWO, 1);
    settle(&mut world);
    crash(&mut world, &[TWO]);
    world.start(THREE);
    assert_eq!(settle(&mut world), ONE);
}

#[test]
fn a_dead_leader_is_replaced_without_waiting_for_anything_but_the_network() {
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    crash(&mut world, &[THREE]);
    let crashed_ms = world.now_ms;
    settle(&mut world);
    // Up to 30 ms until a broken session is noticed, and as much for the link; then some round trips and syncs.
    assert!(world.now_ms - crashed_ms <= 100, "{} ms", world.now_ms - crashed_ms);
}

#[test]
fn a_leader_that_is_not_heard_steps_down_and_so_does_one_that_hears_nobody() {
    for hears in [true, false] {
        let mut world = three();
        assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
        for other in [ONE, TWO] {
            let (from, to) = if hears { (THREE, other) } else { (other, THREE) };
            world.network.block(from, to);
        }
        check_all_links(&mut world);
        let limit_ms = world.make.timing.sync_limit_ms;
        world.run(2 * limit_ms);
        assert_ne!(world.zab(THREE).map(Zab::phase), Some(Phase::Broadcast), "hears: {hears}");
        assert!(world.run_until(REST_MS, |world| world.leader().is_some_and(|leader| leader != THREE)));
        heal(&mut world);
        settle(&mut world);
    }
}

#[test]
fn a_paused_leader_finds_its_successor_when_it_wakes() {
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    world.server(THREE).paused_until_ms = world.now_ms + 800;
    world.run(700);
    assert_eq!(world.zab(TWO).and_then(Zab::leader), Some(TWO));
    let last = propose(&mut world, TWO, 3);
    world.run(200);
    assert_eq!(settle(&mut world), TWO);
    assert!(delivered(&world, THREE) >= last);
}

/// Server 2 of three, whose links are up, with the last votes that it has heard.
fn a_server_that_hears(notifications: &[(ServerId, Notification)]) -> Zab {
    let start = Start {
        promise: Promise::default(),
        standing: Standing::Voter,
        may_found: false,
        history: History::new(Zxid::ZERO, 0, Vec::new()),
        commit: Zxid::ZERO,
        log_start: Zxid::ZERO,
        snapshot: None,
    };
    let (mut zab, mut out) = (Zab::new(Config::new(TWO, Members::founding([ONE, TWO, THREE])), start), Vec::new());
    zab.start(0, &mut out);
    zab.step(0, Input::LinkUp(ONE), &mut out);
    for (from, notification) in notifications {
        zab.step(1, Input::Notified { from: *from, notification: notification.clone() }, &mut out);
    }
    zab
}

fn looking(leader: ServerId) -> Notification {
    let vote = Vote { last: Zxid::ZERO, priority: 0, leader };
    let members = Members::founding([ONE, TWO, THREE]);
    let (role, vote) = (Role::Looking, Some(vote));
    Notification { role, round: 1, vote, epoch: None, members, is_blank: true, is_answer: true }
}

#[test]
fn a_leader_deserted_at_the_last_moment_gives_up_at_once() {
    // ZOOKEEPER-3109: it waited for its supporters until the long limit.
    let elected = a_server_that_hears(&[(ONE, looking(TWO))]);
    assert_eq!((elected.role(), elected.phase()), (Role::Leading, Phase::Discovery));
    let other_vote = a_server_that_hears(&[(ONE, looking(TWO)), (THREE, looking(THREE))]);
    assert_eq!(other_vote.role(), Role::Leading, "the one who supports it is enough");
    let deserted = a_server_that_hears(&[(ONE, looking(TWO)), (THREE, looking(THREE)), (ONE, looking(THREE))]);
    assert_eq!(deserted.role(), Role::Looking);
}

#[test]
fn nobody_waits_for_a_server_that_cannot_be_reached() {
    let mut server = a_server_that_hears(&[]);
    let mut out = Vec::new();
    server.step(2, Input::LinkUp(THREE), &mut out);
    server.step(3, Input::Notified { from: ONE, notification: looking(TWO) }, &mut out);
    assert_eq!(server.role(), Role::Looking, "server 3 may have a better vote");
    let mut waited = server.clone();
    waited.step(3 + 30, Input::Tick, &mut out);
    assert_eq!(waited.role(), Role::Leading, "but not for ever");
    server.step(4, Input::LinkDown(THREE), &mut out);
    assert_eq!(server.role(), Role::Leading);
}

#[test]
fn a_server_without_a_memory_votes_for_nobody() {
    let start = Start {
        promise: Promise::default(),
        standing: Standing::Amnesiac,
        may_found: false,
        history: History::new(Zxid::ZERO, 0, Vec::new()),
        commit: Zxid::ZERO,
        log_start: Zxid::ZERO,
        snapshot: None,
    };
    let (mut zab, mut out) = (Zab::new(Config::new(TWO, Members::founding([TWO])), start), Vec::new());
    zab.start(0, &mut out);
    zab.step(9_999, Input::Tick, &mut out);
    assert_eq!(zab.role(), Role::Looking, "not even if it were alone");
    assert_eq!(zab.members()[&TWO].role, MemberRole::Participant);
}
