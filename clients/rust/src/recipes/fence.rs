//! `Fence`: what proves to others that something was held, and since when.

use crate::{Check, Client};

/// What the holder of a [`super::Guard`] sends along with what it does. It can be copied to wherever that happens; it says
/// nothing about whether the guard is still held: whoever is asked has to judge.
#[derive(Clone, Debug)]
pub struct Fence {
    client: Client,
    path: String,
    czxid: u64,
}

impl Fence {
    pub(super) fn new(client: Client, path: String, czxid: u64) -> Fence {
        Fence { client, path, czxid }
    }

    /// The fencing token: greater than that of everybody who had held the same exclusive thing before. It is the `czxid`
    /// of the holder's znode, so it grows even if the recipe's directory is deleted and made again.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.czxid
    }

    /// The holder's znode.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// For a multi of the same session, or of a client with the same chroot: the other changes are made only if what was
    /// held is still held.
    /// ```no_run
    /// # async fn example(session: quorate_client::Session, guard: quorate_client::recipes::Guard)
    /// # -> Result<(), quorate_client::Error> {
    /// session.multi().add(guard.fence().check()).add(session.set("/guarded", "mine")).await?.into_result()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self) -> Check {
        self.client.check(&self.path).mzxid(self.czxid)
    }
}
