//! `Sessions`: the leader's view of who is alive, and this server's view of which outbox speaks for whom.
//!
//! That a session exists is replicated state and lives in the tree. When it was last heard of is not: a new leader
//! gives every session its full timeout again (`org.apache.zookeeper.server.SessionTrackerImpl`).
//!
//! Invariant: no session expires before its timeout has passed on a clock that stands still while this server does.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use quorate_types::mutation::mutated;
use quorate_types::{OutboxId, SessionId};
use smallvec::SmallVec;

use crate::Map;
use crate::limits::TICK_MS;
use crate::speaking::Speaker;

/// Deadlines are looked at in buckets of this many milliseconds; a session lives at most so much longer.
const BUCKET_MS: u64 = 100;

/// A step that comes this long after the one before was not a busy moment: the process or its machine stood still.
const STALL_MS: u64 = 4 * TICK_MS;

#[derive(Clone, Debug, Default)]
struct Liveness {
    timeout_ms: u64,
    /// On the sessions' clock.
    deadline_ms: u64,
    /// Its end was proposed: nothing revives it.
    closing: Option<Ending>,
    /// It is in a bucket.
    is_listed: bool,
    speaker: Option<Speaker>,
    listeners: SmallVec<[OutboxId; 1]>,
}

/// Why the end of a session was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Expired,
    Closed,
}

/// All sessions that live, as far as this server is concerned with them.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    live: Map<SessionId, Liveness>,
    /// Bucket -> sessions whose deadline is to be looked at then. Each session whose end is not proposed is in exactly one.
    buckets: BTreeMap<u64, Vec<SessionId>>,
    /// The sessions' clock: monotonic time without the time during which this server stood still.
    clock_ms: u64,
    advanced_ms: Option<u64>,
}

impl Sessions {
    pub(crate) fn new(hash_seed: u64) -> Sessions {
        Sessions {
            live: Map::with_hasher(FixedState::with_seed(hash_seed)),
            buckets: BTreeMap::new(),
            clock_ms: 0,
            advanced_ms: None,
        }
    }

    /// Moves the clock on, before anything that happens at this moment: by at most the time that a live server would have
    /// let pass since it did so last.
    pub(crate) fn advance(&mut self, monotonic_ms: u64) {
        let passed = monotonic_ms - self.advanced_ms.unwrap_or(monotonic_ms).min(monotonic_ms);
        self.clock_ms += passed.min(STALL_MS);
        self.advanced_ms = Some(monotonic_ms);
    }

    /// A session has begun, or this server has begun to lead: it has its full timeout from now.
    pub(crate) fn begin(&mut self, id: SessionId, timeout_ms: u32) {
        let deadline_ms = self.clock_ms + u64::from(timeout_ms);
        let liveness = self.live.entry(id).or_default();
        // One whose end was proposed, by whomever, has left its bucket; if the proposal came to nothing, it begins anew.
        liveness.closing = None;
        (liveness.timeout_ms, liveness.deadline_ms) = (u64::from(timeout_ms), deadline_ms);
        if !core::mem::replace(&mut liveness.is_listed, true) {
            self.buckets.entry(bucket(deadline_ms)).or_default().push(id);
        }
    }

    /// The session has expired, and its end cannot be proposed now: it is reported again.
    pub(crate) fn postpone(&mut self, id: SessionId) {
        let Some(liveness) = self.live.get_mut(&id) else { return };
        liveness.closing = None;
        if !core::mem::replace(&mut liveness.is_listed, true) {
            self.buckets.entry(bucket(self.clock_ms)).or_default().push(id);
        }
    }

    /// The client was heard of. Returns its timeout, or `None` if the session is ending or unknown.
    pub(crate) fn touch(&mut self, id: SessionId) -> Option<u32> {
        let liveness = self.live.get_mut(&id).filter(|liveness| liveness.closing.is_none())?;
        liveness.deadline_ms = self.clock_ms + liveness.timeout_ms;
        Some(liveness.timeout_ms as u32)
    }

    /// The session's end is proposed for this reason.
    pub(crate) fn closing(&mut self, id: SessionId, ending: Ending) {
        if let Some(liveness) = self.live.get_mut(&id) {
            liveness.closing.get_or_insert(ending);
        }
    }

    /// The sessions whose time was up `unheard_ms` ago: what clients sent since then is not known yet. Each is reported
    /// once.
    pub(crate) fn expire(&mut self, unheard_ms: u64) -> Vec<SessionId> {
        let mut expired = Vec::new();
        let clock_ms = self.clock_ms.saturating_sub(unheard_ms);
        while self.buckets.first_key_value().is_some_and(|(bucket, _)| bucket * BUCKET_MS <= clock_ms) {
            let Some((_, ids)) = self.buckets.pop_first() else { break };
            for id in ids {
                let Some(liveness) = self.live.get_mut(&id) else { continue };
                if liveness.deadline_ms > clock_ms && !mutated("expire-touched") {
                    self.buckets.entry(bucket(liveness.deadline_ms)).or_default().push(id);
                    continue;
                }
                liveness.is_listed = false;
                if liveness.closing.is_none() {
                    liveness.closing = Some(Ending::Expired);
                    expired.push(id);
                }
            }
        }
        expired.sort_unstable();
        expired
    }

    /// The session has ended. Returns why, as far as this server knows, and the outboxes to be told.
    pub(crate) fn end(&mut self, id: SessionId) -> (Ending, SmallVec<[OutboxId; 1]>) {
        let Some(liveness) = self.live.remove(&id) else { return (Ending::Closed, SmallVec::new()) };
        let mut told = liveness.listeners;
        told.extend(liveness.speaker.map(|speaker| speaker.outbox));
        (liveness.closing.unwrap_or(Ending::Closed), told)
    }

