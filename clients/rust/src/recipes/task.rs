//! `Task`: a task that does not outlive its owner.

use tokio::task::JoinHandle;

/// Aborted when it is dropped.
#[derive(Debug)]
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(tokio::spawn(work))
    }

    /// Returns when it has ended.
    pub(super) async fn join(mut self) {
        // It is not aborted while somebody waits for it, and it does not panic unless this crate is wrong.
        if let Err(error) = (&mut self.0).await {
            tracing::error!(%error, "a recipe's task has failed");
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
