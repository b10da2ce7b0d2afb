//! `Atomic` and `Counter`: a value that is changed by many, one at a time.

use std::marker::PhantomData;

use super::patience::{persist, persist_undoubted};
use super::value::Value;
use crate::backoff::Backoff;
use crate::{CallOptions, Client, Consistency, Error, Reason};

/// A value in a znode that many change, each change based on the one before (Curator's `DistributedAtomicValue`).
///
/// It promises that no change is lost: whoever changes what has changed meanwhile tries again. It does not wait in line, so
/// that under contention some have to try often. A change fails with [`Error::maybe_applied`] if its answer was lost for
/// good; then it may have happened, once.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::Atomic;
///
/// let motto = Atomic::<String>::new(&client, "/motto");
/// let now = motto.update(|motto| format!("{}!", motto.unwrap_or_default())).await?;
/// assert_eq!(motto.get().await?.map(|motto| motto.value), Some(now.value));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Atomic<T> {
    client: Client,
    path: String,
    value: PhantomData<fn() -> T>,
}

/// A value, and which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// The txn that wrote it: no two values of a znode have the same.
    pub mzxid: u64,
}

impl<T> Clone for Atomic<T> {
    fn clone(&self) -> Atomic<T> {
        Atomic { client: self.client.clone(), path: self.path.clone(), value: PhantomData }
    }
}

impl<T: Value> Atomic<T> {
    /// The value at a path.
    #[must_use]
    pub fn new(client: &Client, path: impl Into<String>) -> Atomic<T> {
        Atomic { client: client.clone(), path: path.into(), value: PhantomData }
    }

    /// The newest value; `None` if there is none.
    ///
    /// # Errors
    /// See [`Error`]; [`Reason::BadArguments`] if what is there is no such value.
    pub async fn get(&self) -> Result<Option<Versioned<T>>, Error> {
        self.read(Some(Consistency::Linearizable)).await
    }

    /// Sets it, whatever it was. Returns the txn that did.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set(&self, value: &T) -> Result<u64, Error> {
        loop {
            match persist_undoubted(|| self.client.set(&self.path, value.to_data()).upsert().send()).await {
                Ok(updated) => return Ok(updated.stat.mzxid),
                // An upsert makes no parents.
                Err(error) if matches!(error.reason(), Reason::NoParent | Reason::NoNode) => {}
                Err(error) => return Err(error),
            }
            if let Some(mzxid) = self.compare_and_set(None, value).await? {
                return Ok(mzxid);
            }
        }
    }

    /// Sets it if it is still the one of this `mzxid`; `None` says that there was none. Returns the txn that did; `None` if it
    /// had changed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn compare_and_set(&self, expected: Option<u64>, value: &T) -> Result<Option<u64>, Error> {
        let data = value.to_data();
        let written = match expected {
            None => {
                let create = self.client.create(&self.path, data).parents();
                persist_undoubted(|| create.clone().send()).await.map(|created| created.stat.mzxid)
            }
            Some(mzxid) => {
                let set = self.client.set(&self.path, data).mzxid(mzxid);
                persist_undoubted(|| set.clone().send()).await.map(|updated| updated.stat.mzxid)
            }
        };
        match written {
            Ok(mzxid) => Ok(Some(mzxid)),
            Err(error) if matches!(error.reason(), Reason::NodeExists | Reason::BadVersion | Reason::NoNode) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Changes it to what `change` makes of it, which may have to be asked several times. Returns what it is then.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update(&self, mut change: impl FnMut(Option<T>) -> T) -> Result<Versioned<T>, Error> {
        let mut failures = 0;
        loop {
            // It need not be the newest: if it is not, that is found out when it is to be replaced.
            let known = self.read(None).await?;
            let seen = known.as_ref().map(|known| known.mzxid);
            let value = change(known.map(|known| known.value));
            if let Some(mzxid) = self.compare_and_set(seen, &value).await? {
                return Ok(Versioned { value, mzxid });
            }
            failures += 1;
            tokio::time::sleep(Backoff::CONTENTION.wait(failures)).await;
        }
    }

    async fn read(&self, consistency: Option<Consistency>) -> Result<Option<Versioned<T>>, Error> {
        let options = CallOptions { consistency, ..CallOptions::default() };
        let get = self.client.get(&self.path).options(options);
        match persist(|| get.clone().send()).await {
            Ok(znode) => match T::from_data(&znode.data.unwrap_or_default()) {
                Ok(value) => Ok(Some(Versioned { value, mzxid: znode.stat.mzxid })),
                Err(wrong) => Err(Error::new(Reason::BadArguments, format!("{}: {wrong}", self.path))),
            },
            Err(error) if error.reason() == Reason::NoNode => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A number that many count with (Curator's `DistributedAtomicLong`, kazoo's `Counter`, whose way of writing it is this one).
/// It is 0 until it is written. What it promises, and not, is what [`Atomic`] does.
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::Counter;
///
/// let visitors = Counter::new(&client, "/counters/visitors");
/// println!("the {}th", visitors.add(1).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Counter(Atomic<i64>);

impl Counter {
    /// The counter at a path.
    #[must_use]
    pub fn new(client: &Client, path: impl Into<String>) -> Counter {
        Counter(Atomic::new(client, path))
    }

    /// Adds to it, and returns what it is then. It wraps around at the ends of its 64 bits.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add(&self, difference: i64) -> Result<i64, Error> {
        let added = self.0.update(|known| known.unwrap_or(0).wrapping_add(difference)).await?;
        Ok(added.value)
    }

    /// What it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self) -> Result<i64, Error> {
        Ok(self.0.get().await?.map_or(0, |known| known.value))
    }
}
