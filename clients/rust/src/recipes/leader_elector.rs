//! `LeaderElector`: work that one at a time does, among all who offer to do it.

use super::fence::Fence;
use super::line::Standing;
use super::lock::Lock;
use crate::{Data, Error, Session};

/// Has one at a time, among all who use the same path, do some work; when it is done or its leader is lost, the next one
/// leads. For leadership without an end, see [`super::LeaderLatch`].
///
/// It promises that the work is dropped when leadership is lost, by this process's own clock before the session can expire.
/// It cannot promise that nothing of it happens later: a process that is suspended in the middle of a request to somebody
/// else does not know how long that lasts. So that request should carry the [`Fence::token`].
///
/// Its candidates are those of Curator's `LeaderSelector` on the same path. Those of kazoo's `Election` count as well, but do
/// not count others themselves, so they cannot be mixed with them.
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::LeaderElector;
///
/// let elector = LeaderElector::new(&session, "/leaders/scheduler").data("host-7");
/// loop {
///     // Waits for its turn; an error says that leadership was lost, or could not be had.
///     elector.lead(|fence| async move { println!("leading, with token {}", fence.token()) }).await?;
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LeaderElector(Lock);

impl LeaderElector {
    /// An elector at a path, in the name of a session.
    #[must_use]
    pub fn new(session: &Session, path: impl Into<String>) -> LeaderElector {
        LeaderElector(Lock::new(session, path))
    }

    /// What candidates say about themselves to those who look. Default: null.
    #[must_use]
    pub fn data(self, data: impl Into<Data>) -> LeaderElector {
        LeaderElector(self.0.data(data))
    }

    /// Waits until it is this one's turn to lead, begins the work and does it as long as it leads. Then others lead.
    ///
    /// # Errors
    /// Why leadership was lost, or could not be had; the work was dropped unfinished, if it was begun.
    pub async fn lead<F, W>(&self, begin: F) -> Result<W::Output, Error>
    where
        F: FnOnce(Fence) -> W,
        W: Future,
    {
        let guard = self.0.acquire().await?;
        let done = guard.run(begin(guard.fence())).await?;
        // It was done by the leader, whatever becomes of the leadership now; so an error of this is nobody's concern.
        drop(guard);
        Ok(done)
    }

    /// The leader and those who want to be next, in their order.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn candidates(&self) -> Result<Vec<Standing>, Error> {
        self.0.contenders().await
    }
}
