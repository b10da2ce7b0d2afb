//! `State`: the calls of one Channel and what becomes of them. No I/O, no clock: the tests drive it by hand.
//!
//! A call is queued, sent, done. When the stream breaks, calls that were sent are queued again in their order if
//! doing them twice is harmless, and fail otherwise.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::BytesMut;
use quorate_proto::v1;
use tokio::time::Instant;

use super::codec;
use super::slab::{Id, Slab};
use crate::core::{Failed, Request, demand};
use crate::ops::{WireOperation, WireReply};
use crate::{Error, Reason};

/// A message of operations ends when it is so long: below tonic's default decoding limit of 4 MiB by the longest
/// operation, and enough to make the cost of a message vanish.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// A server takes no more operations in one message.
const BATCH_OPERATIONS_MAX: usize = 4_096;

/// One call.
#[derive(Debug)]
struct Call {
    operation: WireOperation,
    writes: bool,
    repeatable: bool,
    deadline: Instant,
    /// Its number in the order in which calls were made.
    issue: u64,
    /// It was sent before, on a stream that broke without an answer to it.
    unanswered: bool,
    progress: Progress,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Progress {
    Queued,
    Sent,
    Done(Result<(u64, WireReply), Error>),
}

/// The calls of one Channel.
#[derive(Debug, Default)]
pub(super) struct State {
    calls: Slab<Call>,
    /// Calls to be sent, in order. Those that were given up meanwhile are skipped.
    queue: VecDeque<Id>,
    issued: u64,
    /// The stream whose turn it is; an older one ends.
    stream: u64,
    /// Wakes the stream when there is something to send.
    sender: Option<Waker>,
    /// Set once no call can succeed any more.
    closed: Option<Error>,
    /// When the next look for calls that are out of time is due.
    next_expiry: Option<Instant>,
}

/// What has to be done when the lock is released.
#[derive(Debug, Default)]
pub(super) struct After {
    pub(super) wakers: Vec<Waker>,
    /// Calls that are no longer under way.
    pub(super) finished: usize,
}

impl After {
    fn finish(&mut self, call: &mut Call, outcome: Result<(u64, WireReply), Error>) {
        call.progress = Progress::Done(outcome);
        self.finished += 1;
        self.wakers.extend(call.waker.take());
    }

    /// Fails a call for a reason that was found on this side. Whatever the reason, only the server's own verdict could
    /// tell that a write which was sent has not taken effect.
    fn fail(&mut self, call: &mut Call, error: Error) {
        let was_sent = call.unanswered || matches!(call.progress, Progress::Sent);
        let error = if call.writes && was_sent { error.of_unanswered_write() } else { error };
        self.finish(call, Err(error));
    }
}

impl State {
    /// Begins a call. The second value says whether the times to look for late calls have changed.
    pub(super) fn begin(&mut self, request: Request, waker: Waker, after: &mut After) -> Result<(Id, bool), Error> {
        if let Some(error) = &self.closed {
            after.finished += 1;
            return Err(error.clone());
        }
        let Request { operation, writes, repeatable, deadline } = request;
        self.issued += 1;
        let issue = self.issued;
        let waker = Some(waker);
        let (unanswered, progress) = (false, Progress::Queued);
        let call = Call { operation, writes, repeatable, deadline, issue, unanswered, progress, waker };
        let id = self.calls.insert(call);
        self.queue.push_back(id);
        after.wakers.extend(self.sender.take());
        let sooner = self.next_expiry.is_none_or(|next| deadline < next);
        if sooner {
            self.next_expiry = Some(deadline);
        }
        Ok((id, sooner))
    }

    /// Takes the outcome of a call if it has one; remembers whom to wake otherwise.
    pub(super) fn poll(&mut self, id: Id, waker: &Waker) -> Option<Result<(u64, WireReply), Failed>> {
        let call = self.calls.get_mut(id).expect("a call stays until its outcome is taken");
        if !matches!(call.progress, Progress::Done(_)) {
            match &mut call.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            return None;
        }
        let call = self.calls.remove(id)?;
        let Progress::Done(outcome) = call.progress else { return None };
        let issue = call.issue;
        Some(outcome.map_err(|error| Failed { error, operation: Some(call.operation), issue }))
    }

    /// Forgets a call whose caller does not wait any more.
    pub(super) fn abandon(&mut self, id: Id, after: &mut After) {
        if self.calls.remove(id).is_some_and(|call| !matches!(call.progress, Progress::Done(_))) {
            after.finished += 1;
        }
        // Abandoned calls leave their places in the queue; do not let them pile up while there is no connection.
        if self.queue.len() > 2 * self.calls.len() + 64 {
            let calls = &mut self.calls;
            self.queue.retain(|id| calls.get_mut(*id).is_some());
        }
    }

    /// The number of the newest call.
    pub(super) fn issued(&self) -> u64 {
        self.issued
    }

    /// Whether a call waits for a stream. Forgets on the way those that do not any more.
    pub(super) fn is_waiting(&mut self) -> bool {
        while let Some(id) = self.queue.front() {
            if self.calls.get_mut(*id).is_some_and(|call| matches!(call.progress, Progress::Queued)) {
                return true;
            }
            self.queue.pop_front();
        }
        false
    }

