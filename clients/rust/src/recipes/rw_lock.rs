//! `RwLock`: many who read, or one who writes.

use super::guard::Guard;
use super::line::{Contender, Line, Standing};
use super::names::{Claim, Place, Wish};
use crate::{Data, Error, Session};

/// A fair lock that many can hold to read, or one to write, among all who use the same path. Nobody overtakes: a reader that
/// comes after a writer waits for it, so that writers are not starved.
///
/// It is not re-entrant, and a reader cannot become a writer without giving its guard back: it would wait for itself. What
/// it promises, and not, is what [`super::Lock`] does; tokens grow from each writer to the next.
///
/// Its contenders are those of Curator's `InterProcessReadWriteLock` and of kazoo's `ReadLock` and `WriteLock` on the same
/// path; kazoo has to be told of the others' names, with `extra_lock_patterns=["__WRIT__"]`, and `"__READ__"` as well to
/// write. A reader watches the last writer before it, a writer whoever is before it.
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::RwLock;
///
/// let lock = RwLock::new(&session, "/locks/catalogue");
/// let reading = lock.read().await?;
/// reading.release().await?;
/// let writing = lock.write().await?;
/// writing.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RwLock {
    line: Line,
    data: Data,
}

impl RwLock {
    /// A lock at a path, in the name of a session.
    #[must_use]
    pub fn new(session: &Session, path: impl Into<String>) -> RwLock {
        RwLock { line: Line::new(session, path.into()), data: Data::null() }
    }

    /// What contenders say about themselves to those who look. Default: null.
    #[must_use]
    pub fn data(mut self, data: impl Into<Data>) -> RwLock {
        self.data = data.into();
        self
    }

    /// Waits until all who came before and want to write are through. Dropping the future gives the place in line up.
    ///
    /// # Errors
    /// See [`Error`]; among them, that the session was lost meanwhile.
    pub async fn read(&self) -> Result<Guard, Error> {
        let (contender, stand) = Contender::enter(&self.line, Wish::Read, &self.data).await?;
        contender.wait(last_writer).await?;
        Ok(Guard::new(contender, stand))
    }

    /// Waits until all who came before are through. Dropping the future gives the place in line up.
    ///
    /// # Errors
    /// Likewise.
    pub async fn write(&self) -> Result<Guard, Error> {
        let (contender, stand) = Contender::enter(&self.line, Wish::Write, &self.data).await?;
        contender.wait(|before| before.last()).await?;
        Ok(Guard::new(contender, stand))
    }

    /// Its holders and those who wait, in their order.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn contenders(&self) -> Result<Vec<Standing>, Error> {
        self.line.standings().await
    }
}

fn last_writer(before: &[Place]) -> Option<&Place> {
    before.iter().rev().find(|place| place.claim == Claim::Exclusive)
}
