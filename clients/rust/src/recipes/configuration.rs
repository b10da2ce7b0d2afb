//! `Configuration`: a value that everybody uses and somebody changes now and then.

use std::sync::Arc;

use tokio::sync::watch;

use super::atomic::Atomic;
use super::cache::{CacheState, CachedNode};
use super::task::Task;
use super::value::Value;
use crate::{Client, Error, Reason};

/// What is known of a shared value.
#[derive(Debug)]
pub struct Setting<T> {
    /// The newest that made sense; `None` if there was none yet, or it was deleted.
    pub value: Option<Arc<T>>,
    /// What is wrong with the newest one, if that does not make sense; `value` is an earlier one then.
    pub problem: Option<Error>,
}

impl<T> Clone for Setting<T> {
    fn clone(&self) -> Setting<T> {
        Setting { value: self.value.clone(), problem: self.problem.clone() }
    }
}

/// A value in a znode, kept in memory and up to date, for many who read it often (Curator's `SharedValue` and
/// `ModeledFramework`, for one znode). One that does not make sense is not taken over: the last one that did stays.
///
/// Reading costs nothing, and may be behind, as [`CachedNode`] is.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::Configuration;
///
/// let limit = Configuration::<i64>::start(&client, "/config/limit");
/// let mut settings = limit.settings();
/// limit.ready().await?;
/// println!("{:?}", limit.get());
/// limit.set(&200).await?;
/// settings.changed().await.ok();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Configuration<T> {
    atomic: Atomic<T>,
    setting: watch::Receiver<Option<Setting<T>>>,
    _task: Task,
}

impl<T: Value> Configuration<T> {
    /// Begins to follow the value at a path; until the result is dropped.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(client: &Client, path: impl Into<String>) -> Configuration<T> {
        let path = path.into();
        let (sender, setting) = watch::channel(None);
        let task = Task::spawn(follow(CachedNode::start(client, path.clone()), path.clone(), sender));
        Configuration { atomic: Atomic::new(client, path), setting, _task: task }
    }

    /// The value, as far as it is known.
    #[must_use]
    pub fn get(&self) -> Option<Arc<T>> {
        self.setting.borrow().as_ref().and_then(|setting| setting.value.clone())
    }

    /// What is known, to be followed; nothing at first.
    #[must_use]
    pub fn settings(&self) -> watch::Receiver<Option<Setting<T>>> {
        self.setting.clone()
    }

    /// Waits until something is known, be it that there is no value.
    ///
    /// # Errors
    /// It never will be.
    pub async fn ready(&self) -> Result<Setting<T>, Error> {
        let mut setting = self.setting.clone();
        let known = setting.wait_for(Option::is_some).await.ok().and_then(|setting| setting.clone());
        known.ok_or_else(|| Error::new(Reason::Closed, "nobody follows the value any more"))
    }

    /// Sets the value for everybody, this object included, soon. For a change that depends on what it was, see [`Atomic`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set(&self, value: &T) -> Result<u64, Error> {
        self.atomic.set(value).await
    }
}

async fn follow<T: Value>(node: CachedNode, path: String, setting: watch::Sender<Option<Setting<T>>>) {
    let mut states = node.states();
    let mut shown = None;
    loop {
        let state = states.borrow_and_update().clone();
        let znode = node.get();
        let mzxid = znode.as_ref().map(|znode| znode.stat.mzxid);
        let before = setting.borrow().as_ref().and_then(|setting| setting.value.clone());
        if let CacheState::Ended(error) = state {
            setting.send_replace(Some(Setting { value: before, problem: Some(error) }));
            return;
        }
        if state != CacheState::Filling && shown != Some(mzxid) {
            shown = Some(mzxid);
            let read = znode.map(|znode| T::from_data(znode.data.as_deref().unwrap_or_default())).transpose();
            setting.send_replace(Some(match read {
                Ok(value) => Setting { value: value.map(Arc::new), problem: None },
                Err(wrong) => {
                    let problem = Some(Error::new(Reason::BadArguments, format!("{path}: {wrong}")));
                    Setting { value: before, problem }
                }
            }));
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}
