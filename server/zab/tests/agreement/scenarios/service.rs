//! What agreement does for the replica besides order: reads that are fresh, and words between replicas.

use bytes::Bytes;
use quorate_zab::{NotProposed, Zab};

use super::*;

#[test]
fn a_read_is_answered_at_every_server_and_waits_for_what_was_acknowledged() {
    let mut world = three();
    settled(&mut world, &[ONE, TWO, THREE]);
    for id in [ONE, TWO, THREE] {
        propose(&mut world, THREE, 3);
        for _ in 0..5 {
            world.read(id);
        }
    }
    world.run(30);
    assert_eq!((world.ghost.reads.len(), seen(&world, "read answered")), (0, 15));
}

#[test]
fn a_deposed_leader_that_does_not_know_it_answers_no_read() {
    // ZOOKEEPER-1675 (open): `sync` is answered by whoever believes to lead.
    let mut world = three();
    assert_eq!(settled(&mut world, &[ONE, TWO, THREE]), THREE);
    // So slow a limit that it goes on to believe.
    world.server(THREE).clock.1 = 1;
    isolate(&mut world, THREE);
    let replaced = |world: &World| world.leader().is_some_and(|leader| leader != THREE);
    assert!(world.run_until(REST_MS, replaced));
    let leader = world.leader().unwrap();
    propose(&mut world, leader, 3);
    world.run(30);
    assert_eq!(world.zab(THREE).and_then(Zab::leader), Some(THREE));
    world.read(THREE);
    world.run(500);
    assert_eq!(world.ghost.reads.len(), 1);
}

#[test]
fn replicas_talk_through_the_session_in_order() {
    let mut world = three();
    settled(&mut world, &[ONE, TWO, THREE]);
    for word in [&b"one"[..], b"two", b"three"] {
        let said = world.with(ONE, |zab, out| zab.to_leader(Bytes::copy_from_slice(word), out));
        assert_eq!(said, Some(Ok(())));
    }
    world.run(20);
    assert_eq!(world.server(THREE).heard, [&b"one"[..], b"two", b"three"]);
    assert_eq!(world.server(ONE).heard, [&b"one"[..], b"two", b"three"], "the leader's replica has echoed them");
    let at_the_leader = world.with(THREE, |zab, out| zab.to_leader(Bytes::new(), out));
    assert_eq!(at_the_leader, Some(Err(NotProposed::NotLeading)));
}

#[test]
fn words_between_replicas_outlive_the_beginning_of_an_epoch() {
    let mut world = World::new(7, Make { counter_soft_max: 4, ..Make::of(&[1, 2, 3]) });
    let leader = settled(&mut world, &[ONE, TWO, THREE]);
    let lost = seen(&world, "leader lost");
    for _ in 0..100 {
        world.propose(leader, b"payload");
        world.with(ONE, |zab, out| zab.to_leader(Bytes::from_static(b"word"), out)).unwrap().unwrap();
        world.run(1);
    }
    settle(&mut world);
    assert!(world.zab(leader).unwrap().epoch().0 > 5);
    assert_eq!((world.server(leader).heard.len(), seen(&world, "leader lost")), (100, lost));
}
