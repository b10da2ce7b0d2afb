//! The window against what was pushed into it.

mod properties;

use alloc::format;
use alloc::string::String;
use alloc::vec;

use quorate_types::{Acl, AclEntry, ChangeKind, Epoch, NodeKind, Perms, SessionId, Stat};

use super::*;

fn z(counter: u32) -> Zxid {
    Zxid::new(Epoch(1), counter)
}

fn change(zxid: Zxid, index: u32, data_len: usize) -> Change {
    Change {
        kind: ChangeKind::DataChanged,
        zxid,
        index,
        path: format!("/{index}"),
        stat: Stat::default(),
        data: Some(Bytes::from(vec![0; data_len])),
        previous_data: None,
        acl: Acl::OPEN,
        parent_acl: Acl::OPEN,
    }
}

fn changes(zxid: Zxid, count: u32) -> Vec<Change> {
    (0..count).map(|index| change(zxid, index, 0)).collect()
}

/// What a reader sees who begins after `(zxid, index)`; `None` if the window does not reach back so far.
fn read_after(history: &History, zxid: Zxid, index: u32) -> Option<Vec<(Zxid, u32)>> {
    let mut reader = history.read(history.position_after(Resume { zxid, index })?).unwrap();
    let mut seen = Vec::new();
    while let Some((zxid, changes)) = reader.next() {
        assert!(changes.len() > 0, "a position lies before a change");
        seen.extend((0..changes.len()).map(|at| (zxid, changes.get(at).event(false, false).index)));
    }
    assert_eq!(reader.position(), history.end_position());
    Some(seen)
}

/// A window after (1,2): three changes at (1,4), one at (1,5), none at (1,6), two at (1,7).
fn example() -> History {
    let mut history = History::new(z(2), 1 << 20);
    history.push(z(3), vec![]);
    history.push(z(4), changes(z(4), 3));
    history.push(z(5), changes(z(5), 1));
    history.push(z(6), vec![]);
    history.push(z(7), changes(z(7), 2));
    history
}

#[test]
fn reading_begins_strictly_after_the_change_that_was_seen() {
    let history = example();
    let all = [(z(4), 0), (z(4), 1), (z(4), 2), (z(5), 0), (z(7), 0), (z(7), 1)];
    let check = |zxid, index, skipped: Option<usize>| {
        let expected = skipped.map(|skipped| all[skipped..].to_vec());
        assert_eq!(read_after(&history, zxid, index), expected, "{zxid:?} {index}");
    };
    let whole = u32::MAX;
    check(z(1), whole, None);
    check(z(2), 0, None);
    check(z(2), whole, Some(0));
    check(z(3), whole, Some(0));
    check(z(3), 0, Some(0));
    check(z(4), 0, Some(1));
    check(z(4), 1, Some(2));
    check(z(4), 2, Some(3));
    check(z(4), 9, Some(3));
    check(z(4), whole, Some(3));
    check(z(6), 0, Some(4));
    check(z(7), 0, Some(5));
    check(z(7), 1, Some(6));
    check(z(7), whole, Some(6));
    check(z(9), whole, Some(6));
}

#[test]
fn the_window_moves_and_tells_whom_it_has_left_behind() {
    let mut history = History::new(z(0), 10_000);
    let begin = history.position_after(Resume { zxid: z(0), index: u32::MAX }).unwrap();
    for counter in 1..=100 {
        history.push(z(counter), vec![change(z(counter), 0, 900)]);
        assert!(history.bytes() <= 10_000, "{} bytes", history.bytes());
        let start = history.start();
        let expected: Vec<_> = (start.counter() + 1..=counter).map(|counter| (z(counter), 0)).collect();
        assert_eq!(read_after(&history, start, u32::MAX), Some(expected));
    }
    assert!(history.read(begin).is_none());
    assert!((5..=10).contains(&(100 - history.start().counter())), "started at {:?}", history.start());
    assert_eq!(read_after(&history, z(history.start().counter() - 1), u32::MAX), None);
    assert_eq!(history.position_after(Resume { zxid: history.start(), index: 0 }), None, "its changes have gone");
}

