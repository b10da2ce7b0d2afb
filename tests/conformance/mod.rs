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
    let (mut ran, mut steps, mut unrouted) = (0, 0, 0);
    for (number, case) in vector::load().into_iter().enumerate() {
        if !case.is_for(door) {
            continue;
        }
        if door == "rest" && !case.steps_for(door).all(rest::RestDoor::offers) {
            unrouted += 1;
            continue;
        }
        ran += 1;
        match run(&case, door, &server, number).await {
            Ok(done) => steps += done,
            Err(difference) => failures.push(format!("{}: {difference}", case.name)),
        }
    }
    let left_out = if unrouted > 0 { format!(", {unrouted} cases have no routes yet") } else { String::new() };
    report::note(&format!("conformance: {ran} cases, {steps} steps through the door `{door}`{left_out}"));
    assert!(failures.is_empty(), "{} of {ran} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(ran > 30, "only {ran} cases are for the door `{door}`");
}
