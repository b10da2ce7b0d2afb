//! What watches tell.

use bytes::Bytes;
use quorate_proto::v1;

use crate::{Stat, reply};

/// What a watch is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchKind {
    /// The znode: its creation, changes of its data, its deletion.
    #[default]
    Node,
    /// Its direct children coming and going (created and deleted, with the child's path), and itself doing so.
    Children,
    /// The znode and everything below it.
    Recursive,
}

impl WatchKind {
    pub(super) fn to_wire(self) -> v1::WatchKind {
        match self {
            WatchKind::Node => v1::WatchKind::Node,
            WatchKind::Children => v1::WatchKind::Children,
            WatchKind::Recursive => v1::WatchKind::Recursive,
        }
    }
}

/// What a watch tells, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The watch has begun; comes once, before everything else. It tells every matching change after this txn.
    Created {
        /// That txn.
        zxid: u64,
    },
    /// All that one txn did and the watch asked for; or a part of the initial state, as created events at one zxid.
    Events(Vec<Event>),
    /// The initial state is complete: everything up to this txn was told.
    Synced {
        /// That txn.
        zxid: u64,
    },
    /// Nothing matched up to this txn. A watch that resumes from here misses nothing.
    Progress {
        /// That txn.
        zxid: u64,
    },
    /// What was told of the initial state, and before, is to be forgotten: the present state follows, from its
    /// beginning, then `Synced`. Happens when a connection breaks inside an initial state, and to a watch that
    /// restarts when the history is compacted.
    Reset,
}

/// What happened to one znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The txn that did it.
    pub zxid: u64,
    /// Its position among the changes of that txn.
    pub index: u32,
    /// What happened.
    pub kind: EventKind,
    /// The znode.
    pub path: String,
    /// After the change; for a deletion, the last one.
    pub stat: Stat,
    /// If asked for; `None` is null.
    pub data: Option<Bytes>,
    /// If asked for and known; `None` is null.
    pub previous_data: Option<Bytes>,
}

impl From<v1::Event> for Event {
    fn from(event: v1::Event) -> Event {
        Event {
            zxid: event.zxid,
            index: event.index,
            kind: event.r#type().into(),
            path: event.path,
            stat: reply::stat(event.stat),
            data: event.data,
            previous_data: event.previous_data,
        }
    }
}

/// What can happen to a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was created; in an initial state, it exists.
    Created,
    /// It was deleted, by a request, by the end of its session, or because its time was up.
    Deleted,
    /// Its data was set.
    Changed,
    /// Something that is newer than this client.
    Unknown,
}

impl EventKind {
    /// In lower case, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Created => "created",
            EventKind::Deleted => "deleted",
            EventKind::Changed => "changed",
            EventKind::Unknown => "unknown",
        }
    }

    pub(super) fn to_wire(self) -> v1::EventType {
        match self {
            EventKind::Created => v1::EventType::Created,
            EventKind::Deleted => v1::EventType::Deleted,
            EventKind::Changed => v1::EventType::Changed,
            EventKind::Unknown => v1::EventType::Unspecified,
        }
    }
}

impl From<v1::EventType> for EventKind {
    fn from(kind: v1::EventType) -> EventKind {
        match kind {
            v1::EventType::Unspecified => EventKind::Unknown,
            v1::EventType::Created => EventKind::Created,
            v1::EventType::Deleted => EventKind::Deleted,
            v1::EventType::Changed => EventKind::Changed,
        }
    }
}
