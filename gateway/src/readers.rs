//! `Readers`: those who read event streams, of whom whoever stops reading loses its watches.
//!
//! A stream that is not read takes nothing from its watches. Theirs share a connection to a server with the watches of
//! other readers, and the server cuts a connection on which something has not been read for too long: the neighbours
//! would pay. So the gateway, which has the same patience with its callers, gives up such watches earlier. No write
//! that fails would tell it to: a reader of HTTP/2 can hold back one stream of a connection that flows.

use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use parking_lot::Mutex;
use quorate_client::{Error, Reason, WatchEvent, Watches};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{self, Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::metrics::Active;

/// How often those who do not read are looked for, within the time that they have.
const SWEEPS: u32 = 8;

/// The readers of one gateway.
pub(crate) struct Readers {
    registered: Arc<Registered>,
    /// Begun with the first reader.
    sweeper: OnceLock<AbortOnDropHandle<()>>,
}

struct Registered {
    timeout: Duration,
    readers: Mutex<Vec<Weak<Reader>>>,
}

/// One reader.
pub(crate) struct Reader(Mutex<Option<Source>>);

/// What a reader is told from, and what it occupies for that.
struct Source {
    watches: Watches,
    /// When the reader last asked for more. It does so at every keep-alive, too.
    asked: Instant,
    _active: Active,
    _place: OwnedSemaphorePermit,
}

impl Readers {
    /// Whoever asks for nothing for `timeout` has stopped reading.
    pub(crate) fn new(timeout: Duration) -> Readers {
        Readers { registered: Arc::new(Registered { timeout, readers: Mutex::default() }), sweeper: OnceLock::new() }
    }

    /// A reader of these watches, which occupies the others while it has them.
    pub(crate) fn admit(&self, watches: Watches, active: Active, place: OwnedSemaphorePermit) -> Arc<Reader> {
        let source = Source { watches, asked: Instant::now(), _active: active, _place: place };
        let reader = Arc::new(Reader(Mutex::new(Some(source))));
        self.registered.readers.lock().push(Arc::downgrade(&reader));
        self.sweeper.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(sweep(Arc::clone(&self.registered)))));
        reader
    }
}

impl Reader {
    /// What is told next, by the watch at which index; an error, if the reader has come too late.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<(usize, Result<WatchEvent, Error>)>> {
        let mut source = self.0.lock();
        let Some(source) = source.as_mut() else {
            let late = Error::new(Reason::Lagged, "the stream was not read, and its watches were given up");
            return Poll::Ready(Some((0, Err(late))));
        };
        source.asked = Instant::now();
        Pin::new(&mut source.watches).poll_next(context)
    }

    fn give_up_if_idle_since(&self, latest: Instant) {
        let given_up = self.0.lock().take_if(|source| source.asked < latest);
        if given_up.is_some() {
            tracing::debug!("the watches of an event stream that is not read are given up");
        }
    }
}

/// Looks for those who do not read, for ever.
async fn sweep(registered: Arc<Registered>) {
    let mut ticks = time::interval((registered.timeout / SWEEPS).max(Duration::from_millis(1)));
    loop {
        let now = ticks.tick().await;
        let Some(latest) = now.checked_sub(registered.timeout) else { continue };
        // Those who are there are looked at outside of the lock, which every new reader needs.
        let mut present = Vec::new();
        registered.readers.lock().retain(|reader| reader.upgrade().map(|reader| present.push(reader)).is_some());
        present.iter().for_each(|reader| reader.give_up_if_idle_since(latest));
    }
}
