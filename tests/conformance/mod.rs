//! The conformance vectors, run through every door of a real server.

mod channel;
mod door;
mod matching;
mod messages;
mod rest;
mod run;
mod unary;
mod vector;
mod watches;

use quorate_tests::harness::Server;
use quorate_tests::report;

use run::run;

#[tokio::test]
async fn every_vector_holds_by_unary_calls() {
    check("unary").await;
}

#[tokio::test]
async fn every_vector_holds_on_a_channel() {
    check("channel").await;
}

#[tokio::test]
async fn every_vector_holds_over_rest() {
    check("rest").await;
}

/// Runs all cases that the door is for, and fails with a list of those that do not hold.
async fn check(door: &'static str) {
    let server = Server::start();
    let mut failures = Vec::new();
    let (mut cases, mut steps) = (0, 0);
    for case in vector::load().into_iter().filter(|case| case.doors.iter().any(|name| name == door)) {
        cases += 1;
        match run(&case, door, &server, cases).await {
            Ok(done) => steps += done,
            Err(difference) => failures.push(format!("{}: {difference}", case.name)),
        }
    }
    report::note(&format!("conformance: {cases} cases, {steps} steps through the door `{door}`"));
    assert!(failures.is_empty(), "{} of {cases} cases fail:\n{}", failures.len(), failures.join("\n"));
}
