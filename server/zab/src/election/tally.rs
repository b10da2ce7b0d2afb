//! When an election is decided.

use quorate_types::ServerId;

use super::{Claim, Election};
use crate::local::Local;
use crate::quorum::Configs;
use crate::zab::Turn;

impl Election {
    /// Follows the leader that there is, or, if there is none, the vote on which a quorum agrees: at once if everybody
    /// who can be reached agrees, and otherwise a little later, for a better vote may be on its way.
    pub(super) fn decide(&mut self, local: &Local) -> Option<Turn> {
        if let Some(leader) = self.established_leader(local) {
            return Some(Turn::Follow(leader));
        }
        let has_voted = |server| self.received.contains_key(&server);
        if self.founding.gathers(local) && !local.config.founding.voters().all(has_voted) {
            return None;
        }
        let Some(vote) = self.vote.filter(|_| self.quorum_agrees(local)) else {
            self.decide_at_ms = None;
            return None;
        };
        let decide_at_ms = *self.decide_at_ms.get_or_insert(local.now_ms + local.config.timing.finalize_ms);
        if local.now_ms < decide_at_ms && !self.all_agree(local) {
            return None;
        }
        Some(if vote.leader == local.me() { Turn::Lead } else { Turn::Follow(vote.leader) })
    }

    /// A leader that says so itself, is within reach, and has a quorum behind it: of this server's configurations, or
    /// of the leader's own, for this log may be behind. Rounds and zxids play no part: they legitimately differ between
    /// those who follow the same leader.
    fn established_leader(&self, local: &Local) -> Option<ServerId> {
        let within_reach = |leader: ServerId| leader != local.me() && local.links.is_up(leader);
        let leads = |(server, claim): &(&ServerId, &Claim)| claim.leader == **server && within_reach(claim.leader);
        let has_quorum = |claim: &Claim| {
            let supports = |server| {
                let follows = |other: &Claim| other.leader == claim.leader && other.epoch <= claim.epoch;
                server == local.me()
                    || self.claims.get(&server).is_some_and(follows)
                    || self.received.get(&server).is_some_and(|vote| vote.leader == claim.leader)
            };
            let members = &claim.members;
            let by_hearsay = || members.voters().next().is_some() && Configs::of(members.clone()).is_quorum(supports);
            local.configs.is_quorum(supports) || by_hearsay()
        };
        self.claims.iter().filter(leads).find(|(_, claim)| has_quorum(claim)).map(|(leader, _)| *leader)
    }

    fn quorum_agrees(&self, local: &Local) -> bool {
        local.configs.is_quorum(|server| self.vote.is_some() && self.received.get(&server) == self.vote.as_ref())
    }

    fn all_agree(&self, local: &Local) -> bool {
        let counts = |server: &ServerId| *server == local.me() || local.links.is_up(*server);
        local.configs.voters().filter(counts).all(|server| self.received.get(&server) == self.vote.as_ref())
    }
}
