//! `Clock`: the two clocks of this server, as the replica wants to be told of them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quorate_types::Now;

/// Reads the time. Copies share their origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// Monotonic time begins a little above zero, so that a moment before now can always be named.
    const ORIGIN_MS: u64 = 1_000;

    /// A clock whose monotonic time begins now.
    pub(crate) fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// The present moment on both clocks.
    pub(crate) fn now(&self) -> Now {
        let wall_ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Now { monotonic_ms: self.monotonic_ms(), wall_ms }
    }

    /// The present moment on the monotonic clock.
    pub(crate) fn monotonic_ms(&self) -> u64 {
        Clock::ORIGIN_MS + self.origin.elapsed().as_millis() as u64
    }

    /// When the monotonic clock shows this.
    pub(crate) fn instant(&self, monotonic_ms: u64) -> Instant {
        self.origin + Duration::from_millis(monotonic_ms.saturating_sub(Clock::ORIGIN_MS))
    }

    /// The moment, on the monotonic clock, at which `timeout` from now is over.
    pub(crate) fn deadline_ms(&self, timeout: Duration) -> u64 {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.monotonic_ms().saturating_add(timeout_ms)
    }
}
