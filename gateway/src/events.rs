//! `EventStream`: what watches tell, as server-sent events, from which every reader can go on where it was cut off.
//!
//! Each event is encoded once, into the one buffer of its stream; all that is ready at one time leaves in one piece.
//! An event of the initial state has no id: whoever is cut off within it has to begin again, and does.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use quorate_client::{Event, EventKind, WatchEvent, WatchKind, Watches};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use utoipa::ToSchema;

use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::metrics::Metrics;
use crate::position::Position;
use crate::problem::Problem;
use crate::readers::Reader;
use crate::representation::{Encoding, StatDocument, data_text};

/// A piece that has grown so large leaves, even if more is ready: other connections want their turn.
const PIECE_BYTES: usize = 64 * 1024;

/// How long a browser waits before it connects again.
const RETRY: &[u8] = b"retry: 1000\n\n";
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// One watch of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) path: String,
    pub(crate) kind: WatchKind,
    /// Events carry data.
    pub(crate) with_data: bool,
    /// After what it was asked to begin, or has told since; absent before and within an initial state.
    pub(crate) position: Option<Position>,
    /// It was asked for the present state first.
    pub(crate) initial: bool,
}

/// An event, as the `data` of a server-sent event.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventDocument<'a> {
    /// What happened: `created`, `changed` or `deleted`.
    #[serde(rename = "type")]
    #[schema(example = "changed")]
    kind: &'static str,
    /// The znode that it happened to.
    #[schema(example = "/app/config")]
    path: &'a str,
    /// The txn that did it; for an event of the initial state, the state.
    #[schema(value_type = String, example = "0x100000007", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// Its position among the changes of that txn.
    #[schema(example = 0)]
    index: u32,
    /// It is of the initial state: the znode exists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    initial: bool,
    /// The `path` parameter of the watch that it is for, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    watch: Option<&'a str>,
    /// The znode's metadata after the change; for a deletion, the last.
    stat: StatDocument,
    /// The data, as `encoding` says; null for null data. Missing unless it was asked for, and in a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, example = "hello")]
    data: Option<Option<Cow<'a, str>>>,
    /// How `data` is to be read. Missing without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    encoding: Option<Encoding>,
}

/// Of a bookmark: everything up to the state was told.
#[derive(Serialize)]
struct BookmarkDocument<'a> {
    zxid: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    watch: Option<&'a str>,
}

/// Of a reset: what was told is to be forgotten, the present state follows.
#[derive(Serialize)]
struct ResetDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    watch: Option<&'a str>,
}

/// Turns what watches tell into frames.
#[derive(Debug)]
pub(crate) struct Frames {
    watches: Vec<Watched>,
    /// The id of the present event, rewritten for each.
    id: String,
    buffer: BytesMut,
    metrics: Metrics,
}

impl Frames {
    pub(crate) fn new(watches: Vec<Watched>, metrics: Metrics) -> Frames {
        let mut buffer = BytesMut::with_capacity(RETRY.len());
        buffer.put_slice(RETRY);
        Frames { watches, id: String::new(), buffer, metrics }
    }

    /// How many watches there are.
    pub(crate) fn watches(&self) -> usize {
        self.watches.len()
    }

    /// What the watch at `index` is about.
    pub(crate) fn path(&self, index: usize) -> &str {
        &self.watches[index].path
    }

    /// Adds what the watch at `index` told.
    pub(crate) fn push(&mut self, index: usize, told: WatchEvent) {
        match told {
            WatchEvent::Created { zxid } => {
                let watched = &mut self.watches[index];
                if watched.position.is_none() && !watched.initial {
                    watched.position = Some(Position::after(zxid));
                }
                // From its first moment a stream can be cut off, so a reader gets to know at once where it stands.
                if self.watches.iter().all(|watched| watched.position.is_some()) {
                    self.bookmark(index, zxid);
                }
            }
            WatchEvent::Events(events) => {
                self.metrics.events_written(events.len() as u64);
                events.iter().for_each(|event| self.event(index, event));
            }
            WatchEvent::Synced { zxid } | WatchEvent::Progress { zxid } => {
                self.watches[index].position = Some(Position::after(zxid));
                self.watches[index].initial = false;
                self.bookmark(index, zxid);
            }
            WatchEvent::Reset => {
                self.metrics.watch_reset();
                self.watches[index].position = None;
                self.watches[index].initial = true;
                let document = ResetDocument { watch: name(&self.watches, index) };
                write_frame(&mut self.buffer, "reset", "", &document);
            }
        }
    }

    /// Says why the stream ends, for people who look at it; programs find out when they connect again.
    pub(crate) fn push_end(&mut self, problem: &Problem) {
        self.buffer.put_slice(b": ");
        self.buffer.put_slice(problem.code().as_bytes());
        self.buffer.put_slice(b"\n\n");
    }