    /// This outbox speaks for the session from now on. Returns the one that did so far.
    pub(crate) fn attach(&mut self, id: SessionId, speaker: Speaker) -> Option<OutboxId> {
        let previous = self.live.get_mut(&id)?.speaker.replace(speaker)?.outbox;
        (previous != speaker.outbox).then_some(previous)
    }

    /// The outbox that speaks for the session.
    pub(crate) fn speaker(&self, id: SessionId) -> Option<OutboxId> {
        Some(self.live.get(&id)?.speaker?.outbox)
    }

    /// This outbox does not speak for the session any more. Whether it did.
    pub(crate) fn silence(&mut self, id: SessionId, outbox: OutboxId) -> bool {
        let speaker = self.live.get_mut(&id).map(|liveness| &mut liveness.speaker);
        speaker.and_then(|speaker| speaker.take_if(|speaker| speaker.outbox == outbox)).is_some()
    }

    /// The sessions that somebody here speaks for, in the order of their ids.
    pub(crate) fn spoken_for(&self) -> Vec<(SessionId, Speaker)> {
        let mut spoken_for: Vec<_> =
            self.live.iter().filter_map(|(id, liveness)| Some((*id, liveness.speaker?))).collect();
        spoken_for.sort_unstable_by_key(|(id, _)| *id);
        spoken_for
    }

    /// Forgets all sessions: the state that they belong to is gone.
    pub(crate) fn clear(&mut self) {
        self.live.clear();
        self.buckets.clear();
    }

    /// `outbox` is told when the session ends.
    pub(crate) fn listen(&mut self, id: SessionId, outbox: OutboxId) {
        if let Some(liveness) = self.live.get_mut(&id)
            && !liveness.listeners.contains(&outbox)
        {
            liveness.listeners.push(outbox);
        }
    }

    /// `outbox` is gone.
    pub(crate) fn detach(&mut self, id: SessionId, outbox: OutboxId) {
        if let Some(liveness) = self.live.get_mut(&id) {
            liveness.speaker = liveness.speaker.filter(|speaker| speaker.outbox != outbox);
            liveness.listeners.retain(|listener| *listener != outbox);
        }
    }
}

/// The first bucket that ends no earlier than `deadline_ms`.
fn bucket(deadline_ms: u64) -> u64 {
    deadline_ms.div_ceil(BUCKET_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaking::Grant;

    const ID: SessionId = SessionId(5);

    /// Ticks every 50 ms from `from_ms` until `to_ms`, and returns when `ID` expired.
    fn expires_at(sessions: &mut Sessions, from_ms: u64, to_ms: u64) -> Option<u64> {
        (from_ms..=to_ms).step_by(50).find(|now| {
            sessions.advance(*now);
            !sessions.expire(0).is_empty()
        })
    }

    #[test]
    fn a_session_expires_after_its_timeout_and_within_a_bucket_of_it() {
        let mut sessions = Sessions::new(0);
        sessions.advance(0);
        sessions.begin(ID, 1_000);
        assert_eq!(expires_at(&mut sessions, 50, 900), None);
        assert_eq!(sessions.touch(ID), Some(1_000));
        assert_eq!(expires_at(&mut sessions, 950, 5_000), Some(1_900));
        assert_eq!(sessions.touch(ID), None);
        assert_eq!(expires_at(&mut sessions, 1_950, 5_000), None, "reported once");
        assert_eq!(sessions.end(ID).0, Ending::Expired);
    }

    #[test]
    fn no_session_expires_because_the_server_slept() {
        let mut sessions = Sessions::new(0);
        sessions.advance(0);
        sessions.begin(ID, 1_000);
        assert_eq!(expires_at(&mut sessions, 50, 500), None);
        // A pause of a minute counts as 200 ms.
        assert_eq!(expires_at(&mut sessions, 60_500, 60_750), None);
        assert_eq!(expires_at(&mut sessions, 60_800, 70_000), Some(60_800));
    }

    #[test]
    fn a_session_whose_end_came_to_nothing_expires_as_any_other() {
        for ending in [Ending::Closed, Ending::Expired] {
            let mut sessions = Sessions::new(0);
            sessions.advance(0);
            sessions.begin(ID, 1_000);
            sessions.closing(ID, ending);
            assert_eq!(expires_at(&mut sessions, 50, 5_000), None, "its end is proposed");
            // Another leader would have it end; this one leads again.
            sessions.begin(ID, 1_000);
            assert_eq!(expires_at(&mut sessions, 5_050, 7_000), Some(6_000), "{ending:?}");
            sessions.postpone(ID);
            assert_eq!(expires_at(&mut sessions, 6_050, 7_000), Some(6_050), "{ending:?}");
        }
    }

    #[test]
    fn the_last_outbox_to_attach_speaks_for_the_session() {
        let (mut sessions, one, two) = (Sessions::new(0), OutboxId(1), OutboxId(2));
        sessions.begin(ID, 1_000);
        let speaker = |outbox| Speaker { outbox, grant: Grant::default() };
        assert_eq!(sessions.attach(ID, speaker(one)), None);
        assert_eq!(sessions.attach(ID, speaker(one)), None);
        assert_eq!(sessions.attach(ID, speaker(two)), Some(one));
        sessions.detach(ID, one);
        sessions.listen(ID, one);
        sessions.listen(ID, one);
        assert_eq!(sessions.end(ID).1.as_slice(), [one, two]);
    }
}
