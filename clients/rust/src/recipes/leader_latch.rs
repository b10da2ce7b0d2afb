//! `LeaderLatch`: leads as long as it can, in the background.

use tokio::sync::{oneshot, watch};

use super::fence::Fence;
use super::guard::Guard;
use super::line::{Contender, Line, Standing};
use super::names::Wish;
use super::task::Task;
use crate::{Data, Error, Reason, Session};

/// What a latch knows of its leadership.
#[derive(Clone, Debug)]
pub enum Leadership {
    /// Another one leads, or nobody knows.
    Waiting,
    /// It leads.
    Leading(Fence),
    /// It will not lead any more: the session is over, or the ensemble refuses.
    Ended(Error),
}

/// Stands for leadership among all who use the same path from when it is started, and leads from when it is its turn until
/// it is closed or dropped, or lost; in the latter case it stands again, as long as its session lives.
///
/// What it promises, and not, is what [`super::LeaderElector`] does. Its contenders are those of Curator's `LeaderLatch` on
/// the same path.
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::{LeaderLatch, Leadership};
///
/// let latch = LeaderLatch::start(&session, "/leaders/scheduler", "host-7");
/// let fence = latch.wait().await?;
/// println!("leading, with token {}", fence.token());
/// let mut leadership = latch.leaderships();
/// while leadership.changed().await.is_ok() {
///     println!("now {:?}", leadership.borrow_and_update());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LeaderLatch {
    line: Line,
    leadership: watch::Receiver<Leadership>,
    end: oneshot::Sender<()>,
    task: Task,
}

impl LeaderLatch {
    /// Stands for leadership. `data` is what it says about itself to those who look.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use = "it stands as long as it is not dropped"]
    pub fn start(session: &Session, path: impl Into<String>, data: impl Into<Data>) -> LeaderLatch {
        let line = Line::new(session, path.into());
        let (sender, leadership) = watch::channel(Leadership::Waiting);
        let (end, ended) = oneshot::channel();
        let task = Task::spawn(run(Candidate { line: line.clone(), data: data.into(), leadership: sender }, ended));
        LeaderLatch { line, leadership, end, task }
    }

    /// Whether it leads, as far as it is known at this moment.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.line.holder.check().is_ok() && matches!(&*self.leadership.borrow(), Leadership::Leading(_))
    }

    /// Its leadership, to be followed.
    #[must_use]
    pub fn leaderships(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Waits until it leads.
    ///
    /// # Errors
    /// It never will.
    pub async fn wait(&self) -> Result<Fence, Error> {
        let mut leadership = self.leadership.clone();
        let decided = leadership.wait_for(|leadership| !matches!(leadership, Leadership::Waiting)).await;
        match decided.as_deref() {
            Ok(Leadership::Leading(fence)) => Ok(fence.clone()),
            Ok(Leadership::Ended(error)) => Err(error.clone()),
            Ok(Leadership::Waiting) | Err(_) => Err(Error::new(Reason::Closed, "the latch has ended")),
        }
    }

    /// The leader and those who want to be next, in their order.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn candidates(&self) -> Result<Vec<Standing>, Error> {
        self.line.standings().await
    }

    /// Stops standing and leading: others can lead when this returns. Dropping it does the same in the background.
    pub async fn close(self) {
        // If it has ended before, there is nothing to be told.
        let _ = self.end.send(());
        self.task.join().await;
    }
}

/// What the task of a latch works with.
struct Candidate {
    line: Line,
    data: Data,
    leadership: watch::Sender<Leadership>,
}

async fn run(candidate: Candidate, end: oneshot::Receiver<()>) {
    let mut guard = None;
    let ended = tokio::select! {
        error = candidate.stand(&mut guard) => error,
        _ = end => Error::new(Reason::Closed, "the latch was closed"),
    };
    candidate.leadership.send_replace(Leadership::Ended(ended));
    if let Some(guard) = guard
        && let Err(error) = guard.release().await
    {
        tracing::debug!(%error, "the leadership that was to be given back was lost");
    }
}

impl Candidate {
    /// Stands and leads again and again; returns why that is over. What is held meanwhile is in `held`.
    async fn stand(&self, held: &mut Option<Guard>) -> Error {
        loop {
            let error = match self.lead(held).await {
                Ok(lost) => lost,
                Err(refused) => refused,
            };
            *held = None;
            self.leadership.send_if_modified(|leadership| {
                let led = matches!(leadership, Leadership::Leading(_));
                *leadership = Leadership::Waiting;
                led
            });
            tracing::debug!(%error, path = &*self.line.directory, "not leading");
            let stands_again = matches!(error.reason(), Reason::NoNode | Reason::SessionExpired);
            if !stands_again {
                return error;
            }
            if let Err(over) = self.line.holder.regained().await {
                return over;
            }
        }
    }

    /// Stands and leads; returns why it leads no more.
    async fn lead(&self, held: &mut Option<Guard>) -> Result<Error, Error> {
        let (contender, stand) = Contender::enter(&self.line, Wish::Latch, &self.data).await?;
        contender.wait(|before| before.last()).await?;
        let guard = held.insert(Guard::new(contender, stand));
        self.leadership.send_replace(Leadership::Leading(guard.fence()));
        Ok(guard.lost().await)
    }
}
