//! Queues while the leader dies: nothing is lost, nothing comes twice.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::join_all;
use quorate_client::recipes::{LockingQueue, Queue};
use tokio::sync::watch;

use super::{PATIENCE, ensemble, sessions};

const PRODUCERS: usize = 2;
const ENTRIES: usize = 80;
const TAKERS: usize = 3;

/// What was taken by anybody, until all is.
struct Taken {
    entries: watch::Sender<Vec<String>>,
    expected: usize,
}

impl Taken {
    fn expecting(expected: usize) -> Taken {
        Taken { entries: watch::Sender::default(), expected }
    }

    fn add(&self, entry: Bytes) {
        self.entries.send_modify(|entries| entries.push(String::from_utf8(entry.to_vec()).unwrap()));
    }

    async fn reach(&self, count: usize) {
        self.entries.subscribe().wait_for(|entries| entries.len() >= count).await.unwrap();
    }

    /// What comes next, unless there is nothing to come: so nothing is given up in the middle.
    async fn or_all<T>(&self, next: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            next = next => Some(next),
            () = self.reach(self.expected) => None,
        }
    }

    fn count(&self) -> usize {
        self.entries.borrow().len()
    }

    fn different(&self) -> BTreeSet<String> {
        self.entries.borrow().iter().cloned().collect()
    }
}

#[tokio::test]
async fn every_entry_is_taken_once() {
    let (mut ensemble, leader) = ensemble().await;
    let queue = |at: usize| {
        let mut servers = [1, 2, 3];
        servers.rotate_left(at % 3);
        Queue::new(&ensemble.client(&servers).build(), "/queue")
    };
    let producers: Vec<_> = (0..PRODUCERS).map(queue).collect();
    let takers: Vec<_> = (PRODUCERS..PRODUCERS + TAKERS).map(queue).collect();
    let taken = Taken::expecting(PRODUCERS * ENTRIES);
    let put = |(at, queue): (usize, Queue)| async move {
        for entry in 0..ENTRIES {
            queue.put(format!("{at}-{entry:03}")).await.unwrap();
        }
    };
    let take = |queue: Queue| {
        let taken = &taken;
        async move {
            while let Some(entry) = taken.or_all(queue.take()).await {
                taken.add(entry.unwrap());
            }
        }
    };
    let killing = async {
        taken.reach(ENTRIES / 2).await;
        ensemble.kill(leader);
    };
    let all = async {
        tokio::join!(
            join_all(producers.into_iter().enumerate().map(put)),
            join_all(takers.into_iter().map(take)),
            killing
        )
    };
    let in_time = tokio::time::timeout(PATIENCE, all).await.is_ok();
    let put: BTreeSet<_> =
        (0..PRODUCERS).flat_map(|at| (0..ENTRIES).map(move |entry| format!("{at}-{entry:03}"))).collect();
    let missing: Vec<_> = put.difference(&taken.different()).cloned().collect();
    assert!(in_time && missing.is_empty(), "missing: {missing:?}");
    assert_eq!(taken.count(), put.len(), "none came twice");
}

#[tokio::test]
async fn entries_are_taken_by_priority_and_then_in_their_order() {
    let (ensemble, _) = ensemble().await;
    let client = ensemble.client(&[1, 2, 3]).build();
    let queue = Queue::new(&client, "/deep/down/queue");
    for (data, priority) in [("c", 100), ("e", 999), ("a", 0), ("d", 100), ("b", 7)] {
        queue.put_with_priority(data, priority).await.unwrap();
    }
    assert!(queue.put_with_priority("", 1_000).await.is_err());
    assert_eq!(queue.count().await.unwrap(), 5);
    for expected in ["a", "b", "c", "d", "e"] {
        assert_eq!(queue.take().await.unwrap(), expected);
    }
    let (taken, put) = tokio::join!(queue.take(), queue.put("late"));
    put.unwrap();
    assert_eq!(taken.unwrap(), "late");
}

#[tokio::test]
async fn an_entry_that_was_taken_comes_back_unless_it_is_completed() {
    let (mut ensemble, leader) = ensemble().await;
    let sessions = sessions(&ensemble, 3).await;
    let [first, second, third] = [0, 1, 2].map(|at| LockingQueue::new(&sessions[at], "/locking"));
    for entry in 0..20 {
        first.put(format!("{entry:02}")).await.unwrap();
    }
    let (given_back, dropped) = (first.take().await.unwrap(), first.take().await.unwrap());
    assert_eq!((given_back.data().as_ref(), dropped.data().as_ref()), (b"00".as_slice(), b"01".as_slice()));
    let token = given_back.token();
    given_back.give_back().await.unwrap();
    let again = second.take().await.unwrap();
    assert_eq!(again.data(), "00");
    assert!(again.token() > token);
    drop(dropped);
    again.complete().await.unwrap();

    // Everybody works; one of them with many entries in its hands when its session ends.
    let hoard = join_all((0..5).map(|_| third.take())).await;
    let done = Taken::expecting(19);
    let work = |queue: LockingQueue| {
        let done = &done;
        async move {
            while let Some(taken) = done.or_all(queue.take()).await {
                let taken = taken.unwrap();
                let data = taken.data().clone();
                taken.complete().await.unwrap();
                done.add(data);
            }
        }
    };
    let [one, two, ends] = <[_; 3]>::try_from(sessions).unwrap();
    let failing = async {
        done.reach(5).await;
        ensemble.kill(leader);
        ends.close().await.unwrap();
    };
    let all = async { tokio::join!(work(first), work(second), failing) };
    tokio::time::timeout(PATIENCE, all).await.expect("all is done");
    assert_eq!((done.count(), done.different().len()), (19, 19), "each entry was completed once");
    for late in hoard {
        assert!(late.unwrap().complete().await.is_err(), "it is somebody else's");
    }
    for session in [one, two] {
        session.close().await.unwrap();
    }
}
