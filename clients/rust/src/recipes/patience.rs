//! What all recipes need of a client: a call made until it is answered, all of a listing, the end of a znode.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use crate::backoff::Backoff;
use crate::request_ids::RequestIds;
use crate::{Child, Client, CreateMode, Data, Error, Event, EventKind, Reason, Stat, Watch, WatchEvent, WatchKind};

/// How often something has failed that is tried again.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
}

impl Patience {
    /// Waits until it is time to try again.
    ///
    /// # Errors
    /// That which it is given, if trying again is of no use.
    pub(super) async fn again(&mut self, error: Error) -> Result<(), Error> {
        if !error.is_retryable() {
            return Err(error);
        }
        self.failures += 1;
        tracing::debug!(%error, "a recipe tries again");
        let wait = Backoff::UNAVAILABLE.wait(self.failures).max(error.retry_after().unwrap_or_default());
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Makes a call again and again until it succeeds or fails for good. Only for what does not mind being done twice.
pub(super) async fn persist<T, C>(call: impl FnMut() -> C) -> Result<T, Error>
where
    C: Future<Output = Result<T, Error>>,
{
    persist_unless(|_| false, call).await
}

/// Likewise, for a write that must not be made again once it may have been made.
pub(super) async fn persist_undoubted<T, C>(call: impl FnMut() -> C) -> Result<T, Error>
where
    C: Future<Output = Result<T, Error>>,
{
    persist_unless(Error::maybe_applied, call).await
}

async fn persist_unless<T, C>(is_final: impl Fn(&Error) -> bool, mut call: impl FnMut() -> C) -> Result<T, Error>
where
    C: Future<Output = Result<T, Error>>,
{
    let mut patience = Patience::default();
    loop {
        match call().await {
            Ok(done) => return Ok(done),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => patience.again(error).await?,
        }
    }
}

/// A path below another one.
pub(super) fn below(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// The last part of a path.
pub(super) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// All children, page by page; none if there is no such znode. A child that was there all the time is listed.
pub(super) async fn list(client: &Client, path: &str, with_data: bool) -> Result<Vec<Child>, Error> {
    let mut all: Vec<Child> = Vec::new();
    loop {
        let after = all.last().map_or("", |last| last.name.as_str());
        let call = client.children(path).after(after);
        let call = if with_data { call.with_data() } else { call };
        match persist(|| call.clone().send()).await {
            Ok(page) => {
                let more = page.more && !page.children.is_empty();
                all.extend(page.children);
                if !more {
                    return Ok(all);
                }
            }
            Err(error) if error.reason() == Reason::NoNode => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}

/// Deletes a znode unless it is gone already. Returns a txn by which it was.
pub(super) async fn delete(client: &Client, path: &str) -> Result<u64, Error> {
    match persist(|| client.delete(path).send()).await {
        Ok(deleted) => Ok(deleted.zxid),
        Err(error) if error.reason() == Reason::NoNode => Ok(error.zxid().unwrap_or(u64::MAX)),
        Err(error) => Err(error),
    }
}

/// Returns when all that the session has written before is decided, and would be seen by its reads: also what was given up
/// unanswered, and may have got stuck on its way through a server that the session has left.
///
/// It makes and deletes a znode of this path, since only a write that takes effect tells the ensemble which earlier ones
/// nobody waits for any more; those are refused from then on. Where writes have no names, one that got stuck may still be
/// made later.
pub(super) async fn settle(client: &Client, path: &str) -> Result<(), Error> {
    let newest = client.request_ids().map_or(0, RequestIds::newest);
    let create = client.create(path, Data::null()).mode(CreateMode::Ephemeral);
    loop {
        match persist(|| create.clone().send()).await {
            Ok(_) => break,
            Err(error) => match error.reason() {
                // By an attempt whose answer was lost.
                Reason::NodeExists => break,
                Reason::NoParent | Reason::NoNode => {
                    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                    ensure_directory(client, parent).await?;
                }
                _ => return Err(error),
            },
        }
    }
    // Every write under way is finished some time, if only because its time is up.
    let mut looks = 0;
    while client.request_ids().is_some_and(|ids| ids.finished_through() < newest) {
        looks += 1;
        tokio::time::sleep(Backoff::UNAVAILABLE.wait(looks)).await;
    }
    delete(client, path).await.map(|_| ())
}

/// Creates a directory that goes by itself some time after its last child, unless there is one.
pub(super) async fn ensure_directory(client: &Client, path: &str) -> Result<(), Error> {
    match persist(|| client.create(path, Data::null()).mode(CreateMode::Container).parents().send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.reason() == Reason::NodeExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a watch tells next.
///
/// # Errors
/// Why it has ended; one that just ends has lost its connection.
pub(super) async fn told(watch: &mut Watch) -> Result<WatchEvent, Error> {
    match watch.next().await {
        Some(told) => told,
        None => Err(Error::new(Reason::ConnectionLost, "the watch has ended")),
    }
}

/// Returns when there is no such znode, or has been none at a moment since this was called.
pub(super) async fn gone(client: &Client, path: &str) -> Result<(), Error> {
    let look = |znodes: &BTreeMap<String, Stat>| (!znodes.contains_key(path)).then_some(());
    follow_until(client, path, WatchKind::Node, look).await
}

/// Returns when a znode was created or changed after this txn, with the txn that did.
pub(super) async fn rung(client: &Client, path: &str, after: u64) -> Result<u64, Error> {
    let look = |znodes: &BTreeMap<String, Stat>| znodes.get(path).map(|stat| stat.mzxid).filter(|mzxid| *mzxid > after);
    follow_until(client, path, WatchKind::Node, look).await
}

/// Follows the children of a znode, by their paths, until `decide` has an answer.
pub(super) async fn until_children<T>(
    client: &Client,
    path: &str,
    decide: impl FnMut(&BTreeMap<String, Stat>) -> Option<T>,
) -> Result<T, Error> {
    follow_until(client, path, WatchKind::Children, decide).await
}

/// Follows what a watch is about, by paths, until `decide` has an answer. It is asked about every state from some moment
/// after the beginning of this, and none is left out unless the history is too short.
async fn follow_until<T>(
    client: &Client,
    path: &str,
    kind: WatchKind,
    mut decide: impl FnMut(&BTreeMap<String, Stat>) -> Option<T>,
) -> Result<T, Error> {
    let mut patience = Patience::default();
    loop {
        let mut watch = client.watch(path).kind(kind).send_initial().restart_when_compacted().start();
        let mut znodes = BTreeMap::new();
        let mut is_whole = false;
        let error = loop {
            match told(&mut watch).await {
                Ok(WatchEvent::Events(events)) => {
                    // Children do not tell of their parent.
                    let concerned = events.into_iter().filter(|event| kind == WatchKind::Node || event.path != path);
                    concerned.for_each(|event| apply(&mut znodes, event));
                }
                Ok(WatchEvent::Synced { .. }) => is_whole = true,
                Ok(WatchEvent::Reset) => {
                    znodes.clear();
                    is_whole = false;
                }
                Ok(WatchEvent::Created { .. } | WatchEvent::Progress { .. }) => {}
                Err(error) => break error,
            }
            if is_whole && let Some(decided) = decide(&znodes) {
                return Ok(decided);
            }
        };
        patience.again(error).await?;
    }
}

fn apply(znodes: &mut BTreeMap<String, Stat>, event: Event) {
    match event.kind {
        EventKind::Created | EventKind::Changed => drop(znodes.insert(event.path, event.stat)),
        EventKind::Deleted => drop(znodes.remove(&event.path)),
        EventKind::Unknown => {}
    }
}
