//! Multis: all or nothing, and nothing means nothing.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::limits::{DATA_BYTES_MAX, MULTI_OPS_MAX};
use quorate_types::{Code, CreateMode, Op, Precondition, Reply, Response, SessionId, WriteOp};

use super::fixture::*;

/// The codes of a multi's results, `None` for those that succeeded.
fn codes(response: Response) -> Vec<Option<Code>> {
    match response {
        Ok(Reply::Multi(results)) => results.into_iter().map(code).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn later_operations_see_earlier_ones_and_share_their_txn() {
    let mut ensemble = Ensemble::new();
    let sequential = create_as("/a/s", CreateMode::PersistentSequential);
    let ops = vec![
        create("/a"),
        create("/a/b"),
        set_if("/a", "x", Precondition::Version(0)),
        check("/a", Precondition::Version(1)),
        sequential.clone(),
        sequential,
        delete("/a/b"),
        set_acl("/a", open_acl(), Precondition::Version(0)),
    ];
    let Ok(Reply::Multi(results)) = ensemble.run(&Op::Multi(ops)) else { panic!() };
    let zxid = ensemble.last;
    let stat = ensemble.stat("/a");
    assert!(matches!(&results[0], Ok(Reply::Created { stat, .. }) if stat.czxid == zxid && stat.num_children == 0));
    assert!(matches!(&results[2], Ok(Reply::Changed { stat }) if stat.version == 1 && stat.num_children == 1));
    assert_eq!(results[3], Ok(Reply::Checked));
    assert!(matches!(&results[4], Ok(Reply::Created { path, .. }) if path == "/a/s0000000001"));
    assert!(matches!(&results[5], Ok(Reply::Created { path, .. }) if path == "/a/s0000000002"));
    assert_eq!(results[6], Ok(Reply::Deleted));
    assert_eq!(results[7], Ok(Reply::Changed { stat }));
    assert_eq!((stat.mzxid, stat.czxid, stat.num_children, stat.cversion), (zxid, zxid, 2, 4));
    assert_eq!(ensemble.changes.iter().map(|change| change.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn one_failure_undoes_everything_and_costs_no_sequence_number() {
    let mut ensemble = Ensemble::new();
    ensemble.must(create("/q"));
    let (before, digest, last) = (ensemble.stat("/q"), ensemble.leader.digest(), ensemble.last);
    let sequential = create_as("/q/x", CreateMode::PersistentSequential);
    let ops = vec![create("/m"), sequential.clone(), set("/nope", "x"), delete("/m")];
    let not_applied = Some(Code::NotApplied);
    assert_eq!(codes(ensemble.run(&Op::Multi(ops))), [not_applied, not_applied, Some(Code::NoNode), not_applied]);
    assert_eq!((ensemble.stat("/q"), ensemble.leader.digest(), ensemble.last), (before, digest, last));
    assert!(ensemble.pending.holds_nothing());
    assert_eq!(created(ensemble.write(sequential)), "/q/x0000000000");
}

#[test]
fn guards_alone_and_no_operations_at_all_are_answered_at_once() {
    let mut ensemble = Ensemble::new();
    let last = ensemble.last;
    assert_eq!(ensemble.run(&Op::Multi(vec![])), Ok(Reply::Multi(vec![])));
    let guards = vec![check("/", Precondition::None), check("/x", Precondition::NotExists)];
    assert_eq!(ensemble.run(&Op::Multi(guards)), Ok(Reply::Multi(vec![Ok(Reply::Checked), Ok(Reply::Checked)])));
    assert_eq!(ensemble.last, last);
}

#[test]
fn arguments_of_an_operation_fail_in_its_place() {
    let mut ensemble = Ensemble::new();
    let ops = vec![create("/a"), create_as("/t", CreateMode::Ttl { ttl_ms: 0 })];
    assert_eq!(codes(ensemble.run(&Op::Multi(ops))), [Some(Code::NotApplied), Some(Code::BadArguments)]);
    let ops = vec![create_as("/e", CreateMode::Ephemeral), create("/a")];
    assert_eq!(codes(ensemble.run(&Op::Multi(ops))), [Some(Code::SessionRequired), Some(Code::NotApplied)]);
    let parents = WriteOp::Create {
        path: path("/p/q"),
        data: None,
        acl: open_acl(),
        mode: CreateMode::Persistent,
        parents: true,
    };
    assert_eq!(codes(ensemble.run(&Op::Multi(vec![parents.clone()]))), [Some(Code::BadArguments)]);
    // Where the parent exists there is nothing to create besides.
    assert_eq!(codes(ensemble.run(&Op::Multi(vec![create("/p"), parents]))), [None, None]);
}

#[test]
fn what_concerns_the_whole_fails_as_a_whole() {
    let mut ensemble = Ensemble::new();
    let many = vec![check("/", Precondition::None); MULTI_OPS_MAX + 1];
    assert_eq!(code(ensemble.run(&Op::Multi(many))), Some(Code::TooLarge));
    let create_large = |i| WriteOp::Create {
        path: path(&format!("/large-{i}")),
        data: Some(Bytes::from(vec![0; DATA_BYTES_MAX])),
        acl: open_acl(),
        mode: CreateMode::Persistent,
        parents: false,
    };
    let large: Vec<_> = (0..5).map(create_large).collect();
    assert_eq!(code(ensemble.run(&Op::Multi(large.clone()))), Some(Code::TooLarge));
    assert!(ensemble.pending.holds_nothing());
    assert_eq!(codes(ensemble.run(&Op::Multi(large[..4].to_vec()))), [None; 4]);
    ensemble.session = SessionId(3);
    assert_eq!(code(ensemble.run(&Op::Multi(vec![]))), Some(Code::SessionExpired));
}
