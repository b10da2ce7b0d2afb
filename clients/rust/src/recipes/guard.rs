//! `Guard`: something that is held in the name of a session, a lock for example, until it is given back or lost.

use std::future::Future;

use super::fence::Fence;
use super::line::{Contender, Stand};
use super::patience::gone;
use crate::{Error, Reason};

/// Something held: a lock, a permit, leadership. It is given back when it is released or dropped.
///
/// It is **lost** when the session ends, when nothing was heard of the ensemble for the session's timeout, or when somebody
/// else deletes its znode; then others may hold the same thing. [`Guard::is_held`], [`Guard::lost`] and [`Guard::run`] tell,
/// by this process's own clock; but a process that is suspended right after it has looked does not know how long that
/// lasts. So what must never be done by two at once needs more than the guard:
///
/// - for what lives in the ensemble, [`Fence::check`] in the same multi;
/// - for everything else, [`Guard::token`], which is to be sent along with every change, so that the one that is changed
///   can refuse whoever has a smaller one than it has seen.
#[must_use = "what is held is given back when the guard is dropped"]
#[derive(Debug)]
pub struct Guard {
    contender: Contender,
    stand: Stand,
}

impl Guard {
    pub(super) fn new(contender: Contender, stand: Stand) -> Guard {
        Guard { contender, stand }
    }

    /// The fencing token: see [`Fence::token`].
    #[must_use]
    pub fn token(&self) -> u64 {
        self.stand.czxid
    }

    /// What goes along with whatever is done while this is held.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence::new(self.contender.line.holder.client.clone(), self.stand.path.clone(), self.stand.czxid)
    }

    /// Whether the session is still known to live, as of now. Costs nothing; does not notice that somebody else has deleted
    /// the znode.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.ensure_held().is_ok()
    }

    pub(super) fn ensure_held(&self) -> Result<(), Error> {
        self.contender.line.holder.check()
    }

    /// Returns when it is lost, with the reason. It watches the znode as long as this is awaited.
    pub async fn lost(&self) -> Error {
        let holder = &self.contender.line.holder;
        let deleted = async {
            match gone(&holder.client, &self.stand.path).await {
                Ok(()) => Error::new(Reason::NoNode, "somebody else has deleted the guard's znode"),
                Err(error) => error,
            }
        };
        tokio::select! {
            biased;
            error = holder.lost() => error,
            error = deleted => error,
        }
    }

    /// Does something as long as this is held: drops it, unfinished, when the guard is lost.
    ///
    /// # Errors
    /// Why it was lost.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        tokio::select! {
            biased;
            error = self.lost() => Err(error),
            done = work => Ok(done),
        }
    }

    /// Gives it back: others can have it when this returns. Dropping the guard does the same in the background.
    ///
    /// # Errors
    /// See [`Error`]: the session has ended, for example, and it was lost with that.
    pub async fn release(self) -> Result<(), Error> {
        self.contender.leave().await.map(|_| ())
    }
}
