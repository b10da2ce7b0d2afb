//! `Readers`: those who read streams, of whom whoever stops reading loses what the stream is told from.
//!
//! A stream that is not read takes nothing from its source, watches or a tree. That shares a connection to a server with
//! the sources of other readers, and the server cuts a connection on which something has not been read for too long: the
//! neighbours would pay. So the gateway, which has the same patience with its callers, gives up such sources earlier. No
//! write that fails would tell it to: a reader of HTTP/2 can hold back one stream of a connection that flows.

use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use parking_lot::Mutex;
use quorate_client::{Error, Reason};
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
    readers: Mutex<Vec<Weak<dyn Attend>>>,
}

/// One reader of a stream that is told from an `S`.
pub(crate) struct Reader<S>(Mutex<Option<Source<S>>>);

/// What a reader is told from, and what it occupies for that.
struct Source<S> {
    stream: S,
    /// When the reader last asked for more. It does so even while there is nothing: see [`Reader::poll_next`].
    asked: Instant,
    _active: Active,
    _place: OwnedSemaphorePermit,
}

/// What all readers have in common.
trait Attend: Send + Sync {
    /// Gives the source up if nothing was asked for since `latest`.
    fn give_up_if_idle_since(&self, latest: Instant);
}

impl Readers {
    /// Whoever asks for nothing for `timeout` has stopped reading.
    pub(crate) fn new(timeout: Duration) -> Readers {
        Readers { registered: Arc::new(Registered { timeout, readers: Mutex::default() }), sweeper: OnceLock::new() }
    }

    /// A reader of what `stream` tells, which occupies the others while it has it.
    pub(crate) fn admit<S>(&self, stream: S, active: Active, place: OwnedSemaphorePermit) -> Arc<Reader<S>>
    where
        S: Stream + Send + Unpin + 'static,
    {
        let source = Source { stream, asked: Instant::now(), _active: active, _place: place };
        let reader = Arc::new(Reader(Mutex::new(Some(source))));
        let attended: Weak<dyn Attend> = Arc::downgrade(&reader) as Weak<dyn Attend>;
        self.registered.readers.lock().push(attended);
        self.sweeper.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(sweep(Arc::clone(&self.registered)))));
        reader
    }
}

impl<S: Stream + Unpin> Reader<S> {
    /// What is told next; an error, if the reader has come too late. To be asked from time to time even while there is
    /// nothing: that shows that the reader is there.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<S::Item, Error>>> {
        let mut source = self.0.lock();
        let Some(source) = source.as_mut() else {
            let late = Error::new(Reason::Lagged, "the stream was not read, and what it is told from was given up");
            return Poll::Ready(Some(Err(late)));
        };
        source.asked = Instant::now();
        source.stream.poll_next_unpin(context).map(|told| told.map(Ok))
    }
}

impl<S: Send> Attend for Reader<S> {
    fn give_up_if_idle_since(&self, latest: Instant) {
        let given_up = self.0.lock().take_if(|source| source.asked < latest);
        if given_up.is_some() {
            tracing::debug!("what a stream that is not read is told from is given up");
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
