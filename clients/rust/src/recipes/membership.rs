//! `Membership`: who belongs to a group at this moment.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::cache::{CacheState, CachedChildren, CachedZnode};
use super::patience::below;
use super::persistent_ephemeral::PersistentEphemeral;
use crate::{Client, Data, Error};

/// Membership in a group, and who else belongs to it (Curator's `GroupMember`, kazoo's `Party`). Each member is an ephemeral
/// znode below the group's path, named as it likes.
///
/// It promises what [`PersistentEphemeral`] and [`CachedChildren`] do: a member is listed until some time after it is gone,
/// and everybody sees the same list in the end, not at the same time. So the list is no way to agree on anything.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use std::time::Duration;
/// use quorate_client::recipes::Membership;
///
/// let me = Membership::join(&client, "/groups/indexers", "host-7", "idle", Duration::from_secs(10));
/// me.joined().await?;
/// for member in me.members() {
///     println!("{}", member.path);
/// }
/// me.leave().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Membership {
    own: PersistentEphemeral,
    all: CachedChildren,
}

impl Membership {
    /// Joins a group under a name; `timeout` is that of its sessions.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use = "it leaves when this is dropped"]
    pub fn join(client: &Client, group: &str, name: &str, data: impl Into<Data>, timeout: Duration) -> Membership {
        let own = PersistentEphemeral::start(client, below(group, name), data, timeout);
        Membership { own, all: CachedChildren::start(client, group) }
    }

    /// Waits until it belongs to the group and sees itself among the members.
    ///
    /// # Errors
    /// It never will.
    pub async fn joined(&self) -> Result<(), Error> {
        let czxid = self.own.present().await?;
        self.all.up_to(czxid).await
    }

    /// Who belongs to the group, by their names.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<CachedZnode>> {
        self.all.all()
    }

    /// Every change of the members is one of this.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<CacheState> {
        self.all.states()
    }

    /// Tells the others something else about itself, soon.
    pub fn set(&self, data: impl Into<Data>) {
        self.own.set(data);
    }

    /// Leaves the group: it does not belong to it any more when this returns. Dropping it does the same in the background.
    pub async fn leave(self) {
        self.own.close().await;
    }
}
