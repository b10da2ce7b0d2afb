//! `Frames`: what watches tell, put into words, from which every reader can go on where it was cut off.
//!
//! Each event is encoded once, into the one buffer of its stream; all that is ready at one time leaves in one piece.
//! An event of the initial state has no id: whoever is cut off within it has to begin again, and does.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use quorate_client::{Event, EventKind, WatchEvent, WatchKind};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::hex::Hex;
use crate::metrics::Metrics;
use crate::position::Position;
use crate::problem::Problem;
use crate::representation::{Encoding, StatDocument, data_text};

/// A piece that has grown so large leaves, even if more is ready: other connections want their turn.
const PIECE_BYTES: usize = 64 * 1024;

/// How long a browser waits before it connects again.
const RETRY: &[u8] = b"retry: 1000\n\n";

/// How a document begins.
const DOCUMENT_HEAD: &[u8] = br#"{"events":["#;

/// The form in which a reader is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Server-sent events (WHATWG HTML, section 9.2).
    EventStream,
    /// A JSON document in each line.
    Lines,
    /// One JSON document with what there is to tell at one time.
    Document,
}

impl Format {
    /// Before everything else.
    fn head(self) -> &'static [u8] {
        match self {
            Format::EventStream => RETRY,
            Format::Lines => b"",
            Format::Document => DOCUMENT_HEAD,
        }
    }

    /// Shows that the stream lives, and means nothing. Stands between events.
    pub(crate) fn keep_alive(self) -> Bytes {
        Bytes::from_static(match self {
            Format::EventStream => b": keep-alive\n\n",
            Format::Lines => b"{\"type\":\"keep-alive\"}\n",
            Format::Document => b" ",
        })
    }
}

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

/// An event, as the `data` of a server-sent event, or as a line.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventDocument<'a> {
    /// What happened.
    #[serde(rename = "type")]
    #[schema(schema_with = event_types)]
    kind: &'static str,
    /// Of a line: where a reader goes on after it, as `from`. Missing within the initial state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "0x100000007.0")]
    id: Option<&'a str>,
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

/// What is told besides events: that everything up to a state was told (`bookmark`), or that it is to be forgotten and
/// the present state follows (`reset`).
#[derive(Serialize, ToSchema)]
#[schema(as = Mark)]
pub(crate) struct MarkDocument<'a> {
    /// Which of them. As a server-sent event it has that name instead.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(required, schema_with = mark_types)]
    kind: Option<&'static str>,
    /// Of a line: where a reader goes on after it, as `from`. Missing for a reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "0x100000007")]
    id: Option<&'a str>,
    /// Of a bookmark: the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0x100000007", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Option<Hex>,
    /// The `path` parameter of the watch that it is for, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    watch: Option<&'a str>,
    /// Of the end: why, where there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "LAGGED")]
    code: Option<&'static str>,
}

/// The types of events: none is one of a mark.
fn event_types() -> Object {
    let described = "What happened.";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["created", "changed", "deleted"]))
        .description(Some(described))
        .build()
}

/// The types of marks.
fn mark_types() -> Object {
    let described = "`bookmark` or `reset`; a line may also be `keep-alive`, which means nothing, or `end`, the last. As a \
                     server-sent event it has that name instead.";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["bookmark", "reset", "keep-alive", "end"]))
        .description(Some(described))
        .build()
}

impl<'a> MarkDocument<'a> {
    fn new(kind: &'static str, format: Format) -> MarkDocument<'a> {
        let kind = (format != Format::EventStream).then_some(kind);
        MarkDocument { kind, id: None, zxid: None, watch: None, code: None }
    }
}

/// What happened at one time, and where to go on.
#[derive(Serialize, ToSchema)]
#[schema(as = Events)]
pub(crate) struct EventsDocument<'a> {
    /// What happened, in order; nothing, if nothing did for as long as was waited.
    events: Vec<ToldDocument<'a>>,
    /// Where the next request goes on, as `from`. Null if it has to begin anew.
    #[schema(required, example = "0x100000007.0")]
    next: Option<&'a str>,
}

