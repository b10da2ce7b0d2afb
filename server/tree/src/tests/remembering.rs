//! Request ids: a repeated write is answered as the first one was, for as long as is promised.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec;

use quorate_types::limits::REMEMBERED_REQUESTS_MAX;
use quorate_types::{
    Caller, Code, CreateMode, Identity, Op, Precondition, Reply, RequestId, Response, SessionId, SessionSecret, WriteOp,
};

use super::fixture::*;
use crate::Prepared;
use crate::requests::{CLIENT_BYTES_MAX, SESSIONLESS_MAX};

fn id(sequence: u64) -> Option<RequestId> {
    Some(RequestId { client: 9, sequence, acknowledged_through: 0 })
}

fn acknowledging(sequence: u64, acknowledged_through: u64) -> Option<RequestId> {
    Some(RequestId { client: 9, sequence, acknowledged_through })
}

fn run_as(ensemble: &mut Ensemble, id: Option<RequestId>, op: &Op) -> Response {
    ensemble.request_id = id;
    let response = ensemble.run(op);
    ensemble.request_id = None;
    response
}

#[test]
fn a_repeated_request_gets_the_first_answer_whatever_happened_since() {
    for in_session in [false, true] {
        let mut ensemble = Ensemble::new();
        if in_session {
            ensemble.open_session();
        }
        ensemble.must(create("/p"));
        ensemble.must(create("/q"));
        let requests = [
            Op::Write(create_as("/p/s", CreateMode::PersistentSequential)),
            Op::Write(set("/p", "x")),
            Op::Write(set_acl("/p", open_acl(), Precondition::None)),
            Op::Multi(vec![create("/p/m"), check("/p", Precondition::None), set("/p", "y"), delete("/p/m")]),
            Op::Write(delete("/p/s0000000000")),
            Op::DeleteTree { path: path("/p"), max: 10 },
            Op::OpenSession { timeout_ms: 5000, secret: SessionSecret([3; 16]) },
        ];
        let sequences = 1..=requests.len() as u64;
        let first: vec::Vec<_> =
            sequences.clone().zip(&requests).map(|(sequence, op)| run_as(&mut ensemble, id(sequence), op)).collect();
        assert!(first.iter().all(Response::is_ok), "{first:?}");
        let last = ensemble.last;
        for ((sequence, op), first) in sequences.zip(&requests).zip(&first) {
            assert_eq!(&run_as(&mut ensemble, id(sequence), op), first);
        }
        assert_eq!(ensemble.last, last, "nothing was done a second time");
        assert_eq!(ensemble.leader.remembered_count(), requests.len());
    }
}

#[test]
fn a_request_that_is_pending_is_waited_for() {
    let mut ensemble = Ensemble::new();
    ensemble.request_id = id(4);
    let op = Op::Write(create("/a"));
    assert!(matches!(ensemble.prepare(&op), Prepared::Txn(_)));
    let zxid = ensemble.last;
    assert_eq!(ensemble.prepare(&op), Prepared::Pending(zxid));
    let other = ensemble.prepare(&Op::Write(create("/b")));
    assert!(matches!(other, Prepared::Answer(Err(error)) if error.code() == Code::RequestIdReused));
    ensemble.apply_all();
    assert!(matches!(ensemble.prepare(&op), Prepared::Answer(Ok(Reply::Created { .. }))));
}

#[test]
fn an_id_names_one_operation() {
    let mut ensemble = Ensemble::new();
    let op = |data: &str| Op::Write(set("/", data));
    run_as(&mut ensemble, id(1), &op("x")).unwrap();
    for other in [op("y"), Op::Write(set_if("/", "x", Precondition::Version(0))), Op::Multi(vec![set("/", "x")])] {
        assert_eq!(code(run_as(&mut ensemble, id(1), &other)), Some(Code::RequestIdReused));
    }
    // Another client, another caller, a session: other names.
    run_as(&mut ensemble, Some(RequestId { client: 8, sequence: 1, acknowledged_through: 0 }), &op("y")).unwrap();
    ensemble.caller = Caller { identities: vec![Identity { scheme: "digest".into(), id: "u:p".into() }] };
    run_as(&mut ensemble, id(1), &op("z")).unwrap();
    ensemble.open_session();
    run_as(&mut ensemble, id(1), &op("w")).unwrap();
    assert_eq!(ensemble.stat("/").version, 4);
}

#[test]
fn what_is_acknowledged_is_forgotten_and_never_done_again() {
    let mut ensemble = Ensemble::new();
    let op = |data: &str| Op::Write(set("/", data));
    for sequence in 1..=5 {
        run_as(&mut ensemble, id(sequence), &op("x")).unwrap();
    }
    run_as(&mut ensemble, acknowledging(8, 3), &op("x")).unwrap();
    assert_eq!(ensemble.leader.remembered_count(), 3);
    for (sequence, expected) in [(1, Some(Code::RequestIdForgotten)), (3, Some(Code::RequestIdForgotten)), (4, None)] {
        assert_eq!(code(run_as(&mut ensemble, id(sequence), &op("x"))), expected, "{sequence}");
    }
    assert_eq!(code(run_as(&mut ensemble, acknowledging(9, 9), &op("x"))), Some(Code::BadArguments));
    // One that was overtaken is still new.
    assert_eq!(ensemble.stat("/").version, 6);
    run_as(&mut ensemble, id(6), &op("x")).unwrap();
    assert_eq!(ensemble.stat("/").version, 7);
    // A pending acknowledgement counts already.
    ensemble.request_id = acknowledging(10, 7);
    ensemble.prepare(&op("x"));
    ensemble.request_id = id(7);
    let late = ensemble.prepare(&op("x"));
    assert!(matches!(late, Prepared::Answer(Err(error)) if error.code() == Code::RequestIdForgotten));
}

