//! How old the state here may be, and who is shown it.
//!
//! ZooKeeper promises that a client sees a change within a bounded time, or notices an outage. A server cannot know by
//! itself how old its state is: it may have just started, or been cut off, or stood still, or its disk may not keep up. So
//! it asks its leader for its word again and again, as a linearizable read does: once everything is applied that was
//! committed when it asked, the state is as new as that question. A server whose state may be too old answers those who
//! do not ask for whatever there is by the leader's word alone, and lets go of those whom it should tell of changes.

use alloc::vec::Vec;
use quorate_types::mutation::mutated;
use quorate_types::{Code, Consistency, Error, Now, Op, OutboxId, Request, WatchOp, Zxid};

use crate::effect::Effects;
use crate::replica::{Replica, Serving};
use crate::waiting::Indexed;

/// So often a server asks within the time that its state may be old.
const QUESTIONS: u64 = 4;

/// What a server knows of the age of its state.
#[derive(Debug)]
pub(crate) struct Timeliness {
    staleness_ms: u64,
    /// The state is at least as new as this moment; `None` if nothing is known of it.
    as_of_ms: Option<u64>,
    /// It will be as new as that moment once this is applied.
    promised: Option<(Zxid, u64)>,
    asked_ms: Option<u64>,
    /// At the end of the last turn.
    was_current: bool,
    /// Since when the state may be too old, if there may be somebody who trusts in it.
    lapsing_ms: Option<u64>,
}

impl Timeliness {
    pub(crate) fn new(staleness_ms: u64) -> Timeliness {
        let (as_of_ms, promised, asked_ms, lapsing_ms) = (None, None, None, None);
        Timeliness { staleness_ms, as_of_ms, promised, asked_ms, was_current: false, lapsing_ms }
    }

    pub(crate) fn is_current(&self, now_ms: u64) -> bool {
        self.as_of_ms.is_some_and(|as_of_ms| now_ms <= as_of_ms + self.staleness_ms) || mutated("reads-however-old")
    }

    fn is_question_due(&self, now_ms: u64) -> bool {
        self.asked_ms.is_none_or(|asked_ms| now_ms >= asked_ms + self.staleness_ms / QUESTIONS)
    }

    /// The leader's word: whatever was committed when it was asked for is part of the state at `zxid`.
    pub(crate) fn promise(&mut self, zxid: Zxid, asked_ms: u64) {
        let zxid = if mutated("current-when-told") { Zxid::ZERO } else { zxid };
        // The earliest is the first to come true.
        self.promised.get_or_insert((zxid, asked_ms));
    }

    fn applied(&mut self, zxid: Zxid) {
        if let Some((_, asked_ms)) = self.promised.take_if(|(promised, _)| *promised <= zxid) {
            self.as_of_ms = self.as_of_ms.max(Some(asked_ms));
        }
    }

    /// Ends a turn.
    pub(crate) fn flush(&mut self, applied: Zxid, now_ms: u64) {
        self.applied(applied);
        self.was_current = self.is_current(now_ms);
    }

    /// Whether the state was current at the end of the last turn.
    pub(crate) fn was_current(&self) -> bool {
        self.was_current
    }

    /// Whether it is time to let go of whoever trusts in this state. It may have been nothing but a pause of this server:
    /// there is time for one more question first.
    fn has_lapsed(&mut self, now_ms: u64) -> bool {
        if self.as_of_ms.is_none() || self.is_current(now_ms) {
            self.lapsing_ms = None;
            return false;
        }
        let since_ms = *self.lapsing_ms.get_or_insert(now_ms);
        let has_lapsed = now_ms >= since_ms + self.staleness_ms / QUESTIONS;
        if has_lapsed {
            (self.as_of_ms, self.lapsing_ms) = (None, None);
        }
        has_lapsed
    }
}

impl Replica {
    /// Whether the state here is as new as whoever has seen nothing yet may expect.
    pub(crate) fn is_current(&self, now_ms: u64) -> bool {
        self.timeliness.is_current(now_ms)
    }

    /// Whether a local request has to be answered by the leader's word, because the state here may be too old for it.
    pub(crate) fn is_too_old_for(&self, request: &Request, now_ms: u64) -> bool {
        match request.op {
            // A session lives by what its leader knows.
            Op::Touch => self.serving == Serving::No,
            Op::Watch(WatchOp::Cancel(_) | WatchOp::RemovePersistent { .. }) | Op::Status | Op::Snapshot => false,
            _ => request.consistency != Consistency::Local && !self.is_current(now_ms),
        }
    }

    /// Asks the leader for its word, if that is due.
    pub(crate) fn ask_how_old(&mut self, now_ms: u64) {
        if self.is_alone && self.is_established() {
            self.timeliness.promise(self.tree.applied(), now_ms);
        } else if self.serving != Serving::No && self.timeliness.is_question_due(now_ms) {
            self.timeliness.asked_ms = Some(now_ms);
            // Refused only if there is no leader any more, which will be said at once.
            let _ = self.ask_index(Indexed::Age { asked_ms: now_ms });
        }
        self.timeliness.applied(self.tree.applied());
    }

    /// There is a leader, and it may be another one.
    pub(crate) fn ask_new_leader_how_old(&mut self, now_ms: u64) {
        self.timeliness.asked_ms = None;
        self.ask_how_old(now_ms);
    }

    /// Lets go of everybody who would wait for changes that this server does not hear of: elsewhere they may be told.
    pub(crate) fn let_go_if_too_old(&mut self, now: Now, out: &mut Effects) {
        if !self.timeliness.has_lapsed(now.monotonic_ms) {
            return;
        }
        let mut outboxes: Vec<OutboxId> = self.lanes.ordered();
        outboxes.extend(self.watches.outboxes());
        outboxes.sort_unstable();
        outboxes.dedup();
        for outbox in outboxes {
            self.end_outbox(outbox, out_of_touch(), out);
        }
    }
}

fn out_of_touch() -> Error {
    Error::new(Code::Unavailable, "this server has been out of touch with its ensemble for too long; go to another one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_as_new_as_the_question_whose_answer_it_contains() {
        let mut timeliness = Timeliness::new(1_000);
        assert!(!timeliness.is_current(0), "nothing is known of it");
        timeliness.promise(Zxid(5), 100);
        timeliness.applied(Zxid(4));
        assert!(!timeliness.is_current(100), "it is not applied");
        timeliness.promise(Zxid(9), 400);
        timeliness.applied(Zxid(5));
        assert!(timeliness.is_current(1_100) && !timeliness.is_current(1_101));
        timeliness.promise(Zxid(9), 800);
        timeliness.applied(Zxid(20));
        assert!(timeliness.is_current(1_800) && !timeliness.is_current(1_801));
    }

    #[test]
    fn whoever_trusts_in_a_state_is_let_go_once_after_one_more_question() {
        let mut timeliness = Timeliness::new(1_000);
        assert!(!timeliness.has_lapsed(9_000), "nobody trusts in what was never current");
        timeliness.promise(Zxid(1), 9_000);
        timeliness.applied(Zxid(1));
        assert!(!timeliness.has_lapsed(10_000));
        assert!(!timeliness.has_lapsed(10_050), "it may have been a pause");
        assert!(!timeliness.has_lapsed(10_250));
        timeliness.promise(Zxid(1), 10_250);
        timeliness.applied(Zxid(1));
        assert!(!timeliness.has_lapsed(10_300), "it was");
        assert!(!timeliness.has_lapsed(11_300));
        assert!(timeliness.has_lapsed(11_550));
        assert!(!timeliness.has_lapsed(11_600), "they are gone");
    }
}
