//! Time as the replica sees it: an argument, never a clock that is read.

/// The moment at which an input is stepped, on both of the server's clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since an arbitrary origin, never going back: timeouts are measured with it.
    pub monotonic_ms: u64,
    /// Milliseconds since the Unix epoch, which may jump: znodes are stamped with it.
    pub wall_ms: i64,
}
