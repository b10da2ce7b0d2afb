//! `ReentrantLock`: a lock that whoever has it can have again.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use super::guard::Guard;
use super::lock::Lock;
use crate::Error;

/// A [`Lock`] that its holder can acquire again. A holder is not a thread, which means nothing to a future, but this value
/// and its clones: give a clone to whoever belongs to the same holder, and a new value to others.
///
/// The lock is given back when the last of the guards is dropped.
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::{Lock, ReentrantLock};
///
/// let lock = ReentrantLock::new(Lock::new(&session, "/locks/report"));
/// let outer = lock.acquire().await?;
/// let inner = lock.acquire().await?;
/// assert_eq!(outer.token(), inner.token());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReentrantLock {
    lock: Lock,
    /// Locked while one of the clones acquires it, so that the others find it acquired.
    held: Arc<Mutex<Weak<Guard>>>,
}

/// One of a holder's guards. See [`Guard`].
#[must_use = "the lock is given back when the last guard is dropped"]
#[derive(Clone, Debug)]
pub struct SharedGuard(Arc<Guard>);

impl ReentrantLock {
    /// A new holder.
    #[must_use]
    pub fn new(lock: Lock) -> ReentrantLock {
        ReentrantLock { lock, held: Arc::default() }
    }

    /// At once if this holder has it, otherwise as [`Lock::acquire`].
    ///
    /// # Errors
    /// See [`Error`]. It does not help a holder whose lock was lost to acquire it again before all of its guards are gone.
    pub async fn acquire(&self) -> Result<SharedGuard, Error> {
        let mut held = self.held.lock().await;
        if let Some(guard) = held.upgrade() {
            guard.ensure_held()?;
            return Ok(SharedGuard(guard));
        }
        let guard = Arc::new(self.lock.acquire().await?);
        *held = Arc::downgrade(&guard);
        Ok(SharedGuard(guard))
    }
}

impl SharedGuard {
    /// Gives the lock back, if this is the last guard of its holder.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn release(self) -> Result<(), Error> {
        match Arc::into_inner(self.0) {
            Some(last) => last.release().await,
            None => Ok(()),
        }
    }
}

impl Deref for SharedGuard {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.0
    }
}
