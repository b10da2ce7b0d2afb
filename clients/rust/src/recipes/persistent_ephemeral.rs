//! `PersistentEphemeral`: an ephemeral znode that comes back.

use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::patience::{ensure_directory, gone, persist};
use super::task::Task;
use crate::{Client, CreateMode, Data, Error, Reason, Session};

/// Whether the znode is there, as far as its owner knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is not, or that is not known at the moment.
    Absent,
    /// It is, since this txn.
    Present(u64),
    /// It will not come any more: the ensemble refuses.
    Ended(Error),
}

/// An ephemeral znode that is there as long as this object is: made again when somebody deletes it, and by a new session
/// when the one before is lost (Curator's `PersistentNode`). It has sessions of its own for that.
///
/// It promises that the znode goes some time after its owner, and comes back some time after it went. If somebody else has
/// a znode of that path, it waits until that is gone; as it does for that of its own earlier session.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use std::time::Duration;
/// use quorate_client::recipes::PersistentEphemeral;
///
/// let here = PersistentEphemeral::start(&client, "/workers/host-7", "10.0.0.7:80", Duration::from_secs(10));
/// here.present().await?;
/// here.set("10.0.0.7:81");
/// here.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PersistentEphemeral {
    path: String,
    data: watch::Sender<Data>,
    presence: watch::Receiver<Presence>,
    end: oneshot::Sender<()>,
    task: Task,
}

impl PersistentEphemeral {
    /// Begins to keep a znode there; `timeout` is that of its sessions.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use = "it goes when this is dropped"]
    pub fn start(client: &Client, path: impl Into<String>, data: impl Into<Data>, timeout: Duration) -> Self {
        let path = path.into();
        let (presence_sender, presence) = watch::channel(Presence::Absent);
        let (data, wanted) = watch::channel(data.into());
        let (end, ended) = oneshot::channel();
        let keeper = Keeper { client: client.clone(), path: path.clone(), timeout, wanted, presence: presence_sender };
        let task = Task::spawn(keeper.run(ended));
        PersistentEphemeral { path, data, presence, end, task }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Has it hold something else, soon.
    pub fn set(&self, data: impl Into<Data>) {
        self.data.send_replace(data.into());
    }

    /// Whether it is there, to be followed.
    #[must_use]
    pub fn presences(&self) -> watch::Receiver<Presence> {
        self.presence.clone()
    }

    /// Waits until it is there. Returns the txn that created it.
    ///
    /// # Errors
    /// It never will be.
    pub async fn present(&self) -> Result<u64, Error> {
        let mut presence = self.presence.clone();
        match presence.wait_for(|presence| *presence != Presence::Absent).await.as_deref() {
            Ok(Presence::Present(czxid)) => Ok(*czxid),
            Ok(Presence::Ended(error)) => Err(error.clone()),
            Ok(Presence::Absent) | Err(_) => Err(Error::new(Reason::Closed, "nobody keeps it there any more")),
        }
    }

    /// Takes it away: it is gone when this returns, or goes with its session. Dropping this does the same in the background.
    pub async fn close(self) {
        // If its task has ended before, there is nothing to be told.
        let _ = self.end.send(());
        self.task.join().await;
    }
}

/// What the task works with.
struct Keeper {
    client: Client,
    path: String,
    timeout: Duration,
    wanted: watch::Receiver<Data>,
    presence: watch::Sender<Presence>,
}

impl Keeper {
    async fn run(mut self, end: oneshot::Receiver<()>) {
        let mut session = None;
        let ended = tokio::select! {
            error = self.keep(&mut session) => error,
            _ = end => Error::new(Reason::Closed, "it was closed"),
        };
        if let Some(session) = session.take()
            && let Err(error) = session.close().await
        {
            tracing::debug!(%error, path = self.path, "an ephemeral znode stays until its session expires");
        }
        self.presence.send_replace(Presence::Ended(ended));
    }

    /// With one session after the other, the present one of which is in `current`; returns why that is over.
    async fn keep(&mut self, current: &mut Option<Session>) -> Error {
        loop {
            let opened = persist(|| self.client.open_session(self.timeout)).await;
            let session = match opened {
                Ok(session) => current.insert(session),
                Err(error) => return error,
            };
            let holder = session.holder();
            let over = tokio::select! {
                _ = holder.lost() => None,
                refused = self.keep_in(session) => Some(refused),
            };
            self.presence.send_replace(Presence::Absent);
            if let Some(error) = over.filter(|_| holder.check().is_ok()) {
                return error;
            }
        }
    }

    /// In one session; returns why it cannot.
    async fn keep_in(&mut self, session: &Session) -> Error {
        loop {
            match self.create(session).await {
                Ok(czxid) => drop(self.presence.send_replace(Presence::Present(czxid))),
                Err(error) => return error,
            }
            let kept = tokio::select! {
                gone = gone(session, &self.path) => gone,
                error = update(session, &self.path, &mut self.wanted) => Err(error),
            };
            self.presence.send_replace(Presence::Absent);
            match kept {
                Err(error) if error.reason() != Reason::NoNode => return error,
                Ok(()) | Err(_) => {}
            }
        }
    }

    async fn create(&mut self, session: &Session) -> Result<u64, Error> {
        loop {
            let data = self.wanted.borrow_and_update().clone();
            let create = session.create(&self.path, data).mode(CreateMode::Ephemeral);
            let error = match persist(|| create.clone().send()).await {
                Ok(created) => return Ok(created.stat.czxid),
                Err(error) => error,
            };
            match error.reason() {
                Reason::NodeExists => {
                    let existence = persist(|| session.exists(&self.path).send()).await?;
                    match existence.stat {
                        // Created by an attempt whose answer was lost.
                        Some(stat) if stat.ephemeral_owner == session.id() => return Ok(stat.czxid),
                        Some(_) => gone(session, &self.path).await?,
                        None => {}
                    }
                }
                Reason::NoParent | Reason::NoNode => {
                    let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                    ensure_directory(session, parent).await?;
                }
                _ => return Err(error),
            }
        }
    }
}

/// Writes what is wanted whenever that changes; returns why it cannot.
async fn update(session: &Session, path: &str, wanted: &mut watch::Receiver<Data>) -> Error {
    loop {
        if wanted.changed().await.is_err() {
            // Its owner has gone; so will this.
            return std::future::pending().await;
        }
        let data = wanted.borrow_and_update().clone();
        if let Err(error) = persist(|| session.set(path, data.clone()).send()).await {
            return error;
        }
    }
}