#[test]
fn every_byte_that_changes_hold_is_counted() {
    let bytes_of = |make: &dyn Fn(Zxid) -> Change| {
        let mut history = History::new(z(0), 1 << 30);
        (1..=10_000).for_each(|counter| history.push(z(counter), vec![make(z(counter))]));
        history.bytes() / 10_000
    };
    let check = |what: &str, more: usize, make: &dyn Fn(Zxid) -> Change| {
        let (found, plain) = (bytes_of(make), bytes_of(&|zxid| change(zxid, 0, 0)));
        assert!((more..more + more / 7 + 8).contains(&(found - plain)), "{what}: {found} B instead of {plain} B");
    };
    check("data", 1_000, &|zxid| change(zxid, 0, 1_000));
    check("large data", 10_000, &|zxid| change(zxid, 0, 10_000));
    let previous_data = Some(Bytes::from(vec![0; 500]));
    check("previous data", 500, &|zxid| Change { previous_data: previous_data.clone(), ..change(zxid, 0, 0) });
    let path = String::from("/a/long/path/to/a/znode/that/has/been/here/for/some/time");
    check("path", path.len() - 2, &|zxid| Change { path: path.clone(), ..change(zxid, 0, 0) });
    // Each has an ACL of its own, and is the only one to hold it.
    let acl = |zxid: Zxid| {
        let id = format!("{:0300}", zxid.counter());
        Acl::new(vec![AclEntry { perms: Perms::READ, scheme: "digest".into(), id: id.as_str().into() }])
    };
    let held = size_of::<Acl>() + size_of::<AclEntry>() + 300 + 6 + 3 * 16;
    check("ACL", held, &|zxid| Change { acl: acl(zxid), ..change(zxid, 0, 0) });
}

#[test]
fn changes_of_an_ordinary_znode_take_less_than_a_hundred_bytes_besides_their_data() {
    let acl = Acl::new(vec![AclEntry { perms: Perms::ALL, scheme: "digest".into(), id: "user:hash".into() }]);
    let check = |stat: &dyn Fn(u32) -> Stat| {
        let mut history = History::new(z(0), 1 << 30);
        let make = |at: u32| {
            let zxid = z(1_000_000 + at);
            let path = format!("/services/billing/{:08x}", at % 5_000);
            let (acl, parent_acl) = (acl.clone(), acl.clone());
            Change { path, stat: stat(at), acl, parent_acl, ..change(zxid, 0, 100) }
        };
        (0..50_000).for_each(|at| history.push(z(1_000_000 + at), vec![make(at)]));
        let each = history.bytes() / 50_000;
        assert!(each < 200, "{each} B");
    };
    let time_ms = |at: u32| 1_700_000_000_000 + i64::from(at);
    check(&|at| quorate_types::txn::stat_at_birth(z(1_000_000 + at), time_ms(at), None, NodeKind::Persistent));
    check(&|at| {
        let kind = NodeKind::Ephemeral(SessionId(0x0100_0001_0000_0001));
        quorate_types::txn::stat_at_birth(z(1_000_000 + at), time_ms(at), None, kind)
    });
    check(&|at| {
        let kind = NodeKind::Persistent;
        let born = quorate_types::txn::stat_at_birth(z(at), time_ms(at) - 86_400_000, None, kind);
        Stat { mzxid: z(1_000_000 + at), mtime_ms: time_ms(at), version: at as i32, ..born }
    });
}

#[test]
fn a_window_is_nearly_full() {
    let mut history = History::new(z(0), 1 << 20);
    for counter in 1..=20_000 {
        history.push(z(counter), vec![change(z(counter), 0, 100)]);
        let is_full = history.bytes() > (1 << 20) * 7 / 8;
        assert!(is_full || history.start() == z(0), "{} bytes at {counter}", history.bytes());
    }
    assert!(history.start() > z(10_000));
}

#[test]
fn a_change_that_is_larger_than_the_window_leaves_it_empty() {
    let mut history = History::new(z(0), 1_000);
    history.push(z(1), changes(z(1), 1));
    history.push(z(2), vec![change(z(2), 0, 5_000)]);
    assert_eq!((history.start(), history.end(), history.bytes()), (z(2), z(2), 0));
    history.push(z(3), changes(z(3), 1));
    assert_eq!(read_after(&history, z(2), u32::MAX), Some(vec![(z(3), 0)]));
}

#[test]
fn after_a_gap_nothing_before_it_can_be_resumed_from() {
    let mut history = example();
    let (middle, end) =
        (history.position_after(Resume { zxid: z(4), index: u32::MAX }).unwrap(), history.end_position());
    history.push_gap(z(20));
    assert!(history.read(middle).is_none());
    assert!(history.read(end).is_none(), "it was told everything, but not what the gap hides");
    assert_eq!((history.start(), history.end(), history.bytes()), (z(20), z(20), 0));
    assert_eq!(read_after(&history, z(7), u32::MAX), None);
    history.push(z(21), changes(z(21), 1));
    assert_eq!(read_after(&history, z(20), u32::MAX), Some(vec![(z(21), 0)]));
}

#[test]
#[should_panic(expected = "cannot go back")]
fn history_does_not_go_back() {
    let mut history = example();
    history.push(z(6), vec![]);
}
