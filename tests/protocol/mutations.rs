//! Each rule left out in turn: the search finds what it protects from. A rule that could be left out would be no rule,
//! or the model would not see what it is for.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use super::ensemble::Budget;
use super::properties::{COMPLETE, NOTHING_LOST, ONE_LEADER, TRUE_ACKS};
use super::rules::{Rule, Rules};
use super::zab::{Bounds, Zab};

/// What comes of leaving out a rule: this does not hold any more, after so many steps and not before.
struct Mutation {
    without: Rule,
    violates: &'static str,
    steps: usize,
    bounds: Bounds,
}

const fn within(epochs: u8, txns: u8, crashes: u8, cuts: u8, wipes: u8) -> Bounds {
    Bounds { epochs, budget: Budget { txns, crashes, cuts, wipes } }
}

const MUTATIONS: [Mutation; 9] = [
    // Two prospective leaders of one epoch. The first forgets its own promise in a crash, and gives it to the second.
    Mutation { without: Rule::PromiseDurablyThenAnswer, violates: ONE_LEADER, steps: 5, bounds: within(1, 0, 1, 0, 0) },
    // The same two; it does not even have to forget.
    Mutation { without: Rule::PromiseOnce, violates: ONE_LEADER, steps: 5, bounds: within(1, 0, 1, 0, 0) },
    // Somebody who was away while a marker was committed leads those who have it.
    Mutation { without: Rule::AbdicateToTheLongerLog, violates: COMPLETE, steps: 8, bounds: within(2, 0, 1, 0, 0) },
    // A deposed leader's own marker stays in its log, before the new leader's.
    Mutation { without: Rule::DropWhatTheLeaderLacks, violates: TRUE_ACKS, steps: 7, bounds: within(2, 0, 1, 0, 0) },
    // An old snapshot takes back what the follower has acknowledged.
    Mutation {
        without: Rule::SnapshotHoldsTheCommonPrefix,
        violates: NOTHING_LOST,
        steps: 10,
        bounds: within(2, 1, 0, 0, 0),
    },
    // A quorum of acknowledgements, and a quorum of disks that have nothing.
    Mutation { without: Rule::AckWhatIsDurable, violates: NOTHING_LOST, steps: 4, bounds: within(1, 0, 0, 0, 0) },
    // A leader brings a record of epoch 1 to a quorum before its own marker of epoch 3; one that has led in epoch 2,
    // and has a later record than that, overrules it in epoch 4.
    Mutation { without: Rule::CommitFromTheMarkerOn, violates: COMPLETE, steps: 13, bounds: within(4, 0, 2, 1, 0) },
    // A wiped server has forgotten whom it has promised the epoch, and promises it again.
    Mutation { without: Rule::AmnesiacsCountNowhere, violates: ONE_LEADER, steps: 5, bounds: within(1, 0, 0, 0, 1) },
    // A wiped server that has acknowledged a txn counts again when it has the marker, and not yet the txn.
    Mutation { without: Rule::ReadmitByALaterEpoch, violates: NOTHING_LOST, steps: 12, bounds: within(1, 1, 0, 0, 1) },
];

#[test]
fn no_rule_can_be_left_out() {
    for Mutation { without, violates, steps, bounds } in MUTATIONS {
        let zab = Zab { rules: Rules::all_but(without), bounds };
        let violated = HasDiscoveries::AnyOf(BTreeSet::from([violates]));
        // The checker does not look at states of the depth that it is given, and the first state has depth 1.
        let checker = zab.checker().finish_when(violated).target_max_depth(steps + 2).spawn_bfs().join();
        let path = checker.discovery(violates).unwrap_or_else(|| panic!("{without:?} can be left out: {violates}"));
        let actions = path.into_actions();
        println!("without {without:?}, not so: {violates}");
        actions.iter().for_each(|action| println!("    {action:?}"));
        assert_eq!(actions.len(), steps, "without {without:?}");
    }
}
