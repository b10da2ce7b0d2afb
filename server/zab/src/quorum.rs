//! Who votes, and what a quorum is: one predicate for every gate of the protocol.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use quorate_types::{ServerId, Zxid};

/// The configurations that are active: one, or two during the joint phase of a reconfiguration.
///
/// Invariant: a pure function of the log. A configuration takes effect when its record is appended and is undone
/// when that record is truncated; whether it is committed plays no part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configs(Vec<BTreeSet<ServerId>>);

impl Configs {
    /// One configuration with these voters.
    ///
    /// # Panics
    /// If there are none: such an ensemble could never decide anything.
    #[must_use]
    pub fn new(voters: impl IntoIterator<Item = ServerId>) -> Configs {
        let voters: BTreeSet<ServerId> = voters.into_iter().collect();
        assert!(!voters.is_empty(), "a configuration without voters");
        Configs(alloc::vec![voters])
    }

    /// Whether the servers for which `belongs` holds contain a majority of the voters of every active configuration.
    pub fn is_quorum(&self, belongs: impl Fn(ServerId) -> bool) -> bool {
        self.0.iter().all(|voters| {
            let present = voters.iter().filter(|server| belongs(**server)).count();
            2 * present > voters.len()
        })
    }

    /// The greatest zxid that a quorum of every active configuration has reached, given what each server has.
    pub fn reached(&self, has: impl Fn(ServerId) -> Zxid) -> Zxid {
        let reached_by_majority = |voters: &BTreeSet<ServerId>| {
            if voters.len() == 1 {
                return voters.first().map_or(Zxid::ZERO, |only| has(*only));
            }
            let mut zxids: Vec<Zxid> = voters.iter().map(|server| has(*server)).collect();
            zxids.sort_unstable_by(|a, b| b.cmp(a));
            zxids[voters.len() / 2]
        };
        self.0.iter().map(reached_by_majority).min().unwrap_or(Zxid::ZERO)
    }

    /// Whether `server` votes in an active configuration.
    #[must_use]
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.0.iter().any(|voters| voters.contains(&server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joint(a: &[u8], b: &[u8]) -> Configs {
        let set = |ids: &[u8]| ids.iter().map(|id| ServerId(*id)).collect();
        Configs([a, b].into_iter().filter(|ids| !ids.is_empty()).map(set).collect())
    }

    #[test]
    fn a_quorum_is_a_majority_of_every_active_configuration() {
        let check = |configs: &Configs, members: &[u8], expected| {
            assert_eq!(configs.is_quorum(|s| members.contains(&s.0)), expected, "{configs:?} {members:?}");
        };
        check(&joint(&[1], &[]), &[1], true);
        check(&joint(&[1], &[]), &[], false);
        check(&joint(&[1, 2], &[]), &[1], false);
        check(&joint(&[1, 2, 3], &[]), &[1, 3], true);
        check(&joint(&[1, 2, 3], &[]), &[1, 9], false);
        check(&joint(&[1, 2, 3, 4], &[]), &[1, 2], false);
        check(&joint(&[1, 2, 3], &[4, 5, 6]), &[1, 2, 3], false);
        check(&joint(&[1, 2, 3], &[4, 5, 6]), &[1, 2, 4, 6], true);
        check(&joint(&[1, 2, 3], &[3, 4, 5]), &[2, 3, 4], true);
    }

    #[test]
    fn what_a_quorum_has_reached_is_what_every_majority_has() {
        let check = |configs: &Configs, has: &[u64], expected| {
            let reached = configs.reached(|s| Zxid(has[s.0 as usize]));
            assert_eq!(reached, Zxid(expected), "{configs:?} {has:?}");
            // The same, by the predicate: a quorum has it, and none has more.
            assert!(configs.is_quorum(|s| has[s.0 as usize] >= reached.0));
            assert!(!configs.is_quorum(|s| has[s.0 as usize] > reached.0));
        };
        check(&joint(&[1], &[]), &[0, 7], 7);
        check(&joint(&[1, 2, 3], &[]), &[0, 7, 5, 3], 5);
        check(&joint(&[1, 2, 3, 4], &[]), &[0, 9, 8, 7, 6], 7);
        check(&joint(&[1, 2, 3], &[3, 4, 5]), &[0, 9, 9, 4, 3, 1], 3);
    }
}
