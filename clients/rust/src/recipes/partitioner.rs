//! `Partitioner`: divides a set of parts among all who are there.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::fence::Fence;
use super::line::{Contender, Line};
use super::lock::Lock;
use super::names::{Wish, split_number};
use super::patience::{below, until_children};
use crate::{Data, Error, Reason, Session};

/// Divides parts (shards, queues, hosts to look after) among all who work on the same path, evenly, and anew whenever
/// somebody comes or goes (kazoo's `SetPartitioner`). All have to name the same parts.
///
/// It promises that no two who live work on a part at once, as far as [`super::Lock`] promises that, and that every part
/// has somebody some time after the last coming or going. A part that is to go to another one is taken away by dropping the
/// work on it.
/// ```no_run
/// # async fn example(session: quorate_client::Session) {
/// use quorate_client::recipes::Partitioner;
///
/// let partitioner = Partitioner::new(&session, "/shards", (0..16).map(|shard| shard.to_string()));
/// let ended = partitioner
///     .run(|shard, fence| async move {
///         println!("working on {shard}, with token {}", fence.token());
///         std::future::pending().await
///     })
///     .await;
/// println!("not working any more: {ended}");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Partitioner {
    members: Line,
    /// By part.
    locks: BTreeMap<String, Lock>,
}

impl Partitioner {
    /// Of these parts, at a path, in the name of a session. The parts' names are parts of paths.
    #[must_use]
    pub fn new(session: &Session, path: &str, parts: impl IntoIterator<Item = String>) -> Partitioner {
        let parts_path = below(path, "parts");
        let lock = |part: String| {
            let lock = Lock::new(session, below(&parts_path, &part));
            (part, lock)
        };
        let locks = parts.into_iter().map(lock).collect();
        Partitioner { members: Line::new(session, below(path, "members")), locks }
    }

    /// Begins work on each part that falls to this one, when the one before has let go of it, and drops the work when the
    /// part goes to another one. Work that ends by itself is begun again only when the part has gone and come back. Goes on
    /// until it is dropped, which drops all work, or the session is lost.
    pub async fn run<F, W>(&self, begin: F) -> Error
    where
        F: Fn(String, Fence) -> W,
        W: Future<Output = ()>,
    {
        match self.work(begin).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn work<F, W>(&self, begin: F) -> Result<std::convert::Infallible, Error>
    where
        F: Fn(String, Fence) -> W,
        W: Future<Output = ()>,
    {
        let holder = &self.members.holder;
        let (_here, stand) = Contender::enter(&self.members, Wish::Part, &Data::null()).await?;
        let begin = &begin;
        // The senders of parts that are worked on: without one, work ends.
        let mut mine: BTreeMap<&str, oneshot::Sender<()>> = BTreeMap::new();
        let mut working = FuturesUnordered::new();
        loop {
            let known: BTreeSet<&str> = mine.keys().copied().collect();
            let change = until_children(&holder.client, &self.members.directory, |members| {
                let share = self.share(&stand.path, members.keys());
                (share.as_ref() != Some(&known)).then_some(share)
            });
            let share = tokio::select! {
                biased;
                error = holder.lost() => return Err(error),
                Some(worked) = working.next() => {
                    worked?;
                    continue;
                }
                share = change => share?,
            };
            let gone = || Error::new(Reason::NoNode, "somebody else has deleted the member's znode");
            let share = share.ok_or_else(gone)?;
            mine.retain(|part, _| share.contains(part));
            for (part, lock) in &self.locks {
                if share.contains(part.as_str()) && !mine.contains_key(part.as_str()) {
                    let (stop, stopped) = oneshot::channel();
                    mine.insert(part, stop);
                    working.push(async move {
                        tokio::select! {
                            biased;
                            _ = stopped => Ok(()),
                            worked = work_on(part, lock, begin) => worked,
                        }
                    });
                }
            }
        }
    }

    /// The parts of one of the members; `None` if it is not one.
    fn share<'a>(&self, own: &str, members: impl Iterator<Item = &'a String>) -> Option<BTreeSet<&str>> {
        let mut numbered: Vec<(u64, &str)> =
            members.filter_map(|path| Some((split_number(path)?.1, path.as_str()))).collect();
        numbered.sort_unstable();
        let at = numbered.iter().position(|(_, path)| *path == own)?;
        Some(self.locks.keys().map(String::as_str).skip(at).step_by(numbered.len()).collect())
    }
}

/// Works on a part whenever its lock can be had, until this is dropped.
async fn work_on<F, W>(part: &str, lock: &Lock, begin: &F) -> Result<(), Error>
where
    F: Fn(String, Fence) -> W,
    W: Future<Output = ()>,
{
    loop {
        let guard = lock.acquire().await?;
        let work = async {
            begin(part.to_owned(), guard.fence()).await;
            // It stays this one's, so that nobody else does it again.
            std::future::pending::<std::convert::Infallible>().await
        };
        match guard.run(work).await {
            Ok(never) => match never {},
            // Taken away by hand.
            Err(error) if error.reason() == Reason::NoNode => {}
            Err(error) => return Err(error),
        }
    }
}
