//! Views: what they keep, what they cost, and when that ends.

use alloc::format;
use alloc::vec::Vec;

use quorate_types::{Op, Precondition};

use super::fixture::*;
use super::properties::walk_all;

fn furnished() -> Ensemble {
    let mut ensemble = Ensemble::new();
    ensemble.must(create("/d"));
    for i in 0..300 {
        ensemble.must(create(&format!("/d/{i:03}")));
    }
    ensemble
}

#[test]
fn a_view_costs_nothing_until_something_changes_and_then_once_per_znode() {
    let mut ensemble = furnished();
    let view = ensemble.leader.open_view();
    assert_eq!((ensemble.leader.view_bytes(view), ensemble.leader.view_zxid(view)), (0, ensemble.last));
    ensemble.must(set("/d/007", "x"));
    let once = ensemble.leader.view_bytes(view);
    assert!(once > 0);
    ensemble.must(set("/d/007", "y"));
    ensemble.must(set_acl("/d/007", open_acl(), Precondition::None));
    assert_eq!(ensemble.leader.view_bytes(view), once);
    // What was born since is nothing to the view; its parent is.
    ensemble.must(create("/d/new"));
    let with_parent = ensemble.leader.view_bytes(view);
    assert!(with_parent > once);
    ensemble.must(set("/d/new", "x"));
    ensemble.must(delete("/d/new"));
    assert_eq!(ensemble.leader.view_bytes(view), with_parent);
    ensemble.leader.close_view(view);
    assert_eq!(ensemble.leader.view_count(), 0);
}

#[test]
fn an_older_view_keeps_what_a_newer_one_had_saved() {
    let mut ensemble = furnished();
    let older = ensemble.leader.open_view();
    let expected = walk_all(&ensemble.leader, older, "/d");
    ensemble.must(create("/d/between"));
    let newer = ensemble.leader.open_view();
    ensemble.must(set("/d/between", "x"));
    ensemble.must(delete("/d/100"));
    ensemble.leader.close_view(newer);
    assert_eq!(walk_all(&ensemble.leader, older, "/d"), expected);
    let bytes = ensemble.leader.view_bytes(older);
    ensemble.must(create("/d/100"));
    assert_eq!(ensemble.leader.view_bytes(older), bytes, "its version is kept already");
    assert_eq!(walk_all(&ensemble.leader, older, "/d"), expected);
}

#[test]
fn memory_of_closed_views_comes_back_little_by_little() {
    let mut ensemble = furnished();
    let view = ensemble.leader.open_view();
    ensemble.run(&Op::DeleteTree { path: path("/d"), max: 1000 }).unwrap();
    ensemble.leader.close_view(view);
    assert!(ensemble.leader.memory().views > 0);
    let mut writes = 0;
    while ensemble.leader.memory().views > 0 {
        ensemble.must(set("/", "x"));
        writes += 1;
    }
    assert!((2..10).contains(&writes), "{writes} writes");
    let view = ensemble.leader.open_view();
    ensemble.must(set("/", "y"));
    ensemble.leader.close_view(view);
    assert!(!ensemble.leader.sweep(1));
    assert_eq!(ensemble.leader.memory().views, 0);
}

#[test]
fn a_walk_goes_depth_first_in_the_order_of_names_from_wherever_it_begins() {
    let mut ensemble = Ensemble::new();
    for at in ["/b", "/a", "/a-b", "/a/c", "/a/b", "/a/b/x"] {
        ensemble.must(create(at));
    }
    let view = ensemble.leader.open_view();
    let paths =
        |root: &str| walk_all(&ensemble.leader, view, root).into_iter().map(|item| item.path).collect::<Vec<_>>();
    assert_eq!(paths("/a"), ["/a", "/a/b", "/a/b/x", "/a/c"]);
    assert_eq!(paths("/a/b/x"), ["/a/b/x"]);
    assert_eq!(paths("/")[..5], ["/", "/a", "/a/b", "/a/b/x", "/a/c"]);
    assert_eq!(paths("/")[5..7], ["/a-b", "/b"]);
    assert!(paths("/none").is_empty() && paths("none").is_empty() && paths("/a/").is_empty());
}

#[test]
#[should_panic(expected = "is not open")]
fn a_walk_does_not_outlive_its_view() {
    let mut ensemble = furnished();
    let view = ensemble.leader.open_view();
    let mut walk = ensemble.leader.walk(view, "/").unwrap();
    ensemble.leader.close_view(view);
    ensemble.leader.walk_next(&mut walk);
}
