//! `Reaping`: the leader removes containers that have lost their children and znodes whose time to live is over
//! (`org.apache.zookeeper.server.ContainerManager`).

use quorate_types::Now;

use crate::effect::Effects;
use crate::limits::{REAP_INTERVAL_MS, REAP_MAX, REAP_SUSPENSION_MS, WALL_JUMP_MS};
use crate::replica::Replica;

/// When to look next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reaping {
    next_ms: u64,
    last: Option<Now>,
}

impl Reaping {
    /// Whether it is time to look. After a jump of the wall clock it is not for a while: such a clock must not delete
    /// what an operator can still save by setting it right.
    fn is_due(&mut self, now: Now) -> bool {
        if let Some(last) = self.last {
            let passed_ms = (now.monotonic_ms - last.monotonic_ms) as i64;
            if (now.wall_ms - last.wall_ms - passed_ms).abs() > WALL_JUMP_MS {
                self.next_ms = now.monotonic_ms + REAP_SUSPENSION_MS;
            }
        }
        self.last = Some(now);
        if now.monotonic_ms < self.next_ms {
            return false;
        }
        self.next_ms = now.monotonic_ms + REAP_INTERVAL_MS;
        true
    }
}

impl Replica {
    /// Proposes the removal of what is due, each with the condition that it has not changed since.
    pub(crate) fn reap(&mut self, now: Now, out: &mut Effects) {
        if self.room.is_full || !self.reaping.is_due(now) {
            return;
        }
        for reap in self.tree.due(now.wall_ms, REAP_MAX) {
            self.propose_own(now, out, |pending, tree, zxid| pending.prepare_reap(tree, &reap, zxid, now.wall_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_suspends_reaping_for_a_while() {
        let mut reaping = Reaping::default();
        let mut is_due = |monotonic_ms, wall_ms| reaping.is_due(Now { monotonic_ms, wall_ms });
        assert!(is_due(0, 1_000_000));
        assert!(!is_due(500, 1_000_500));
        assert!(is_due(1_000, 1_001_000));
        assert!(!is_due(2_000, 9_000_000), "an hour or two forward");
        assert!(!is_due(61_000, 9_059_000));
        assert!(is_due(62_000, 9_060_000));
        assert!(!is_due(63_000, 1_000_000), "and back");
    }
}
