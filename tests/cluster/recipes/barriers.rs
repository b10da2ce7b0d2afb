//! Barriers: who waits for whom.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use quorate_client::recipes::{Barrier, DoubleBarrier};

use super::{PATIENCE, ensemble, sessions};

const ROUNDS: usize = 6;

#[tokio::test]
async fn a_double_barrier_lets_all_in_together_and_out_together_again_and_again() {
    let (ensemble, _) = ensemble().await;
    let sessions = sessions(&ensemble, 3).await;
    let (came, went) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let barriers = sessions.iter().map(|session| DoubleBarrier::new(session, "/double", 3));
    let rounds = |(at, barrier): (usize, DoubleBarrier)| {
        let (came, went) = (&came, &went);
        async move {
            for round in 1..=ROUNDS {
                tokio::time::sleep(Duration::from_millis(((at + round) % 3 * 7) as u64)).await;
                came.fetch_add(1, Ordering::SeqCst);
                let inside = barrier.enter().await.unwrap();
                assert!(came.load(Ordering::SeqCst) >= 3 * round, "all have come");
                went.fetch_add(1, Ordering::SeqCst);
                inside.leave().await.unwrap();
                assert!(went.load(Ordering::SeqCst) >= 3 * round, "all have gone");
            }
        }
    };
    let all = join_all(barriers.enumerate().map(rounds));
    tokio::time::timeout(PATIENCE, all).await.expect("all rounds");
    // Whoever ends inside does not keep the others.
    let [first, second, third] = <[_; 3]>::try_from(sessions).unwrap();
    let barriers = [&first, &second, &third].map(|session| DoubleBarrier::new(session, "/double", 3));
    let (one, two, three) = tokio::join!(barriers[0].enter(), barriers[1].enter(), barriers[2].enter());
    let (one, two, _three) = (one.unwrap(), two.unwrap(), three.unwrap());
    let mut leaving = Box::pin(async { tokio::join!(one.leave(), two.leave()) });
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut leaving).await.is_err());
    third.close().await.unwrap();
    let (one, two) = leaving.await;
    one.and(two).unwrap();
}

#[tokio::test]
async fn a_barrier_holds_until_it_is_lifted() {
    let (ensemble, _) = ensemble().await;
    let barriers = [1, 2].map(|at| Barrier::new(&ensemble.client(&[at]).build(), "/gates/north"));
    barriers[1].wait().await.unwrap();
    barriers[0].raise().await.unwrap();
    barriers[0].raise().await.unwrap();
    let mut waiting = Box::pin(barriers[0].wait());
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    barriers[1].lift().await.unwrap();
    waiting.await.unwrap();
    barriers[1].lift().await.unwrap();
}
