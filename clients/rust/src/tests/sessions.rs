//! Sessions: kept alive, taken along to other connections, ended.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use quorate_proto::v1;
use v1::channel_operation::Operation;

use crate::fake::{Fake, Fault};
use crate::{Access, ConnectionState, Reason, SessionState};

const TIMEOUT: Duration = Duration::from_secs(3);

fn touches(fake: &Fake) -> usize {
    let is_touch = |operation: &v1::ChannelOperation| matches!(operation.operation, Some(Operation::KeepAlive(_)));
    let world = fake.world.lock();
    world.messages.iter().flat_map(|(_, message)| &message.operations).filter(|one| is_touch(one)).count()
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_itself_alive_and_ends_when_it_is_closed() {
    let fake = Fake::default();
    let client = fake.client();
    let session = client.open_session(TIMEOUT).await.expect("opened");
    assert_eq!((session.id(), session.timeout(), session.state()), (1, TIMEOUT, SessionState::Connected));
    tokio::time::sleep(10 * TIMEOUT).await;
    assert!((30..=32).contains(&touches(&fake)), "{} in 30 s, one each second", touches(&fake));
    let mut states = session.states();
    session.close().await.expect("closed");
    assert!(fake.world.lock().sessions.is_empty());
    assert_eq!(*states.borrow_and_update(), SessionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_took_long_to_be_opened_can_be_relied_on_nevertheless() {
    let fake = Fake::default();
    let client = fake.client();
    fake.world.lock().down.extend([1, 2]);
    let coming_up = async {
        tokio::time::sleep(2 * TIMEOUT).await;
        fake.world.lock().down.clear();
    };
    let (session, ()) = tokio::join!(client.open_session(TIMEOUT), coming_up);
    let mut states = session.expect("opened").connection_states();
    assert_eq!(states.next().await, Some(ConnectionState::Connected));
}

#[tokio::test]
async fn a_session_ends_when_it_is_dropped() {
    let fake = Fake::default();
    let client = fake.client();
    let session = client.open_session(TIMEOUT).await.expect("opened");
    let as_client = (*session).clone();
    let mut states = session.states();
    drop(session);
    states.wait_for(|state| *state == SessionState::Closed).await.expect("it tells of its end");
    assert!(fake.world.lock().sessions.is_empty());
    assert_eq!(as_client.get("/a").await.expect_err("it is over").reason(), Reason::Closed);
}

#[tokio::test]
async fn a_session_survives_its_connection_and_keeps_its_order() {
    let fake = Fake::default();
    let client = fake.client();
    let session = client.open_session(TIMEOUT).await.expect("opened");
    session.set("/first", "").await.expect("connected");
    fake.world.lock().faults.extend([Fault::CutAfter, Fault::CutBefore, Fault::CutAfter]);
    let writes = join_all((0..50).map(|n| session.set(format!("/{n:02}"), "").send())).await;
    for write in writes {
        write.expect("every write took effect");
    }
    let world = fake.world.lock();
    let paths: Vec<_> = world.history.iter().map(|event| event.path.clone()).collect();
    let expected: Vec<_> = ["/first".to_owned()].into_iter().chain((0..50).map(|n| format!("/{n:02}"))).collect();
    assert_eq!(paths, expected, "once, and in the order in which they were made");
    let attached = world.messages.iter().filter(|(_, message)| message.attach.is_some());
    assert!(attached.clone().count() >= 2, "it attached again");
    assert!(attached.into_iter().all(|(_, message)| message.attach.as_ref().is_some_and(|s| s.session_id == 1)));
    let in_session = |operation: &v1::ChannelOperation| match &operation.operation {
        Some(Operation::SetData(request)) => request.options.as_ref().and_then(|options| options.request_id.clone()),
        _ => None,
    };
    let ids = world.messages.iter().flat_map(|(_, message)| &message.operations).filter_map(in_session);
    assert!(ids.into_iter().all(|id| id.client_id.is_empty()), "within a session the session is the client");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_cut_off_is_suspended_and_then_knows_its_fate() {
    for expired in [false, true] {
        let fake = Fake::default();
        let client = fake.client();
        let session = client.open_session(TIMEOUT).await.expect("opened");
        session.set("/a", "").await.expect("connected");
        let mut states = session.states();
        {
            let mut world = fake.world.lock();
            world.down.extend([1, 2]);
            world.faults.push_back(Fault::CutBefore);
        }
        states.wait_for(|state| *state == SessionState::Suspended).await.expect("the connection broke");
        if expired {
            fake.world.lock().sessions.clear();
        }
        fake.world.lock().down.clear();
        let fate = *states.wait_for(|state| *state != SessionState::Suspended).await.expect("it gets to know");
        assert_eq!(fate, if expired { SessionState::Expired } else { SessionState::Connected });
        let write = session.set("/a", "").await;
        match expired {
            false => assert_eq!(write.expect("it lives").stat.version, 1),
            true => assert_eq!(write.expect_err("it is over").reason(), Reason::SessionExpired),
        }
    }
}

#[tokio::test]
async fn a_caller_can_keep_a_session_itself() {
    for access in [Access::Channel, Access::Unary] {
        let fake = Fake::default();
        let client = fake.builder().access(access).build();
        let raw = client.open_raw(TIMEOUT).await.expect("opened");
        assert_eq!(raw.timeout, TIMEOUT);
        client.keep_alive_once(&raw.credential).await.expect("it lives");
        client.close_raw(&raw.credential).await.expect("closed");
        let error = client.keep_alive_once(&raw.credential).await.expect_err("it is over");
        assert_eq!(error.reason(), Reason::SessionExpired);
        assert_eq!(client.close_raw(&raw.credential).await.expect_err("it is over").reason(), Reason::SessionExpired);
        assert_eq!(format!("{:?}", raw.credential), "SessionCredential(0x1)", "the secret is not shown");
    }
}

#[tokio::test]
async fn a_session_whose_closing_was_not_answered_is_closed() {
    for access in [Access::Channel, Access::Unary] {
        let fake = Fake::default();
        let client = fake.builder().access(access).build();
        let raw = client.open_raw(TIMEOUT).await.expect("opened");
        fake.world.lock().faults.push_back(Fault::CutAfter);
        client.close_raw(&raw.credential).await.expect("the second attempt finds it closed");
        let session = client.open_session(TIMEOUT).await.expect("opened");
        session.set("/a", "").await.expect("connected");
        fake.world.lock().faults.push_back(Fault::CutAfter);
        session.close().await.expect("the new stream finds it closed");
        assert!(fake.world.lock().sessions.is_empty());
    }
}

#[tokio::test]
async fn a_write_of_a_session_is_not_made_after_later_ones() {
    let fake = Fake::default();
    let client = fake.client();
    let session = client.open_session(TIMEOUT).await.expect("opened");
    session.set("/first", "").await.expect("connected");
    fake.world.lock().faults.push_back(Fault::Refuse(v1::ErrorReason::Unavailable));
    session.set("/alone", "").await.expect("sent again: nothing came after it");
    fake.world.lock().faults.push_back(Fault::Refuse(v1::ErrorReason::Unavailable));
    let outcomes = join_all((0..3).map(|n| session.set(format!("/{n}"), "").send())).await;
    let reasons: Vec<_> = outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.reason()).err()).collect();
    assert_eq!(reasons, [Some(Reason::Unavailable), Some(Reason::Unavailable), None]);
    let paths: Vec<_> = fake.world.lock().history.iter().map(|event| event.path.clone()).collect();
    assert_eq!(paths, ["/first", "/alone", "/2"]);
}
