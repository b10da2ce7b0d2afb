//! `UnderWay`: how much is on its way to the disk, and when it has come there.
//!
//! Clients are not listened to beyond a limit of it, and it says how much has been logged since the last snapshot.

use alloc::collections::VecDeque;

/// How much is on its way to the disk.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    /// Token of the last operation of a flush -> bytes submitted up to there.
    marks: VecDeque<(u64, u64)>,
    pub(crate) submitted_bytes: u64,
    pub(crate) last_token: u64,
    synced_bytes: u64,
    pub(crate) submitted_records: u64,
}

impl UnderWay {
    pub(crate) fn submitted(&mut self, token: u64, bytes: usize) {
        self.submitted_bytes += bytes as u64;
        self.submitted_records += 1;
        self.last_token = token;
    }

    pub(crate) fn mark(&mut self) {
        if self.marks.back().is_none_or(|(token, _)| *token < self.last_token) {
            self.marks.push_back((self.last_token, self.submitted_bytes));
        }
    }

    pub(crate) fn synced(&mut self, token: u64) {
        while self.marks.front().is_some_and(|(mark, _)| *mark <= token) {
            if let Some((_, bytes)) = self.marks.pop_front() {
                self.synced_bytes = bytes;
            }
        }
    }

    /// What a start replayed counts as if it had been logged now: the next snapshot is due so much sooner.
    pub(crate) fn replayed(&mut self, records: u64, bytes: u64) {
        (self.submitted_records, self.submitted_bytes, self.synced_bytes) = (records, bytes, bytes);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.submitted_bytes - self.synced_bytes
    }
}
