//! Deletions of one znode and of subtrees.

use alloc::vec;
use alloc::vec::Vec;

use quorate_types::{ChangeKind, Code, CreateMode, Op, Perms, Precondition, Reply, Response, SessionId, WriteOp, Zxid};

use super::fixture::*;

fn furnished() -> Ensemble {
    let mut ensemble = Ensemble::new();
    for at in ["/a", "/a/b", "/a/b/c", "/a/b-c", "/a/d", "/x"] {
        ensemble.must(create(at));
    }
    ensemble.must(create_with_acl("/locked", vec![entry(Perms::READ.union(Perms::CREATE), "world", "anyone")]));
    ensemble.must(create("/locked/child"));
    ensemble
}

fn delete_tree(ensemble: &mut Ensemble, at: &str, max: u32) -> Response {
    ensemble.run(&Op::DeleteTree { path: path(at), max })
}

#[test]
fn a_delete_is_refused_for_the_first_reason_that_applies() {
    let mut ensemble = furnished();
    let mut check = |op: WriteOp, expected| assert_eq!(code(ensemble.write(op.clone())), Some(expected), "{op:?}");
    let stale = Precondition::Version(9);
    for reserved in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
        check(delete_if(reserved, stale), Code::BadArguments);
    }
    check(delete_if("/none/child", stale), Code::NoNode);
    check(delete_if("/locked/none", stale), Code::NoAuth);
    check(delete_if("/locked/child", stale), Code::NoAuth);
    check(delete_if("/a/none", stale), Code::NoNode);
    check(delete_if("/a/b", stale), Code::BadVersion);
    check(delete_if("/a/b", Precondition::Mzxid(Zxid(3))), Code::BadVersion);
    check(delete_if("/a/b", Precondition::NotExists), Code::BadArguments);
    check(delete("/a/b"), Code::NotEmpty);
}

#[test]
fn the_acl_of_the_znode_itself_does_not_matter_for_its_deletion() {
    let mut ensemble = furnished();
    ensemble.must(create_with_acl("/a/mine", vec![entry(Perms::ALL, "digest", "u:p")]));
    ensemble.must(delete_if("/a/mine", Precondition::Version(0)));
    let [change] = &ensemble.changes[..] else { panic!() };
    assert_eq!((change.kind, change.path.as_str(), change.data.as_ref()), (ChangeKind::Deleted, "/a/mine", None));
    assert_eq!((change.acl.entries().len(), change.parent_acl.is_open()), (1, true));
    assert_eq!(ensemble.stat("/a").pzxid, ensemble.last);
}

#[test]
fn anybody_who_may_can_delete_an_ephemeral() {
    let mut ensemble = furnished();
    let session = ensemble.open_session();
    ensemble.must(create_as("/a/e", CreateMode::Ephemeral));
    ensemble.session = SessionId::NONE;
    ensemble.must(delete("/a/e"));
    assert_eq!(ensemble.leader.session(session).unwrap().ephemerals, 0);
    assert_eq!(ensemble.changes[0].stat.ephemeral_owner, session);
}

#[test]
fn a_subtree_goes_children_first_in_one_txn() {
    let mut ensemble = furnished();
    assert_eq!(delete_tree(&mut ensemble, "/a", 100), Ok(Reply::TreeDeleted { count: 5 }));
    let paths: Vec<_> = ensemble.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/a/d", "/a/b/c", "/a/b-c", "/a/b", "/a"]);
    assert!(ensemble.changes.iter().all(|change| change.zxid == ensemble.last && change.previous_data.is_some()));
    assert_eq!(ensemble.children("/"), ["locked", "x", "zookeeper"]);
    assert_eq!(ensemble.stat("/").pzxid, ensemble.last);
}

#[test]
fn a_subtree_is_deleted_whole_or_not_at_all() {
    let mut ensemble = furnished();
    assert_eq!(code(delete_tree(&mut ensemble, "/a", 4)), Some(Code::TooMany));
    assert_eq!(code(delete_tree(&mut ensemble, "/a", 0)), Some(Code::TooMany));
    assert_eq!(code(delete_tree(&mut ensemble, "/", 100)), Some(Code::BadArguments));
    assert_eq!(code(delete_tree(&mut ensemble, "/zookeeper", 100)), Some(Code::BadArguments));
    assert_eq!(code(delete_tree(&mut ensemble, "/none", 100)), Some(Code::NoNode));
    assert_eq!(code(delete_tree(&mut ensemble, "/none/child", 100)), Some(Code::NoNode));
    // The permission is asked of every parent of what goes, not only of the top's.
    assert_eq!(code(delete_tree(&mut ensemble, "/locked", 100)), Some(Code::NoAuth));
    ensemble.must(create_with_acl("/a/b/locked", vec![entry(Perms::READ, "world", "anyone")]));
    assert_eq!(code(delete_tree(&mut ensemble, "/a", 5)), Some(Code::TooMany));
    assert_eq!(delete_tree(&mut ensemble, "/a", 6), Ok(Reply::TreeDeleted { count: 6 }));
    ensemble.must(create("/zookeeper/quota/q"));
    assert_eq!(delete_tree(&mut ensemble, "/zookeeper/quota/q", 1), Ok(Reply::TreeDeleted { count: 1 }));
}

#[test]
fn a_subtree_is_what_it_will_be_and_not_what_it_is() {
    let mut ensemble = furnished();
    // Pending: /a/b goes and comes back without its children, /a/d goes, /a/new/leaf comes.
    for op in
        [delete("/a/b/c"), delete("/a/b"), create("/a/b"), delete("/a/d"), create("/a/new"), create("/a/new/leaf")]
    {
        ensemble.prepare(&Op::Write(op));
    }
    let crate::Prepared::Txn(txn) = ensemble.prepare(&Op::DeleteTree { path: path("/a"), max: 5 }) else { panic!() };
    assert_eq!(crate::reply(ensemble.last, &txn), Reply::TreeDeleted { count: 5 });
    let gone = ensemble.prepare(&Op::Write(create("/a/late")));
    assert!(matches!(gone, crate::Prepared::Answer(Err(error)) if error.code() == Code::NoParent));
    ensemble.apply_all();
    assert_eq!(ensemble.children("/"), ["locked", "x", "zookeeper"]);
}

#[test]
fn a_subtree_with_ephemerals_takes_them_from_their_sessions() {
    let mut ensemble = furnished();
    let session = ensemble.open_session();
    ensemble.must(create_as("/a/e", CreateMode::Ephemeral));
    ensemble.must(create_as("/e", CreateMode::Ephemeral));
    assert_eq!(delete_tree(&mut ensemble, "/a", 100), Ok(Reply::TreeDeleted { count: 6 }));
    assert_eq!(ensemble.leader.ephemerals(session), ["/e"]);
}
