//! Leaders: one at a time, as long as it can, and then another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate_client::recipes::{LeaderElector, LeaderLatch, Leadership};
use quorate_client::{CreateMode, Reason};

use super::{PATIENCE, ensemble, sessions};

#[tokio::test]
async fn leadership_of_a_latch_goes_from_one_to_the_next() {
    let (mut ensemble, leader) = ensemble().await;
    let sessions = sessions(&ensemble, 3).await;
    // Somebody of another fleet leads.
    sessions[0].create("/latch/9f__lock__", "kazoo").mode(CreateMode::PersistentSequential).parents().await.unwrap();
    let mut latches: Vec<LeaderLatch> = Vec::new();
    for (at, session) in sessions.iter().enumerate() {
        latches.push(LeaderLatch::start(session, "/latch", at.to_string()));
        let stands = async || (latches[at].candidates().await.unwrap().len() == at + 2).then_some(());
        ensemble.wait_for("it to stand", stands).await;
    }
    let candidates = latches[2].candidates().await.unwrap();
    let words: Vec<_> = candidates.iter().map(|candidate| candidate.data.clone().unwrap()).collect();
    assert_eq!(words, ["kazoo", "0", "1", "2"]);
    assert!(latches.iter().all(|latch| !latch.is_leading()));
    sessions[0].delete(&candidates[0].path).await.unwrap();
    let first = latches[0].wait().await.unwrap();
    assert!(latches[0].is_leading() && !latches[1].is_leading());

    // The death of the ensemble's leader is nothing to it.
    ensemble.kill(leader);
    sessions[2].sync().await.unwrap();
    assert!(latches[0].is_leading());
    assert_eq!(latches[0].wait().await.unwrap().token(), first.token());

    // Deposed by hand, it stands again, behind the others.
    let mut leaderships = latches[0].leaderships();
    leaderships.borrow_and_update();
    sessions[2].delete(first.path()).await.unwrap();
    let second = latches[1].wait().await.unwrap();
    assert!(second.token() > first.token());
    leaderships.wait_for(|leadership| matches!(leadership, Leadership::Waiting)).await.unwrap();
    let again = async || (latches[0].candidates().await.unwrap().len() == 3).then_some(());
    ensemble.wait_for("it to stand again", again).await;

    latches.remove(1).close().await;
    let [latch_of_first, latch_of_third] = &latches[..] else { panic!("two are left") };
    let third = latch_of_third.wait().await.unwrap();
    assert!(third.token() > second.token());
    let [_, _, session_of_third] = <[_; 3]>::try_from(sessions).unwrap();
    session_of_third.close().await.unwrap();
    assert!(!latch_of_third.is_leading());
    assert_eq!(latch_of_third.wait().await.unwrap_err().reason(), Reason::Closed);
    let _ = latch_of_first;
}

#[tokio::test]
async fn an_elector_has_its_work_done_by_one_at_a_time_and_drops_it_when_it_is_deposed() {
    let (ensemble, _) = ensemble().await;
    let sessions = sessions(&ensemble, 3).await;
    let newest = Arc::new(AtomicU64::new(0));
    let terms = sessions.iter().map(|session| {
        let newest = Arc::clone(&newest);
        async move {
            let elector = LeaderElector::new(session, "/elector");
            for _ in 0..5 {
                let newest = Arc::clone(&newest);
                let work = async move |token: u64| {
                    assert!(newest.swap(token, Ordering::SeqCst) < token);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    assert_eq!(newest.load(Ordering::SeqCst), token, "nobody else has led meanwhile");
                };
                elector.lead(|fence| work(fence.token())).await.unwrap();
            }
        }
    });
    tokio::time::timeout(PATIENCE, futures_util::future::join_all(terms)).await.expect("everybody leads");

    let elector = LeaderElector::new(&sessions[0], "/elector");
    let (sender, path) = tokio::sync::oneshot::channel();
    let leading = elector.lead(|fence| async move {
        sender.send(fence.path().to_owned()).unwrap();
        std::future::pending::<()>().await;
    });
    let deposing = async { sessions[1].delete(path.await.unwrap()).await.unwrap() };
    let (led, _) = tokio::join!(leading, deposing);
    assert_eq!(led.unwrap_err().reason(), Reason::NoNode);
}
