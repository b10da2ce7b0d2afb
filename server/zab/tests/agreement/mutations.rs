//! Errors put into agreement on purpose, each of which the random walk has to find: `tests/mutations` runs them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate_types::mutation::hunt;

use crate::walk::{invariant, walk};

/// So many seeds may pass before an error is found.
const SEEDS_MAX: u64 = 20_000;

/// The name of each error, and what it is.
const MUTATIONS: &[(&str, &str)] = &[
    ("ack-before-disk", "a follower acknowledges what it has not written yet"),
    ("apply-before-commit", "what is durable here is delivered, whoever else has it"),
    ("apply-before-disk", "what is committed is delivered before this server has it durably"),
    ("commit-by-new-alone", "between two configurations, a quorum of the new one is enough to commit"),
    ("commit-by-old-alone", "between two configurations, a quorum of the old one is enough to commit"),
    ("commit-old-epoch", "records of an older epoch are committed by counting, without a marker"),
    ("count-amnesiac", "a server that has lost its disk counts"),
    ("count-observers", "what an observer has counts towards a commit"),
    ("epoch-before-disk", "a leader asks for the promise of an epoch that it has not promised durably itself"),
    ("found-by-quorum", "an ensemble begins with a majority of blank disks, whatever the others hold"),
    ("marker-without-quorum", "a leader is established before a quorum has its marker"),
    ("new-quorum-leads", "between two configurations, a quorum of the new one is enough to lead and to answer reads"),
    ("no-abdication", "a leader goes on although a voter in its quorum has more"),
    ("old-quorum-leads", "between two configurations, a quorum of the old one is enough to lead and to answer reads"),
    ("plan-by-range", "where two logs part is judged by the range of zxids, not by epochs"),
    ("promise-before-disk", "a promise is given before it is durable"),
    ("promise-twice", "an epoch is promised to a second leader"),
    ("read-without-round", "a leader answers for a read without asking whether it still leads"),
    ("readmit-early", "a server that has lost its disk counts again once it has caught up"),
    ("snap-below-common", "a snapshot takes the place of a log that reaches further"),
];

/// What the walk of a seed fails with.
fn failure(seed: u64) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| walk(seed))).err().map(|panic| invariant(&*panic))
}

#[test]
fn each_is_found() {
    let wanted = std::env::var("QUORATE_MUTATION").unwrap_or_default();
    // Thousands of failures are what is wanted here.
    std::panic::set_hook(Box::new(|_| ()));
    let mutations = MUTATIONS.iter().filter(|(name, _)| name.contains(&wanted));
    let first_failure = || (0..SEEDS_MAX).find_map(|seed| Some((seed, failure(seed)?)));
    let wrong = hunt(mutations, first_failure, failure, |line| println!("{line}"));
    drop(std::panic::take_hook());
    assert!(wrong.is_empty(), "not found, or not the reason: {wrong:?}");
}
