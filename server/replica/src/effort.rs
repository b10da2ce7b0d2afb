//! `Effort`: how much the answers to local requests have taken since the last flush.
//!
//! Whoever asks for a lot must not make everybody else wait for it. Bytes of replies are the measure: making, encoding
//! and sending them takes about as long as finding what they say. What is looked at and not told counts besides.

use quorate_types::Response;

use crate::limits;
use crate::outbox::response_bytes;

/// What an operation counts for that finds little.
const OPERATION_BYTES: usize = 256;

/// What a znode counts for that is looked at and not told. One turn then has time for the ephemerals of no more than one
/// session that owns as many as it may: some 20 ms.
const ZNODE_BYTES: usize = 64;

/// A sum of efforts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    bytes: usize,
}

impl Effort {
    pub(crate) fn answer(&mut self, response: &Response) {
        self.bytes += OPERATION_BYTES + response_bytes(response);
    }

    pub(crate) fn look_at(&mut self, znodes: usize) {
        self.bytes += znodes * ZNODE_BYTES;
    }

    pub(crate) fn add(&mut self, other: Effort) {
        self.bytes += other.bytes;
    }

    /// Whether this is as much as one turn should make everybody wait for.
    pub(crate) fn is_spent(&self) -> bool {
        self.bytes >= limits::EFFORT_BYTES
    }
}
