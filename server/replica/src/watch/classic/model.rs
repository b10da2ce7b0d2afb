//! ZooKeeper's watches held against the simplest possible model of them, over random histories: all registrations are
//! in one list, and every change goes through all of it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::tests::world::{World, create, create_with, delete, only, path, set, user};
use super::*;

const PATHS: [&str; 6] = ["/a", "/a/b", "/a/b/c", "/a/b/d", "/ab", "/ab/c"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Standard,
    Persistent,
    Recursive,
}

/// A row of one of the two tables, as ZooKeeper has them: recursive ones stand among the data watches.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    outbox: u64,
    is_data: bool,
    mode: Mode,
    path: &'static str,
}

#[derive(Clone, Debug)]
enum Action {
    Change { kind: u8, at: usize, is_secret: bool },
    Leave { outbox: u64, letter: u8, at: usize },
    Remove { outbox: u64, class: u8, at: usize, check_only: bool },
    Close { outbox: u64 },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let (outbox, at) = (0..3u64, 0..PATHS.len());
    let action = prop_oneof![
        6 => (0..8u8, at.clone(), any::<bool>()).prop_map(|(kind, at, is_secret)| Action::Change { kind, at, is_secret }),
        6 => (outbox.clone(), 0..5u8, at.clone()).prop_map(|(outbox, letter, at)| Action::Leave { outbox, letter, at }),
        2 => (outbox.clone(), 0..5u8, at, any::<bool>())
            .prop_map(|(outbox, class, at, check_only)| Action::Remove { outbox, class, at, check_only }),
        1 => outbox.prop_map(|outbox| Action::Close { outbox }),
    ];
    prop::collection::vec(action, 1..120)
}

/// Outbox 2 is ann's; nobody else may read what is secret.
fn caller(outbox: u64) -> Arc<Caller> {
    if outbox == 2 { user("ann") } else { user("bob") }
}

/// One call of `triggerWatch`: who is concerned, after which one-shot rows at the path are gone.
fn trigger(rows: &mut Vec<Row>, is_data: bool, at: &str) -> BTreeSet<u64> {
    let is_concerned = |row: &Row| {
        let is_below = row.mode == Mode::Recursive && path::is_at_or_below(at, row.path);
        row.is_data == is_data && (row.path == at || is_below)
    };
    let concerned = rows.iter().filter(|row| is_concerned(row)).map(|row| row.outbox).collect();
    rows.retain(|row| row.is_data != is_data || row.path != at || row.mode != Mode::Standard);
    concerned
}

/// What a change leads to.
fn expect(rows: &mut Vec<Row>, change: &Change) -> Vec<String> {
    let mut expected = Vec::new();
    let mut tell = |outboxes: &BTreeSet<u64>, what: &str, at: &str, acl: &Acl| {
        let may_read = |outbox: &&u64| acl.is_open() || **outbox == 2;
        let line = |outbox: &u64| format!("{outbox}: {what} {at}@{}", change.zxid.counter());
        expected.extend(outboxes.iter().filter(may_read).map(line));
    };
    let what = match change.kind {
        ChangeKind::Created => "created",
        ChangeKind::Deleted => "deleted",
        ChangeKind::DataChanged => "changed",
    };
    let first = trigger(rows, true, &change.path);
    tell(&first, what, &change.path, &change.acl);
    if change.kind == ChangeKind::Deleted {
        let second = &trigger(rows, false, &change.path) - &first;
        tell(&second, what, &change.path, &change.acl);
    }
    if change.kind != ChangeKind::DataChanged {
        let parent = path::parent(&change.path).unwrap();
        tell(&trigger(rows, false, parent), "children", parent, &change.parent_acl);
    }
    expected
}

