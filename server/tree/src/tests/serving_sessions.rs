//! The life of a session, as far as it is replicated.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use quorate_types::limits::{SESSION_TIMEOUT_MS_MAX, SESSION_TIMEOUT_MS_MIN};
use quorate_types::{ChangeKind, Code, CreateMode, Op, Reply, SessionId, SessionSecret, TxnBody};

use super::fixture::*;
use crate::{Prepared, Session};

#[test]
fn a_session_is_granted_a_timeout_within_bounds() {
    let mut ensemble = Ensemble::new();
    for (asked, granted) in [(0, SESSION_TIMEOUT_MS_MIN), (5000, 5000), (u32::MAX, SESSION_TIMEOUT_MS_MAX)] {
        let secret = SessionSecret([asked as u8; 16]);
        let reply = ensemble.run(&Op::OpenSession { timeout_ms: asked, secret });
        let Ok(Reply::Session { id, timeout_ms }) = reply else { panic!("{reply:?}") };
        assert_eq!(timeout_ms, granted);
        let expected = Session { id, timeout_ms, secret, ephemerals: 0 };
        assert_eq!(ensemble.follower.session(id), Some(expected));
    }
    assert_eq!(ensemble.leader.sessions().count(), 3);
}

#[test]
fn a_session_that_is_pending_can_be_used() {
    let mut ensemble = Ensemble::new();
    let open = Op::OpenSession { timeout_ms: 5000, secret: SessionSecret::default() };
    let Prepared::Txn(txn) = ensemble.prepare(&open) else { panic!() };
    let TxnBody::OpenSession { id, .. } = txn.body else { panic!() };
    ensemble.session = id;
    assert!(matches!(ensemble.prepare(&Op::Write(create_as("/e", CreateMode::Ephemeral))), Prepared::Txn(_)));
    ensemble.apply_all();
    assert_eq!(ensemble.leader.ephemerals(id), ["/e"]);
}

#[test]
fn the_end_of_a_session_takes_its_ephemerals_in_the_order_of_their_paths() {
    let mut ensemble = Ensemble::new();
    ensemble.must(create("/p"));
    let other = ensemble.open_session();
    ensemble.must(create_as("/p/other", CreateMode::Ephemeral));
    let session = ensemble.open_session();
    for at in ["/z", "/p/b", "/p/a", "/c", "/p/gone"] {
        ensemble.must(create_as(at, CreateMode::Ephemeral));
    }
    ensemble.must(delete("/p/gone"));
    assert_eq!(ensemble.run(&Op::CloseSession), Ok(Reply::SessionClosed));
    let told: Vec<_> =
        ensemble.changes.iter().map(|change| (change.kind, change.index, change.path.as_str())).collect();
    let deleted = ChangeKind::Deleted;
    assert_eq!(told, [(deleted, 0, "/c"), (deleted, 1, "/p/a"), (deleted, 2, "/p/b"), (deleted, 3, "/z")]);
    assert_eq!((ensemble.stat("/p").pzxid, ensemble.stat("/p").cversion), (ensemble.last, 7));
    assert_eq!(ensemble.leader.session(session), None);
    assert_eq!((ensemble.leader.ephemerals(other), ensemble.leader.ephemeral_count()), (["/p/other".into()].into(), 1));
    assert_eq!(code(ensemble.run(&Op::CloseSession)), Some(Code::SessionExpired));
    ensemble.session = SessionId::NONE;
    assert_eq!(code(ensemble.run(&Op::CloseSession)), Some(Code::SessionRequired));
}

#[test]
fn a_session_takes_pending_ephemerals_along_and_is_expired_at_once() {
    let mut ensemble = Ensemble::new();
    let session = ensemble.open_session();
    ensemble.must(create_as("/applied", CreateMode::Ephemeral));
    ensemble.prepare(&Op::Write(create_as("/pending", CreateMode::Ephemeral)));
    ensemble.prepare(&Op::Write(create_as("/brief", CreateMode::Ephemeral)));
    ensemble.prepare(&Op::Write(delete("/brief")));
    // The same path, but no ephemeral any more.
    ensemble.prepare(&Op::Write(delete("/applied")));
    ensemble.prepare(&Op::Write(create("/applied")));
    let Prepared::Txn(txn) = ensemble.prepare(&Op::CloseSession) else { panic!() };
    let TxnBody::CloseSession { id, deleted: Some(deleted) } = &txn.body else { panic!() };
    let paths: Vec<_> = deleted.iter().map(|deleted| deleted.path.as_str()).collect();
    assert_eq!((*id, paths), (session, ["/pending"].into()));
    for op in [Op::Write(create("/late")), Op::Multi([create("/late")].into()), Op::CloseSession] {
        let answer = ensemble.prepare(&op);
        assert!(matches!(answer, Prepared::Answer(Err(error)) if error.code() == Code::SessionExpired));
    }
    ensemble.session = SessionId::NONE;
    let gone = ensemble.prepare(&Op::Write(delete("/pending")));
    assert!(matches!(gone, Prepared::Answer(Err(error)) if error.code() == Code::NoNode));
    ensemble.apply_all();
    assert_eq!(ensemble.children("/"), ["applied", "zookeeper"]);
    assert!(ensemble.pending.holds_nothing());
}

#[test]
fn a_long_list_of_ephemerals_stays_out_of_the_txn_and_goes_all_the_same() {
    let mut ensemble = Ensemble::new();
    ensemble.open_session();
    let prefix = "/".to_owned() + &"x".repeat(2000);
    let one = create_as(&prefix, CreateMode::EphemeralSequential);
    ensemble.run(&Op::Multi(alloc::vec![one; 600])).unwrap();
    let Prepared::Txn(txn) = ensemble.prepare(&Op::CloseSession) else { panic!() };
    assert!(matches!(txn.body, TxnBody::CloseSession { deleted: None, .. }));
    ensemble.changes.clear();
    ensemble.apply_all();
    assert_eq!((ensemble.changes.len(), ensemble.leader.ephemeral_count()), (600, 0));
    assert_eq!(ensemble.children("/"), ["zookeeper"]);
}
