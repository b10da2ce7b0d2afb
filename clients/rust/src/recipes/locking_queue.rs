//! `LockingQueue`: a queue whose entries come back if whoever took them dies.

use std::collections::HashSet;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::names::Guid;
use super::patience::{Patience, below, delete, ensure_directory, list, persist, settle, told};
use super::queue::Queue;
use crate::session::Holder;
use crate::{
    Client, CreateMode, Data, Error, EventKind, MultiReply, MultiResult, Reason, Session, WatchEvent, WatchKind,
};

/// A queue with priorities of which an entry is first taken and then either completed or given back; it comes back by itself
/// if the session of its taker ends (kazoo's `LockingQueue`). `entries` has the entries, `taken` those who work on them.
///
/// It promises that an entry that was put is completed once: [`Taken::complete`] succeeds for one taker, and only if the
/// entry was not given to another one meanwhile. The work on it may be done twice or more, if sessions end: whatever else it
/// changes should be guarded by [`Taken::token`], or do no harm when it is done again.
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::LockingQueue;
///
/// let jobs = LockingQueue::new(&session, "/queues/jobs");
/// jobs.put("paint the fence").await?;
/// let job = jobs.take().await?;
/// println!("working on {:?}", job.data());
/// job.complete().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LockingQueue {
    holder: Holder,
    entries: Queue,
    taken: String,
}

/// An entry that was taken. It goes back to the queue when this is dropped.
#[must_use = "it goes back to the queue when this is dropped"]
#[derive(Debug)]
pub struct Taken {
    mark: Mark,
    entry: String,
    data: Bytes,
    token: u64,
}

/// The znode that says who works on an entry; there may be none yet. Deleted when this is dropped, if it is ours.
#[derive(Debug)]
struct Mark {
    holder: Holder,
    path: String,
    /// What it holds, to be recognized by.
    guid: Guid,
    is_gone: bool,
    runtime: Handle,
}

impl LockingQueue {
    /// The queue at a path, in the name of a session.
    #[must_use]
    pub fn new(session: &Session, path: impl Into<String>) -> LockingQueue {
        let path = path.into();
        let entries = Queue::new(session, below(&path, "entries"));
        LockingQueue { holder: session.holder(), entries, taken: below(&path, "taken") }
    }

    /// Puts an entry, with priority 100.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(&self, data: impl Into<Data>) -> Result<(), Error> {
        self.entries.put(data).await
    }

    /// Puts an entry; those with the smallest priority are taken first. At most 999.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put_with_priority(&self, data: impl Into<Data>, priority: u16) -> Result<(), Error> {
        self.entries.put_with_priority(data, priority).await
    }

    /// Takes the first entry that nobody works on, once there is one. Dropping the future takes none.
    ///
    /// # Errors
    /// See [`Error`]; among them, that the session was lost meanwhile.
    pub async fn take(&self) -> Result<Taken, Error> {
        self.holder.while_alive(self.take_first()).await
    }

    async fn take_first(&self) -> Result<Taken, Error> {
        let client = &self.holder.client;
        loop {
            // Whatever happens after this is told by the watch, if there is nothing to be had now.
            let since = persist(|| client.sync().send()).await?.zxid;
            let taken = list(client, &self.taken, false).await?;
            let taken: HashSet<String> = taken.into_iter().map(|child| child.name).collect();
            let mut after = String::new();
            loop {
                let page = match self.entries.page(&after).await {
                    Ok(page) => page,
                    Err(error) if error.reason() == Reason::NoNode => break,
                    Err(error) => return Err(error),
                };
                for entry in page.children.iter().filter(|entry| !taken.contains(&entry.name)) {
                    let data = entry.data.clone().unwrap_or_default();
                    if let Some(taken) = self.try_take(&entry.name, data).await? {
                        return Ok(taken);
                    }
                }
                match page.children.last() {
                    Some(last) if page.more => after.clone_from(&last.name),
                    Some(_) | None => break,
                }
            }
            self.news(client, since).await?;
        }
    }

    /// Takes an entry, unless another one was quicker.
    async fn try_take(&self, name: &str, data: Bytes) -> Result<Option<Taken>, Error> {
        let client = &self.holder.client;
        let entry = below(&self.entries.path, name);
        let guid = Guid::new(self.holder.session_id);
        let (path, mark_data) = (below(&self.taken, name), guid.as_str().to_owned());
        let mut mark = Mark { holder: self.holder.clone(), path, guid, is_gone: false, runtime: Handle::current() };
        let create = client.create(&mark.path, mark_data).mode(CreateMode::Ephemeral);
        let both = client.multi().add(client.check(&entry)).add(create);
        let mut patience = Patience::default();
        loop {
            let error = match both.clone().send().await.and_then(MultiReply::into_result) {
                Ok(results) => {
                    let created = results.into_iter().find_map(|result| match result {
                        MultiResult::Created(created) => Some(created.stat.czxid),
                        _ => None,
                    });
                    let token = created.ok_or_else(Error::unexpected_answer)?;
                    return Ok(Some(Taken { mark, entry, data, token }));
                }
                Err(error) => error,
            };
            match error.reason() {
                Reason::NodeExists | Reason::NoNode => {
                    mark.is_gone = true;
                    return Ok(None);
                }
                Reason::NoParent => ensure_directory(client, &self.taken).await?,
                _ if error.maybe_applied() => return Err(error),
                _ => patience.again(error).await?,
            }
        }
    }

    /// Returns when an entry has been put or given back since this txn, or may have been.
    async fn news(&self, client: &Client, since: u64) -> Result<(), Error> {
        let mut patience = Patience::default();
        loop {
            let put = client.watch(&self.entries.path).kind(WatchKind::Children).from(since, None);
            let given_back = client.watch(&self.taken).kind(WatchKind::Children).from(since, None);
            let mut put = put.exclude(EventKind::Deleted).start();
            let mut given_back = given_back.exclude(EventKind::Created).start();
            let error = loop {
                let told = tokio::select! {
                    told = told(&mut put) => told,
                    told = told(&mut given_back) => told,
                };
                match told {
                    Ok(WatchEvent::Events(_)) => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.reason() == Reason::Compacted => return Ok(()),
                    Err(error) => break error,
                }
            };
            patience.again(error).await?;
        }
    }
}

