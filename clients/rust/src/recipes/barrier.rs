//! `Barrier`: nobody passes while it is up.

use super::patience::{delete, gone, persist};
use crate::{Client, Data, Error, Reason};

/// A barrier that is up as long as its znode exists (Curator's `DistributedBarrier`, kazoo's `Barrier`). It belongs to nobody
/// and stays up until somebody lifts it, whatever becomes of whoever raised it.
///
/// Whoever waits learns of every lifting, also if the barrier is raised again at once.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::Barrier;
///
/// let barrier = Barrier::new(&client, "/barriers/migration");
/// barrier.raise().await?;
/// // elsewhere: barrier.wait().await?;
/// barrier.lift().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Barrier {
    client: Client,
    path: String,
}

impl Barrier {
    /// A barrier at a path.
    #[must_use]
    pub fn new(client: &Client, path: impl Into<String>) -> Barrier {
        Barrier { client: client.clone(), path: path.into() }
    }

    /// Raises it, if it is not up.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn raise(&self) -> Result<(), Error> {
        match persist(|| self.client.create(&self.path, Data::null()).parents().send()).await {
            Ok(_) => Ok(()),
            Err(error) if error.reason() == Reason::NodeExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lifts it, if it is up: all who wait pass.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn lift(&self) -> Result<(), Error> {
        delete(&self.client, &self.path).await.map(|_| ())
    }

    /// Waits until it is not up.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn wait(&self) -> Result<(), Error> {
        gone(&self.client, &self.path).await
    }
}