    /// What has been added since the last time. Nothing is kept: most streams are idle, most of the time.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer).freeze())
    }

    fn is_full(&self) -> bool {
        self.buffer.len() >= PIECE_BYTES
    }

    fn event(&mut self, index: usize, event: &Event) {
        let watched = &mut self.watches[index];
        let is_child = watched.kind == WatchKind::Children && event.path != watched.path;
        let (initial, with_data) = (watched.initial, watched.with_data);
        if !initial {
            watched.position = Some(Position { zxid: event.zxid, index: Some(event.index) });
        }
        let name_of_event = match event.kind {
            // Newer than this gateway; a reader can only be told of what has a name.
            EventKind::Unknown => return,
            EventKind::Created | EventKind::Deleted | EventKind::Changed if is_child => "children",
            kind => kind.as_str(),
        };
        self.write_id();
        // What is deleted has no data any more, not even null.
        let has_data = with_data && event.kind != EventKind::Deleted;
        let (text, encoding) = has_data.then(|| data_text(event.data.as_ref())).unzip();
        let document = EventDocument {
            kind: event.kind.as_str(),
            path: &event.path,
            zxid: Hex(event.zxid),
            index: event.index,
            initial,
            watch: name(&self.watches, index),
            stat: StatDocument::from(&event.stat),
            data: text,
            encoding,
        };
        let id = if initial { "" } else { &self.id };
        write_frame(&mut self.buffer, name_of_event, id, &document);
    }

    fn bookmark(&mut self, index: usize, zxid: u64) {
        self.write_id();
        let document = BookmarkDocument { zxid: Hex(zxid), watch: name(&self.watches, index) };
        write_frame(&mut self.buffer, "bookmark", &self.id, &document);
    }

    /// Where all watches stand now; empty while one of them is within its initial state.
    fn write_id(&mut self) {
        self.id.clear();
        if self.watches.iter().all(|watched| watched.position.is_some()) {
            Position::write_list(self.watches.iter().filter_map(|watched| watched.position), &mut self.id);
        }
    }
}

/// The name of a watch, where there are several.
fn name(watches: &[Watched], index: usize) -> Option<&str> {
    (watches.len() > 1).then(|| watches[index].path.as_str())
}

/// Appends one event to `out`. JSON holds no line break, so its `data` is one line.
fn write_frame(out: &mut BytesMut, event: &str, id: &str, document: &impl Serialize) {
    out.put_slice(b"event: ");
    out.put_slice(event.as_bytes());
    if !id.is_empty() {
        out.put_slice(b"\nid: ");
        out.put_slice(id.as_bytes());
    }
    out.put_slice(b"\ndata: ");
    serde_json::to_writer(&mut out.writer(), document).expect("texts and numbers become JSON");
    out.put_slice(b"\n\n");
}

/// The body of an event stream.
pub(crate) struct EventStream {
    reader: Arc<Reader>,
    frames: Frames,
    keep_alive: Duration,
    /// When the last piece left.
    sent: Instant,
    silence: Pin<Box<Sleep>>,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl EventStream {
    /// Of watches that have begun and what they have told so far.
    pub(crate) fn new(gateway: &Gateway, watches: Watches, frames: Frames, place: OwnedSemaphorePermit) -> EventStream {
        let now = Instant::now();
        let keep_alive = gateway.config.silence_max();
        EventStream {
            reader: gateway.readers.admit(watches, gateway.config.metrics.event_stream_begins(), place),
            frames,
            keep_alive,
            sent: now,
            silence: Box::pin(sleep_until(now + keep_alive)),
            shutdown: Box::pin(gateway.config.shutdown.clone().cancelled_owned()),
            ended: false,
        }
    }

    /// Takes in what is ready, as much as one piece may hold.
    fn fill(&mut self, context: &mut Context<'_>) {
        while !self.ended && !self.frames.is_full() {
            match self.reader.poll_next(context) {
                Poll::Ready(Some((index, Ok(told)))) => self.frames.push(index, told),
                Poll::Ready(Some((_, Err(error)))) => {
                    // One watch that cannot go on ends them all: the reader connects again and is told why.
                    self.frames.push_end(&Problem::from(error));
                    self.ended = true;
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => return,
            }
        }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.fill(context);
        if let Some(piece) = self.frames.take() {
            self.sent = Instant::now();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.ended || self.shutdown.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        loop {
            ready!(self.silence.as_mut().poll(context));
            // The timer is not moved with every piece; it finds out here whether there was one.
            let due = self.sent + self.keep_alive;
            let now = Instant::now();
            if due <= now {
                self.sent = now;
                let next = now + self.keep_alive;
                self.silence.as_mut().reset(next);
                return Poll::Ready(Some(Ok(Frame::data(KEEP_ALIVE))));
            }
            self.silence.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests;
