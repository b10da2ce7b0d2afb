//! Caches: a znode, its children or everything below it, kept in memory and up to date by a watch.
//!
//! Invariant: what a cache shows at any moment is one state of the ensemble as of one zxid, later ones never older; never
//! half a txn, and never half of what it was begun with.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::patience::{Patience, below, name_of, told};
use super::task::Task;
use crate::{Client, Error, Event, EventKind, Reason, Stat, WatchEvent, WatchKind};

/// A znode as a cache knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedZnode {
    /// The whole path.
    pub path: String,
    /// `None` is null.
    pub data: Option<Bytes>,
    /// As of its creation or the last change of its data; what it tells of children may be older than the cache.
    pub stat: Stat,
}

/// How up to date a cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// It knows nothing yet.
    Filling,
    /// It shows the state as of this zxid, if not a later one in which it is the same.
    UpTo(u64),
    /// It shows what it last knew, and will not change any more: the ensemble refuses to tell.
    Ended(Error),
}

/// What all caches are made of.
#[derive(Debug)]
struct Cache {
    path: String,
    shared: Arc<Shared>,
    _task: Task,
}

#[derive(Debug)]
struct Shared {
    /// By path.
    znodes: RwLock<BTreeMap<String, Arc<CachedZnode>>>,
    state: watch::Sender<CacheState>,
}

impl Cache {
    fn start(client: &Client, path: String, kind: WatchKind, is_wanted: fn(&str, &str) -> bool) -> Cache {
        let shared = Arc::new(Shared { znodes: RwLock::default(), state: watch::Sender::new(CacheState::Filling) });
        let follow = follow(client.clone(), path.clone(), kind, is_wanted, Arc::clone(&shared));
        Cache { path, shared, _task: Task::spawn(follow) }
    }

    fn states(&self) -> watch::Receiver<CacheState> {
        self.shared.state.subscribe()
    }

    async fn up_to(&self, zxid: u64) -> Result<(), Error> {
        let mut states = self.states();
        let reached = |state: &CacheState| match state {
            CacheState::Filling => false,
            CacheState::UpTo(shown) => *shown >= zxid,
            CacheState::Ended(_) => true,
        };
        match states.wait_for(reached).await.as_deref() {
            Ok(CacheState::Ended(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(Reason::Closed, "the cache has ended")),
        }
    }

    fn get(&self, path: &str) -> Option<Arc<CachedZnode>> {
        self.shared.znodes.read().get(path).cloned()
    }

    fn all(&self) -> Vec<Arc<CachedZnode>> {
        self.shared.znodes.read().values().cloned().collect()
    }
}

/// Keeps a cache up to date until its owner drops it, or the ensemble refuses.
async fn follow(client: Client, path: String, kind: WatchKind, is_wanted: fn(&str, &str) -> bool, shared: Arc<Shared>) {
    let mut patience = Patience::default();
    loop {
        let mut watch = client.watch(&path).kind(kind).send_initial().with_data().restart_when_compacted().start();
        // What is being told of an initial state; shown when it is whole.
        let mut filling = Some(BTreeMap::new());
        let error = loop {
            match told(&mut watch).await {
                Ok(told) => {
                    patience = Patience::default();
                    shared.take_in(told, &mut filling, |event| is_wanted(&path, &event.path));
                }
                Err(error) => break error,
            }
        };
        if let Err(error) = patience.again(error).await {
            shared.state.send_replace(CacheState::Ended(error));
            return;
        }
    }
}

impl Shared {
    fn take_in(
        &self,
        told: WatchEvent,
        filling: &mut Option<BTreeMap<String, Arc<CachedZnode>>>,
        is_wanted: impl Fn(&Event) -> bool,
    ) {
        let zxid = match told {
            WatchEvent::Reset => {
                *filling = Some(BTreeMap::new());
                return;
            }
            WatchEvent::Events(events) => {
                let zxid = events.last().map(|event| event.zxid);
                let wanted = events.into_iter().filter(is_wanted);
                match filling {
                    Some(next) => return wanted.for_each(|event| apply(next, event)),
                    None => {
                        let mut znodes = self.znodes.write();
                        wanted.for_each(|event| apply(&mut znodes, event));
                    }
                }
                zxid
            }
            WatchEvent::Synced { zxid } => {
                if let Some(whole) = filling.take() {
                    *self.znodes.write() = whole;
                }
                Some(zxid)
            }
            WatchEvent::Progress { zxid } if filling.is_none() => Some(zxid),
            WatchEvent::Progress { .. } | WatchEvent::Created { .. } => None,
        };
        if let Some(zxid) = zxid {
            self.state.send_replace(CacheState::UpTo(zxid));
        }
    }
}

fn apply(znodes: &mut BTreeMap<String, Arc<CachedZnode>>, event: Event) {
    let Event { kind, path, stat, data, .. } = event;
    match kind {
        EventKind::Created | EventKind::Changed => {
            znodes.insert(path.clone(), Arc::new(CachedZnode { path, data, stat }));
        }
        EventKind::Deleted => drop(znodes.remove(&path)),
        EventKind::Unknown => {}
    }
}

/// A znode, kept in memory (Curator's `NodeCache`).
///
/// Reading costs nothing and may be behind the ensemble, by as much as [`CachedNode::states`] says; it never goes back, and
/// it misses nothing in the end, whatever happens to connections, servers and the history. While there is no connection it
/// shows what it last knew.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::CachedNode;
///
/// let limits = CachedNode::start(&client, "/config/limits");
/// limits.ready().await?;
/// println!("{:?}", limits.get().and_then(|znode| znode.data.clone()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CachedNode(Cache);

impl CachedNode {
    /// Begins to keep it; until the result is dropped.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(client: &Client, path: impl Into<String>) -> CachedNode {
        CachedNode(Cache::start(client, path.into(), WatchKind::Node, |own, path| own == path))
    }

