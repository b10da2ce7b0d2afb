//! `Ghost`: what nobody in the world knows: all that was ever logged, promised, durable, committed and read.

use std::collections::{BTreeMap, BTreeSet};

use quorate_types::{Epoch, FrameKind, ServerId, Zxid};
use quorate_zab::Position;

/// A record that a leader has committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) at: Position,
    /// The epoch of the leader that has committed it.
    pub(crate) by: Epoch,
}

/// What the invariants compare the world with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ghost {
    /// The one history: every record that any leader has committed, in order.
    pub(crate) committed: Vec<Committed>,
    /// The whole history of each server, durable or not, from the beginning.
    pub(crate) histories: BTreeMap<ServerId, Vec<Position>>,
    /// How much of the one history each server has delivered since it was started.
    pub(crate) delivered: BTreeMap<ServerId, usize>,
    /// Every record that was ever logged anywhere.
    pub(crate) chains: BTreeMap<Zxid, (u64, FrameKind)>,
    /// Who has begun which epoch.
    pub(crate) markers: BTreeMap<Epoch, ServerId>,
    /// Who had which record durably at some time, while he was a voter in good standing.
    pub(crate) held: BTreeMap<Zxid, BTreeSet<ServerId>>,
    /// For which leader a server has counted in an epoch, since its disk was last lost.
    pub(crate) promised: BTreeMap<(ServerId, Epoch), ServerId>,
    /// The last record that was delivered anywhere, and so may have been acknowledged to a client.
    pub(crate) acknowledged: Zxid,
    /// Reads under way, and what had been acknowledged when they began.
    pub(crate) reads: BTreeMap<u64, Zxid>,
    pub(crate) reads_so_far: u64,
    /// How often things happened, to see what the walk reaches.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl Ghost {
    pub(crate) fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn history(&mut self, server: ServerId) -> &mut Vec<Position> {
        self.histories.entry(server).or_default()
    }

    /// Where in the one history a record stands.
    pub(crate) fn index_of(&self, zxid: Zxid) -> Option<usize> {
        self.committed.binary_search_by_key(&zxid, |committed| committed.at.zxid).ok()
    }
}
