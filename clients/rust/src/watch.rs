//! Watches: streams of changes that miss nothing and repeat nothing, whatever happens to connections and servers.

mod codec;
mod event;
mod follow;
mod resume;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use quorate_proto::v1;

use self::follow::{Follow, Told};
use self::resume::Resume;
use crate::core::Core;
use crate::{CallOptions, Client, Error};

pub use self::event::{Event, EventKind, WatchEvent, WatchKind};

/// How often a server says something on a watch at least, if not told otherwise.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// A watch that is being put together. See [`Client::watch`].
#[must_use = "a watch begins when it is started and polled"]
#[derive(Clone, Debug)]
pub struct WatchBuilder {
    client: Client,
    request: v1::WatchCreate,
    options: CallOptions,
    restart_when_compacted: bool,
}

impl WatchBuilder {
    pub(crate) fn new(client: &Client, path: String) -> WatchBuilder {
        WatchBuilder {
            client: client.clone(),
            request: v1::WatchCreate { path, ..Default::default() },
            options: CallOptions::default(),
            restart_when_compacted: false,
        }
    }

    /// What about the znode. Default: the znode itself.
    pub fn kind(mut self, kind: WatchKind) -> Self {
        self.request.set_kind(kind.to_wire());
        self
    }

    /// Begin strictly after a change that was seen before: after the whole txn, or after the change with this index
    /// within it. Default: with what happens from now on.
    pub fn from(mut self, zxid: u64, index: Option<u32>) -> Self {
        self.request.start_zxid = Some(zxid);
        self.request.start_index = index;
        self
    }

    /// First the present state, then [`WatchEvent::Synced`], then changes. Not together with `from`.
    pub fn send_initial(mut self) -> Self {
        self.request.send_initial = true;
        self
    }

    /// Events carry data.
    pub fn with_data(mut self) -> Self {
        self.request.with_data = true;
        self
    }

    /// Events carry the data before the change, where the server still knows it.
    pub fn with_previous_data(mut self) -> Self {
        self.request.with_previous_data = true;
        self
    }

    /// Events of this kind are not wanted.
    pub fn exclude(mut self, kind: EventKind) -> Self {
        self.request.exclude.push(kind.to_wire() as i32);
        self
    }

    /// How often the server says that nothing matched, while nothing else is told: 100 ms to 10 min. Default: 10 s. A
    /// server that is silent three times as long is taken for gone.
    pub fn progress_interval(mut self, interval: Duration) -> Self {
        self.request.progress_interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// When the history no longer reaches back to where the watch stands, tell [`WatchEvent::Reset`] and the present
    /// state and go on from there, instead of ending with [`crate::Reason::Compacted`].
    pub fn restart_when_compacted(mut self) -> Self {
        self.restart_when_compacted = true;
        self
    }

    /// All options at once. The watch begins only from a state that has `min_zxid`; a session does not own it.
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// Starts it. Nothing happens until it is polled.
    pub fn start(self) -> Watch {
        let core = Arc::clone(&self.client.core);
        Watch { events: told(&core, vec![self]).map(|(_, event)| event).boxed() }
    }

    fn interval(&self) -> Duration {
        match self.request.progress_interval_ms {
            0 => PROGRESS_INTERVAL,
            ms => Duration::from_millis(ms.into()),
        }
    }

    fn into_resume(self) -> Resume {
        let root = self.client.root;
        let path = root.outside(self.request.path);
        let request = v1::WatchCreate { path, options: self.options.to_wire(), ..self.request };
        Resume::new(request, root, self.restart_when_compacted)
    }
}

fn told(core: &Arc<Core>, watches: Vec<WatchBuilder>) -> BoxStream<'static, Told> {
    let interval = watches.iter().map(WatchBuilder::interval).max().unwrap_or(PROGRESS_INTERVAL);
    let watches = watches.into_iter().map(WatchBuilder::into_resume).collect();
    let follow = Follow::new(Arc::clone(core), watches, interval);
    stream::unfold(follow, async |mut follow| follow.next().await.map(|told| (told, follow))).boxed()
}

/// A watch: a stream of what it tells.
///
/// It goes on by itself on another connection when one breaks, strictly after the last event that it told. It ends
/// with an error when it cannot go on, for example with [`crate::Reason::Compacted`].
///
/// It reads from its connection only when it is polled, so a slow reader slows the server's sending to this watch and
/// nothing else; the server may find it too slow, and then it goes on from the server's history in the same way.
pub struct Watch {
    events: BoxStream<'static, Result<WatchEvent, Error>>,
}

impl Stream for Watch {
    type Item = Result<WatchEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(context)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// Several watches on one stream: see [`Client::watch_many`]. Each item comes with the position of its watch.
pub struct Watches {
    events: BoxStream<'static, Told>,
}

impl Watches {
    pub(crate) fn start(core: &Arc<Core>, watches: Vec<WatchBuilder>) -> Watches {
        Watches { events: told(core, watches) }
    }
}

impl Stream for Watches {
    type Item = (usize, Result<WatchEvent, Error>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(context)
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watches")
    }
}
