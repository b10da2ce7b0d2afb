//! The history of one server: what it accepts, hands out, forgets, and has in common with another.

use std::vec;
use std::vec::Vec;

use quorate_types::{Members, ServerId};

use super::*;

fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

fn marker() -> Vec<u8> {
    [&[1][..], &Configs::new([ServerId(1)]).encode()].concat()
}

/// A history with these epochs, each from its marker to the counter given.
fn history(epochs: &[(u32, u32)]) -> History {
    let mut history = History::new(Zxid::ZERO, 0, vec![]);
    for (epoch, last) in epochs {
        history.extend(FrameKind::Marker, z(*epoch, 0), &marker());
        for counter in 1..=*last {
            history.extend(FrameKind::Txn, z(*epoch, counter), b"txn");
        }
    }
    history
}

#[test]
fn records_are_delivered_once_in_order_and_only_up_to_the_bound() {
    let mut history = history(&[(1, 1), (3, 0)]);
    assert_eq!(history.deliver(Zxid::ZERO), None);
    assert_eq!(history.deliver(z(1, 1)).map(|f| f.zxid()), Some(z(1, 0)));
    assert_eq!(history.delivered_epochs(), [(Epoch(1), 0)]);
    assert_eq!(history.deliver(z(1, 1)).map(|f| f.zxid()), Some(z(1, 1)));
    assert_eq!(history.deliver(z(1, 1)), None);
    assert_eq!(history.delivered_epochs(), [(Epoch(1), 1)]);
    assert_eq!(history.deliver(z(9, 0)).map(|f| f.zxid()), Some(z(3, 0)));
    assert_eq!(history.delivered_epochs(), [(Epoch(1), 1), (Epoch(3), 0)]);
    assert_eq!(history.delivered_chain(), history.last.chain);
}

#[test]
#[should_panic(expected = "does not continue")]
fn a_gap_is_refused() {
    let mut history = History::new(Zxid::ZERO, 0, Vec::new());
    history.append(Frame::encode(FrameKind::Txn, z(1, 1), 0, b""));
}

#[test]
#[should_panic(expected = "does not continue")]
fn a_record_of_another_history_is_refused() {
    let mut history = History::new(Zxid::ZERO, 0, Vec::new());
    history.append(Frame::encode(FrameKind::Marker, z(1, 0), 99, &marker()));
}

#[test]
#[should_panic(expected = "is delivered")]
fn what_was_delivered_is_never_truncated() {
    let mut history = history(&[(1, 3)]);
    while history.deliver(z(1, 2)).is_some() {}
    history.truncate(z(1, 1));
}

#[test]
fn a_truncated_history_is_as_if_the_rest_had_never_been() {
    let full = history(&[(1, 2), (4, 2)]);
    let truncated = |after| {
        let mut history = full.clone();
        history.truncate(after);
        history
    };
    let check = |after, expected: &[(u32, u32)]| {
        let (mut one, mut other) = (truncated(after), history(expected));
        assert_eq!((one.last, &one.epochs, &one.frames), (other.last, &other.epochs, &other.frames));
        assert_eq!(one.configs, other.configs);
        let next = |history: &mut History| history.extend(FrameKind::Marker, z(9, 0), &marker());
        assert_eq!(next(&mut one), next(&mut other));
    };
    check(z(4, 2), &[(1, 2), (4, 2)]);
    check(z(4, 0), &[(1, 2), (4, 0)]);
    check(z(1, 2), &[(1, 2)]);
    check(z(1, 0), &[(1, 0)]);
    check(Zxid::ZERO, &[]);
}

#[test]
fn configurations_take_effect_with_their_records_and_are_undone_with_them() {
    let mut history = history(&[(1, 0)]);
    let mut new = Members::founding([ServerId(1), ServerId(2)]);
    new.version = z(1, 1);
    let mut bytes = vec![];
    new.encode(&mut bytes);
    history.extend(FrameKind::Reconfig, z(1, 1), &bytes);
    assert_eq!(history.configs().and_then(Configs::pending), Some(&new));
    while history.deliver(z(1, 1)).is_some() {}
    history.extend(FrameKind::ConfigFinal, z(1, 2), &bytes);
    assert_eq!(history.configs(), Some(&Configs::of(new.clone())));
    assert_eq!(history.delivered_configs().and_then(Configs::pending), Some(&new));
    let restored = History::from_snapshot(&history.snapshot_base());
    assert_eq!(restored.configs().and_then(Configs::pending), Some(&new));
    history.truncate(z(1, 1));
    assert_eq!(history.configs().and_then(Configs::pending), Some(&new));
}

#[test]
fn the_common_prefix_ends_in_the_newest_common_epoch() {
    let leader = history(&[(1, 5), (3, 4), (6, 0)]);
    let check = |theirs: &[(u32, u32)], expected| {
        let theirs: Vec<_> = theirs.iter().map(|(epoch, counter)| (Epoch(*epoch), *counter)).collect();
        assert_eq!(leader.common_prefix(&theirs), expected, "{theirs:?}");
    };
    check(&[(1, 3)], Some(z(1, 3)));
    check(&[(1, 9)], Some(z(1, 5)));
    check(&[(1, 5), (2, 7)], Some(z(1, 5)));
    check(&[(1, 5), (3, 4), (5, 1)], Some(z(3, 4)));
    check(&[(1, 5), (3, 4), (6, 0)], Some(z(6, 0)));
    check(&[(2, 0)], None);
    check(&[], None);
}

#[test]
fn records_are_counted_across_epochs() {
    let history = history(&[(1, 9), (4, 2)]);
    let check = |after, through, expected| assert_eq!(history.records_between(after, through), expected);
    check(z(1, 3), z(1, 9), 6);
    check(z(1, 9), z(4, 0), 1);
    check(z(1, 3), z(4, 2), 9);
    check(z(4, 2), z(4, 2), 0);
    check(z(4, 2), z(1, 9), 0);
    check(Zxid::ZERO, z(1, 0), 1);
}

#[test]
fn delivered_records_are_kept_up_to_a_bound_and_undelivered_ones_always() {
    let mut history = history(&[(1, 9)]);
    let bytes = history.frames[1].bytes().len();
    while history.deliver(z(1, 4)).is_some() {}
    assert_eq!(history.read(z(1, 3), z(1, 9), 99, 9999), None);
    history.keep_bytes(2 * bytes);
    while history.deliver(z(1, 7)).is_some() {}
    let read = |after, through, records, bytes| {
        let frames = history.read(after, through, records, bytes)?;
        Some(frames.iter().map(|frame| frame.zxid().counter()).collect::<Vec<_>>())
    };
    assert_eq!(read(z(1, 4), z(1, 9), 99, 9999), None);
    assert_eq!(read(z(1, 5), z(1, 9), 99, 9999), Some(vec![6, 7, 8, 9]));
    assert_eq!(read(z(1, 5), z(1, 7), 99, 9999), Some(vec![6, 7]));
    assert_eq!(read(z(1, 5), z(1, 9), 3, 9999), Some(vec![6, 7, 8]));
    assert_eq!(read(z(1, 5), z(1, 9), 99, 2 * bytes + 1), Some(vec![6, 7]));
    assert_eq!(read(z(1, 5), z(1, 9), 99, 1), Some(vec![6]));
    assert_eq!(read(z(1, 9), z(1, 9), 99, 1), Some(vec![]));
    assert_eq!(history.chain_at(z(1, 5)), Some(history.start.chain));
    assert_eq!(history.chain_at(z(1, 4)), None);
}
