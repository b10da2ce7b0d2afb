//! The judge is judged: histories whose verdict is plain, and random ones that are also tried in every order.

use proptest::prelude::*;
use proptest::test_runner::Config;
use quorate_tests::linearizability::{Action, Answer, Operation, Outcome, Verdict, Znode, check, judge};

const STEPS_MAX: u64 = 100_000;

/// Operations of a random history: every order of so many can be tried.
const RANDOM_MAX: usize = 6;

fn operation(called: u64, action: Action, answer: Answer) -> Operation {
    Operation { client: called as usize, path: "/a".to_owned(), action, called, answer }
}

fn seen(called: u64, at: u64, action: Action, outcome: Outcome) -> Operation {
    operation(called, action, Answer::Seen { at, outcome })
}

fn lost(called: u64, until: Option<u64>, action: Action) -> Operation {
    operation(called, action, Answer::Lost { until })
}

fn create(value: u64) -> Action {
    Action::Create { value }
}

fn set(value: u64) -> Action {
    Action::Set { value, version: None }
}

fn set_if(value: u64, version: i32) -> Action {
    Action::Set { value, version: Some(version) }
}

const GET: Action = Action::Get;
const DELETE: Action = Action::Delete { version: None };

fn written(version: i32) -> Outcome {
    Outcome::Written { version }
}

fn found(value: u64, version: i32) -> Outcome {
    Outcome::Found { value, version }
}

fn verdict(history: &[Operation]) -> Verdict {
    judge(&history.iter().collect::<Vec<_>>(), STEPS_MAX)
}

#[track_caller]
fn holds(history: &[Operation]) {
    assert!(matches!(verdict(history), Verdict::Linearizable { .. }), "{:?} of {history:#?}", verdict(history));
}

#[track_caller]
fn fails(history: &[Operation], explained: usize) {
    assert_eq!(verdict(history), Verdict::Impossible { explained }, "{history:#?}");
}

#[test]
fn operations_one_after_the_other_are_linearizable_if_each_answer_is_right() {
    let history = [
        seen(0, 1, GET, Outcome::Absent),
        seen(2, 3, create(7), written(0)),
        seen(4, 5, create(8), Outcome::Exists),
        seen(6, 7, set(9), written(1)),
        seen(8, 9, set_if(10, 0), Outcome::BadVersion),
        seen(10, 11, GET, found(9, 1)),
        seen(12, 13, DELETE, Outcome::Deleted),
        seen(14, 15, DELETE, Outcome::Absent),
    ];
    holds(&history);
    holds(&[]);
    for wrong in 0..history.len() {
        let mut history = history.clone();
        history[wrong] = Operation {
            answer: Answer::Seen { at: 2 * wrong as u64 + 1, outcome: found(99, 9) },
            ..history[wrong].clone()
        };
        fails(&history, wrong);
    }
}

#[test]
fn a_read_that_misses_a_write_that_was_answered_before_is_stale() {
    let begin = [seen(0, 1, create(7), written(0)), seen(2, 3, set(8), written(1))];
    fails(&[&begin[..], &[seen(4, 5, GET, found(7, 0))]].concat(), 2);
    // While the write is under way, either is right.
    holds(&[begin[0].clone(), seen(2, 5, set(8), written(1)), seen(3, 4, GET, found(7, 0))]);
    holds(&[begin[0].clone(), seen(2, 5, set(8), written(1)), seen(3, 4, GET, found(8, 1))]);
}

#[test]
fn what_one_has_read_nobody_may_unread() {
    let write = seen(2, 9, set(8), written(1));
    let reads = |first, second| {
        [seen(0, 1, create(7), written(0)), write.clone(), seen(3, 4, GET, first), seen(5, 6, GET, second)]
    };
    holds(&reads(found(7, 0), found(8, 1)));
    fails(&reads(found(8, 1), found(7, 0)), 3);
}

