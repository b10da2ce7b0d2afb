//! `Zab`: the machine of one server. This file holds its state and the moves between phases; what happens inside a
//! phase stands in the file of that phase.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use quorate_types::{Epoch, Frame, Role, ServerId, Zxid};

use crate::{Configs, History};

/// What does not change while a server runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// This server.
    pub server: ServerId,
    /// The configurations that are active at the end of the log.
    pub configs: Configs,
    /// A leader whose counter has come so far begins a new epoch in place. Far below `u32::MAX`, so that what is
    /// under way still fits; small in the simulator, so that it happens there.
    pub counter_soft_max: u32,
}

impl Config {
    /// The soft limit of counters in production: 65,535 below the hard one.
    pub const COUNTER_SOFT_MAX: u32 = 0xffff_0000;
}

/// The promise of a server, durable before anybody hears of it: it will follow no leader of an epoch below
/// `epoch`, and in `epoch` none but `leader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// ZooKeeper's `acceptedEpoch`, f.p in the paper.
    pub epoch: Epoch,
    /// To whom; `None` before the first promise.
    pub leader: Option<ServerId>,
}

/// What is to be done or was decided, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Append this record to the log.
    Append {
        /// Comes back through [`Zab::synced`] once it is durable.
        token: u64,
        /// The record.
        frame: Frame,
    },
    /// Make this promise durable.
    Promise {
        /// Comes back through [`Zab::synced`] once it is durable.
        token: u64,
        /// The promise.
        promise: Promise,
    },
    /// This record is committed and durable here: apply it.
    Deliver(Frame),
    /// This server leads: everything before its marker is delivered.
    Established(Epoch),
}

/// Where in the protocol a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody leads, as far as this server knows.
    Election,
    /// A prospective leader gathers promises for its epoch.
    Discovery {
        /// The epoch that is proposed.
        epoch: Epoch,
        /// Those whose promise is durable.
        promised: BTreeSet<ServerId>,
    },
    /// The leader waits until a quorum has its whole history and its marker.
    Synchronization,
    /// The leader proposes and commits.
    Broadcast,
}

/// Why nothing was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotProposed {
    /// This server does not lead. Whoever asked has to ask the leader.
    NotLeading,
    /// This server leads and is between two epochs, or not yet established: ask again shortly.
    Later,
}

/// What a token stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Submitted {
    Record(Zxid),
    Promise(Promise),
}

/// The agreement of one server.
///
/// Invariant, at every moment: `delivered <= min(commit, durable)` and `durable <= last`.
#[derive(Clone, Debug)]
pub struct Zab {
    pub(crate) config: Config,
    pub(crate) phase: Phase,
    /// The promise that was last submitted; what is durable of it shows in `Phase::Discovery`.
    pub(crate) promise: Promise,
    pub(crate) history: History,
    /// The last record that is durable here.
    pub(crate) durable: Zxid,
    /// The last record that is known to be committed.
    pub(crate) commit: Zxid,
    /// While leading: the marker of this leader's epoch, from synchronization on.
    pub(crate) marker: Option<Zxid>,
    /// While leading: what each server, this one included, has durable of this leader's history.
    pub(crate) matched: BTreeMap<ServerId, Zxid>,
    submitted: VecDeque<(u64, Submitted)>,
    next_token: u64,
}

impl Zab {
    /// A server that has just started: everything in `history` is durable, and everything up to `commit` is known to
    /// have been committed.
    ///
    /// # Panics
    /// If the promise is older than the history: such a disk was put together from two.
    #[must_use]
    pub fn new(config: Config, promise: Promise, history: History, commit: Zxid) -> Zab {
        let last = history.last();
        assert!(promise.epoch >= last.epoch(), "promised {:?}, but logged {last:?}", promise.epoch);
        Zab {
            config,
            phase: Phase::Election,
            promise,
            durable: last,
            commit: commit.min(last).max(history.delivered()),
            history,
            marker: None,
            matched: BTreeMap::new(),
            submitted: VecDeque::new(),
            next_token: 1,
        }
    }

    /// Begins: delivers what is known to be committed, then looks for a leader.
    pub fn start(&mut self, out: &mut Vec<Output>) {
        self.deliver(out);
        self.look(out);
    }

    /// Everything that was submitted with a token up to this one is durable.
    pub fn synced(&mut self, token: u64, out: &mut Vec<Output>) {
        while self.submitted.front().is_some_and(|(submitted, _)| *submitted <= token) {
            let Some((_, what)) = self.submitted.pop_front() else { break };
            match what {
                Submitted::Record(zxid) => {
                    assert!(zxid > self.durable, "{zxid:?} became durable after {:?}", self.durable);
                    self.durable = zxid;
                }
                Submitted::Promise(promise) => self.promise_is_durable(promise, out),
            }
        }
        self.own_log_is_durable(out);
    }

    /// What this server does.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.phase {
            Phase::Election => Role::Looking,
            Phase::Discovery { .. } | Phase::Synchronization | Phase::Broadcast => Role::Leading,
        }
    }

    /// Where in the protocol it is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The epoch of the last record in the log: ZooKeeper's `currentEpoch`, f.a in the paper.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.history.last().epoch()
    }

    /// The log's end, its epochs, and what of it is delivered.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The last record that is durable here.
    #[must_use]
    pub fn durable(&self) -> Zxid {
        self.durable
    }

    /// The last record that is known to be committed.
    #[must_use]
    pub fn commit(&self) -> Zxid {
        self.commit
    }

    /// Hands out the next token for `what`.
    pub(crate) fn submit(&mut self, what: Submitted) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.submitted.push_back((token, what));
        token
    }

    /// Delivers, in order, what is both committed and durable here.
    pub(crate) fn deliver(&mut self, out: &mut Vec<Output>) {
        let through = self.commit.min(self.durable);
        while let Some(frame) = self.history.deliver(through) {
            out.push(Output::Deliver(frame));
        }
    }
}

#[cfg(test)]
mod tests;
