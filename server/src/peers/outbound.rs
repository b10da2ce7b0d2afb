//! `Outbound`: what the driver wants said, on its way to the task that has the call.
//!
//! Either side may end it, and the lock decides who was first: once the driver has closed it, nothing more is reported;
//! once the task has reported the end, nothing more is sent.

use std::task::{Context, Waker};

use parking_lot::Mutex;

/// How far the conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// The driver wants no more of it: what it has said so far is still sent.
    Closing,
    /// It has become too much.
    Overflowing,
    /// Its end was reported.
    Ended,
}

/// A queue of messages, and whether they still make sense.
#[derive(Debug)]
pub(super) struct Outbound<M> {
    state: Mutex<State<M>>,
}

#[derive(Debug)]
struct State<M> {
    phase: Phase,
    messages: Vec<M>,
    bytes: usize,
    task: Option<Waker>,
}

impl<M> Default for Outbound<M> {
    fn default() -> Self {
        Outbound { state: Mutex::new(State { phase: Phase::Open, messages: Vec::new(), bytes: 0, task: None }) }
    }
}

impl<M> Outbound<M> {
    /// Adds a message. `unsent` bytes were taken already, but are not sent; together with what waits here they may be
    /// `bytes_max`. Returns whom to wake.
    #[must_use]
    pub(super) fn push(&self, message: M, bytes: usize, unsent: usize, bytes_max: usize) -> Option<Waker> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return None;
        }
        if state.bytes + bytes + unsent > bytes_max {
            state.phase = Phase::Overflowing;
        } else {
            state.messages.push(message);
            state.bytes += bytes;
        }
        state.task.take()
    }

    /// Puts a message in the place of all that wait. Returns whom to wake.
    #[must_use]
    pub(super) fn replace(&self, message: M) -> Option<Waker> {
        let mut state = self.state.lock();
        state.messages.clear();
        if state.phase == Phase::Open {
            state.messages.push(message);
        }
        state.task.take()
    }

    /// What waits is not to be said any more.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        state.messages.clear();
        state.bytes = 0;
    }

    /// Nothing more is to be said or reported. Returns whom to wake.
    #[must_use]
    pub(super) fn close(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Open | Phase::Overflowing) {
            state.phase = Phase::Closing;
        }
        state.task.take()
    }

    /// Takes what waits, into an empty `into`, and notes whom to wake when there is more.
    pub(super) fn take(&self, cx: &Context<'_>, into: &mut Vec<M>) -> Phase {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.messages, into);
        state.bytes = 0;
        self.note(&mut state, cx);
        state.phase
    }

    /// How far it is; notes whom to wake when that changes, or when there is something to take.
    pub(super) fn look(&self, cx: &Context<'_>) -> Phase {
        let mut state = self.state.lock();
        self.note(&mut state, cx);
        state.phase
    }

    fn note(&self, state: &mut State<M>, cx: &Context<'_>) {
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            task => *task = Some(cx.waker().clone()),
        }
    }

    /// Reports something, unless nobody wants to hear it any more.
    pub(super) fn report(&self, report: impl FnOnce()) {
        let state = self.state.lock();
        if state.phase == Phase::Open {
            report();
        }
    }

    /// Reports the end, unless that is no news.
    pub(super) fn end(&self, report: impl FnOnce()) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Open | Phase::Overflowing) {
            report();
        }
        state.phase = Phase::Ended;
        state.messages = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(outbound: &Outbound<u32>) -> (Phase, Vec<u32>) {
        let mut messages = vec![];
        let phase = outbound.take(&Context::from_waker(Waker::noop()), &mut messages);
        (phase, messages)
    }

    #[test]
    fn messages_are_taken_in_order_and_the_task_is_woken_once() {
        let outbound = Outbound::default();
        assert!(outbound.push(1, 10, 0, 100).is_none(), "nobody waits yet");
        assert_eq!(take(&outbound), (Phase::Open, vec![1]));
        assert!(outbound.push(2, 10, 0, 100).is_some());
        assert!(outbound.push(3, 10, 0, 100).is_none());
        assert_eq!(take(&outbound), (Phase::Open, vec![2, 3]));
        let _ = outbound.replace(4);
        let _ = outbound.replace(5);
        assert_eq!(take(&outbound), (Phase::Open, vec![5]));
        let _ = outbound.replace(6);
        outbound.forget();
        assert_eq!(take(&outbound), (Phase::Open, vec![]));
    }

    #[test]
    fn more_than_may_wait_ends_it_and_what_is_not_sent_counts() {
        let outbound = Outbound::default();
        let _ = outbound.push(1, 60, 0, 100);
        let _ = outbound.push(2, 40, 0, 100);
        assert_eq!(take(&outbound), (Phase::Open, vec![1, 2]));
        let _ = outbound.push(3, 1, 100, 100);
        assert_eq!(take(&outbound), (Phase::Overflowing, vec![]));
        let _ = outbound.push(4, 1, 0, 100);
        assert_eq!(take(&outbound), (Phase::Overflowing, vec![]));
    }

    #[test]
    fn the_end_is_reported_once_and_never_after_a_close() {
        let check = |close: bool, expected: u32| {
            let (outbound, mut reports) = (Outbound::<u32>::default(), 0);
            outbound.report(|| reports += 1);
            let _ = outbound.push(1, 1, 0, 100);
            if close {
                let _ = outbound.close();
                assert_eq!(take(&outbound), (Phase::Closing, vec![1]));
            }
            outbound.report(|| reports += 10);
            outbound.end(|| reports += 100);
            outbound.end(|| reports += 1_000);
            outbound.report(|| reports += 10_000);
            assert_eq!(reports, expected);
        };
        check(false, 111);
        check(true, 1);
    }
}