    /// What is known of it; `None` if it does not exist, or nothing is known yet.
    #[must_use]
    pub fn get(&self) -> Option<Arc<CachedZnode>> {
        self.0.get(&self.0.path)
    }

    /// Waits until something is known.
    ///
    /// # Errors
    /// It never will be.
    pub async fn ready(&self) -> Result<(), Error> {
        self.0.up_to(0).await
    }

    /// Waits until it shows everything up to a txn; that of an own write, for example.
    ///
    /// # Errors
    /// It never will.
    pub async fn up_to(&self, zxid: u64) -> Result<(), Error> {
        self.0.up_to(zxid).await
    }

    /// How up to date it is, to be followed: every change of the znode is one of this.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<CacheState> {
        self.0.states()
    }
}

/// The children of a znode with their data, kept in memory (Curator's `PathChildrenCache`). What it promises, and not, is
/// what [`CachedNode`] does. If children have children, those travel as well, to be ignored.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::CachedChildren;
///
/// let workers = CachedChildren::start(&client, "/workers");
/// workers.ready().await?;
/// for worker in workers.all() {
///     println!("{}", worker.path);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CachedChildren(Cache);

impl CachedChildren {
    /// Begins to keep them; until the result is dropped.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(client: &Client, path: impl Into<String>) -> CachedChildren {
        let is_child = |own: &str, path: &str| path != own && below(own, name_of(path)) == path;
        CachedChildren(Cache::start(client, path.into(), WatchKind::Recursive, is_child))
    }

    /// One of them, by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<CachedZnode>> {
        self.0.get(&below(&self.0.path, name))
    }

    /// All of them, in the order of their names' bytes; as of one zxid.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<CachedZnode>> {
        self.0.all()
    }

    /// Waits until something is known.
    ///
    /// # Errors
    /// It never will be.
    pub async fn ready(&self) -> Result<(), Error> {
        self.0.up_to(0).await
    }

    /// Waits until it shows everything up to a txn; that of an own write, for example.
    ///
    /// # Errors
    /// It never will.
    pub async fn up_to(&self, zxid: u64) -> Result<(), Error> {
        self.0.up_to(zxid).await
    }

    /// How up to date it is, to be followed: every change of them is one of this.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<CacheState> {
        self.0.states()
    }
}

/// A znode and everything below it, kept in memory (Curator's `TreeCache` and `CuratorCache`). What it promises, and not, is
/// what [`CachedNode`] does.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::CachedTree;
///
/// let routes = CachedTree::start(&client, "/routes");
/// let written = client.set("/routes/a/b", "east").await?;
/// routes.up_to(written.zxid).await?;
/// println!("{:?}", routes.get("/routes/a/b"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CachedTree(Cache);

impl CachedTree {
    /// Begins to keep it; until the result is dropped.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(client: &Client, path: impl Into<String>) -> CachedTree {
        CachedTree(Cache::start(client, path.into(), WatchKind::Recursive, |_, _| true))
    }

    /// One of its znodes.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Arc<CachedZnode>> {
        self.0.get(path)
    }

    /// All of its znodes, in the order of their paths' bytes; as of one zxid.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<CachedZnode>> {
        self.0.all()
    }

    /// Waits until something is known.
    ///
    /// # Errors
    /// It never will be.
    pub async fn ready(&self) -> Result<(), Error> {
        self.0.up_to(0).await
    }

    /// Waits until it shows everything up to a txn; that of an own write, for example. The ensemble says that nothing has
    /// changed only now and then, so for a txn that changed nothing here this takes up to some seconds.
    ///
    /// # Errors
    /// It never will.
    pub async fn up_to(&self, zxid: u64) -> Result<(), Error> {
        self.0.up_to(zxid).await
    }

    /// How up to date it is, to be followed: every change of the tree is one of this.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<CacheState> {
        self.0.states()
    }
}
