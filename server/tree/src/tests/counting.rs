//! Counts in slices: what they find, what they show, and what they leave behind.

use alloc::format;

use quorate_types::{Code, Path, ReadOp, Reply};

use super::fixture::*;

/// `/t` with 111 znodes below it, 100 of them leaves.
fn furnished() -> Ensemble {
    let mut ensemble = Ensemble::new();
    ensemble.must(create("/t"));
    ensemble.must(create("/t/m"));
    for i in 0..10 {
        ensemble.must(create(&format!("/t/m/{i}")));
        for j in 0..10 {
            ensemble.must(create(&format!("/t/m/{i}/{j}")));
        }
    }
    ensemble
}

#[test]
fn slices_of_every_size_find_the_same() {
    let mut ensemble = furnished();
    for at in ["/t", "/t/m", "/t/m/3", "/t/m/3/0", "/"] {
        let Ok(Reply::Count(expected)) = ensemble.read(&ReadOp::CountDescendants { path: path(at) }) else { panic!() };
        for slice in [1, 2, 3, 7, 1000] {
            let (tree, path, mut slices) = (&mut ensemble.leader, Path::new(at).unwrap(), 1);
            let mut count = tree.count(&path, &ensemble.caller).unwrap();
            let found = loop {
                if let Some(found) = tree.count_on(&mut count, slice) {
                    break found;
                }
                slices += 1;
            };
            assert_eq!(found, (expected, ensemble.last), "{at} by {slice}");
            assert!(at == "/" || slices >= expected as usize / slice, "{slices} slices of {slice} at {at}");
            assert_eq!(ensemble.leader.view_count(), 0);
        }
    }
    assert_eq!(ensemble.leader.count(&path("/none"), &ensemble.caller).unwrap_err().code(), Code::NoNode);
}

#[test]
fn what_changes_between_two_slices_is_not_counted() {
    let mut ensemble = furnished();
    let began = ensemble.last;
    let mut count = ensemble.leader.count(&path("/t"), &ensemble.caller).unwrap();
    for i in 0..10 {
        assert_eq!(ensemble.leader.count_on(&mut count, 8), None);
        ensemble.must(delete(&format!("/t/m/9/{i}")));
        ensemble.must(create(&format!("/t/m/0/new-{i}")));
        ensemble.must(create(&format!("/t/new-{i}")));
    }
    assert!(ensemble.leader.count_bytes(&count) > 0);
    let found = core::iter::repeat_with(|| ensemble.leader.count_on(&mut count, 8)).flatten().next();
    assert_eq!(found, Some((111, began)));
    assert_eq!((ensemble.leader.view_count(), ensemble.leader.count_bytes(&count)), (0, 0));
    assert_eq!(ensemble.read(&ReadOp::CountDescendants { path: path("/t") }), Ok(Reply::Count(121)));
}

#[test]
fn a_count_that_is_dropped_lets_its_state_go() {
    let mut ensemble = furnished();
    let mut count = ensemble.leader.count(&path("/t"), &ensemble.caller).unwrap();
    assert_eq!(ensemble.leader.count_on(&mut count, 8), None);
    assert_eq!(ensemble.leader.view_count(), 1);
    ensemble.leader.drop_count(&mut count);
    assert_eq!(ensemble.leader.view_count(), 0);
}
