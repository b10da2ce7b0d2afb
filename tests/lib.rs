//! What Quorate is tested with: a naive model of its semantics, a judge of what concurrent clients saw, a harness for
//! real processes, and a report of what the tests counted.
//!
//! The tests themselves are the one integration-test binary `main`; `tests/run` runs all of them. Invariant: nothing
//! here is taken from the code under test except the vocabulary (`quorate-types`, `quorate-proto`): what a server
//! should do is written down a second time, from its specification.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod harness;
pub mod linearizability;
pub mod model;
pub mod report;
