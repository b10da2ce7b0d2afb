//! `Services`: who offers what, and whom to ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::cache::{CacheState, CachedChildren, CachedZnode};
use super::patience::{below, list};
use super::persistent_ephemeral::PersistentEphemeral;
use crate::{Client, Data, Error};

/// Services and their instances: `<path>/<service>/<instance>`, as Curator lays them out. What an instance says about itself
/// is any bytes, an address for example; Curator's own clients write and expect JSON there.
///
/// An instance that is gone is listed until its session ends: whoever asks one has to be ready that it does not answer.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use std::time::Duration;
/// use quorate_client::recipes::Services;
///
/// let services = Services::new(&client, "/services");
/// let offered = services.register("search", "host-7", "10.0.0.7:80", Duration::from_secs(10));
/// offered.present().await?;
///
/// let searchers = services.follow("search");
/// searchers.ready().await?;
/// println!("{:?}", searchers.round_robin().map(|instance| instance.data.clone()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Services {
    client: Client,
    path: String,
}

impl Services {
    /// Those at a path.
    #[must_use]
    pub fn new(client: &Client, path: impl Into<String>) -> Services {
        Services { client: client.clone(), path: path.into() }
    }

    /// The names of the services that somebody offers, or has offered not long ago.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn names(&self) -> Result<Vec<String>, Error> {
        let services = list(&self.client, &self.path, false).await?;
        Ok(services.into_iter().map(|service| service.name).collect())
    }

    /// Offers a service until the result is dropped; `timeout` is that of its sessions.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use = "it is offered as long as this is not dropped"]
    pub fn register(
        &self,
        service: &str,
        instance: &str,
        data: impl Into<Data>,
        timeout: Duration,
    ) -> PersistentEphemeral {
        PersistentEphemeral::start(&self.client, below(&below(&self.path, service), instance), data, timeout)
    }

    /// Follows who offers a service, until the result is dropped.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn follow(&self, service: &str) -> Instances {
        let all = CachedChildren::start(&self.client, below(&self.path, service));
        Instances { all, next: AtomicUsize::new(0) }
    }
}

/// Who offers a service.
#[derive(Debug)]
pub struct Instances {
    all: CachedChildren,
    /// Counts the picks in turn.
    next: AtomicUsize,
}

impl Instances {
    /// Waits until something is known.
    ///
    /// # Errors
    /// It never will be.
    pub async fn ready(&self) -> Result<(), Error> {
        self.all.ready().await
    }

    /// All of them, by their names.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<CachedZnode>> {
        self.all.all()
    }

    /// Every change of them is one of this.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<CacheState> {
        self.all.states()
    }

    /// The next one in turn.
    #[must_use]
    pub fn round_robin(&self) -> Option<Arc<CachedZnode>> {
        let all = self.all();
        let at = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(all.len())?;
        all.into_iter().nth(at)
    }

    /// Any one, all alike.
    #[must_use]
    pub fn random(&self) -> Option<Arc<CachedZnode>> {
        let all = self.all();
        // Without the system's randomness, turns are as good.
        let Ok(random) = getrandom::u32() else { return self.round_robin() };
        let at = (random as usize).checked_rem(all.len())?;
        all.into_iter().nth(at)
    }
}
