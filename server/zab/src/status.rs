//! What is so at a server, for whoever wants to know.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use quorate_types::{Epoch, Member, Role, ServerId, Zxid};

use crate::history::History;
use crate::message::Standing;
use crate::output::Promise;
use crate::zab::{Phase, State, Zab};

impl Zab {
    /// What this server does.
    #[must_use]
    pub fn role(&self) -> Role {
        self.belief().map_or(Role::Looking, |belief| belief.role)
    }

    /// Where in the protocol it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Looking(_) | State::Halted => Phase::Election,
            State::Following(follower) => follower.phase(),
            State::Leading(leader) => leader.phase(),
        }
    }

    /// Whom it follows, or is about to, or itself if it leads or tries to.
    #[must_use]
    pub fn leader(&self) -> Option<ServerId> {
        match &self.state {
            State::Looking(_) | State::Halted => None,
            State::Following(follower) => Some(follower.leader()),
            State::Leading(_) => Some(self.local.me()),
        }
    }

    /// The epoch of the last record in the log: ZooKeeper's `currentEpoch`, f.a in the paper.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.local.history.last().epoch()
    }

    /// The log's end, its epochs, and what of it is delivered.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.local.history
    }

    /// The last record that is durable here.
    #[must_use]
    pub fn durable(&self) -> Zxid {
        self.local.durable
    }

    /// The last record that is known to be committed.
    #[must_use]
    pub fn commit(&self) -> Zxid {
        self.local.commit
    }

    /// The last promise, and whether this server counts.
    #[must_use]
    pub fn promise(&self) -> (Promise, Standing) {
        (self.local.promise, self.local.standing)
    }

    /// The voters that this server waits for because its ensemble, as far as it knows, has not begun, and can begin only
    /// with all of them; `None` if it does not. See [`crate::Start::may_found`].
    #[must_use]
    pub fn awaited_founders(&self) -> Option<Vec<ServerId>> {
        match &self.state {
            State::Looking(election) => election.awaits(&self.local),
            State::Following(_) | State::Leading(_) | State::Halted => None,
        }
    }

    /// Everybody with whom a link is to be kept, with what is known of how to reach him.
    #[must_use]
    pub fn members(&self) -> BTreeMap<ServerId, Member> {
        self.local.known_servers()
    }

    /// The oldest place in the log that a learner still has to read from.
    #[must_use]
    pub fn oldest_needed(&self) -> Option<Zxid> {
        match &self.state {
            State::Leading(leader) => leader.oldest_needed(),
            State::Looking(_) | State::Following(_) | State::Halted => None,
        }
    }

    /// When the next [`Input::Tick`] is due.
    #[must_use]
    pub fn wake_ms(&self) -> u64 {
        let parked_ms = self.local.links.parked_since_ms().map(|since_ms| since_ms + self.local.config.timing.park_ms);
        let role_ms = match &self.state {
            State::Looking(election) => election.wake_ms(),
            State::Following(follower) => follower.wake_ms(&self.local),
            State::Leading(leader) => leader.wake_ms(&self.local),
            State::Halted => return u64::MAX,
        };
        role_ms.min(parked_ms.unwrap_or(u64::MAX))
    }
}
