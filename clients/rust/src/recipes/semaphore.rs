//! `Semaphore`: so many at a time.

use super::guard::Guard;
use super::line::{Contender, Line};
use super::lock::Lock;
use super::names::Wish;
use super::patience::{below, until_children};
use crate::{Data, Error, Reason, Session};

/// So many permits for all who use the same path, given in the order in which they were asked for.
///
/// It promises that never more sessions that live hold a permit; everybody has to name the same number. Tokens are unique,
/// and grow in the order in which permits were given; but as several are valid at once, refusing small ones does not fence
/// anybody: use [`super::Fence::check`], or a [`Lock`].
///
/// It is Curator's `InterProcessSemaphoreV2`: `locks` has the line of those who wait, of whom only the first looks at
/// `leases`, so that a permit that is given back wakes one.
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::Semaphore;
///
/// let downloads = Semaphore::new(&session, "/semaphores/downloads", 3);
/// let permit = downloads.acquire().await?;
/// permit.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    turns: Lock,
    leases: Line,
    permits: usize,
    data: Data,
}

impl Semaphore {
    /// A semaphore at a path, in the name of a session.
    #[must_use]
    pub fn new(session: &Session, path: impl Into<String>, permits: usize) -> Semaphore {
        let path = path.into();
        let turns = Lock::new(session, below(&path, "locks"));
        Semaphore { turns, leases: Line::new(session, below(&path, "leases")), permits, data: Data::null() }
    }

    /// What holders say about themselves to those who look. Default: null.
    #[must_use]
    pub fn data(mut self, data: impl Into<Data>) -> Semaphore {
        self.data = data.into();
        self
    }

    /// Waits for a permit. Dropping the future gives the place in line up.
    ///
    /// # Errors
    /// See [`Error`]; among them, that the session was lost meanwhile.
    pub async fn acquire(&self) -> Result<Guard, Error> {
        let turn = self.turns.acquire().await?;
        let Line { holder, directory } = &self.leases;
        let (contender, stand) = Contender::enter(&self.leases, Wish::Lease, &self.data).await?;
        // Nobody else takes one meanwhile; so this one is beyond the number until another one goes.
        let enough = until_children(&holder.client, directory, |leases| {
            if !leases.contains_key(&stand.path) {
                return Some(Err(Error::new(Reason::NoNode, "somebody else has deleted the lease")));
            }
            (leases.len() <= self.permits).then_some(Ok(()))
        });
        holder.while_alive(async { enough.await? }).await?;
        drop(turn);
        Ok(Guard::new(contender, stand))
    }
}
