//! `Waiting`: requests that wait for something, by what they wait for: a leader, its word, a zxid.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use quorate_types::{OutboxId, Request, Response, SessionId, Tag, Zxid};

use crate::writes::Asker;

/// Requests that wait for something, by what they wait for.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Writes that arrived while this leader was between two epochs, in order.
    pub(crate) held: VecDeque<Held>,
    pub(crate) held_bytes: usize,
    /// Answers that are true once everything up to a zxid is committed, in the order of the zxids.
    pub(crate) barriers: VecDeque<(Zxid, Asker, Response)>,
    pub(crate) barrier_bytes: usize,
    /// Requests that are the same as a pending one, by its zxid.
    pub(crate) joined: BTreeMap<Zxid, Vec<Asker>>,
    /// Local requests that wait until a zxid is applied, or for a leader, in the order of arrival.
    pub(crate) parked: BTreeMap<(Zxid, u64), Parked>,
    pub(crate) parked_so_far: u64,
    /// What waits for a word of the leader, by the turn in which it was asked for.
    pub(crate) indexing: BTreeMap<u64, Vec<Indexed>>,
    pub(crate) indexing_count: usize,
    pub(crate) word: Word,
}

/// A write that cannot be decided yet.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) asker: Asker,
    pub(crate) request: Request,
    pub(crate) give_up_ms: u64,
}

/// What the leader has said: whatever came in this turn or before sees everything that was acknowledged to anybody until
/// then, if it sees this state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Word {
    pub(crate) turn: u64,
    pub(crate) zxid: Zxid,
}

/// What waits for a word of the leader.
#[derive(Debug)]
pub(crate) enum Indexed {
    /// A read that has to see everything that was acknowledged before.
    Read(Parked),
    /// Somebody who wants to speak for a session.
    Claim { asker: Asker, session: SessionId },
    /// An answer that is given if this server still leads.
    Answer {
        asker: Asker,
        /// What the decision rests on.
        barrier: Zxid,
        response: Response,
    },
    /// This server, which wants to know how old its state is.
    Age { asked_ms: u64 },
}

/// A local request that cannot be answered yet.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) outbox: OutboxId,
    pub(crate) tag: Tag,
    pub(crate) request: Request,
    pub(crate) give_up_ms: u64,
    /// The turn in which it came.
    pub(crate) came: u64,
    /// With `min_zxid`, the leader's word was heard.
    pub(crate) is_certain: bool,
}
