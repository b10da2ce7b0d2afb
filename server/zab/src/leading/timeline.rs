//! `Timeline`: when pings were sent and what was committed by then. It tells how long a ping took, and since when a
//! learner lacks something.

use alloc::collections::VecDeque;
use quorate_types::Zxid;

/// Pings whose answers still tell something: those of several seconds.
const PINGS_MAX: usize = 64;

/// Commits that are remembered, one for each ping at most: about 100 s. Whoever lags behind for longer is said to lag
/// behind for so long.
const COMMITS_MAX: usize = 1_024;

/// The past of a leader, as far as it measures its learners.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    /// The number of each ping and when it was sent, the newest last.
    pings: VecDeque<(u64, u64)>,
    /// What was committed at a ping, and when that was; only where it was more than at the ping before.
    commits: VecDeque<(Zxid, u64)>,
}

impl Timeline {
    /// A ping is sent to everybody.
    pub(super) fn pinged(&mut self, seq: u64, commit: Zxid, now_ms: u64) {
        if self.pings.len() == PINGS_MAX {
            self.pings.pop_front();
        }
        self.pings.push_back((seq, now_ms));
        if self.commits.back().is_some_and(|(last, _)| *last >= commit) {
            return;
        }
        if self.commits.len() == COMMITS_MAX {
            self.commits.pop_front();
        }
        self.commits.push_back((commit, now_ms));
    }

    /// How long ago a ping was sent.
    pub(super) fn since_ping_ms(&self, seq: u64, now_ms: u64) -> Option<u64> {
        let at = self.pings.partition_point(|(sent, _)| *sent < seq);
        self.pings.get(at).filter(|(sent, _)| *sent == seq).map(|(_, sent_ms)| now_ms.saturating_sub(*sent_ms))
    }

    /// For how long more than `matched` has been committed, to within a ping's interval.
    pub(super) fn lag_ms(&self, matched: Zxid, now_ms: u64) -> u64 {
        let at = self.commits.partition_point(|(commit, _)| *commit <= matched);
        self.commits.get(at).map_or(0, |(_, since_ms)| now_ms.saturating_sub(*since_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_counted_from_the_first_commit_that_is_lacking() {
        let mut timeline = Timeline::default();
        for (seq, commit) in [(1, 10), (2, 10), (3, 12), (4, 15)] {
            timeline.pinged(seq, Zxid(commit), seq * 100);
        }
        let lags = [9, 10, 11, 12, 14, 15, 99].map(|matched| timeline.lag_ms(Zxid(matched), 450));
        assert_eq!(lags, [350, 150, 150, 50, 50, 0, 0]);
        assert_eq!([1, 4, 5].map(|seq| timeline.since_ping_ms(seq, 450)), [Some(350), Some(50), None]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut timeline = Timeline::default();
        for seq in 0..10_000 {
            timeline.pinged(seq, Zxid(seq), seq);
        }
        assert_eq!((timeline.pings.len(), timeline.commits.len()), (PINGS_MAX, COMMITS_MAX));
        assert_eq!(timeline.lag_ms(Zxid(0), 9_999), COMMITS_MAX as u64 - 1);
        assert_eq!(timeline.since_ping_ms(0, 9_999), None);
    }
}