#[test]
fn two_writes_cannot_both_have_been_the_first() {
    let begin = seen(0, 1, create(7), written(0));
    // Two creates, two compare-and-sets, two deletes, at the same time.
    fails(&[seen(0, 5, create(1), written(0)), seen(1, 6, create(2), written(0))], 1);
    fails(&[begin.clone(), seen(2, 5, set_if(1, 0), written(1)), seen(3, 6, set_if(2, 0), written(1))], 2);
    fails(&[begin.clone(), seen(2, 5, DELETE, Outcome::Deleted), seen(3, 6, DELETE, Outcome::Deleted)], 2);
    holds(&[begin.clone(), seen(2, 5, DELETE, Outcome::Deleted), seen(3, 6, DELETE, Outcome::Absent)]);
    holds(&[begin, seen(2, 5, set_if(1, 0), written(1)), seen(3, 6, set_if(2, 0), Outcome::BadVersion)]);
}

#[test]
fn a_lost_write_may_have_happened_late_or_never_but_not_twice() {
    let begin = [seen(0, 1, create(7), written(0)), lost(2, None, set(8))];
    let then = |reads: &[Operation]| [&begin[..], reads].concat();
    holds(&then(&[seen(3, 4, GET, found(7, 0)), seen(5, 6, GET, found(7, 0))]));
    holds(&then(&[seen(3, 4, GET, found(7, 0)), seen(5, 6, GET, found(8, 1))]));
    holds(&then(&[seen(3, 4, set(9), written(2)), seen(5, 6, GET, found(9, 2))]));
    fails(&then(&[seen(3, 4, GET, found(8, 1)), seen(5, 6, GET, found(7, 0))]), 2);
    fails(&then(&[seen(3, 4, set(9), written(2)), seen(5, 6, GET, found(8, 3))]), 2);
    // Before it was sent, it cannot have happened.
    fails(&[begin[0].clone(), seen(2, 3, GET, found(8, 1)), lost(4, None, set(8))], 1);
}

#[test]
fn a_lost_write_does_not_happen_after_the_process_that_knew_of_it_has_died() {
    let begin = [seen(0, 1, create(7), written(0)), lost(2, Some(5), set(8))];
    let then = |reads: &[Operation]| [&begin[..], reads].concat();
    holds(&then(&[seen(6, 7, GET, found(7, 0)), seen(8, 9, GET, found(7, 0))]));
    holds(&then(&[seen(6, 7, GET, found(8, 1)), seen(8, 9, GET, found(8, 1))]));
    fails(&then(&[seen(6, 7, GET, found(7, 0)), seen(8, 9, GET, found(8, 1))]), 2);
}

#[test]
fn znodes_are_judged_apart_and_the_one_that_is_wrong_is_named() {
    let other = |operation: Operation| Operation { path: "/b".to_owned(), ..operation };
    let mut history = vec![
        seen(0, 1, create(7), written(0)),
        other(seen(2, 3, create(8), written(0))),
        seen(4, 5, GET, found(7, 0)),
        other(lost(6, None, DELETE)),
    ];
    let checked = check(&history, STEPS_MAX).unwrap();
    assert_eq!((checked.paths, checked.operations, checked.lost), (2, 4, 1));
    history.push(other(seen(8, 9, GET, found(7, 0))));
    let difference = check(&history, STEPS_MAX).unwrap_err();
    assert!(difference.starts_with("/b: Impossible") && difference.contains("client 8: Get"), "{difference}");
}

#[test]
fn what_takes_too_long_is_undecided() {
    // Many writes at the same time, and then a version that none of their orders can lead to.
    let mut history: Vec<Operation> =
        (0..20).map(|client| seen(client, 100 + client, create(client), Outcome::Exists)).collect();
    history.push(seen(50, 101, GET, Outcome::Absent));
    assert_eq!(judge(&history.iter().collect::<Vec<_>>(), 10), Verdict::Undecided);
}

