//! A session owns a bounded number of ephemerals. At the cap one more is refused, and everything else goes on.

use std::time::Instant;

use quorate_proto::v1;
use quorate_proto::v1::multi_operation::Operation;
use quorate_proto::v1::multi_result::Result as MultiResult;
use quorate_proto::v1::{CreateMode, ErrorReason, EventType};
use quorate_tests::harness::Server;
use quorate_tests::report;
use quorate_types::limits::{EPHEMERALS_PER_SESSION_MAX, MULTI_OPS_MAX};

use super::bad_input::still_serves;
use super::calls::{Calls, Watcher, reason, within};

#[tokio::test]
async fn at_the_cap_of_ephemerals_one_more_is_refused_and_everything_else_goes_on() {
    let began = Instant::now();
    let mut server = Server::start();
    let mut calls = Calls::to(&server).await;
    let session = calls.open_session(60_000).await;
    calls.create("/leases", CreateMode::Persistent).await;
    let mut left = EPHEMERALS_PER_SESSION_MAX as usize;
    while left > 0 {
        let count = left.min(MULTI_OPS_MAX);
        let made = multi(&mut calls, &session, count).await;
        assert!(made.committed, "{left} were left: {:?}", first_error(&made));
        left -= count;
    }

    let refused = calls.znodes.create(ephemeral(&session)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (tonic::Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    // Of a multi that has room for a part, nothing is made.
    calls.delete("/leases/n-0000000000").await;
    let refused = multi(&mut calls, &session, 2).await;
    assert_eq!((refused.committed, first_error(&refused)), (false, Some(ErrorReason::QuotaExceeded)));
    let made = calls.znodes.create(ephemeral(&session)).await.unwrap().into_inner();
    assert_eq!(made.stat.unwrap().ephemeral_owner, session.session_id, "one went, so there is room for one");
    let other = calls.open_session(60_000).await;
    calls.znodes.create(ephemeral(&other)).await.expect("another session has a cap of its own");
    still_serves(&server).await;

    // The cap is counted anew after a restart, and all of them end with their session, in one txn.
    server.kill();
    server.restart();
    let mut calls = Calls::to(&server).await;
    assert_eq!(reason(&calls.znodes.create(ephemeral(&session)).await.unwrap_err()), "QUOTA_EXCEEDED");
    let mut watcher = Watcher::below(&server, "/leases/n-0000000001", None).await;
    calls.sessions.close(v1::CloseRequest { session: Some(session.clone()) }).await.unwrap();
    assert_eq!(watcher.events().await, [(EventType::Deleted, "/leases/n-0000000001".to_owned())]);
    assert_eq!(calls.children("/leases").await.len(), 1, "what the other session owns");
    still_serves(&server).await;
    report::note(&format!(
        "ephemerals: {EPHEMERALS_PER_SESSION_MAX} of one session, refused at the cap, kept by a restart and gone with \
         their session in {} ms; server: {}",
        began.elapsed().as_millis(),
        server.stats()
    ));
}

fn ephemeral(session: &v1::SessionCredential) -> v1::CreateRequest {
    let (path, mode) = ("/leases/n-".to_owned(), CreateMode::EphemeralSequential.into());
    v1::CreateRequest { path, mode, options: within(session), ..v1::CreateRequest::default() }
}

async fn multi(calls: &mut Calls, session: &v1::SessionCredential, count: usize) -> v1::MultiResponse {
    let create = v1::CreateRequest { options: None, ..ephemeral(session) };
    let one = v1::MultiOperation { operation: Some(Operation::Create(create)) };
    let request = v1::MultiRequest { operations: vec![one; count], options: within(session) };
    calls.znodes.multi(request).await.unwrap().into_inner()
}

/// The reason of the operation that made a multi fail.
fn first_error(answer: &v1::MultiResponse) -> Option<ErrorReason> {
    let reasons = answer.results.iter().filter_map(|result| match &result.result {
        Some(MultiResult::Error(error)) => Some(error.reason()),
        _ => None,
    });
    reasons.into_iter().find(|reason| *reason != ErrorReason::NotApplied)
}
