//! The replicated tree against the model: random histories of requests, compared answer by answer, change by change
//! and znode by znode. And the judge of what concurrent clients saw, judged itself.

mod history;
mod linearizability;
mod step;
mod subject;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use quorate_tests::report;

use history::History;
use step::Step;

/// Random histories, and how long one may be.
const CASES: u32 = 400;
const STEPS_MAX: usize = 120;

/// Steps of the one long history.
const LONG_STEPS: usize = 3_000;

#[test]
fn tree_agrees_with_the_model_on_random_histories() {
    on_a_large_stack(compare_random_histories);
}

#[test]
fn tree_agrees_with_the_model_on_a_long_history() {
    on_a_large_stack(compare_a_long_history);
}

fn compare_random_histories() {
    let cases = CASES * report::scale() as u32;
    let config = Config { cases, max_shrink_iters: 20_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let totals = std::cell::RefCell::new(history::Totals::default());
    let outcome = runner.run(&proptest::collection::vec(step::any_step(), 1..STEPS_MAX), |steps| {
        let seen = check(&steps).map_err(TestCaseError::fail)?;
        totals.borrow_mut().add(&seen);
        Ok(())
    });
    if let Err(TestError::Fail(reason, steps)) = outcome {
        let steps: Vec<String> = steps.iter().map(|step| format!("    {step:?},")).collect();
        panic!("{reason}\nwith these steps:\n{}", steps.join("\n"));
    }
    outcome.expect("no case is rejected");
    report::note(&format!("model: {cases} random histories (seeds): {}", totals.into_inner()));
}

/// A long history keeps state that short ones never reach: many sequences, long lists of children, many answers.
fn compare_a_long_history() {
    let mut runner = TestRunner::deterministic();
    let one = step::any_step();
    let mut history = History::new();
    for at in 0..LONG_STEPS * report::scale() {
        let step = one.new_tree(&mut runner).expect("a step can be drawn").current();
        history.run(&step).unwrap_or_else(|difference| panic!("step {at}, {step:?}: {difference}"));
    }
    history.finish().unwrap_or_else(|difference| panic!("after the last step: {difference}"));
    report::note(&format!("model: one long history: {}", history.totals));
    // Its seed is always the same, so this cannot fail by chance.
    history.totals.assert_nothing_was_cold();
}

/// Strategies are nested deeply, and take much stack where nothing is optimized.
fn on_a_large_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(64 * 1024 * 1024).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs the steps on both sides; what differs is the error.
fn check(steps: &[Step]) -> Result<history::Totals, String> {
    let mut history = History::new();
    for (at, step) in steps.iter().enumerate() {
        history.run(step).map_err(|difference| format!("step {at}, {step:?}: {difference}"))?;
    }
    history.finish().map_err(|difference| format!("after the last step: {difference}"))?;
    Ok(history.totals)
}
