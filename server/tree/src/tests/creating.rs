//! Creates: every refusal in its order, names, kinds, parents.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use bytes::Bytes;
use quorate_types::limits::{DATA_BYTES_MAX, PATH_BYTES_MAX, TTL_MS_MAX};
use quorate_types::{Caller, Code, CreateMode, Op, Path, Perms, Reply, SessionId, TxnBody, TxnOp, WriteOp};

use super::fixture::*;
use crate::{Prepared, acl};

/// `/open`, `/locked` (readable only), `/e` (an ephemeral of the session that is spoken for), `/open/there`.
fn furnished() -> Ensemble {
    let mut ensemble = Ensemble::new();
    ensemble.open_session();
    ensemble.must(create("/open"));
    ensemble.must(create("/open/there"));
    ensemble.must(create_with_acl("/locked", vec![entry(Perms::READ, "world", "anyone")]));
    ensemble.must(create_as("/e", CreateMode::Ephemeral));
    ensemble
}

#[test]
fn a_create_is_refused_for_the_first_reason_that_applies() {
    let mut ensemble = furnished();
    let mut check = |op: WriteOp, expected| assert_eq!(code(ensemble.write(op.clone())), Some(expected), "{op:?}");
    let with = |at: &str, mode, acl| WriteOp::Create { path: path(at), data: None, acl, mode, parents: false };
    let ttl = |ttl_ms| CreateMode::Ttl { ttl_ms };
    let plain = CreateMode::Persistent;
    // Arguments come before the ACL, the ACL before the state.
    check(with("/no/parent", ttl(0), vec![]), Code::BadArguments);
    check(with("/x", ttl(TTL_MS_MAX + 1), open_acl()), Code::BadArguments);
    check(with("/no/parent", plain, vec![]), Code::InvalidAcl);
    check(with("/open/there", plain, vec![entry(Perms::ALL, "nonsense", "x")]), Code::InvalidAcl);
    // The parent comes before the znode, its permission before everything else about it.
    check(create("/no/parent"), Code::NoParent);
    check(create("/e/child/deeper"), Code::NoParent);
    check(create("/locked/x"), Code::NoAuth);
    check(create("/open/there"), Code::NodeExists);
    check(create("/"), Code::NodeExists);
    check(create("/e/child"), Code::NoChildrenForEphemerals);
    check(create_as("/e/child-", CreateMode::PersistentSequential), Code::NoChildrenForEphemerals);
    let large = WriteOp::Create {
        path: path("/open/large"),
        data: Some(Bytes::from(vec![0; DATA_BYTES_MAX + 1])),
        acl: vec![],
        mode: plain,
        parents: false,
    };
    check(large, Code::TooLarge);
    let long = format!("/open/{}", "x".repeat(PATH_BYTES_MAX - 6 - 9));
    check(create_as(&long, CreateMode::PersistentSequential), Code::InvalidPath);
    let prefix = Path::new_sequential_prefix("/open/").unwrap();
    let incomplete = WriteOp::Create { path: prefix, data: None, acl: open_acl(), mode: plain, parents: true };
    check(incomplete, Code::InvalidPath);
}

#[test]
fn an_ephemeral_needs_a_session_that_is_open() {
    let mut ensemble = furnished();
    ensemble.session = SessionId::NONE;
    let op = create_as("/no/parent", CreateMode::Ephemeral);
    assert_eq!(code(ensemble.write(op.clone())), Some(Code::SessionRequired));
    ensemble.session = SessionId(42);
    assert_eq!(code(ensemble.write(op)), Some(Code::SessionExpired));
    assert_eq!(code(ensemble.write(create("/plain"))), Some(Code::SessionExpired));
}

#[test]
fn a_refusal_names_the_path_and_says_what_is_wrong() {
    let mut ensemble = furnished();
    let error = ensemble.write(create("/locked/x")).unwrap_err();
    assert_eq!((error.path(), error.detail()), (Some("/locked"), "the ACL of /locked does not grant you CREATE"));
    let error = ensemble.write(create("/no/parent")).unwrap_err();
    assert_eq!((error.path(), error.detail()), (Some("/no/parent"), "its parent /no does not exist"));
}

#[test]
fn a_suffix_counts_all_creations_of_the_parent_and_nothing_else() {
    let mut ensemble = furnished();
    ensemble.must(create("/t"));
    ensemble.must(create("/t/a"));
    ensemble.must(create("/t/b"));
    let mut next = |at: &str| created(ensemble.write(create_as(at, CreateMode::PersistentSequential)));
    assert_eq!(next("/t/c-"), "/t/c-0000000002");
    assert_eq!(next("/t/"), "/t/0000000003");
    assert_eq!(next("/"), "/0000000004");
    ensemble.must(delete("/t/a"));
    let ephemeral = create_as("/t/e", CreateMode::EphemeralSequential);
    assert_eq!(created(ensemble.write(ephemeral)), "/t/e0000000004");
    let ttl = create_as("/t/ttl", CreateMode::TtlSequential { ttl_ms: 5 });
    assert_eq!(created(ensemble.write(ttl)), "/t/ttl0000000005");
    assert_eq!(ensemble.children("/t"), ["0000000003", "b", "c-0000000002", "e0000000004", "ttl0000000005"]);
}

