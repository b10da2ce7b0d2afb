//! `Queue`: entries that are put by many and taken by many, each once.

use bytes::Bytes;

use super::patience::{Patience, below, ensure_directory, persist, persist_undoubted, told};
use crate::{Children, Client, CreateMode, Data, Error, EventKind, Reason, WatchEvent, WatchKind};

/// Of an entry that was put without saying.
const PRIORITY: u16 = 100;

/// Names have three digits for it.
const PRIORITY_MAX: u16 = 999;

/// Entries that are read at once: enough that several who take find something each, and few enough to be read quickly.
const PAGE: u32 = 32;

/// A queue, with priorities: entries are taken by priority, those with the same in the order in which they were put. Its
/// entries are those of kazoo's `Queue` on the same path.
///
/// It promises that an entry that was put is given to one taker at most, and stays until it is. Whoever takes an entry and
/// dies has taken it along; where that must not be, see [`super::LockingQueue`]. If the answer to a put or a take is lost
/// for good it fails with [`Error::maybe_applied`]; the same is so for a take whose future is dropped in the middle.
///
/// A queue of more than some 100,000 entries had better be several: all entries are children of one znode.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::Queue;
///
/// let jobs = Queue::new(&client, "/queues/jobs");
/// jobs.put("paint the fence").await?;
/// jobs.put_with_priority("put out the fire", 1).await?;
/// assert_eq!(jobs.take().await?.as_ref(), b"put out the fire");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Queue {
    pub(super) client: Client,
    pub(super) path: String,
}

impl Queue {
    /// The queue at a path.
    #[must_use]
    pub fn new(client: &Client, path: impl Into<String>) -> Queue {
        Queue { client: client.clone(), path: path.into() }
    }

    /// Puts an entry, with priority 100.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(&self, data: impl Into<Data>) -> Result<(), Error> {
        self.put_with_priority(data, PRIORITY).await
    }

    /// Puts an entry; those with the smallest priority are taken first. At most 999.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put_with_priority(&self, data: impl Into<Data>, priority: u16) -> Result<(), Error> {
        if priority > PRIORITY_MAX {
            return Err(Error::new(Reason::BadArguments, format!("a priority is at most {PRIORITY_MAX}")));
        }
        let (path, data) = (below(&self.path, &format!("entry-{priority:03}-")), data.into());
        loop {
            let create = self.client.create(&path, data.clone()).mode(CreateMode::PersistentSequential);
            match persist_undoubted(|| create.clone().send()).await {
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.reason(), Reason::NoParent | Reason::NoNode) => {
                    ensure_directory(&self.client, &self.path).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the first entry, once there is one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn take(&self) -> Result<Bytes, Error> {
        loop {
            let page = match self.page("").await {
                Ok(page) => page,
                Err(error) if error.reason() == Reason::NoNode => {
                    ensure_directory(&self.client, &self.path).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for child in &page.children {
                let path = below(&self.path, &child.name);
                match persist_undoubted(|| self.client.delete(&path).send()).await {
                    Ok(_) => return Ok(child.data.clone().unwrap_or_default()),
                    // Another one was quicker.
                    Err(error) if error.reason() == Reason::NoNode => {}
                    Err(error) => return Err(error),
                }
            }
            if page.children.is_empty() {
                arrival(&self.client, &self.path, page.zxid).await?;
            }
        }
    }

    /// How many entries wait.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn count(&self) -> Result<usize, Error> {
        match persist(|| self.client.exists(&self.path).send()).await {
            Ok(existence) => Ok(existence.stat.map_or(0, |stat| stat.num_children as usize)),
            Err(error) => Err(error),
        }
    }

    /// The first entries after one: names are in the order in which they are to be taken.
    pub(super) async fn page(&self, after: &str) -> Result<Children, Error> {
        // Other names, if there are any, stand before and behind.
        let after = if after.is_empty() { "entry" } else { after };
        let list = self.client.children(&self.path).after(after).limit(PAGE).with_data();
        let mut page = persist(|| list.clone().send()).await?;
        page.children.retain(|child| child.name.starts_with("entry-"));
        Ok(page)
    }
}

/// Returns when a child was created after this state, or may have been.
async fn arrival(client: &Client, path: &str, zxid: u64) -> Result<(), Error> {
    let mut patience = Patience::default();
    loop {
        let watch = client.watch(path).kind(WatchKind::Children).from(zxid, None).exclude(EventKind::Deleted);
        let mut watch = watch.start();
        let error = loop {
            match told(&mut watch).await {
                Ok(WatchEvent::Events(_)) => return Ok(()),
                Ok(_) => {}
                // Too much has happened since to be told one by one.
                Err(error) if error.reason() == Reason::Compacted => return Ok(()),
                Err(error) => break error,
            }
        };
        patience.again(error).await?;
    }
}
