//! `Operation`: what a client asked of one znode, what it was answered, and when.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked for. Values are numbers that nobody else writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create it.
    Create {
        /// Its data.
        value: u64,
    },
    /// Set its data.
    Set {
        /// The data.
        value: u64,
        /// Only if it has this version.
        version: Option<i32>,
    },
    /// Delete it.
    Delete {
        /// Only if it has this version.
        version: Option<i32>,
    },
    /// Read it.
    Get,
    /// Replace everything that there is by what a backup holds.
    Restore {
        /// What it is there, its data and its version, if it is there.
        znode: Option<(u64, i32)>,
    },
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was created or set, and has this version now.
    Written {
        /// Since it was created.
        version: i32,
    },
    /// It was deleted.
    Deleted,
    /// It was read.
    Found {
        /// Its data.
        value: u64,
        /// And its version.
        version: i32,
    },
    /// There is none.
    Absent,
    /// There is one already.
    Exists,
    /// It has another version.
    BadVersion,
    /// Everything was replaced.
    Restored,
}

/// One operation. What was definitely refused for a reason that is not the znode's is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub client: usize,
    /// Which znode.
    pub path: String,
    /// For what.
    pub action: Action,
    /// When it was sent.
    pub called: u64,
    /// What came of it.
    pub answer: Answer,
}

/// What came of an operation, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was answered.
    Seen {
        /// When.
        at: u64,
        /// What.
        outcome: Outcome,
    },
    /// It was not: it may have happened at any time since, or never.
    Lost {
        /// Since then it cannot happen any more: the only process that knew of it is dead.
        until: Option<u64>,
    },
}

impl Answer {
    /// When the operation was over, if it was.
    #[must_use]
    pub fn end(self) -> Option<u64> {
        match self {
            Answer::Seen { at, .. } => Some(at),
            Answer::Lost { until } => until,
        }
    }

    /// Whether its client knows what came of it.
    #[must_use]
    pub fn is_seen(self) -> bool {
        matches!(self, Answer::Seen { .. })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.answer.end().map_or("?".to_owned(), |end| end.to_string());
        write!(f, "{:>6} .. {end:<6} client {}: {:?} -> ", self.called, self.client, self.action)?;
        match self.answer {
            Answer::Seen { outcome, .. } => write!(f, "{outcome:?}"),
            Answer::Lost { .. } => f.write_str("lost"),
        }
    }
}

/// Numbers moments: of two moments of which one is known to be before the other, it has the smaller number. Shared by
/// all clients of a run.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
