//! Errors put into the servers on purpose, each of which the simulator has to find: `tests/mutations` runs them. Those of
//! agreement alone are found sooner by its own random walk, and stand there.
//!
//! Not here: a session that is in no bucket because its end was proposed in vain. The end would have to be under way for
//! longer than a session lives in silence, and a leader whose proposals do not get on steps down before that; what holds
//! without that bound is tested where sessions are kept.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_types::mutation::hunt;

use super::world::World;
use super::{THREADS, failure_of};

/// So many seeds may pass before an error is found.
const SEEDS_MAX: u64 = 20_000;

/// The name of each error, and what it is.
const MUTATIONS: &[(&str, &str)] = &[
    ("answer-before-barrier", "a follower tells its client an answer before it has what that rests on"),
    ("asks-without-vote", "a server that can support nobody asks everybody whenever it hears of another round"),
    ("current-when-told", "a server shows what it has once it knows what it lacks"),
    ("decided-before-restored", "a write is decided by a state that a backup is about to take the place of"),
    ("done-executed-again", "a write that is sent again with its request id is made again"),
    ("expire-touched", "a sign of life does not put the end of a session off"),
    ("failed-multi-stays", "what a multi has done before it failed counts for those who come after it"),
    ("forget-newborn", "a leader says that there is no session while it is behind those who know of it"),
    ("forget-overlay", "a leader decides by what is applied, and forgets what is pending"),
    ("gathered-outlives-epoch", "a restore goes on in an epoch in which it did not begin"),
    ("held-write-outlives-client", "what a client wrote is made after it has left and written elsewhere"),
    ("ignore-min-zxid", "a client is shown a state before the one that it has seen"),
    ("later-epoch-unknown", "a leader that was replaced calls the zxids of the next one unknown"),
    ("late-snapshot-written", "a snapshot of the state before a leader has sent another is used"),
    ("log-not-synced", "records count as durable without a sync"),
    ("meta-not-synced", "a promise counts as durable without a sync"),
    ("no-fence", "whoever spoke for a session goes on when somebody else does"),
    ("pending-executed-again", "a write that is sent again while it is pending is made again"),
    ("reads-however-old", "a server that is out of touch with its ensemble shows what it has"),
    ("read-without-word", "a linearizable read is answered without the leader's word"),
    (
        "restore-untold-to-sessions",
        "who speaks for a session is not told that it ended with the state that it belonged to",
    ),
    ("session-outlives-restore", "the sessions of a backup live on when it is restored"),
    ("snapshot-not-synced", "a snapshot counts as durable without a sync"),
    ("snapshot-of-tail", "a snapshot claims what was logged and is not committed"),
    ("snapshot-while-restoring", "a snapshot is taken in the middle of a restore, and what is gathered is not in it"),
    ("streams-outlive-leader", "a connection goes on although something that was sent on it was lost with the leader"),
    ("touches-untold", "a follower does not tell its leader of its clients' signs of life"),
    ("truncation-not-synced", "the end of a log is removed without a sync"),
    ("watch-resumes-across-restore", "a watch that resumes is not told that a backup has become the state meanwhile"),
    ("watch-skips", "a watch that resumes goes on with what comes next"),
    ("word-of-earlier-turn", "a linearizable read is answered by a word that was asked for before it came"),
];

/// What takes more seeds than anybody waits for, and runs only if it is named: no run has found it yet.
const RARE: &[(&str, &str)] =
    &[("error-unconfirmed", "a leader answers with an error although another may lead already")];

/// What the run of a seed fails with.
fn failure(seed: u64) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, false).run())).err().map(|panic| failure_of(&*panic))
}

/// The first seed that fails.
fn first_failure() -> Option<(u64, String)> {
    let (next, found_at) = (AtomicU64::new(0), AtomicU64::new(SEEDS_MAX));
    let look = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= found_at.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(failure) = failure(seed) {
                // The other thread still has one that comes before, or none that counts.
                found_at.fetch_min(seed, Ordering::Relaxed);
                return Some((seed, failure));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(look)).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("a seed that fails is caught")).min()
    })
}

#[test]
fn each_is_found() {
    let wanted = std::env::var("QUORATE_MUTATION").unwrap_or_default();
    // Hundreds of failures are what is wanted here.
    std::panic::set_hook(Box::new(|_| ()));
    let rare: &[_] = if wanted.is_empty() { &[] } else { RARE };
    let mutations = MUTATIONS.iter().chain(rare).filter(|(name, _)| name.contains(&wanted));
    let wrong = hunt(mutations, first_failure, failure, |line| println!("{line}"));
    drop(std::panic::take_hook());
    assert!(wrong.is_empty(), "not found, or not the reason: {wrong:?}");
}
