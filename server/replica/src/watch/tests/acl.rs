//! Who is told of what: the ACL that was in force for a change, held against the watch's caller.

use alloc::format;

use quorate_types::{Acl, StreamWatch, WatchScope};

use super::super::*;
use super::world::{Do, World, anyone, create, create_with, delete, only, set, spec, user};

use WatchScope::{Children, Node, Recursive};

/// Begins the same watch for ann on outbox 1, for anyone on outbox 2.
fn begin_both(world: &mut World, watch: &StreamWatch) {
    world.begin(1, &user("ann"), watch);
    world.begin(2, &anyone(), watch);
}

#[test]
fn a_change_is_told_to_those_who_may_read_it() {
    let check = |scope, path: &str, expected: &[&str]| {
        let run = |resumed: bool| {
            let mut world = World::usual();
            let mut watch = StreamWatch { with_data: true, with_previous_data: true, ..spec(1, scope, path) };
            if resumed {
                watch.start = Some(quorate_types::Resume { zxid: Zxid::ZERO, index: u32::MAX });
            } else {
                begin_both(&mut world, &watch);
            }
            world.txn(&[create_with("/s", "x", &only("ann"))]);
            world.txn(&[create("/s/open"), create("/o"), create_with("/o/s", "y", &only("ann"))]);
            world.txn(&[set("/o/s", "z"), set("/s", "z")]);
            world.txn(&[Do::SetAcl("/s".into(), Acl::OPEN), set("/s", "a"), set("/o", "b")]);
            world.txn(&[delete("/o/s"), delete("/s/open")]);
            if resumed {
                begin_both(&mut world, &watch);
            }
            world.settle();
            let mut told = world.told();
            told.retain(|line| !line.contains("created@"));
            told.sort();
            told
        };
        assert_eq!(run(false), expected, "{scope:?} {path}, live");
        assert_eq!(run(true), expected, "{scope:?} {path}, out of the history");
    };
    check(Node, "/s", &["1: w1 told@1 +/s=x", "1: w1 told@3 =/s=z<x", "1: w1 told@4 =/s=a<z", "2: w1 told@4 =/s=a<z"]);
    check(Node, "/o/s", &["1: w1 told@2 +/o/s=y", "1: w1 told@3 =/o/s=z<y", "1: w1 told@5 -/o/s<z"]);
    // The children of /s are as secret as /s is; those of /o are not, but what is in them may be.
    check(
        Children,
        "/s",
        &["1: w1 told@1 +/s=x", "1: w1 told@2 +/s/open", "1: w1 told@5 -/s/open", "2: w1 told@5 -/s/open"],
    );
    check(
        Children,
        "/o",
        &["1: w1 told@2 +/o +/o/s=y", "1: w1 told@5 -/o/s<z", "2: w1 told@2 +/o +/o/s", "2: w1 told@5 -/o/s"],
    );
    check(
        Recursive,
        "/",
        &[
            "1: w1 told@1 +/s=x",
            "1: w1 told@2 +/s/open +/o +/o/s=y",
            "1: w1 told@3 =/o/s=z<y =/s=z<x",
            "1: w1 told@4 =/s=a<z =/o=b",
            "1: w1 told@5 -/o/s<z -/s/open",
            "2: w1 told@2 +/s/open +/o",
            "2: w1 told@4 =/s=a<z =/o=b",
            "2: w1 told@5 -/s/open",
        ],
    );
}

#[test]
fn an_initial_state_shows_what_may_be_read() {
    let check = |scope, path: &str, expected: &[&str]| {
        let mut world = World::usual();
        world.txn(&[
            create_with("/o", "1", &Acl::OPEN),
            create_with("/o/s", "2", &only("ann")),
            create_with("/o/s/o", "3", &Acl::OPEN),
            create_with("/o/t", "4", &Acl::OPEN),
        ]);
        begin_both(&mut world, &StreamWatch { send_initial: true, with_data: true, ..spec(1, scope, path) });
        world.settle();
        let begun = |outbox| format!("{outbox}: w1 created@1");
        let synced = |outbox| format!("{outbox}: w1 synced@1");
        let mut told = world.told();
        for outbox in [1, 2] {
            assert!(told.contains(&begun(outbox)) && told.contains(&synced(outbox)), "{told:?}");
        }
        told.retain(|line| line.contains("told"));
        assert_eq!(told, expected, "{scope:?} {path}");
    };
    check(Node, "/o/s", &["1: w1 told@1 +/o/s=2"]);
    check(Node, "/o/t", &["1: w1 told@1 +/o/t=4", "2: w1 told@1 +/o/t=4"]);
    check(Children, "/o/s", &["1: w1 told@1 +/o/s=2 +/o/s/o=3"]);
    check(Children, "/o", &["1: w1 told@1 +/o=1 +/o/s=2 +/o/t=4", "2: w1 told@1 +/o=1 +/o/s +/o/t=4"]);
    // Each znode is judged by itself: what lies below a secret one may be open.
    check(Recursive, "/o", &["1: w1 told@1 +/o=1 +/o/s=2 +/o/s/o=3 +/o/t=4", "2: w1 told@1 +/o=1 +/o/s/o=3 +/o/t=4"]);
}