fn leave(world: &mut World, rows: &mut Vec<Row>, outbox: u64, letter: u8, at: &'static str) {
    let there = world.tree.stat(at).is_some();
    let may_read = world.tree.acl(at).is_none_or(|acl| acl.is_open() || outbox == 2);
    let (after, children_of) = (String::new(), path(at));
    let (op, registered): (ReadOp, &[(bool, Mode)]) = match letter {
        0 if there && may_read => (ReadOp::Get { path: path(at) }, &[(true, Mode::Standard)]),
        0 => (ReadOp::Get { path: path(at) }, &[]),
        1 if may_read => (ReadOp::Exists { path: path(at) }, &[(true, Mode::Standard)]),
        1 => (ReadOp::Exists { path: path(at) }, &[]),
        2 => (
            ReadOp::Children { path: children_of, after, limit: 0, with_stat: false, with_data: false },
            if there && may_read { &[(false, Mode::Standard)] } else { &[] },
        ),
        _ => {
            let recursive = letter == 4;
            let op = WatchOp::AddPersistent { path: path(at), recursive };
            assert_eq!(world.operate(outbox, &caller(outbox), &op), Some(Ok(Reply::WatchDone)));
            let modes: &[(bool, Mode)] = if recursive {
                &[(true, Mode::Recursive)]
            } else {
                &[(true, Mode::Persistent), (false, Mode::Persistent)]
            };
            return register(rows, outbox, modes, at);
        }
    };
    world.read(outbox, &caller(outbox), &op).unwrap();
    register(rows, outbox, registered, at);
}

fn register(rows: &mut Vec<Row>, outbox: u64, modes: &[(bool, Mode)], path: &'static str) {
    for (is_data, mode) in modes {
        let row = Row { outbox, is_data: *is_data, mode: *mode, path };
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
}

fn is_of_class(row: &Row, class: WatchClass) -> bool {
    match class {
        WatchClass::Children => !row.is_data && row.mode == Mode::Standard,
        WatchClass::Data => row.is_data && row.mode == Mode::Standard,
        WatchClass::Any => true,
        WatchClass::Persistent => row.mode == Mode::Persistent,
        WatchClass::PersistentRecursive => row.mode == Mode::Recursive,
    }
}

fn change(world: &mut World, kind: u8, at: &str, is_secret: bool) {
    let is_there = |at: &str| world.tree.stat(at).is_some();
    let has_children = world.tree.stat(at).is_some_and(|stat| stat.num_children > 0);
    let acl = if is_secret { only("ann") } else { Acl::OPEN };
    match kind {
        0..4 if !is_there(at) && is_there(path::parent(at).unwrap()) => world.txn(&[create_with(at, "", &acl)]),
        0..6 if is_there(at) => world.txn(&[set(at, "x")]),
        _ if is_there(at) && !has_children => world.txn(&[delete(at)]),
        // All in one txn, operation by operation.
        _ if !is_there("/z") => world.txn(&[create("/z"), set("/z", ""), delete("/z")]),
        _ => return,
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connections_are_told_what_zookeeper_would_tell_them(actions in actions()) {
        let (mut world, mut rows) = (World::usual(), Vec::new());
        for action in actions {
            let before = world.log.len();
            let mut expected = Vec::new();
            match action {
                Action::Change { kind, at, is_secret } => {
                    change(&mut world, kind, PATHS[at], is_secret);
                    expected.extend(world.log[before..].iter().flat_map(|change| expect(&mut rows, change)));
                }
                Action::Leave { outbox, letter, at } => leave(&mut world, &mut rows, outbox, letter, PATHS[at]),
                Action::Remove { outbox, class, at, check_only } => {
                    use WatchClass::{Any, Children, Data, Persistent, PersistentRecursive};
                    let class = [Children, Data, Any, Persistent, PersistentRecursive][usize::from(class)];
                    let op = WatchOp::RemovePersistent { path: path(PATHS[at]), class, check_only };
                    let is_meant = |row: &Row| row.outbox == outbox && row.path == PATHS[at] && is_of_class(row, class);
                    let found = rows.iter().any(is_meant);
                    if !check_only {
                        rows.retain(|row| !is_meant(row));
                    }
                    let response = world.operate(outbox, &caller(outbox), &op).unwrap();
                    prop_assert_eq!(response.is_ok(), found);
                }
                Action::Close { outbox } => {
                    world.close(outbox);
                    rows.retain(|row| row.outbox != outbox);
                }
            }
            prop_assert_eq!(world.told(), expected);
            prop_assert_eq!(world.watches.count(), rows.len());
        }
        (0..3).for_each(|outbox| world.close(outbox));
        prop_assert_eq!(world.watches.count(), 0);
    }
}
