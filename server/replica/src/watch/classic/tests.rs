//! ZooKeeper's rules, one table for each.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use quorate_types::txn::Deleted;
use quorate_types::{NodeKind, SessionId, SessionSecret, TxnBody, TxnOp};

use super::super::WatchConfig;
use super::super::tests::world::{Do, World, anyone, create, create_with, delete, only, path, set, user};
use super::*;

fn get(at: &str) -> ReadOp {
    ReadOp::Get { path: path(at) }
}

fn exists(at: &str) -> ReadOp {
    ReadOp::Exists { path: path(at) }
}

fn children(at: &str) -> ReadOp {
    ReadOp::Children { path: path(at), after: String::new(), limit: 0, with_stat: false, with_data: false }
}

fn add(at: &str, recursive: bool) -> WatchOp {
    WatchOp::AddPersistent { path: path(at), recursive }
}

fn remove(at: &str, class: WatchClass, check_only: bool) -> WatchOp {
    WatchOp::RemovePersistent { path: path(at), class, check_only }
}

/// Leaves the watch that `letter` stands for: d(ata), e(xists), c(hildren), p(ersistent), r(ecursive).
fn leave(world: &mut World, outbox: u64, letter: char, at: &str) {
    match letter {
        'd' => world.read(outbox, &anyone(), &get(at)).unwrap(),
        'e' => world.read(outbox, &anyone(), &exists(at)).unwrap(),
        'c' => world.read(outbox, &anyone(), &children(at)).unwrap(),
        'p' => assert_eq!(world.operate(outbox, &anyone(), &add(at, false)), Some(Ok(Reply::WatchDone))),
        'r' => assert_eq!(world.operate(outbox, &anyone(), &add(at, true)), Some(Ok(Reply::WatchDone))),
        other => panic!("no watch is called {other}"),
    }
}

/// /a, /a/b and /a/b/c.
fn world() -> World {
    let mut world = World::usual();
    world.txn(&[create("/a"), create("/a/b"), create("/a/b/c")]);
    world
}

#[test]
fn each_kind_of_watch_is_triggered_by_its_changes_and_used_up_or_not() {
    // The watch on /a/b, the change, what is told, how many registrations there were and are.
    let check = |letter: char, change: Do, expected: &[&str], registrations: (usize, usize)| {
        let mut world = world();
        if let Do::Create(path, ..) = &change
            && path == "/a/b"
        {
            world.txn(&[delete("/a/b/c"), delete("/a/b")]);
        }
        if let Do::Delete(path) = &change
            && path == "/a/b"
        {
            world.txn(&[delete("/a/b/c")]);
        }
        leave(&mut world, 1, letter, "/a/b");
        let before = world.watches.count();
        world.txn(core::slice::from_ref(&change));
        let mut told = world.told();
        told.iter_mut().for_each(|line| line.truncate(line.find('@').unwrap()));
        assert_eq!(told, expected, "{letter} {change:?}");
        assert_eq!((before, world.watches.count()), registrations, "{letter} {change:?}");
    };
    let open = || Do::SetAcl("/a/b".into(), only("ann"));
    check('d', set("/a/b", ""), &["1: changed /a/b"], (1, 0));
    check('d', delete("/a/b"), &["1: deleted /a/b"], (1, 0));
    check('d', create("/a/b/d"), &[], (1, 1));
    check('d', delete("/a/b/c"), &[], (1, 1));
    check('d', set("/a/b/c", ""), &[], (1, 1));
    check('d', set("/a", ""), &[], (1, 1));
    check('d', open(), &[], (1, 1));
    check('e', create("/a/b"), &["1: created /a/b"], (1, 0));
    check('e', set("/a/b", ""), &["1: changed /a/b"], (1, 0));
    check('e', delete("/a/b"), &["1: deleted /a/b"], (1, 0));
    check('e', create("/a/b/d"), &[], (1, 1));
    check('c', create("/a/b/d"), &["1: children /a/b"], (1, 0));
    check('c', delete("/a/b/c"), &["1: children /a/b"], (1, 0));
    check('c', delete("/a/b"), &["1: deleted /a/b"], (1, 0));
    check('c', set("/a/b", ""), &[], (1, 1));
    check('c', create("/a/b/c/d"), &[], (1, 1));
    check('c', open(), &[], (1, 1));
    check('p', create("/a/b"), &["1: created /a/b"], (2, 2));
    check('p', set("/a/b", ""), &["1: changed /a/b"], (2, 2));
    check('p', delete("/a/b"), &["1: deleted /a/b"], (2, 2));
    check('p', create("/a/b/d"), &["1: children /a/b"], (2, 2));
    check('p', delete("/a/b/c"), &["1: children /a/b"], (2, 2));
    check('p', create("/a/b/c/d"), &[], (2, 2));
    check('p', open(), &[], (2, 2));
    check('r', create("/a/b"), &["1: created /a/b"], (1, 1));
    check('r', set("/a/b", ""), &["1: changed /a/b"], (1, 1));
    check('r', delete("/a/b"), &["1: deleted /a/b"], (1, 1));
    check('r', create("/a/b/d"), &["1: created /a/b/d"], (1, 1));
    check('r', delete("/a/b/c"), &["1: deleted /a/b/c"], (1, 1));
    check('r', create("/a/b/c/d"), &["1: created /a/b/c/d"], (1, 1));
    check('r', set("/a/b/c", ""), &["1: changed /a/b/c"], (1, 1));
    check('r', create("/a/bc"), &[], (1, 1));
    check('r', open(), &[], (1, 1));
}

