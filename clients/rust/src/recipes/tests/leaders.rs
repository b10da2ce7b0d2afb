//! Leaders that hear nothing of the ensemble.

use std::sync::Arc;

use tokio::time::Instant;

use super::{TIMEOUT, eventually, poll_times, session};
use crate::Reason;
use crate::fake::Fake;
use crate::recipes::{DoubleBarrier, LeaderElector, LeaderLatch, Leadership, RwLock, Semaphore};

fn cut_off(fake: &Fake) {
    fake.world.lock().down.extend([1, 2]);
    fake.cut_all();
}

#[tokio::test(start_paused = true)]
async fn a_latch_that_hears_nothing_stops_leading_in_time_and_stands_again_if_its_session_lives() {
    let fake = Fake::default();
    let session = session(&fake).await;
    let latch = LeaderLatch::start(&session, "/latch", "me");
    let first = latch.wait().await.expect("nobody else");
    assert!(latch.is_leading());
    assert_eq!(latch.candidates().await.expect("listed").len(), 1);
    cut_off(&fake);
    let began = Instant::now();
    let mut leaderships = latch.leaderships();
    leaderships.wait_for(|leadership| matches!(leadership, Leadership::Waiting)).await.expect("it goes on");
    assert!(began.elapsed() <= TIMEOUT && !latch.is_leading());
    tokio::time::sleep(TIMEOUT).await;
    fake.world.lock().down.clear();
    let second = latch.wait().await.expect("nobody else");
    assert!(second.token() > first.token() && latch.is_leading());
    eventually("the old znode is gone", || fake.world.lock().children("/latch").len() == 1).await;
    latch.close().await;
    assert!(fake.world.lock().children("/latch").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_latch_ends_with_its_session() {
    let fake = Fake::default();
    let session = session(&fake).await;
    let latch = LeaderLatch::start(&session, "/latch", "me");
    latch.wait().await.expect("nobody else");
    fake.world.lock().end_session(session.id());
    let mut leaderships = latch.leaderships();
    leaderships.wait_for(|leadership| matches!(leadership, Leadership::Ended(_))).await.expect("told");
    assert_eq!(latch.wait().await.expect_err("over").reason(), Reason::SessionExpired);
    latch.close().await;
}

#[tokio::test(start_paused = true)]
async fn work_of_a_leader_that_hears_nothing_is_dropped_in_time() {
    let fake = Fake::default();
    let session = session(&fake).await;
    let elector = LeaderElector::new(&session, "/elector");
    assert_eq!(elector.lead(|fence| async move { fence.token() > 0 }).await, Ok(true));
    let (kept, works) = (Arc::new(()), Arc::new(tokio::sync::Notify::new()));
    let (keeps, tells) = (Arc::clone(&kept), Arc::clone(&works));
    let leading = elector.lead(|_| async move {
        let _keeps = keeps;
        tells.notify_one();
        std::future::pending::<()>().await;
    });
    let silence = async {
        works.notified().await;
        cut_off(&fake);
        Instant::now()
    };
    let (led, began) = tokio::join!(leading, silence);
    assert_eq!(led.expect_err("lost").reason(), Reason::SessionExpired);
    assert!(began.elapsed() <= TIMEOUT);
    assert_eq!(Arc::strong_count(&kept), 1, "it was dropped");
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_at_another_recipe_leaves_nothing_behind_either() {
    for polls in (0..40).chain([60, 80, 100, 120]) {
        let fake = Fake::default();
        let session = session(&fake).await;
        let other = super::session(&fake).await;
        let lock = RwLock::new(&other, "/rw");
        let held = lock.write().await.expect("nobody else");
        assert!(poll_times(polls, RwLock::new(&session, "/rw").read()).await.is_none());
        assert!(poll_times(polls, DoubleBarrier::new(&session, "/double", 2).enter()).await.is_none());
        drop(poll_times(polls, Semaphore::new(&session, "/semaphore", 1).acquire()).await);
        eventually("nothing is left", || {
            let world = fake.world.lock();
            let left = ["/double", "/semaphore/locks", "/semaphore/leases"].map(|path| world.children(path).len());
            world.children("/rw").len() == 1 && left == [0, 0, 0]
        })
        .await;
        held.release().await.expect("given back");
    }
}