impl Taken {
    /// What was put.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// A fencing token: greater than that of everybody who had taken this entry before.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Takes the entry out of the queue for good.
    ///
    /// # Errors
    /// [`Reason::NoNode`] or [`Reason::BadVersion`] if the session was lost meanwhile and the entry is not this one's any
    /// more; and see [`Error`].
    pub async fn complete(mut self) -> Result<(), Error> {
        let client = &self.mark.holder.client;
        let still_ours = client.check(&self.mark.path).mzxid(self.token);
        let all = client.multi().add(still_ours).add(client.delete(&self.entry)).add(client.delete(&self.mark.path));
        let mut patience = Patience::default();
        loop {
            match all.clone().send().await.and_then(MultiReply::into_result) {
                Ok(_) => {
                    self.mark.is_gone = true;
                    return Ok(());
                }
                Err(error) if error.maybe_applied() => return Err(error),
                Err(error) => patience.again(error).await?,
            }
        }
    }

    /// Gives the entry back to the queue: others can have it when this returns. Dropping this does the same in the
    /// background.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn give_back(mut self) -> Result<(), Error> {
        delete(&self.mark.holder.client, &self.mark.path).await?;
        self.mark.is_gone = true;
        Ok(())
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if self.is_gone || self.holder.is_over() {
            return;
        }
        let (holder, path, guid) = (self.holder.clone(), self.path.clone(), self.guid.clone());
        // It ends with the session at the latest: then its calls fail, for good.
        self.runtime.spawn(async move {
            if let Err(error) = unmark(&holder, &path, &guid).await
                && !holder.is_over()
            {
                tracing::warn!(%error, path, "an entry stays taken until its taker's session ends");
            }
        });
    }
}

/// Deletes a mark if it is the one of this guid, whatever may still be under way.
async fn unmark(holder: &Holder, path: &str, guid: &Guid) -> Result<(), Error> {
    settle(&holder.client, &format!("{path}-{}", guid.as_str())).await?;
    let znode = match persist(|| holder.client.get(path).send()).await {
        Ok(znode) => znode,
        Err(error) if error.reason() == Reason::NoNode => return Ok(()),
        Err(error) => return Err(error),
    };
    if znode.data.as_deref() != Some(guid.as_str().as_bytes()) {
        return Ok(());
    }
    match persist(|| holder.client.delete(path).mzxid(znode.stat.mzxid).send()).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.reason(), Reason::NoNode | Reason::BadVersion) => Ok(()),
        Err(error) => Err(error),
    }
}
