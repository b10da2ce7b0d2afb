//! The rules of agreement as a model, every run of which is tried, within bounds.
//!
//! Three servers, a few txns, crashes, cuts and wiped disks; whoever likes may try to lead at any time. The search
//! visits every state that any order of events leads to, and looks in each for a violated invariant. It knows nothing
//! of the code: it says whether the rules are right, and the simulators whether the code keeps them.
//!
//! | file | holds |
//! | --- | --- |
//! | `rules` | the rules that make the protocol safe, by name; the model can do without any one of them |
//! | `discovery` | phase 1: propose an epoch, join, promise |
//! | `synchronization` | phase 2: the follower's log becomes a prefix of the leader's |
//! | `broadcast` | phase 3: propose, append, sync; how an amnesiac is readmitted |
//! | `faults` | cut, isolate, step down, crash, wipe |
//! | `properties` | what must always hold, and what must happen sometimes |
//! | `server`, `log`, `ensemble` | what a server is, a history, and all servers with an observer who sees them all |
//! | `names` | why the checker does not care who is who |
//! | `zab` | the model as the checker sees it: which actions there are |
//! | `mutations` | each rule left out, and what comes of it |
//!
//! # What is one step, and why that loses nothing
//!
//! There is no network: what one server says and another hears is one step of both. A message that is on its way can
//! as well be heard when it is sent, because that commutes with whatever happens meanwhile elsewhere; if it is never
//! heard, the session has ended before it, which is a step of its own (`cut`, or a promise that is not heard). Order
//! matters between what followers have and what their leader knows of it, and there the model is the worst case: to be
//! told earlier only lets a leader commit earlier, and the more is committed the more there is to keep. For the same
//! reason a leader commits as soon as it may, and forgets followers whose session has ended.
//!
//! A follower's append and its acknowledgement, a promise and its answer, are one step with the disk, because nobody is
//! told before the disk has it, and a crash that loses it is a crash before it. A leader's disk has steps of its own:
//! it sends its records before they are durable, and a crash keeps any prefix of them. Where a rule is left out that
//! says to wait for the disk, the disk stays behind.
//!
//! A server that is down cannot be told from one that looks and does nothing, so a crash is also the restart. A
//! learner whose promise is too new to join joins when the leader has begun a later epoch. Elections, pings, timeouts,
//! observers, reconfiguration and reads are not modelled.

mod broadcast;
mod discovery;
mod ensemble;
mod faults;
mod log;
mod mutations;
mod names;
mod properties;
mod rules;
mod server;
mod synchronization;
mod zab;

use std::collections::BTreeSet;
use std::time::Instant;

use quorate_tests::report;
use stateright::{Checker, Expectation, Model};

use self::ensemble::Budget;
use self::rules::Rules;
use self::zab::{Bounds, Zab};

/// Searched in every run of the tests.
const USUAL: [Bounds; 2] = [
    Bounds { epochs: 3, budget: Budget { txns: 2, crashes: 1, cuts: 1, wipes: 0 } },
    Bounds { epochs: 2, budget: Budget { txns: 1, crashes: 1, cuts: 1, wipes: 1 } },
];

/// Searched with `QUORATE_MODEL=large`.
const LARGE: [Bounds; 4] = [
    Bounds { epochs: 3, budget: Budget { txns: 3, crashes: 2, cuts: 1, wipes: 0 } },
    Bounds { epochs: 3, budget: Budget { txns: 1, crashes: 1, cuts: 1, wipes: 1 } },
    Bounds { epochs: 4, budget: Budget { txns: 2, crashes: 2, cuts: 1, wipes: 0 } },
    Bounds { epochs: 3, budget: Budget { txns: 2, crashes: 2, cuts: 1, wipes: 1 } },
];

/// Tries everything within these bounds. What it has seen happen of what has to happen sometimes.
fn search(bounds: Bounds) -> BTreeSet<&'static str> {
    let began = Instant::now();
    let zab = Zab { rules: Rules::default(), bounds };
    let checker = zab.checker().threads(2).spawn_bfs().join();
    let (states, depth, seconds) =
        (checker.unique_state_count(), checker.max_depth() - 1, began.elapsed().as_secs_f64());
    report::note(&format!("agreement: {bounds:?}: {states} states, {depth} steps deep, in {seconds:.0} s"));
    let (mut seen, found) = (BTreeSet::new(), checker.discoveries());
    for property in zab.properties() {
        let Some(path) = found.get(property.name) else { continue };
        if property.expectation == Expectation::Always {
            panic!("not so: {}\n{:#?}\n{:#?}", property.name, path.clone().into_actions(), path.last_state());
        }
        seen.insert(property.name);
    }
    seen
}

#[test]
fn agreement_is_safe_whatever_happens_within_small_bounds() {
    let bounds = match std::env::var("QUORATE_MODEL").as_deref() {
        Err(_) => &USUAL[..],
        Ok("large") => &LARGE[..],
        Ok(other) => panic!("QUORATE_MODEL={other} is not `large`"),
    };
    let seen: BTreeSet<_> = bounds.iter().copied().flat_map(search).collect();
    let all = properties::all();
    let sometimes = all.iter().filter(|property| property.expectation == Expectation::Sometimes);
    // What never happened was not survived.
    for property in sometimes {
        assert!(seen.contains(property.name), "never: {}", property.name);
    }
}