/// Something that is told.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Told)]
pub(crate) enum ToldDocument<'a> {
    /// A change.
    Event(EventDocument<'a>),
    /// A bookmark, or a reset.
    Mark(MarkDocument<'a>),
}

/// Turns what watches tell into frames.
#[derive(Debug)]
pub(crate) struct Frames {
    watches: Vec<Watched>,
    format: Format,
    /// Events and marks so far.
    told: u64,
    /// The id of the present event, rewritten for each.
    id: String,
    buffer: BytesMut,
    metrics: Metrics,
}

impl Frames {
    pub(crate) fn new(watches: Vec<Watched>, format: Format, metrics: Metrics) -> Frames {
        let buffer = BytesMut::from(format.head());
        Frames { watches, format, told: 0, id: String::new(), buffer, metrics }
    }

    /// In which form they are.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// How many events, resets and (but in a document) bookmarks there were so far.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    /// Whether a reader could go on from here: no watch is within its initial state.
    pub(crate) fn is_resumable(&self) -> bool {
        self.watches.iter().all(|watched| watched.position.is_some())
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
                if self.is_resumable() {
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
                let mark = MarkDocument::new("reset", self.format);
                let document = MarkDocument { watch: name(&self.watches, index), ..mark };
                write(&mut self.buffer, self.format, &mut self.told, ("reset", None), &ToldDocument::Mark(document));
            }
        }
    }

    /// Ends the stream, and says why, for people who look at it; programs find out when they connect again.
    pub(crate) fn end(&mut self, problem: Option<&Problem>) {
        match self.format {
            Format::EventStream => {
                let Some(problem) = problem else { return };
                self.buffer.put_slice(b": ");
                self.buffer.put_slice(problem.code().as_bytes());
                self.buffer.put_slice(b"\n\n");
            }
            Format::Lines => {
                let mark = MarkDocument::new("end", self.format);
                let document = MarkDocument { code: problem.map(Problem::code), ..mark };
                write_json(&mut self.buffer, &document);
                self.buffer.put_u8(b'\n');
            }
            Format::Document => {
                self.write_id();
                let next = (!self.id.is_empty()).then_some(self.id.as_str());
                let mut whole = BytesMut::new();
                write_json(&mut whole, &EventsDocument { events: Vec::new(), next });
                self.buffer.put_slice(&whole[DOCUMENT_HEAD.len()..]);
            }
        }
    }

    /// What has been added since the last time. Nothing is kept: most streams are idle, most of the time.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer).freeze())
    }

    pub(crate) fn is_full(&self) -> bool {
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
        let id = (!initial && !self.id.is_empty()).then_some(self.id.as_str());
        let document = EventDocument {
            kind: event.kind.as_str(),
            id: id.filter(|_| self.format != Format::EventStream),
            path: &event.path,
            zxid: Hex(event.zxid),
            index: event.index,
            initial,
            watch: name(&self.watches, index),
            stat: StatDocument::from(&event.stat),
            data: text,
            encoding,
        };
        write(&mut self.buffer, self.format, &mut self.told, (name_of_event, id), &ToldDocument::Event(document));
    }

    fn bookmark(&mut self, index: usize, zxid: u64) {
        if self.format == Format::Document {
            // What is said at the end of the document says where a reader goes on.
            return;
        }
        self.write_id();
        let id = (!self.id.is_empty()).then_some(self.id.as_str());
        let mark = MarkDocument::new("bookmark", self.format);
        let shown = id.filter(|_| self.format != Format::EventStream);
        let document = MarkDocument { id: shown, zxid: Some(Hex(zxid)), watch: name(&self.watches, index), ..mark };
        write(&mut self.buffer, self.format, &mut self.told, ("bookmark", id), &ToldDocument::Mark(document));
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

/// Appends one event to `out`, with its name and its id where the format has a place for them outside of `document`.
/// JSON holds no line break, so it is one line.
fn write(
    out: &mut BytesMut,
    format: Format,
    told: &mut u64,
    (event, id): (&str, Option<&str>),
    document: &ToldDocument<'_>,
) {
    match format {
        Format::EventStream => {
            out.put_slice(b"event: ");
            out.put_slice(event.as_bytes());
            if let Some(id) = id {
                out.put_slice(b"\nid: ");
                out.put_slice(id.as_bytes());
            }
            out.put_slice(b"\ndata: ");
            write_json(out, document);
            out.put_slice(b"\n\n");
        }
        Format::Lines => {
            write_json(out, document);
            out.put_u8(b'\n');
        }
        Format::Document => {
            if *told > 0 {
                out.put_u8(b',');
            }
            write_json(out, document);
        }
    }
    *told += 1;
}

fn write_json(out: &mut BytesMut, document: &impl Serialize) {
    serde_json::to_writer(out.writer(), document).expect("texts and numbers become JSON");
}

#[cfg(test)]
mod tests;
