//! Parts that are divided among those who are there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use quorate_client::recipes::Partitioner;
use quorate_client::{Reason, Session};

use super::{ensemble, sessions};

const PARTS: usize = 7;

/// Who works on which part at this moment.
#[derive(Clone, Default)]
struct Working(Arc<Mutex<BTreeMap<String, usize>>>);

/// Work of somebody on a part, as long as this is not dropped.
struct Work(Working, String);

impl Working {
    fn begin(&self, part: &str, at: usize) -> Work {
        let other = self.0.lock().unwrap().insert(part.to_owned(), at);
        assert_eq!(other, None, "{at} begins on {part}");
        Work(self.clone(), part.to_owned())
    }

    /// How many parts each one works on, if all are worked on.
    fn shares(&self) -> Option<Vec<usize>> {
        let working = self.0.lock().unwrap();
        let mut shares = BTreeMap::new();
        working.values().for_each(|at| *shares.entry(*at).or_insert(0) += 1);
        (working.len() == PARTS).then(|| shares.into_values().collect())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().remove(&self.1);
    }
}

#[tokio::test]
async fn parts_are_divided_among_those_who_are_there() {
    let (mut ensemble, leader) = ensemble().await;
    let sessions = sessions(&ensemble, 3).await;
    let working = Working::default();
    let start = |(at, session): (usize, &Session)| {
        let partitioner = Partitioner::new(session, "/parts", (0..PARTS).map(|part| part.to_string()));
        let working = working.clone();
        tokio::spawn(async move {
            let work = |part: String, _| {
                let work = working.begin(&part, at);
                async move {
                    let _work = work;
                    std::future::pending().await
                }
            };
            partitioner.run(work).await
        })
    };
    let mut tasks = Vec::new();
    for (at, expected) in [vec![7], vec![4, 3], vec![3, 2, 2]].into_iter().enumerate() {
        tasks.push(start((at, &sessions[at])));
        ensemble.wait_for("fair shares", async || (working.shares() == Some(expected.clone())).then_some(())).await;
    }
    ensemble.kill(leader);
    // One goes with its session, one because its future is dropped.
    let [first, second, third] = <[_; 3]>::try_from(sessions).unwrap();
    first.close().await.unwrap();
    ensemble.wait_for("two shares", async || (working.shares() == Some(vec![4, 3])).then_some(())).await;
    // That its znode is gone may be told before the end of the session.
    let ended = tasks.remove(0).await.unwrap().reason();
    assert!(matches!(ended, Reason::Closed | Reason::NoNode), "{ended}");
    tasks.remove(0).abort();
    ensemble.wait_for("all for one", async || (working.shares() == Some(vec![7])).then_some(())).await;
    second.close().await.unwrap();
    third.close().await.unwrap();
    tasks.remove(0).await.unwrap();
    assert_eq!(working.shares(), None);
}