#[test]
fn a_suffix_that_is_taken_is_refused_and_costs_no_number() {
    let mut ensemble = furnished();
    ensemble.must(create("/t"));
    ensemble.must(create("/t/x0000000001"));
    let next = create_as("/t/x", CreateMode::PersistentSequential);
    assert_eq!(code(ensemble.write(next.clone())), Some(Code::NodeExists));
    ensemble.must(create("/t/y"));
    assert_eq!(created(ensemble.write(next)), "/t/x0000000002");
}

#[test]
fn suffixes_grow_beyond_ten_digits() {
    let mut ensemble = furnished();
    ensemble.must(create("/t"));
    for tree in [&mut ensemble.leader, &mut ensemble.follower] {
        let id = tree.lookup("/t").unwrap();
        tree.change_stat(id, "/t", |tree| {
            let pzxid = tree.slab[id].pzxid();
            tree.slab[id].set_lineage(9_999_999_999, pzxid);
        });
    }
    let mut next = || created(ensemble.write(create_as("/t/x", CreateMode::PersistentSequential)));
    assert_eq!((next(), next()), (String::from("/t/x9999999999"), String::from("/t/x10000000000")));
}

#[test]
fn missing_parents_are_created_with_the_same_acl_and_one_txn() {
    let mut ensemble = furnished();
    let acl = vec![entry(Perms::ALL, "world", "anyone"), entry(Perms::READ, "digest", "u:p")];
    let op = |at: &str, parents| WriteOp::Create {
        path: path(at),
        data: Some(Bytes::from_static(b"leaf")),
        acl: acl.clone(),
        mode: CreateMode::Ephemeral,
        parents,
    };
    assert_eq!(code(ensemble.write(op("/open/p/q/leaf", false))), Some(Code::NoParent));
    let Ok(Reply::Created { path, stat }) = ensemble.write(op("/open/p/q/leaf", true)) else { panic!() };
    assert_eq!((path.as_str(), stat.ephemeral_owner, stat.data_length), ("/open/p/q/leaf", ensemble.session, 4));
    for (at, children) in [("/open/p", 1), ("/open/p/q", 1)] {
        let stat = ensemble.stat(at);
        assert_eq!((stat.czxid, stat.num_children, stat.ephemeral_owner), (ensemble.last, children, SessionId::NONE));
        assert_eq!(ensemble.leader.acl(at).unwrap().entries(), acl);
    }
    assert_eq!(ensemble.changes.iter().map(|change| change.index).collect::<vec::Vec<_>>(), [0, 1, 2]);
    assert_eq!(code(ensemble.write(op("/locked/p/q", true))), Some(Code::NoAuth));
    assert_eq!(code(ensemble.write(op("/e/p/q", true))), Some(Code::NoChildrenForEphemerals));
    assert!(ensemble.leader.stat("/e/p").is_none());
}

#[test]
fn the_acl_is_resolved_by_the_leader() {
    let mut ensemble = furnished();
    ensemble.caller = Caller { identities: vec![acl::digest_identity("user1:12345")] };
    ensemble.must(create_with_acl("/mine", vec![entry(Perms::ALL, "auth", "")]));
    let expected = entry(Perms::ALL, "digest", "user1:+owfoSBn/am19roBPzR1/MfCblE=");
    assert_eq!(ensemble.leader.acl("/mine").unwrap().entries(), [expected]);
    ensemble.must(create("/mine/x"));
    ensemble.caller = Caller::anonymous();
    assert_eq!(code(ensemble.write(create("/mine/y"))), Some(Code::NoAuth));
    ensemble.caller = Caller::server();
    ensemble.must(create("/mine/y"));
}

#[test]
fn pipelined_creates_count_what_is_not_applied_yet() {
    let mut ensemble = furnished();
    ensemble.must(create("/t"));
    let names: vec::Vec<_> = (0..3)
        .map(|_| match ensemble.prepare(&Op::Write(create_as("/t/x", CreateMode::PersistentSequential))) {
            Prepared::Txn(txn) => match txn.body {
                TxnBody::Ops { ops, .. } => match &ops[0] {
                    TxnOp::Create { path, .. } => path.clone(),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["/t/x0000000000", "/t/x0000000001", "/t/x0000000002"]);
    ensemble.pending.clear();
    assert!(ensemble.pending.holds_nothing());
}

#[test]
fn a_session_owns_a_bounded_number_of_ephemerals() {
    use quorate_types::limits::{EPHEMERALS_PER_SESSION_MAX, MULTI_OPS_MAX};
    let mut ensemble = Ensemble::new();
    ensemble.open_session();
    let one = create_as("/e-", CreateMode::EphemeralSequential);
    let mut left = EPHEMERALS_PER_SESSION_MAX as usize;
    while left > 0 {
        let count = left.min(MULTI_OPS_MAX);
        let answer = ensemble.prepare(&Op::Multi(vec![one.clone(); count]));
        assert!(matches!(answer, Prepared::Txn(_)));
        left -= count;
    }
    let refused = ensemble.prepare(&Op::Write(one.clone()));
    assert!(matches!(&refused, Prepared::Answer(Err(error)) if error.code() == Code::QuotaExceeded), "{refused:?}");
    assert!(matches!(ensemble.prepare(&Op::Write(delete("/e-0000000007"))), Prepared::Txn(_)));
    assert!(matches!(ensemble.prepare(&Op::Write(one)), Prepared::Txn(_)));
}
