//! Locks, read-write locks and permits while the leader dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use quorate_client::recipes::{Lock, RwLock, Semaphore};
use quorate_client::{Consistency, Session};
use tokio::sync::Mutex;

use super::{PATIENCE, ensemble, sessions};

/// Turns of each contender.
const TURNS: usize = 12;

/// How long something is held.
const HELD: Duration = Duration::from_millis(5);

/// Who is inside at this moment: -1 stands for one who writes.
#[derive(Clone, Default)]
struct Inside(Arc<AtomicI64>);

impl Inside {
    async fn alone(&self) {
        assert_eq!(self.0.fetch_sub(1, Ordering::SeqCst), 0, "it is not alone");
        tokio::time::sleep(HELD).await;
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), -1, "it was not alone");
    }

    async fn with_at_most(&self, count: i64) {
        let inside = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        assert!((1..=count).contains(&inside), "{inside} are inside");
        tokio::time::sleep(HELD).await;
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn children(session: &Session, path: &str) -> usize {
    let stat = session.exists(path).consistency(Consistency::Linearizable).await.unwrap().stat;
    stat.map_or(0, |stat| stat.num_children as usize)
}

#[tokio::test]
async fn a_lock_is_held_by_one_at_a_time_in_the_order_of_its_tokens() {
    let (mut ensemble, leader) = ensemble().await;
    let sessions = sessions(&ensemble, 4).await;
    sessions[0].create("/guarded", "0").await.unwrap();
    let (inside, tokens) = (Inside::default(), Mutex::new(Vec::new()));
    let turns = |session| {
        let (inside, tokens) = (&inside, &tokens);
        async move {
            let lock = Lock::new(session, "/lock");
            for _ in 0..TURNS {
                let guard = lock.acquire().await.unwrap();
                tokens.lock().await.push(guard.token());
                inside.alone().await;
                // Two changes that belong together, of which nobody else sees one alone.
                let znode = session.get("/guarded").await.unwrap();
                let count: usize = String::from_utf8(znode.data.unwrap().to_vec()).unwrap().parse().unwrap();
                let set = session.set("/guarded", (count + 1).to_string());
                session.multi().add(guard.fence().check()).add(set).await.unwrap().into_result().unwrap();
                if count.is_multiple_of(2) {
                    guard.release().await.unwrap();
                }
            }
        }
    };
    let killing = async {
        while tokens.lock().await.len() < TURNS {
            tokio::time::sleep(HELD).await;
        }
        ensemble.kill(leader);
    };
    let all = async { tokio::join!(join_all(sessions.iter().map(turns)), killing) };
    tokio::time::timeout(PATIENCE, all).await.expect("everybody gets the lock");
    let count = sessions[1].get("/guarded").consistency(Consistency::Linearizable).await.unwrap().data.unwrap();
    assert_eq!(count.as_ref(), (4 * TURNS).to_string().as_bytes());
    let tokens = tokens.into_inner();
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
    // Whoever gives up while it waits leaves nothing behind.
    let held = Lock::new(&sessions[0], "/lock").acquire().await.unwrap();
    let wanted = Lock::new(&sessions[1], "/lock");
    for patience_ms in 0..20 {
        let waited = tokio::time::timeout(Duration::from_millis(patience_ms), wanted.acquire()).await;
        assert!(waited.is_err(), "it is held");
    }
    ensemble
        .wait_for("those who gave up to be gone", async || (children(&sessions[2], "/lock").await == 1).then_some(()))
        .await;
    held.release().await.unwrap();
    assert!(wanted.try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn readers_share_what_writers_have_alone() {
    let (mut ensemble, leader) = ensemble().await;
    let sessions = sessions(&ensemble, 5).await;
    let inside = Inside::default();
    let locks = sessions.iter().map(|session| RwLock::new(session, "/rw"));
    let turns = |(at, lock): (usize, RwLock)| {
        let inside = &inside;
        async move {
            for _ in 0..TURNS {
                if at < 2 {
                    let guard = lock.write().await.unwrap();
                    inside.alone().await;
                    drop(guard);
                } else {
                    let guard = lock.read().await.unwrap();
                    inside.with_at_most(3).await;
                    drop(guard);
                }
            }
        }
    };
    let killing = async {
        tokio::time::sleep(10 * HELD).await;
        ensemble.kill(leader);
    };
    let all = async { tokio::join!(join_all(locks.enumerate().map(turns)), killing) };
    tokio::time::timeout(PATIENCE, all).await.expect("everybody gets the lock");
    // Readers are there at once, and a writer between them separates them.
    let [first, second, third] = [0, 1, 2].map(|at| RwLock::new(&sessions[at], "/rw"));
    let (one, two) = tokio::join!(first.read(), second.read());
    let mut writing = Box::pin(third.write());
    assert!(tokio::time::timeout(20 * HELD, &mut writing).await.is_err());
    let mut late = Box::pin(first.read());
    assert!(tokio::time::timeout(20 * HELD, &mut late).await.is_err(), "it came after a writer");
    drop((one.unwrap(), two.unwrap()));
    let written = writing.await.unwrap();
    assert!(tokio::time::timeout(20 * HELD, &mut late).await.is_err(), "the writer is there");
    written.release().await.unwrap();
    late.await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn no_more_than_so_many_have_a_permit() {
    let (mut ensemble, leader) = ensemble().await;
    let sessions = sessions(&ensemble, 5).await;
    let inside = Inside::default();
    let turns = |session| {
        let inside = &inside;
        async move {
            let semaphore = Semaphore::new(session, "/semaphore", 2);
            for _ in 0..TURNS {
                let permit = semaphore.acquire().await.unwrap();
                inside.with_at_most(2).await;
                drop(permit);
            }
        }
    };
    let killing = async {
        tokio::time::sleep(10 * HELD).await;
        ensemble.kill(leader);
    };
    let all = async { tokio::join!(join_all(sessions.iter().map(turns)), killing) };
    tokio::time::timeout(PATIENCE, all).await.expect("everybody gets a permit");
    let semaphore = Semaphore::new(&sessions[0], "/semaphore", 2);
    let (one, two) = tokio::join!(semaphore.acquire(), semaphore.acquire());
    assert!(tokio::time::timeout(20 * HELD, semaphore.acquire()).await.is_err());
    drop(one.unwrap());
    semaphore.acquire().await.unwrap().release().await.unwrap();
    two.unwrap().release().await.unwrap();
}
