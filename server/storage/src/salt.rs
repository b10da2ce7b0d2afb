//! `Salt`: what tells a batch that this log wrote from bytes that a client chose.

/// A random number that only this data directory knows.
///
/// A start that finds a torn batch looks behind it for a later one, and so comes upon whatever clients have stored in
/// it: a header that they could forge would prove a loss that never was, and the server would refuse to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub u64);

impl Salt {
    /// What the headers of a segment's batches begin with: another number for every segment.
    pub(crate) fn mark(self, segment_id: u64) -> Mark {
        Mark(self.0 ^ segment_id)
    }
}

/// The mark of one segment's batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u64);
