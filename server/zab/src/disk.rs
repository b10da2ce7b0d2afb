//! `Disk`: what was submitted to the disk and is not reported durable yet.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use quorate_types::Zxid;

use crate::input::SnapshotBase;

/// What a token stands for.
#[derive(Clone, Debug)]
pub(crate) enum Submitted {
    Record(Zxid),
    Promise,
    Truncation,
    Readmission,
    Installation(Box<SnapshotBase>),
}

/// The operations that are under way, in order, and the tokens that name them.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    submitted: VecDeque<(u64, Submitted)>,
    next_token: u64,
    next_read: u64,
}

impl Disk {
    pub(crate) fn new() -> Disk {
        Disk { submitted: VecDeque::new(), next_token: 1, next_read: 1 }
    }

    /// Hands out the next token for `what`.
    pub(crate) fn submit(&mut self, what: Submitted) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.submitted.push_back((token, what));
        token
    }

    /// The next operation that is durable, now that everything up to `token` is.
    pub(crate) fn complete(&mut self, token: u64) -> Option<Submitted> {
        if self.submitted.front().is_none_or(|(submitted, _)| *submitted > token) {
            return None;
        }
        self.submitted.pop_front().map(|(_, what)| what)
    }

    /// Whether everything that was submitted is durable.
    pub(crate) fn is_idle(&self) -> bool {
        self.submitted.is_empty()
    }

    /// Whether a promise is on its way to the disk.
    pub(crate) fn is_promising(&self) -> bool {
        self.submitted.iter().any(|(_, what)| matches!(what, Submitted::Promise))
    }

    /// A token for a read of the log.
    pub(crate) fn read_token(&mut self) -> u64 {
        self.next_read += 1;
        self.next_read - 1
    }
}
