//! Changes of data and ACLs, and guards: every refusal in its order.

use alloc::vec;

use bytes::Bytes;
use quorate_types::limits::DATA_BYTES_MAX;
use quorate_types::{Caller, ChangeKind, Code, Identity, Perms, Precondition, Reply, WriteOp, Zxid};

use super::fixture::*;

/// `/a` (open, version 1), `/read` and `/admin` (only that), and nothing else.
fn furnished() -> Ensemble {
    let mut ensemble = Ensemble::new();
    ensemble.must(create("/a"));
    ensemble.must(set("/a", "one"));
    ensemble.must(create_with_acl("/read", vec![entry(Perms::READ, "world", "anyone")]));
    ensemble.must(create_with_acl("/admin", vec![entry(Perms::ADMIN, "world", "anyone")]));
    ensemble
}

fn upsert(at: &str, precondition: Precondition) -> WriteOp {
    WriteOp::SetData { path: path(at), data: Some(Bytes::from_static(b"up")), precondition, create: Some(open_acl()) }
}

#[test]
fn a_change_is_refused_for_the_first_reason_that_applies() {
    let mut ensemble = furnished();
    let stale = Precondition::Version(7);
    let mut refused = |op: WriteOp, expected| assert_eq!(code(ensemble.write(op.clone())), Some(expected), "{op:?}");
    refused(set_if("/none", "x", stale), Code::NoNode);
    refused(set_if("/read", "x", stale), Code::NoAuth);
    refused(set_if("/a", "x", stale), Code::BadVersion);
    refused(set_if("/a", "x", Precondition::Mzxid(Zxid(1))), Code::BadVersion);
    refused(set_if("/a", "x", Precondition::NotExists), Code::BadArguments);
    let large = Some(Bytes::from(vec![0; DATA_BYTES_MAX + 1]));
    refused(WriteOp::SetData { path: path("/none"), data: large, precondition: stale, create: None }, Code::TooLarge);
    refused(set_acl("/none", vec![], stale), Code::InvalidAcl);
    refused(set_acl("/none", open_acl(), stale), Code::NoNode);
    refused(set_acl("/read", open_acl(), stale), Code::NoAuth);
    refused(set_acl("/admin", open_acl(), stale), Code::BadVersion);
    refused(set_acl("/admin", open_acl(), Precondition::NotExists), Code::BadArguments);
    refused(check("/none", stale), Code::NoNode);
    refused(check("/admin", stale), Code::NoAuth);
    refused(check("/read", stale), Code::BadVersion);
    refused(check("/read", Precondition::NotExists), Code::NodeExists);
    refused(check("/admin", Precondition::NotExists), Code::NoAuth);
    refused(upsert("/a", stale), Code::BadArguments);
    refused(upsert("/none/child", Precondition::None), Code::NoParent);
    refused(upsert("/read/child", Precondition::None), Code::NoAuth);
    refused(upsert("/read", Precondition::None), Code::NoAuth);
    refused(set("/zookeeper/config", "x"), Code::NoAuth);
}

#[test]
fn a_precondition_that_holds_lets_the_change_pass() {
    let mut ensemble = furnished();
    let mzxid = ensemble.stat("/a").mzxid;
    assert_eq!(ensemble.write(check("/a", Precondition::Version(1))), Ok(Reply::Checked));
    assert_eq!(ensemble.write(check("/none", Precondition::NotExists)), Ok(Reply::Checked));
    assert_eq!(ensemble.must(set_if("/a", "x", Precondition::Version(1))).unwrap().version, 2);
    let stale = set_if("/a", "y", Precondition::Mzxid(mzxid));
    assert_eq!(code(ensemble.write(stale)), Some(Code::BadVersion));
    let mzxid = ensemble.stat("/a").mzxid;
    assert_eq!(ensemble.must(set_if("/a", "y", Precondition::Mzxid(mzxid))).unwrap().version, 3);
    assert_eq!(ensemble.must(set_acl("/a", open_acl(), Precondition::Version(0))).unwrap().aversion, 1);
    assert_eq!(ensemble.must(set_acl("/a", open_acl(), Precondition::Version(1))).unwrap().aversion, 2);
}

