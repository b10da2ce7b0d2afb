//! The calls of a Channel, step by step.

use std::time::Duration;

use prost::Message as _;

use super::*;

struct Steps {
    state: State,
    now: Instant,
}

impl Steps {
    fn new() -> Steps {
        Steps { state: State::default(), now: Instant::now() }
    }

    fn begin(&mut self, path: &str, repeatable: bool, seconds: u64) -> Id {
        let operation = match repeatable {
            true => WireOperation::Get(v1::GetRequest { path: path.into(), options: None }),
            false => WireOperation::Delete(v1::DeleteRequest { path: path.into(), ..Default::default() }),
        };
        self.begin_request(operation, !repeatable, repeatable, seconds)
    }

    /// A write with a name.
    fn begin_named(&mut self, path: &str, seconds: u64) -> Id {
        let operation = WireOperation::Delete(v1::DeleteRequest { path: path.into(), ..Default::default() });
        self.begin_request(operation, true, true, seconds)
    }

    fn begin_request(&mut self, operation: WireOperation, writes: bool, repeatable: bool, seconds: u64) -> Id {
        let deadline = self.now + Duration::from_secs(seconds);
        let request = Request { operation, writes, repeatable, deadline };
        self.state.begin(request, Waker::noop().clone(), &mut After::default()).expect("open").0
    }

    /// The paths of the next message.
    fn send(&mut self) -> Vec<String> {
        let mut message = BytesMut::new();
        self.state.encode_batch(self.now, None, &mut message);
        let message = v1::ChannelRequest::decode(message).expect("well-formed");
        let path = |operation: v1::ChannelOperation| match operation.operation {
            Some(WireOperation::Get(request)) => request.path,
            Some(WireOperation::Delete(request)) => request.path,
            other => panic!("{other:?}"),
        };
        message.operations.into_iter().map(path).collect()
    }

    fn answer(&mut self, id: Id) -> usize {
        self.reply(id, WireReply::Sync(v1::SyncResponse { header: None }))
    }

    fn refuse(&mut self, id: Id, reason: v1::ErrorReason) {
        let error = v1::Error { reason: reason.into(), ..Default::default() };
        assert_eq!(self.reply(id, WireReply::Error(error)), 1);
    }

    fn reply(&mut self, id: Id, result: WireReply) -> usize {
        let result = Some(result);
        let mut after = After::default();
        self.state.complete(v1::ChannelReply { id: id.0, zxid: 9, result }, &mut after);
        after.finished
    }

    fn break_stream(&mut self) -> usize {
        let mut after = After::default();
        self.state.end_stream(&Error::new(Reason::ConnectionLost, "broken"), &mut after);
        after.finished
    }

    fn outcome(&mut self, id: Id) -> Option<Result<u64, (Reason, bool)>> {
        let outcome = self.state.poll(id, Waker::noop())?;
        Some(match outcome {
            Ok((zxid, _)) => Ok(zxid),
            Err(failed) => Err((failed.error.reason(), failed.error.maybe_applied())),
        })
    }
}

#[test]
fn all_that_waits_goes_into_one_message_and_answers_find_their_calls() {
    let mut steps = Steps::new();
    let (a, b, c) = (steps.begin("/a", true, 1), steps.begin("/b", true, 1), steps.begin("/c", true, 1));
    assert_eq!(steps.send(), ["/a", "/b", "/c"]);
    assert_eq!(steps.send(), Vec::<String>::new());
    assert_eq!((steps.answer(c), steps.answer(a)), (1, 1));
    assert_eq!(steps.answer(a), 0, "answered twice");
    assert_eq!((steps.outcome(a), steps.outcome(b), steps.outcome(c)), (Some(Ok(9)), None, Some(Ok(9))));
}

#[test]
fn a_message_has_an_end() {
    let mut steps = Steps::new();
    let long = format!("/{}", "x".repeat(BATCH_BYTES_MAX / 2));
    for _ in 0..4 {
        steps.begin(&long, true, 1);
    }
    assert_eq!((steps.send().len(), steps.send().len(), steps.send().len()), (2, 2, 0));
    for _ in 0..5_000 {
        steps.begin("/a", true, 1);
    }
    assert_eq!((steps.send().len(), steps.send().len()), (4_096, 904));
}

#[test]
fn a_break_queues_again_in_order_what_is_harmless_and_fails_the_rest() {
    let mut steps = Steps::new();
    let (a, b, c) = (steps.begin("/a", true, 1), steps.begin("/b", false, 1), steps.begin("/c", true, 1));
    let done = steps.begin("/done", true, 1);
    assert_eq!(steps.send().len(), 4);
    steps.answer(done);
    let d = steps.begin("/d", false, 1);
    assert_eq!(steps.break_stream(), 1);
    assert_eq!(steps.outcome(b), Some(Err((Reason::ConnectionLost, true))));
    assert_eq!(steps.send(), ["/a", "/c", "/d"], "what was not sent yet is not concerned");
    assert_eq!(steps.outcome(done), Some(Ok(9)));
    for id in [a, c, d] {
        assert_eq!(steps.answer(id), 1);
    }
}

