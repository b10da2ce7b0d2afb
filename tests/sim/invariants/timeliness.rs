//! Timeliness: whoever has seen nothing yet, and does not ask for whatever there is, is shown no state that others have
//! left behind long ago and before he asked.

use quorate_types::Zxid;

/// Clocks go wrong by up to one part in twenty, and a moment is a millisecond of them.
const SLACK: fn(u64) -> u64 = |us| us / 18 + 2_000;

/// When everything was committed.
pub(crate) struct Timeliness {
    committed: Vec<(Zxid, u64)>,
    bound_us: u64,
    pub(crate) checked: u64,
}

impl Timeliness {
    pub(crate) fn new(staleness_ms: u64) -> Timeliness {
        let bound_us = staleness_ms * 1_000;
        Timeliness { committed: Vec::new(), bound_us: bound_us + SLACK(bound_us), checked: 0 }
    }

    /// The first server has applied it.
    pub(crate) fn committed(&mut self, zxid: Zxid, now_us: u64) {
        self.committed.push((zxid, now_us));
    }

    /// A server shows its state, which is the one at `zxid`, to somebody who asked at some time.
    pub(crate) fn shown(&mut self, zxid: Zxid, asked_us: u64, now_us: u64) {
        let upto = self.committed.partition_point(|(known, _)| *known <= zxid);
        if let Some((missed, since_us)) = self.committed.get(upto) {
            let behind_us = now_us - since_us;
            assert!(
                behind_us <= self.bound_us || *since_us >= asked_us,
                "Timeliness: the state at {zxid:?} is shown {behind_us} us after {missed:?} was committed"
            );
        }
        self.checked += 1;
    }
}