/// A long history with much at the same time is judged within a bounded number of steps.
#[test]
fn a_long_history_takes_few_steps_an_operation() {
    const CLIENTS: u64 = 8;
    let (mut history, mut znode) = (Vec::new(), Znode::default());
    for number in 0..4_000 {
        let action = match number % 5 {
            0 => create(number),
            1 | 2 => GET,
            3 => set(number),
            _ => set_if(number, (number % 3) as i32),
        };
        let (after, outcome) = znode.after(action);
        // It happens at its number, in the middle of what its client waits for; each client waits for one answer.
        let moment = 2 * CLIENTS * number;
        let (called, at) = (moment.saturating_sub(CLIENTS * CLIENTS), moment + CLIENTS * CLIENTS - 1);
        history.push(match number % 97 {
            96 => lost(called, Some(at), action),
            _ => seen(called, at, action, outcome),
        });
        znode = after;
    }
    let Verdict::Linearizable { steps } = verdict(&history) else { panic!("{:?}", verdict(&history)) };
    assert!(steps < 20 * history.len() as u64, "{steps} steps");
}

fn any_action() -> impl Strategy<Value = Action> {
    let version = prop_oneof![Just(None), (0..2_i32).prop_map(Some)];
    prop_oneof![
        (0..3_u64).prop_map(|value| Action::Create { value }),
        ((0..3_u64), version.clone()).prop_map(|(value, version)| Action::Set { value, version }),
        version.prop_map(|version| Action::Delete { version }),
        Just(Action::Get),
    ]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (0..3_i32).prop_map(|version| Outcome::Written { version }),
        Just(Outcome::Deleted),
        ((0..3_u64), (0..3_i32)).prop_map(|(value, version)| Outcome::Found { value, version }),
        Just(Outcome::Absent),
        Just(Outcome::Exists),
        Just(Outcome::BadVersion),
    ]
}

/// What really happened, in one order, with beginnings and ends around it, of which some are then falsified.
fn any_history() -> impl Strategy<Value = Vec<Operation>> {
    let one = (any_action(), 0..6_u64, 0..6_u64, 0..8_u8, any_outcome());
    proptest::collection::vec(one, 1..=RANDOM_MAX).prop_map(|actions| {
        let mut znode = Znode::default();
        let operation = |(number, (action, before, after, fate, other)): (usize, (Action, u64, u64, u8, Outcome))| {
            let (next, outcome) = znode.after(action);
            // Moments differ: those of one operation are all the same modulo their number.
            let moment = |at: u64| at * 2 * RANDOM_MAX as u64 + 2 * number as u64;
            let (called, at) = (moment(10 + 2 * number as u64 - before), moment(10 + 2 * number as u64 + after) + 1);
            if fate != 3 {
                znode = next;
            }
            match fate {
                0 => seen(called, at, action, other),
                1 => lost(called, None, action),
                2 | 3 => lost(called, Some(at), action),
                _ => seen(called, at, action, outcome),
            }
        };
        actions.into_iter().enumerate().map(operation).collect()
    })
}

/// Tries every order, without any cleverness.
fn is_linearizable(left: &[Operation], znode: Znode) -> bool {
    if left.iter().all(|operation| !operation.answer.is_seen()) {
        return true;
    }
    left.iter().enumerate().any(|(number, first)| {
        let ended = |operation: &Operation| operation.answer.is_seen() && operation.answer.end() < Some(first.called);
        if left.iter().any(ended) {
            return false;
        }
        // What was lost and is over before this begins never happened.
        let is_over = |operation: &Operation| operation.answer.end().is_some_and(|end| end < first.called);
        let rest: Vec<Operation> = left
            .iter()
            .enumerate()
            .filter(|(at, other)| *at != number && !is_over(other))
            .map(|(_, other)| other.clone())
            .collect();
        let (after, expected) = znode.after(first.action);
        let fits = !matches!(first.answer, Answer::Seen { outcome, .. } if outcome != expected);
        fits && is_linearizable(&rest, after)
    })
}

proptest! {
    #![proptest_config(Config { cases: 4_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_search_finds_an_order_exactly_if_there_is_one(history in any_history()) {
        let expected = is_linearizable(&history, Znode::default());
        let verdict = verdict(&history);
        prop_assert_eq!(matches!(verdict, Verdict::Linearizable { .. }), expected, "{:?}", verdict);
        prop_assert_ne!(verdict, Verdict::Undecided);
    }
}