#[test]
fn failures_are_not_remembered() {
    let mut ensemble = Ensemble::new();
    let op = Op::Write(create("/a/b"));
    assert_eq!(code(run_as(&mut ensemble, id(1), &op)), Some(Code::NoParent));
    ensemble.must(create("/a"));
    assert_eq!(created(run_as(&mut ensemble, id(1), &op)), "/a/b");
    let failing = Op::Multi(vec![create("/c"), delete("/none")]);
    run_as(&mut ensemble, id(2), &failing).unwrap();
    assert_eq!(ensemble.leader.remembered_count(), 1);
}

#[test]
fn a_client_has_a_window_and_what_falls_out_of_it_is_refused() {
    let mut ensemble = Ensemble::new();
    ensemble.open_session();
    let op = Op::Write(set("/", "x"));
    for sequence in 1..=REMEMBERED_REQUESTS_MAX as u64 + 10 {
        run_as(&mut ensemble, id(sequence), &op).unwrap();
    }
    assert_eq!(ensemble.leader.remembered_count(), REMEMBERED_REQUESTS_MAX);
    assert_eq!(code(run_as(&mut ensemble, id(10), &op)), Some(Code::RequestIdForgotten));
    assert!(run_as(&mut ensemble, id(11), &op).is_ok());
    ensemble.run(&Op::CloseSession).unwrap();
    assert_eq!(ensemble.leader.remembered_count(), 0);
}

#[test]
fn large_results_count_by_their_bytes() {
    let mut ensemble = Ensemble::new();
    ensemble.open_session();
    let name = "/".to_owned() + &"x".repeat(3000);
    let ops: vec::Vec<WriteOp> = vec![create_as(&name, CreateMode::PersistentSequential); 200];
    for sequence in 1..=4 {
        run_as(&mut ensemble, id(sequence), &Op::Multi(ops.clone())).unwrap();
    }
    const { assert!(200 * 3000 < CLIENT_BYTES_MAX && 2 * 200 * 3000 > CLIENT_BYTES_MAX) };
    assert_eq!(ensemble.leader.remembered_count(), 1);
    assert!(run_as(&mut ensemble, id(4), &Op::Multi(ops.clone())).is_ok());
    assert_eq!(code(run_as(&mut ensemble, id(3), &Op::Multi(ops))), Some(Code::RequestIdForgotten));
}

#[test]
fn callers_without_a_session_share_a_horizon() {
    use crate::digest::Digest;
    use crate::requests::{ClientKey, Recall, Remembered, Requests};
    use quorate_types::Zxid;
    use quorate_types::txn::RequestMark;
    let (mut requests, mut digest) = (Requests::default(), Digest::default());
    let mark = |client| RequestMark {
        id: RequestId { client, sequence: 1, acknowledged_through: 0 },
        caller: 1,
        operation: 2,
    };
    let key = |client| ClientKey::new(SessionId::NONE, &mark(client));
    for client in 0..SESSIONLESS_MAX as u128 + 3 {
        let zxid = Zxid(client as u64 + 1);
        let result = Remembered { sequence: 1, zxid, operation: 2, reply: [2].into() };
        requests.remember(&mut digest, key(client), &mark(client), result);
    }
    assert_eq!(requests.len(), SESSIONLESS_MAX);
    for (client, is_known) in [(0, false), (2, false), (3, true), (SESSIONLESS_MAX as u128, true)] {
        let recalled = requests.recall(key(client), &mark(client));
        assert_eq!(matches!(recalled, Recall::Done(_)), is_known, "{client}: {recalled:?}");
        assert!(is_known || recalled == Recall::New, "beyond the horizon a request is new");
    }
    let (mut again, mut sum) = (Requests::default(), Digest::default());
    for (key, client) in requests.share() {
        again.restore(&mut sum, key, (*client).clone());
    }
    assert_eq!((sum, again.len(), again.allocated_bytes()), (digest, requests.len(), requests.allocated_bytes()));
}

#[test]
fn every_remembered_reply_survives_its_encoding() {
    let mut ensemble = Ensemble::new();
    let Ok(created) = ensemble.write(create("/a")) else { panic!() };
    let Ok(changed) = ensemble.write(set("/a", "x")) else { panic!() };
    let single = [
        created,
        changed,
        Reply::Deleted,
        Reply::Checked,
        Reply::TreeDeleted { count: 7 },
        Reply::Session { id: SessionId(5), timeout_ms: 6 },
    ];
    let multi = Reply::Multi(single.iter().cloned().map(Ok).collect());
    for reply in single.iter().chain([&multi, &Reply::Multi(vec![])]) {
        let bytes = crate::reply::encode(reply);
        assert_eq!(crate::reply::decode(&bytes).as_ref(), Ok(reply));
        for cut in 0..bytes.len() {
            assert!(crate::reply::decode(&bytes[..cut]).is_err(), "{}", format!("{reply:?} cut at {cut}"));
        }
    }
}
