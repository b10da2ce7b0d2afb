//! `Line` and `Contender`: those who want the same thing stand in line, each as an ephemeral sequential znode of one
//! directory, and each waits only for the one before it that is in its way. Locks, leaders and permits are this.
//!
//! Invariant: a contender's znode does not outlive its `Contender` by more than it takes to delete it, whatever became of
//! the answer to its creation, and wherever the future that waited was dropped; or else it goes with the session.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::names::{Guid, Place, Wish};
use super::patience::{below, delete, ensure_directory, gone, list, persist, settle};
use crate::backoff::Backoff;
use crate::session::Holder;
use crate::{CreateMode, Data, Error, Reason, Session};

/// A directory in which contenders stand in line, as seen by a session.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) holder: Holder,
    pub(super) directory: Arc<str>,
}

/// One of those who stand in line. See [`super::Lock::contenders`] and its like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its znode.
    pub path: String,
    /// Its number: who has the least is served first.
    pub number: u64,
    /// What it has to say about itself.
    pub data: Option<Bytes>,
}

impl Line {
    pub(super) fn new(session: &Session, directory: String) -> Line {
        Line { holder: session.holder(), directory: directory.into() }
    }

    /// Everybody in line, the first one first.
    pub(super) async fn places(&self) -> Result<Vec<Place>, Error> {
        let children = list(&self.holder.client, &self.directory, false).await?;
        let mut places: Vec<Place> = children.iter().filter_map(|child| Place::parse(&child.name)).collect();
        places.sort_unstable_by_key(|place| place.number);
        Ok(places)
    }

    /// Everybody in line, with what they say about themselves.
    pub(super) async fn standings(&self) -> Result<Vec<Standing>, Error> {
        let children = list(&self.holder.client, &self.directory, true).await?;
        let standing = |child: crate::Child| {
            let place = Place::parse(&child.name)?;
            Some(Standing { path: below(&self.directory, &child.name), number: place.number, data: child.data })
        };
        let mut standings: Vec<Standing> = children.into_iter().filter_map(standing).collect();
        standings.sort_unstable_by_key(|standing| standing.number);
        Ok(standings)
    }
}

/// Where a contender stands.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    pub(super) path: String,
    pub(super) czxid: u64,
}

/// Whoever has a place in line, or is about to get one. It is given up when this is dropped.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) line: Line,
    guid: Guid,
    /// `None` as long as nothing is known of the znode; it may exist nevertheless.
    stand: Option<Stand>,
    /// There is no znode, or it is somebody else's to delete.
    has_left: bool,
    runtime: Handle,
}

impl Contender {
    /// Takes the last place in line.
    pub(super) async fn enter(line: &Line, wish: Wish, data: &Data) -> Result<(Contender, Stand), Error> {
        let guid = Guid::new(line.holder.session_id);
        let runtime = Handle::current();
        let mut contender = Contender { line: line.clone(), guid, stand: None, has_left: false, runtime };
        let stand = line.holder.while_alive(contender.create(wish, data)).await?;
        contender.stand = Some(stand.clone());
        Ok((contender, stand))
    }

    async fn create(&self, wish: Wish, data: &Data) -> Result<Stand, Error> {
        let Line { holder, directory } = &self.line;
        let path = below(directory, &self.guid.name(wish));
        let mut failures = 0;
        loop {
            let create = holder.client.create(&path, data.clone()).mode(CreateMode::EphemeralSequential);
            let error = match create.send().await {
                Ok(created) => return Ok(Stand { path: created.path, czxid: created.stat.czxid }),
                Err(error) => error,
            };
            if error.maybe_applied() {
                // It would not do to stand there twice.
                if let Some(path) = find(holder, directory, &self.guid).await?.into_iter().next() {
                    let czxid = persist(|| holder.client.get(&path).send()).await?.stat.czxid;
                    return Ok(Stand { path, czxid });
                }
            }
            match error.reason() {
                Reason::NoNode | Reason::NoParent => ensure_directory(&holder.client, directory).await?,
                _ if error.is_retryable() => {}
                _ => return Err(error),
            }
            failures += 1;
            tokio::time::sleep(Backoff::UNAVAILABLE.wait(failures)).await;
        }
    }

    /// Waits until nobody is in the way: `who` says who is, given everybody before this contender, the first one first.
    pub(super) async fn wait(&self, who: impl Fn(&[Place]) -> Option<&Place>) -> Result<(), Error> {
        let waiting = async {
            while let Some(path) = self.in_the_way(&who).await? {
                gone(&self.line.holder.client, &path).await?;
            }
            Ok(())
        };
        self.line.holder.while_alive(waiting).await
    }

    /// The znode that has to go before it is this contender's turn.
    pub(super) async fn in_the_way(&self, who: impl Fn(&[Place]) -> Option<&Place>) -> Result<Option<String>, Error> {
        let places = self.line.places().await?;
        let own = places.iter().position(|place| self.guid.owns(&place.name));
        let Some(own) = own else {
            return Err(Error::new(Reason::NoNode, "somebody else has deleted the contender's znode"));
        };
        Ok(who(&places[..own]).map(|place| below(&self.line.directory, &place.name)))
    }

    /// Gives the place up. Returns a txn by which that was done.
    pub(super) async fn leave(mut self) -> Result<u64, Error> {
        let left = give_up(&self.line.holder, &self.line.directory, &self.guid, self.stand.as_ref()).await;
        // A session that is over has taken the znode along.
        self.has_left = left.is_ok() || self.line.holder.is_over();
        left
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if self.has_left || self.line.holder.is_over() {
            return;
        }
        let Line { holder, directory } = self.line.clone();
        let (guid, stand) = (self.guid.clone(), self.stand.take());
        // It ends with the session at the latest: then its calls fail, for good.
        self.runtime.spawn(async move {
            if let Err(error) = give_up(&holder, &directory, &guid, stand.as_ref()).await
                && !holder.is_over()
            {
                tracing::warn!(%error, directory = &*directory, "a contender's znode stays until its session ends");
            }
        });
    }
}

async fn give_up(holder: &Holder, directory: &str, guid: &Guid, stand: Option<&Stand>) -> Result<u64, Error> {
    let paths = match stand {
        Some(stand) => vec![stand.path.clone()],
        None => find(holder, directory, guid).await?,
    };
    let mut left = 0;
    for path in paths {
        left = delete(&holder.client, &path).await?;
    }
    Ok(left)
}

/// The znodes of a guid, whatever may still be under way.
async fn find(holder: &Holder, directory: &str, guid: &Guid) -> Result<Vec<String>, Error> {
    settle(&holder.client, &below(directory, guid.as_str())).await?;
    let children = list(&holder.client, directory, false).await?;
    let own = children.into_iter().filter(|child| guid.owns(&child.name));
    Ok(own.map(|child| below(directory, &child.name)).collect())
}