#[test]
fn events_of_one_change_come_in_the_order_of_its_steps_and_each_connection_is_told_each_once() {
    let check = |watches: &[(u64, &str, &str)], change: Do, expected: &[&str]| {
        let mut world = world();
        for (outbox, letters, at) in watches {
            letters.chars().for_each(|letter| leave(&mut world, *outbox, letter, at));
        }
        world.txn(core::slice::from_ref(&change));
        assert_eq!(world.told(), expected, "{watches:?} {change:?}");
    };
    check(
        &[(3, "c", "/a/b"), (2, "e", "/a/b/d"), (1, "r", "/")],
        create("/a/b/d"),
        &["1: created /a/b/d@2", "2: created /a/b/d@2", "3: children /a/b@2"],
    );
    check(
        &[(1, "c", "/a/b"), (2, "c", "/a/b/c"), (3, "d", "/a/b/c")],
        delete("/a/b/c"),
        &["3: deleted /a/b/c@2", "2: deleted /a/b/c@2", "1: children /a/b@2"],
    );
    // All ways at once: still one event of each kind.
    check(&[(1, "depr", "/a/b"), (1, "r", "/a"), (1, "r", "/")], set("/a/b", ""), &["1: changed /a/b@2"]);
    check(
        &[(1, "decpr", "/a/b/c"), (1, "cpr", "/a/b"), (1, "r", "/")],
        delete("/a/b/c"),
        &["1: deleted /a/b/c@2", "1: children /a/b@2"],
    );
    check(&[(1, "c", "/a/b"), (1, "r", "/a/b")], create("/a/b/d"), &["1: created /a/b/d@2", "1: children /a/b@2"]);
    check(&[(1, "r", "/"), (2, "rc", "/")], create("/x"), &["1: created /x@2", "2: created /x@2", "2: children /@2"]);
}

