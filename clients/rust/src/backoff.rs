//! How long to wait before trying again: exponential with full jitter, so that clients that lost the same server
//! spread out.

use std::time::Duration;

/// Bounds of the waits. The n-th wait is drawn evenly from nothing to `base * 2^n`, at most `cap`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// Before dialing again. Fail-over should be fast, so the first waits are short; the cap bounds what an ensemble
    /// that is down for long costs its clients, and how late they find it again.
    pub(crate) const DIAL: Backoff = Backoff { base: Duration::from_millis(10), cap: Duration::from_secs(2) };

    /// Before asking again a server that answered that it cannot serve now; elections take a fraction of a second.
    pub(crate) const UNAVAILABLE: Backoff =
        Backoff { base: Duration::from_millis(20), cap: Duration::from_millis(500) };

    /// Before a change that another one has overtaken is made again: about as long as a write takes, so that all but one of
    /// those who want to change the same are out of its way.
    pub(crate) const CONTENTION: Backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(100) };

    /// The longest wait after so many failures.
    fn bound(self, failures: u32) -> Duration {
        self.base.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(self.cap)
    }

    /// A wait after so many failures; none if there was no failure.
    pub(crate) fn wait(self, failures: u32) -> Duration {
        if failures == 0 { Duration::ZERO } else { self.wait_for(failures, random()) }
    }

    fn wait_for(self, failures: u32, random: u32) -> Duration {
        self.bound(failures).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// Jitter needs no quality; without the system's randomness half of the bound is as good as any.
fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_are_drawn_from_all_of_it() {
        let backoff = Backoff { base: Duration::from_millis(10), cap: Duration::from_secs(2) };
        assert_eq!(backoff.wait(0), Duration::ZERO);
        for (failures, bound_ms) in [(1, 20), (2, 40), (7, 1280), (8, 2000), (31, 2000), (32, 2000), (u32::MAX, 2000)] {
            assert_eq!(backoff.wait_for(failures, u32::MAX), Duration::from_millis(bound_ms), "{failures}");
            assert_eq!(backoff.wait_for(failures, 0), Duration::ZERO);
            assert!(backoff.wait(failures) <= Duration::from_millis(bound_ms));
        }
    }
}