#[test]
fn a_guard_alone_needs_no_txn() {
    let mut ensemble = furnished();
    let before = ensemble.last;
    assert_eq!(ensemble.write(check("/a", Precondition::None)), Ok(Reply::Checked));
    assert_eq!(ensemble.last, before);
}

#[test]
fn set_or_create_does_what_is_needed_and_says_which() {
    let mut ensemble = furnished();
    let Ok(Reply::Created { path, stat }) = ensemble.write(upsert("/new", Precondition::None)) else { panic!() };
    assert_eq!((path.as_str(), stat.version, stat.czxid), ("/new", 0, ensemble.last));
    let Ok(Reply::Changed { stat }) = ensemble.write(upsert("/new", Precondition::None)) else { panic!() };
    assert_eq!((stat.version, stat.mzxid), (1, ensemble.last));
}

#[test]
fn a_change_of_data_tells_the_data_before_and_after() {
    let mut ensemble = furnished();
    ensemble.must(set("/a", "two"));
    let [change] = &ensemble.changes[..] else { panic!() };
    assert_eq!((change.kind, change.path.as_str()), (ChangeKind::DataChanged, "/a"));
    assert_eq!((change.data.as_deref(), change.previous_data.as_deref()), (Some(&b"two"[..]), Some(&b"one"[..])));
    let null = WriteOp::SetData { path: path("/a"), data: None, precondition: Precondition::None, create: None };
    ensemble.must(null);
    assert_eq!((&ensemble.changes[0].data, ensemble.stat("/a").data_length), (&None, 0));
    ensemble.must(set("/a", ""));
    assert_eq!(ensemble.changes[0].previous_data, None);
    let Ok(Reply::Data { data, .. }) = ensemble.read(&get("/a")) else { panic!() };
    assert_eq!(data.as_deref(), Some(&b""[..]));
}

#[test]
fn a_change_of_the_acl_is_in_force_at_once_and_told_to_nobody() {
    let mut ensemble = furnished();
    ensemble.must(set_acl("/a", vec![entry(Perms::ALL, "digest", "u:p")], Precondition::None));
    assert!(ensemble.changes.is_empty());
    assert_eq!(code(ensemble.write(set("/a", "x"))), Some(Code::NoAuth));
    assert_eq!(code(ensemble.read(&get("/a"))), Some(Code::NoAuth));
    ensemble.caller = Caller { identities: vec![Identity { scheme: "digest".into(), id: "u:p".into() }] };
    ensemble.must(set("/a", "x"));
}

#[test]
fn versions_skip_minus_one_on_all_servers() {
    let mut ensemble = furnished();
    for tree in [&mut ensemble.leader, &mut ensemble.follower] {
        let id = tree.lookup("/a").unwrap();
        tree.change_stat(id, "/a", |tree| tree.slab[id].version = -2);
    }
    assert_eq!(ensemble.must(set("/a", "x")).unwrap().version, 0);
    assert_eq!(ensemble.must(set_acl("/zookeeper/quota", open_acl(), Precondition::None)).unwrap().aversion, 1);
    ensemble.caller = Caller::server();
    assert_eq!(ensemble.must(set_acl("/zookeeper/config", open_acl(), Precondition::None)).unwrap().aversion, 0);
}

#[test]
fn time_never_goes_back_along_the_history() {
    let mut ensemble = furnished();
    ensemble.wall_ms = 5000;
    assert_eq!(ensemble.must(set("/a", "x")).unwrap().mtime_ms, 5000);
    ensemble.wall_ms = 10;
    assert_eq!(ensemble.must(set("/a", "x")).unwrap().mtime_ms, 5000);
    ensemble.pending.clear();
    assert_eq!(ensemble.must(set("/a", "x")).unwrap().mtime_ms, 5000);
}
