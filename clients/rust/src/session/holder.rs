//! `Holder`: a session as those see it who hold something in its name. It does not keep the session open.

use std::future::Future;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::SessionState;
use crate::{Client, Error, Reason};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// Its calls belong to the session.
    pub(crate) client: Client,
    pub(crate) session_id: u64,
    pub(super) state: watch::Receiver<SessionState>,
    /// Until then it lives for certain, unless its owner ends it.
    pub(super) alive_until: watch::Receiver<Instant>,
}

impl Holder {
    /// Whether the session can be relied on at this moment.
    ///
    /// # Errors
    /// It has ended, or nothing was heard for its timeout.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(error) = self.state.borrow().error() {
            return Err(error);
        }
        if *self.alive_until.borrow() <= Instant::now() { Err(silent()) } else { Ok(()) }
    }

    /// Whether it has ended for certain, and its ephemeral znodes with it.
    pub(crate) fn is_over(&self) -> bool {
        self.state.borrow().is_final()
    }

    /// Returns when the session cannot be relied on any more, with the reason.
    pub(crate) async fn lost(&self) -> Error {
        let (mut state, mut alive_until) = (self.state.clone(), self.alive_until.clone());
        loop {
            let until = *alive_until.borrow_and_update();
            state.mark_unchanged();
            if let Err(error) = self.check() {
                return error;
            }
            tokio::select! {
                changed = state.changed() => {
                    if changed.is_err() {
                        return Error::new(Reason::Closed, "the client was dropped");
                    }
                }
                Ok(()) = alive_until.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Returns when the session can be relied on, again.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) async fn regained(&self) -> Result<(), Error> {
        let (mut state, mut alive_until) = (self.state.clone(), self.alive_until.clone());
        loop {
            alive_until.mark_unchanged();
            state.mark_unchanged();
            let error = match self.check() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.is_over() {
                return Err(error);
            }
            tokio::select! {
                changed = state.changed() => changed.map_err(|_| error)?,
                Ok(()) = alive_until.changed() => {}
            }
        }
    }

    /// Does something as long as the session can be relied on.
    ///
    /// # Errors
    /// See [`Holder::check`]; and those of what is done.
    pub(crate) async fn while_alive<T>(&self, doing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            error = self.lost() => Err(error),
            done = doing => done,
        }
    }
}

fn silent() -> Error {
    Error::new(
        Reason::SessionExpired,
        "nothing was heard of the ensemble for the session's timeout: it may have expired",
    )
}