#[test]
fn a_child_watch_is_used_up_by_a_deletion_even_if_the_data_watch_was_told_of_it() {
    let mut world = world();
    leave(&mut world, 1, 'd', "/a/b/c");
    leave(&mut world, 1, 'c', "/a/b/c");
    world.txn(&[delete("/a/b/c")]);
    assert_eq!(world.told(), ["1: deleted /a/b/c@2"]);
    assert_eq!(world.watches.count(), 0);
    world.txn(&[create("/a/b/c"), create("/a/b/c/d")]);
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn a_multi_triggers_operation_by_operation() {
    let mut world = world();
    leave(&mut world, 1, 'd', "/a");
    leave(&mut world, 1, 'p', "/a/b");
    leave(&mut world, 2, 'r', "/a");
    world.txn(&[set("/a", "1"), create("/a/b/d"), set("/a", "2"), delete("/a/b/d")]);
    assert_eq!(
        world.told(),
        [
            "1: changed /a@2",
            "2: changed /a@2",
            "2: created /a/b/d@2",
            "1: children /a/b@2",
            "2: changed /a@2",
            "2: deleted /a/b/d@2",
            "1: children /a/b@2",
        ]
    );
}

#[test]
fn the_end_of_a_session_triggers_like_deletions() {
    let mut world = World::usual();
    let id = SessionId(9);
    world.txn(&[create("/e")]);
    world.apply(TxnBody::OpenSession { id, timeout_ms: 1_000, secret: SessionSecret::default() });
    let ephemeral = |name: &str, parent_creations| TxnOp::Create {
        path: name.into(),
        data: None,
        acl: Acl::OPEN,
        kind: NodeKind::Ephemeral(id),
        parent_creations,
        parent_acl: Acl::OPEN,
    };
    let ops = [ephemeral("/e/1", 1), ephemeral("/e/2", 2)].into_iter().collect();
    world.apply(TxnBody::Ops { shape: quorate_types::txn::Shape::Multi, ops });
    leave(&mut world, 1, 'c', "/e");
    leave(&mut world, 1, 'd', "/e/2");
    leave(&mut world, 2, 'r', "/");
    world.apply(TxnBody::CloseSession { id, deleted: None::<Vec<Deleted>> });
    let expected = ["2: deleted /e/1@4", "1: children /e@4", "1: deleted /e/2@4", "2: deleted /e/2@4"];
    assert_eq!(world.told(), expected);
}

#[test]
fn a_read_leaves_a_watch_only_where_zookeeper_does() {
    let check = |op: &ReadOp, expected: usize| {
        let mut world = World::usual();
        world.txn(&[create("/o"), create_with("/s", "", &only("ann"))]);
        world.read(1, &anyone(), op).unwrap();
        assert_eq!(world.watches.count(), expected, "{op:?}");
        // Asking again for the same does not register twice.
        world.read(1, &anyone(), op).unwrap();
        assert_eq!(world.watches.count(), expected, "{op:?}");
    };
    check(&get("/o"), 1);
    check(&get("/s"), 0);
    check(&get("/none"), 0);
    check(&exists("/o"), 1);
    check(&exists("/s"), 0);
    check(&exists("/none"), 1);
    check(&children("/o"), 1);
    check(&children("/s"), 0);
    check(&children("/none"), 0);
    check(&ReadOp::GetAcl { path: path("/o") }, 0);
    check(&ReadOp::CountDescendants { path: path("/o") }, 0);
}

#[test]
fn exists_leaves_no_watch_if_it_was_refused() {
    let mut world = World::usual();
    let refused = Err(Error::at(Code::NoAuth, "/s", ""));
    world.watches.after_read(OutboxId(1), &anyone(), &exists("/s"), &refused).unwrap();
    assert_eq!(world.watches.count(), 0);
    let missing = Err(Error::at(Code::NoNode, "/s", ""));
    world.watches.after_read(OutboxId(1), &anyone(), &exists("/s"), &missing).unwrap();
    assert_eq!(world.watches.count(), 1);
}

#[test]
fn who_may_not_read_is_told_nothing_and_the_watch_is_used_up() {
    let mut world = World::usual();
    world.txn(&[create("/o"), create("/p")]);
    let watch = |world: &mut World| {
        for (outbox, caller) in [(1, user("ann")), (2, anyone())] {
            for op in [exists("/o/s"), children("/o"), exists("/p/x"), exists("/p")] {
                world.read(outbox, &caller, &op).unwrap();
            }
            world.operate(outbox, &caller, &add("/p", true));
        }
    };
    watch(&mut world);
    assert_eq!(world.watches.count(), 10);
    // The created znode's own ACL decides about its creation, the parent's about its children.
    world.txn(&[create_with("/o/s", "", &only("ann"))]);
    assert_eq!(world.told(), ["1: created /o/s@2", "1: children /o@2", "2: children /o@2"]);
    assert_eq!(world.watches.count(), 6);
    world.txn(&[Do::SetAcl("/p".into(), only("ann")), set("/p", ""), create("/p/x")]);
    assert_eq!(world.told(), ["1: changed /p@3", "1: created /p/x@3", "2: created /p/x@3"]);
    assert_eq!(world.watches.count(), 2, "only the recursive ones are left");
    watch(&mut world);
    // The last ACL of a deleted znode decides.
    world.txn(&[delete("/o/s"), delete("/p/x"), delete("/p")]);
    assert_eq!(
        world.told(),
        [
            "1: deleted /o/s@4",
            "1: children /o@4",
            "2: children /o@4",
            "1: deleted /p/x@4",
            "2: deleted /p/x@4",
            "1: deleted /p@4",
        ]
    );
    assert_eq!(world.watches.count(), 2);
}

#[test]
fn a_connection_is_judged_by_its_present_identities() {
    let check = |later: &Arc<Caller>, expected: &[&str]| {
        let mut world = World::usual();
        world.read(1, &anyone(), &exists("/s")).unwrap();
        world.read(1, later, &exists("/t")).unwrap();
        world.txn(&[create_with("/s", "", &only("ann"))]);
        assert_eq!(world.told(), expected);
    };
    check(&user("ann"), &["1: created /s@1"]);
    check(&anyone(), &[]);
}

#[test]
fn restoring_tells_what_was_missed_and_registers_the_rest() {
    // /a was created at 1, changed at 3; /a/b created at 2, deleted at 4; /c created at 5.
    let check = |since: u32, letter: char, at: &str, expected: &[&str]| {
        let mut world = World::usual();
        world.txn(&[create_with("/a", "", &only("ann"))]);
        world.txn(&[create("/a/b")]);
        world.txn(&[set("/a", "")]);
        world.txn(&[delete("/a/b")]);
        world.txn(&[create("/c")]);
        let list = |letters: &str| if letters.contains(letter) { vec![path(at)] } else { vec![] };
        let op = WatchOp::Restore {
            since: Zxid((1 << 32) + u64::from(since)),
            data: list("d"),
            exists: list("e"),
            children: list("c"),
            persistent: list("p"),
            recursive: list("r"),
        };
        assert_eq!(world.operate(1, &anyone(), &op), Some(Ok(Reply::WatchDone)));
        assert_eq!(world.told(), expected, "{letter} {at} since {since}");
        let registered = match (letter, expected.len()) {
            (_, 1) => 0,
            ('p', _) => 2,
            _ => 1,
        };
        assert_eq!(world.watches.count(), registered, "{letter} {at} since {since}");
    };
    check(3, 'd', "/a", &[]);
    check(2, 'd', "/a", &["1: changed /a@none"]);
    check(4, 'd', "/a/b", &["1: deleted /a/b@none"]);
    check(4, 'd', "/never", &["1: deleted /never@none"]);
    check(9, 'e', "/a", &["1: created /a@none"]);
    check(4, 'e', "/c", &["1: created /c@none"]);
    check(0, 'e', "/a/b", &[]);
    check(4, 'c', "/a", &[]);
    check(3, 'c', "/a", &["1: children /a@none"]);
    check(1, 'c', "/a", &["1: children /a@none"]);
    check(5, 'c', "/", &[]);
    check(4, 'c', "/", &["1: children /@none"]);
    check(0, 'c', "/a/b", &["1: deleted /a/b@none"]);
    check(0, 'p', "/a", &[]);
    check(0, 'r', "/a", &[]);
}

#[test]
fn restored_watches_are_triggered_like_others() {
    let mut world = world();
    let op = WatchOp::Restore {
        since: world.tree.applied(),
        data: vec![path("/a")],
        exists: vec![path("/x")],
        children: vec![path("/a")],
        persistent: vec![path("/a/b")],
        recursive: vec![path("/a/b/c")],
    };
    world.operate(1, &anyone(), &op);
    assert_eq!(world.watches.count(), 6);
    world.txn(&[set("/a", ""), create("/x"), create("/a/d"), set("/a/b", ""), create("/a/b/c/d")]);
    let expected = ["changed /a", "created /x", "children /a", "changed /a/b", "created /a/b/c/d"];
    assert_eq!(world.told(), expected.map(|line| alloc::format!("1: {line}@2")));
    assert_eq!(world.watches.count(), 3);
}

#[test]
fn watches_are_found_and_removed_by_class_at_exactly_their_path() {
    use WatchClass::{Any, Children, Data, Persistent, PersistentRecursive};
    // With these watches on /a, removing that class leaves so many registrations; `None` if there was none of it.
    let check = |letters: &str, class, left: Option<usize>| {
        for check_only in [true, false] {
            let mut world = world();
            letters.chars().for_each(|letter| leave(&mut world, 1, letter, "/a"));
            leave(&mut world, 1, 'r', "/");
            leave(&mut world, 1, 'p', "/a/b");
            leave(&mut world, 2, 'd', "/a");
            let before = world.watches.count();
            let response = world.operate(1, &anyone(), &remove("/a", class, check_only)).unwrap();
            match left {
                Some(left) => {
                    assert_eq!(response, Ok(Reply::WatchDone), "{letters} {class:?}");
                    let expected = if check_only { before } else { 4 + left };
                    assert_eq!(world.watches.count(), expected, "{letters} {class:?} {check_only}");
                }
                None => {
                    assert_eq!(response.unwrap_err().code(), Code::NoWatcher, "{letters} {class:?}");
                    assert_eq!(world.watches.count(), before, "{letters} {class:?}");
                }
            }
            assert_eq!(world.told(), [""; 0], "nobody is told of it");
        }
    };
    check("", Any, None);
    check("d", Data, Some(0));
    check("e", Data, Some(0));
    check("dc", Data, Some(1));
    check("c", Data, None);
    check("p", Data, None);
    check("r", Data, None);
    check("c", Children, Some(0));
    check("dc", Children, Some(1));
    check("dpr", Children, None);
    check("p", Persistent, Some(0));
    check("dcpr", Persistent, Some(3));
    check("dcr", Persistent, None);
    check("r", PersistentRecursive, Some(0));
    check("dcpr", PersistentRecursive, Some(4));
    check("dcp", PersistentRecursive, None);
    check("dcpr", Any, Some(0));
    check("r", Any, Some(0));
}

#[test]
fn watches_vanish_with_their_connection() {
    let mut world = world();
    for outbox in [1, 2] {
        "decpr".chars().for_each(|letter| leave(&mut world, outbox, letter, "/a"));
    }
    world.close(1);
    assert_eq!(world.watches.count(), 5);
    world.txn(&[set("/a", "")]);
    assert_eq!(world.told(), ["2: changed /a@2"]);
    world.close(2);
    world.close(3);
    assert_eq!(world.watches.count(), 0);
    world.txn(&[set("/a", "")]);
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn a_connection_may_watch_so_many_paths_and_no_more() {
    let mut world = World::new(1 << 20, WatchConfig { classic_max: 2, ..WatchConfig::default() });
    world.txn(&[create("/a"), create("/b"), create("/c")]);
    "decpr".chars().for_each(|letter| leave(&mut world, 1, letter, "/a"));
    leave(&mut world, 1, 'd', "/b");
    let quota = |response: Result<(), Error>| assert_eq!(response.unwrap_err().code(), Code::QuotaExceeded);
    quota(world.read(1, &anyone(), &get("/c")));
    quota(world.operate(1, &anyone(), &add("/c", false)).unwrap().map(|_| ()));
    let restore = WatchOp::Restore {
        since: world.tree.applied(),
        data: vec![path("/a"), path("/b"), path("/c")],
        exists: vec![],
        children: vec![],
        persistent: vec![],
        recursive: vec![],
    };
    quota(world.operate(1, &anyone(), &restore).unwrap().map(|_| ()));
    assert_eq!(world.operate(2, &anyone(), &add("/c", false)), Some(Ok(Reply::WatchDone)));
    world.txn(&[set("/b", "")]);
    leave(&mut world, 1, 'd', "/c");
}