    /// Begins a new stream, of which the number is returned; older ones end.
    pub(super) fn begin_stream(&mut self, after: &mut After) -> u64 {
        self.stream += 1;
        after.wakers.extend(self.sender.take());
        self.stream
    }

    /// Whether a stream's turn is over.
    pub(super) fn is_over(&self, stream: u64) -> bool {
        self.closed.is_some() || self.stream != stream
    }

    /// Asks to be woken when there is something to send.
    pub(super) fn park_sender(&mut self, waker: &Waker) {
        self.sender = Some(waker.clone());
    }

    /// Appends all that waits to be sent to `message`, up to the bound of one message. `missing` is what reads have to
    /// demand of the server that will get it.
    pub(super) fn encode_batch(&mut self, now: Instant, missing: Option<v1::ZxidBound>, message: &mut BytesMut) {
        let mut operations = 0;
        while message.len() < BATCH_BYTES_MAX
            && operations < BATCH_OPERATIONS_MAX
            && let Some(id) = self.queue.pop_front()
        {
            let Some(call) = self.calls.get_mut(id).filter(|call| matches!(call.progress, Progress::Queued)) else {
                continue;
            };
            call.progress = Progress::Sent;
            operations += 1;
            if !call.writes {
                demand(&mut call.operation, missing);
            }
            let left = call.deadline.saturating_duration_since(now).as_millis();
            // At least 1: 0 would mean for ever.
            let timeout_ms = u32::try_from(left).unwrap_or(u32::MAX).max(1);
            // The operation is lent to the message, since it has to stay with its call.
            let lent = std::mem::replace(&mut call.operation, NOTHING);
            let operation = v1::ChannelOperation { id: id.0, timeout_ms, operation: Some(lent) };
            codec::put_operation(message, &operation);
            call.operation = operation.operation.unwrap_or(NOTHING);
        }
    }

    /// An answer has come.
    pub(super) fn complete(&mut self, reply: v1::ChannelReply, after: &mut After) {
        let Some(call) = self.calls.get_mut(Id(reply.id)).filter(|call| matches!(call.progress, Progress::Sent)) else {
            return;
        };
        let outcome = match reply.result {
            Some(WireReply::Error(error)) => Err(Error::from(error).at_zxid(reply.zxid)),
            Some(result) => Ok((reply.zxid, result)),
            None => Err(Error::unexpected_answer()),
        };
        let outcome = outcome.map_err(|error| match (call.writes, call.unanswered) {
            (false, _) => error,
            (true, false) => error.of_sent_write(),
            // This attempt was refused; the one before may have taken effect.
            (true, true) => error.in_doubt(),
        });
        after.finish(call, outcome);
    }

    /// The stream has broken: queues again or fails what was sent on it.
    pub(super) fn end_stream(&mut self, error: &Error, after: &mut After) {
        self.stream += 1;
        after.wakers.extend(self.sender.take());
        let mut again = Vec::new();
        for (id, call) in self.calls.iter_mut().filter(|(_, call)| matches!(call.progress, Progress::Sent)) {
            if call.repeatable {
                call.progress = Progress::Queued;
                call.unanswered = true;
                again.push((call.issue, id));
            } else {
                after.fail(call, Error::new(Reason::ConnectionLost, error.message()));
            }
        }
        again.sort_unstable_by_key(|(issue, _)| std::cmp::Reverse(*issue));
        again.into_iter().for_each(|(_, id)| self.queue.push_front(id));
    }

    /// Fails the calls that wait for a stream.
    pub(super) fn fail_waiting(&mut self, error: &Error, after: &mut After) {
        while let Some(id) = self.queue.pop_front() {
            if let Some(call) = self.calls.get_mut(id).filter(|call| matches!(call.progress, Progress::Queued)) {
                after.fail(call, error.clone());
            }
        }
    }

    /// Fails every call, now and from now on.
    pub(super) fn close(&mut self, error: Error, after: &mut After) {
        self.queue.clear();
        for (_, call) in self.calls.iter_mut().filter(|(_, call)| !matches!(call.progress, Progress::Done(_))) {
            after.fail(call, error.clone());
        }
        after.wakers.extend(self.sender.take());
        self.closed.get_or_insert(error);
    }

    /// Why no call can succeed any more.
    pub(super) fn closed(&self) -> Option<&Error> {
        self.closed.as_ref()
    }

    /// When to look for late calls.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.next_expiry
    }

    /// Fails the calls that are out of time; `unsent` is the error of those that wait to be sent.
    pub(super) fn expire(&mut self, now: Instant, unsent: &Error, after: &mut After) {
        self.next_expiry = None;
        for (_, call) in self.calls.iter_mut() {
            let error = match call.progress {
                Progress::Done(_) => continue,
                _ if call.deadline > now => {
                    self.next_expiry = Some(self.next_expiry.map_or(call.deadline, |next| next.min(call.deadline)));
                    continue;
                }
                Progress::Queued => unsent.clone(),
                Progress::Sent => Error::new(Reason::Timeout, "no answer in time"),
            };
            after.fail(call, error);
        }
    }
}

/// Stands for an operation while that is lent; never sent.
const NOTHING: WireOperation = WireOperation::CancelWatch(v1::WatchCancel { watch_id: 0 });

#[cfg(test)]
mod tests;
