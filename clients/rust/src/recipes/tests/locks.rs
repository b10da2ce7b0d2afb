//! Locks: exclusion, order, and nothing left behind.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};

use super::{TIMEOUT, eventually, poll_times, session};
use crate::fake::{Fake, Fault, WatchFault};
use crate::recipes::{Lock, ReentrantLock};
use crate::{ConnectionState, Reason, SessionState};

fn line(fake: &Fake) -> Vec<String> {
    let mut names = fake.world.lock().children("/lock");
    names.sort_unstable_by_key(|name| name.rsplit('-').next().map(str::to_owned));
    names
}

#[tokio::test(start_paused = true)]
async fn one_after_the_other_holds_it_and_each_watches_only_the_one_before() {
    let fake = Fake::default();
    let sessions = [session(&fake).await, session(&fake).await, session(&fake).await];
    let [first, second, third] = sessions.each_ref().map(|session| Lock::new(session, "/lock").data("me"));
    let held = first.acquire().await.expect("nobody else");
    assert!(
        held.fence().path().starts_with("/lock/_c_") && held.fence().path().ends_with("-lock-0000000000"),
        "{}",
        held.fence().path()
    );
    let mut waiting = Box::pin(second.acquire());
    assert!(poll_times(150, &mut waiting).await.is_none());
    let mut last = Box::pin(third.acquire());
    assert!(poll_times(150, &mut last).await.is_none());
    assert_eq!(third.try_acquire().await.expect("asked").map(|guard| guard.token()), None);
    let standings = first.contenders().await.expect("listed");
    assert_eq!(standings.iter().map(|standing| standing.number).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(standings.iter().all(|standing| standing.data.as_deref() == Some(b"me")));
    let watched: Vec<_> = fake.world.lock().watches.iter().map(|(_, watch)| watch.path.clone()).collect();
    assert_eq!(watched, [standings[0].path.clone(), standings[1].path.clone()]);
    let token = held.token();
    held.release().await.expect("given back");
    let next = waiting.await.expect("its turn");
    assert!(next.token() > token);
    assert!(poll_times(150, &mut last).await.is_none());
    drop(next);
    drop(last.await.expect("its turn"));
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_anywhere_leaves_nothing_behind() {
    let faults =
        [Fault::None, Fault::CutBefore, Fault::CutAfter, Fault::Refuse(quorate_proto::v1::ErrorReason::Unavailable)];
    for (is_free, fault) in [true, false].into_iter().flat_map(|free| faults.map(|fault| (free, fault))) {
        for polls in (0..60).chain((60..).step_by(20)) {
            let fake = Fake::default();
            let holder = session(&fake).await;
            let waiter = session(&fake).await;
            let (held, wanted) = (Lock::new(&holder, "/lock"), Lock::new(&waiter, "/lock"));
            let guard = if is_free { None } else { Some(held.acquire().await.expect("nobody else")) };
            fake.world.lock().faults.push_back(fault);
            let acquired = poll_times(polls, wanted.acquire()).await;
            assert!(is_free || acquired.is_none());
            let is_over = acquired.is_some() || (!is_free && polls > 150);
            drop(acquired);
            // What is under way comes to its end; then only the holder stands in line, and the next can have it.
            let next = async {
                drop(guard);
                held.acquire().await
            };
            let next = tokio::time::timeout(TIMEOUT, next).await;
            let next = next.unwrap_or_else(|_| panic!("{polls} polls, then it was never free: {:?}", line(&fake)));
            let next = next.expect("acquired");
            eventually("only the holder is there", || line(&fake).len() == 1).await;
            assert!(next.fence().path().ends_with(&line(&fake)[0]));
            if is_over {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_stands_in_line_once() {
    for idempotent in [true, false] {
        let fake = Fake::default();
        let client = fake.builder().idempotent_writes(idempotent).build();
        let session = client.open_session(TIMEOUT).await.expect("opened");
        session.create("/lock", "").await.expect("connected");
        fake.world.lock().faults.push_back(Fault::CutAfter);
        let guard = Lock::new(&session, "/lock").acquire().await.expect("acquired");
        assert_eq!(line(&fake), [guard.fence().path().trim_start_matches("/lock/")]);
        let stat = session.children("/lock").with_stat().await.expect("listed").children[0].stat;
        assert_eq!(stat.map(|stat| stat.czxid), Some(guard.token()));
        guard.release().await.expect("given back");
        assert!(line(&fake).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_takes_effect_late_stands_in_nobodys_way() {
    for polls in 0..40 {
        let fake = Fake::default();
        let session = session(&fake).await;
        session.create("/lock", "").await.expect("connected");
        let lock = Lock::new(&session, "/lock");
        fake.world.lock().faults.push_back(Fault::CutLate);
        drop(poll_times(polls, lock.acquire()).await);
        tokio::time::sleep(2 * TIMEOUT).await;
        assert!(line(&fake).is_empty(), "after {polls} polls: {:?}", line(&fake));
    }
}

#[tokio::test(start_paused = true)]
async fn contenders_of_other_fleets_count() {
    for name in ["a1b2__lock__0000000000", "a1b2__rlock__0000000000", "_c_x-lock-0000000000", "_c_x-latch-0000000000"] {
        let fake = Fake::default();
        let session = session(&fake).await;
        let other = format!("/lock/{name}");
        fake.world.lock().set_all(&["/lock", &other, "/lock/unrelated", "/lock/lease-0000000000"], "");
        fake.world.lock().numbered.insert("/lock".to_owned(), 1);
        let lock = Lock::new(&session, "/lock");
        let mut waiting = Box::pin(lock.acquire());
        assert!(poll_times(150, &mut waiting).await.is_none(), "{name}");
        fake.world.lock().delete_all(&[other]);
        drop(waiting.await.expect("its turn"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_is_lost_before_its_session_can_expire() {
    let fake = Fake::default();
    let session = session(&fake).await;
    let mut states = session.connection_states();
    assert_eq!(states.next().await, Some(ConnectionState::Connected));
    let guard = Lock::new(&session, "/lock").acquire().await.expect("nobody else");
    tokio::time::sleep(3 * TIMEOUT).await;
    assert!(guard.is_held() && guard.lost().now_or_never().is_none());
    fake.world.lock().down.extend([1, 2]);
    fake.cut_all();
    let began = tokio::time::Instant::now();
    assert_eq!(states.next().await, Some(ConnectionState::Suspended));
    assert!(guard.is_held(), "it lives");
    assert_eq!(guard.lost().await.reason(), Reason::SessionExpired);
    let after = began.elapsed();
    assert!(after <= TIMEOUT && after >= TIMEOUT / 2, "{after:?}");
    assert!(!guard.is_held());
    assert_eq!(session.state(), SessionState::Suspended, "nobody knows");
    assert_eq!(states.next().await, Some(ConnectionState::Lost));
    assert_eq!(Lock::new(&session, "/lock").acquire().await.expect_err("lost").reason(), Reason::SessionExpired);
    fake.world.lock().down.clear();
    assert_eq!(states.next().await, Some(ConnectionState::Reconnected));
    assert!(guard.is_held());
    fake.world.lock().delete_all(&[guard.fence().path().to_owned()]);
    assert_eq!(guard.lost().await.reason(), Reason::NoNode);
    fake.world.lock().end_session(1);
    fake.cut_all();
    assert_eq!(states.next().await, Some(ConnectionState::Suspended));
    assert_eq!(states.next().await, Some(ConnectionState::Lost));
    assert_eq!(states.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn work_under_a_guard_ends_when_somebody_deletes_its_znode() {
    let fake = Fake::default();
    fake.world.lock().watch_faults.extend([(1, WatchFault::Cut), (2, WatchFault::Lag), (1, WatchFault::Unavailable)]);
    let session = session(&fake).await;
    let guard = Lock::new(&session, "/lock").acquire().await.expect("nobody else");
    assert_eq!(guard.run(async { 7 }).await, Ok(7));
    let path = guard.fence().path().to_owned();
    let deleting = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fake.world.lock().delete_all(&[path]);
    };
    let (outcome, ()) = tokio::join!(guard.run(std::future::pending::<()>()), deleting);
    assert_eq!(outcome.expect_err("it was lost").reason(), Reason::NoNode);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_ends_waiting_and_what_waits() {
    let fake = Fake::default();
    let (holder, waiter) = (session(&fake).await, session(&fake).await);
    let _guard = Lock::new(&holder, "/lock").acquire().await.expect("nobody else");
    let lock = Lock::new(&waiter, "/lock");
    let mut waiting = Box::pin(lock.acquire());
    assert!(poll_times(150, &mut waiting).await.is_none());
    waiter.close().await.expect("closed");
    assert_eq!(waiting.await.expect_err("it is over").reason(), Reason::Closed);
    assert_eq!(line(&fake).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn its_holder_can_have_a_reentrant_lock_again() {
    let fake = Fake::default();
    let session = session(&fake).await;
    let mine = ReentrantLock::new(Lock::new(&session, "/lock"));
    let other = ReentrantLock::new(Lock::new(&session, "/lock"));
    let (outer, inner) = tokio::join!(mine.acquire(), mine.acquire());
    let (outer, inner) = (outer.expect("acquired"), inner.expect("again"));
    assert_eq!((outer.token(), line(&fake).len()), (inner.token(), 1));
    let mut waiting = Box::pin(other.acquire());
    assert!(poll_times(150, &mut waiting).await.is_none());
    drop(outer);
    assert!(poll_times(150, &mut waiting).await.is_none());
    inner.release().await.expect("given back");
    drop(waiting.await.expect("its turn"));
}
