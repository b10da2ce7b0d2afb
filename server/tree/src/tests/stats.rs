//! What every operation does to the stats of a znode and of its parent.

use quorate_types::{CreateMode, Stat, Zxid};

use super::fixture::*;

#[test]
fn a_fresh_tree_is_as_zookeeper_begins() {
    let ensemble = Ensemble::new();
    let root = ensemble.stat("/");
    assert_eq!((root.czxid, root.pzxid, root.num_children, root.cversion), (Zxid::ZERO, Zxid::ZERO, 1, -1));
    assert_eq!((ensemble.stat("/zookeeper").num_children, ensemble.stat("/zookeeper").cversion), (2, -2));
    let config = ensemble.stat("/zookeeper/config");
    assert_eq!((config.version, config.aversion, config.data_length), (0, -1, 0));
    assert_eq!((ensemble.leader.path_bytes(), ensemble.leader.data_bytes()), (44, 0));
    assert_eq!(ensemble.leader.znode_count(), 4);
    assert!(matches!(ensemble.read(&get("/zookeeper/config")), Ok(quorate_types::Reply::Data { data: Some(_), .. })));
}

#[test]
fn sequence_numbers_and_cversion_of_the_root_follow_its_creations() {
    let mut ensemble = Ensemble::new();
    let sequential = || create_as("/x", CreateMode::PersistentSequential);
    assert_eq!(created(ensemble.write(sequential())), "/x0000000000");
    assert_eq!((ensemble.stat("/").cversion, ensemble.stat("/").num_children), (0, 2));
    ensemble.must(delete("/x0000000000"));
    let root = ensemble.stat("/");
    assert_eq!((root.cversion, root.num_children, root.pzxid), (1, 1, ensemble.last));
    assert_eq!(created(ensemble.write(sequential())), "/x0000000001");
}

#[test]
fn each_change_moves_its_own_fields_and_no_others() {
    let mut ensemble = Ensemble::new();
    let born = ensemble.must(create("/a")).unwrap();
    let czxid = ensemble.last;
    let expected =
        Stat { czxid, mzxid: czxid, pzxid: czxid, ctime_ms: 1000, mtime_ms: 1000, data_length: 4, ..Stat::default() };
    assert_eq!((born, ensemble.stat("/a")), (expected, expected));

    ensemble.wall_ms = 2000;
    let changed = ensemble.must(set("/a", "longer")).unwrap();
    let expected = Stat { mzxid: ensemble.last, mtime_ms: 2000, version: 1, data_length: 6, ..expected };
    assert_eq!((changed, ensemble.stat("/a")), (expected, expected));

    let root = ensemble.stat("/");
    let changed = ensemble.must(set_acl("/a", open_acl(), quorate_types::Precondition::None)).unwrap();
    let expected = Stat { aversion: 1, ..expected };
    assert_eq!((changed, ensemble.stat("/a")), (expected, expected));
    assert_eq!(ensemble.stat("/"), root);

    ensemble.must(create("/a/b"));
    let expected = Stat { pzxid: ensemble.last, cversion: 1, num_children: 1, ..expected };
    assert_eq!(ensemble.stat("/a"), expected);
    ensemble.must(set("/a/b", "x"));
    assert_eq!(ensemble.stat("/a"), expected);
    ensemble.must(delete("/a/b"));
    let expected = Stat { pzxid: ensemble.last, cversion: 2, num_children: 0, ..expected };
    assert_eq!(ensemble.stat("/a"), expected);

    ensemble.must(delete("/a"));
    assert_eq!(ensemble.leader.stat("/a"), None);
    let again = ensemble.must(create("/a")).unwrap();
    assert_eq!((again.version, again.aversion, again.cversion, again.czxid), (0, 0, 0, ensemble.last));
}