#[test]
fn calls_out_of_time_fail_and_say_whether_they_were_sent() {
    let mut steps = Steps::new();
    let (sent, late) = (steps.begin("/sent", false, 2), steps.begin("/late", true, 3));
    steps.send();
    let unsent = steps.begin("/unsent", false, 1);
    assert_eq!(steps.state.next_expiry(), Some(steps.now + Duration::from_secs(1)));
    let error = Error::new(Reason::Unreachable, "nobody");
    let mut after = After::default();
    steps.state.expire(steps.now + Duration::from_secs(2), &error, &mut after);
    assert_eq!(after.finished, 2);
    assert_eq!(steps.outcome(sent), Some(Err((Reason::Timeout, true))));
    assert_eq!(steps.outcome(unsent), Some(Err((Reason::Unreachable, false))));
    assert_eq!(steps.outcome(late), None);
    assert_eq!(steps.state.next_expiry(), Some(steps.now + Duration::from_secs(3)));
    assert!(!steps.state.is_waiting(), "nobody waits for it any more");
    assert_eq!(steps.send(), Vec::<String>::new());
    assert_eq!(steps.answer(sent), 0);
}

#[test]
fn a_write_that_was_sent_stays_in_doubt_while_it_waits_to_be_sent_again() {
    let check = |fail: fn(&mut Steps), expected: Reason| {
        let mut steps = Steps::new();
        let sent = steps.begin_named("/sent", 1);
        assert_eq!(steps.send(), ["/sent"]);
        assert_eq!(steps.break_stream(), 0, "it is queued again");
        let (unsent, read) = (steps.begin_named("/unsent", 1), steps.begin("/read", true, 1));
        fail(&mut steps);
        assert_eq!(steps.outcome(sent), Some(Err((expected, true))));
        assert_eq!(steps.outcome(unsent), Some(Err((expected, false))));
        assert_eq!(steps.outcome(read), Some(Err((expected, false))));
    };
    check(
        |steps| steps.state.fail_waiting(&Error::new(Reason::Unreachable, ""), &mut After::default()),
        Reason::Unreachable,
    );
    check(
        |steps| steps.state.close(Error::new(Reason::SessionExpired, ""), &mut After::default()),
        Reason::SessionExpired,
    );
    check(
        |steps| {
            let late = steps.now + Duration::from_secs(1);
            steps.state.expire(late, &Error::new(Reason::Unreachable, ""), &mut After::default());
        },
        Reason::Unreachable,
    );
}

#[test]
fn a_verdict_on_a_write_that_was_sent_again_is_one_on_both_only_if_it_says_so() {
    let check = |reason, doubt: bool| {
        let mut steps = Steps::new();
        let again = steps.begin_named("/again", 1);
        steps.send();
        steps.break_stream();
        let once = steps.begin_named("/once", 1);
        assert_eq!(steps.send(), ["/again", "/once"]);
        steps.refuse(again, reason);
        steps.refuse(once, reason);
        assert!(matches!(steps.outcome(again), Some(Err((_, in_doubt))) if in_doubt == doubt), "{reason:?}");
        assert!(matches!(steps.outcome(once), Some(Err((_, false)))), "{reason:?}");
    };
    check(v1::ErrorReason::Throttled, true);
    check(v1::ErrorReason::SessionExpired, true);
    check(v1::ErrorReason::DiskFull, true);
    // A server that remembered the first attempt would have answered with its success.
    check(v1::ErrorReason::NodeExists, false);
    check(v1::ErrorReason::BadVersion, false);
}

#[test]
fn given_up_calls_leave_nothing_behind() {
    let mut steps = Steps::new();
    for n in 0..10_000 {
        let id = steps.begin(&format!("/{n}"), true, 1);
        let mut after = After::default();
        steps.state.abandon(id, &mut after);
        assert_eq!(after.finished, 1);
    }
    assert!(steps.state.queue.len() <= 65, "{} left in the queue", steps.state.queue.len());
    assert_eq!(steps.send(), Vec::<String>::new());
    let sent = steps.begin("/sent", true, 1);
    steps.send();
    steps.state.abandon(sent, &mut After::default());
    assert_eq!(steps.answer(sent), 0);
    assert_eq!(steps.break_stream(), 0);
}

#[test]
fn a_closed_channel_fails_everything() {
    let mut steps = Steps::new();
    let (read, write) = (steps.begin("/read", true, 1), steps.begin("/write", false, 1));
    steps.send();
    let unsent = steps.begin("/unsent", false, 1);
    let mut after = After::default();
    steps.state.close(Error::new(Reason::Closed, "over"), &mut after);
    assert_eq!(after.finished, 3);
    assert_eq!(steps.outcome(read), Some(Err((Reason::Closed, false))));
    assert_eq!(steps.outcome(write), Some(Err((Reason::Closed, true))));
    assert_eq!(steps.outcome(unsent), Some(Err((Reason::Closed, false))));
    let operation = WireOperation::Sync(v1::SyncRequest { options: None });
    let request = Request { operation, writes: false, repeatable: true, deadline: steps.now };
    let refused = steps.state.begin(request, Waker::noop().clone(), &mut after);
    assert_eq!(refused.expect_err("closed").reason(), Reason::Closed);
}
