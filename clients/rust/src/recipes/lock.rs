//! `Lock`: one at a time.

use super::guard::Guard;
use super::line::{Contender, Line, Standing};
use super::names::Wish;
use crate::{Data, Error, Session};

/// A fair lock among all who use the same path: one at a time, in the order in which they came.
///
/// It promises that no two sessions that live hold it at once. It cannot promise that its holder knows in time that its
/// session has ended: see [`Guard`] for what to do about that.
///
/// It is not re-entrant: whoever acquires it twice waits for himself. See [`super::ReentrantLock`].
///
/// Its contenders are those of Curator's `InterProcessMutex` and of kazoo's `Lock` on the same path; kazoo has to be told of
/// the others' names, with `extra_lock_patterns=["-lock-"]`. Each watches only the one before it. The path itself is a
/// container: it goes some time after the last contender.
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::Lock;
///
/// let lock = Lock::new(&session, "/locks/report").data("host-7");
/// let guard = lock.acquire().await?;
/// println!("it is our turn; whatever we write elsewhere carries {}", guard.token());
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    line: Line,
    data: Data,
}

impl Lock {
    /// A lock at a path, in the name of a session.
    #[must_use]
    pub fn new(session: &Session, path: impl Into<String>) -> Lock {
        Lock { line: Line::new(session, path.into()), data: Data::null() }
    }

    /// What contenders say about themselves to those who look. Default: null.
    #[must_use]
    pub fn data(mut self, data: impl Into<Data>) -> Lock {
        self.data = data.into();
        self
    }

    /// Waits until it is this one's turn. Dropping the future gives the place in line up.
    ///
    /// # Errors
    /// See [`Error`]; among them, that the session was lost meanwhile.
    pub async fn acquire(&self) -> Result<Guard, Error> {
        let (contender, stand) = Contender::enter(&self.line, Wish::Lock, &self.data).await?;
        contender.wait(|before| before.last()).await?;
        Ok(Guard::new(contender, stand))
    }

    /// Takes the lock if nobody has it or waits for it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn try_acquire(&self) -> Result<Option<Guard>, Error> {
        let (contender, stand) = Contender::enter(&self.line, Wish::Lock, &self.data).await?;
        let in_the_way = self.line.holder.while_alive(contender.in_the_way(|before| before.last())).await?;
        if in_the_way.is_none() {
            return Ok(Some(Guard::new(contender, stand)));
        }
        contender.leave().await?;
        Ok(None)
    }

    /// Its holder and those who wait, in their order.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn contenders(&self) -> Result<Vec<Standing>, Error> {
        self.line.standings().await
    }
}
