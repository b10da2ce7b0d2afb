//! `Journal`: everything that the clients of a run asked for, and what came of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quorate_client::Reason;
use quorate_tests::linearizability::Clock;
use quorate_types::{Op, Reply, SessionId, WriteOp, Zxid};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Who asked, with one request at a time.
    pub(super) client: usize,
    pub(super) op: Op,
    /// The session that it belonged to, if any.
    pub(super) session: SessionId,
    /// Whether it was a read that must see everything that was acknowledged before it was sent.
    pub(super) is_linearizable: bool,
    pub(super) called: u64,
    pub(super) answer: Answer,
    /// The same by the clock on the wall, which no judge looks at.
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

/// What came of a request, as far as its client knows.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// It was answered, from this state; for a write, by this txn.
    Done { at: u64, zxid: Zxid, reply: Reply },
    /// It was refused, and did nothing.
    Refused { at: u64, reason: Reason },
    /// Nobody answered in time. A write may have been made, or be made still.
    Unknown,
}

/// All requests of a run, in no order.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    clock: Clock,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Journal {
    /// Now.
    pub(super) fn now(&self) -> u64 {
        self.clock.now()
    }

    pub(super) fn add(&self, entry: Entry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// All of it, once nobody writes into it any more.
    pub(super) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.entries.lock().unwrap())
    }
}

impl Entry {
    /// The txn of a write that was acknowledged. The answer to a write that was sent again may name a later state, so
    /// where the znode's stat tells, that counts.
    pub(super) fn txn(&self) -> Option<Zxid> {
        match &self.answer {
            Answer::Done { zxid, reply, .. } if self.is_write() => txn_of(reply, *zxid),
            _ => None,
        }
    }

    /// Whether it is a delete: then its txn may be an earlier one than [`Entry::txn`] says.
    pub(super) fn deletes(&self) -> Option<&str> {
        match &self.op {
            Op::Write(WriteOp::Delete { path, .. }) => Some(path.as_str()),
            _ => None,
        }
    }

    pub(super) fn is_write(&self) -> bool {
        !matches!(self.op, Op::Read { .. })
    }
}

/// `None` for a multi that was not made: it is answered, but there is no txn of it.
fn txn_of(reply: &Reply, state: Zxid) -> Option<Zxid> {
    match reply {
        Reply::Created { stat, .. } => Some(stat.czxid),
        Reply::Changed { stat } => Some(stat.mzxid),
        Reply::Multi(results) => {
            results.iter().find_map(|result| result.as_ref().ok().and_then(|one| txn_of(one, state)))
        }
        Reply::Deleted => Some(state),
        _ => None,
    }
}
