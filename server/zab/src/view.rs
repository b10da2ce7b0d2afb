//! The ensemble as one server knows it: a leader knows its learners; everybody else knows himself, whom he follows, and
//! who cannot be reached.

use alloc::vec::Vec;
use bytes::Bytes;
use quorate_types::{Ensemble, MemberState, MemberStatus, Role, ServerId, Zxid};

use crate::local::Local;
use crate::message::Standing;
use crate::zab::{State, Zab};

impl Zab {
    /// The ensemble, as this server knows it.
    #[must_use]
    pub fn ensemble(&self) -> Ensemble {
        let Local { configs, history, .. } = &self.local;
        let mut servers: Vec<ServerId> = self.local.known_servers().into_keys().collect();
        if let State::Leading(leader) = &self.state {
            servers.extend(leader.learners());
        }
        servers.push(self.local.me());
        servers.sort_unstable();
        servers.dedup();
        let newest = configs.newest();
        let pending = configs.pending().map(|members| members.version);
        Ensemble {
            told_by: self.local.me(),
            leader: self.leader().filter(|_| self.local.has_leader).unwrap_or_default(),
            epoch: history.last().epoch(),
            version: configs.present().map_or(Zxid::ZERO, |members| members.version),
            pending,
            quorum: newest.map_or(0, |members| (members.voters().count() / 2 + 1) as u8),
            members: servers.into_iter().map(|server| self.describe(server)).collect(),
        }
    }

    /// The voters among `servers` that do not keep up with this leader, so that a configuration with them may have to
    /// wait for them; none if this server does not lead.
    #[must_use]
    pub fn not_ready(&self, servers: impl Iterator<Item = ServerId>) -> Vec<ServerId> {
        match &self.state {
            State::Leading(leader) => leader.not_ready(servers, &self.local),
            State::Looking(_) | State::Following(_) | State::Halted => Vec::new(),
        }
    }

    /// Whether this server leads and is about to hand over.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        matches!(&self.state, State::Leading(leader) if leader.is_handing_over())
    }

    fn describe(&self, server: ServerId) -> MemberStatus {
        if server == self.local.me() {
            return self.describe_this_one();
        }
        match &self.state {
            State::Leading(leader) => {
                leader.describe(server, &self.local).unwrap_or_else(|| self.local.describe(server))
            }
            State::Following(follower) if follower.leader() == server && self.local.has_leader => {
                MemberStatus { state: MemberState::Leading, ..self.local.describe(server) }
            }
            State::Looking(_) | State::Following(_) | State::Halted => self.local.describe(server),
        }
    }

    fn describe_this_one(&self) -> MemberStatus {
        let Local { durable, commit, history, standing, has_leader, .. } = &self.local;
        let role = self.role();
        let behind = history.records_between(*durable, *commit);
        MemberStatus {
            state: match role {
                // It tries to.
                Role::Leading if !has_leader => MemberState::Looking,
                role => state(role),
            },
            is_amnesiac: *standing == Standing::Amnesiac,
            is_synchronizing: matches!(role, Role::Following | Role::Observing) && !has_leader,
            zxid: Some(*durable),
            // Only a leader knows what is committed.
            behind: (role == Role::Leading).then_some(behind),
            lag_ms: (role == Role::Leading && behind == 0).then_some(0),
            ..self.local.describe(self.local.me())
        }
    }
}

impl Local {
    /// What is known of a server without a session with it.
    pub(crate) fn describe(&self, server: ServerId) -> MemberStatus {
        // A rumor may be of a change that has come to nothing: it counts only if the log says nothing.
        let configured = self.configs.servers();
        let known = if configured.is_empty() { self.known_servers() } else { configured };
        let heard = self.links.heard(server).map(|heard| heard.role);
        let member = known.get(&server);
        MemberStatus {
            server,
            role: member.map(|member| member.role),
            address: member.map_or_else(Bytes::new, |member| member.address.clone()),
            state: match heard {
                _ if !self.links.is_up(server) => MemberState::Unreachable,
                // Whoever has found a leader does not say so again to those who have one.
                Some(Role::Looking) if self.has_leader => MemberState::Unknown,
                Some(role) => state(role),
                None => MemberState::Unknown,
            },
            is_amnesiac: false,
            is_synchronizing: false,
            zxid: None,
            behind: None,
            lag_ms: None,
            latency_ms: None,
        }
    }
}

fn state(role: Role) -> MemberState {
    match role {
        Role::Looking => MemberState::Looking,
        Role::Following => MemberState::Following,
        Role::Leading => MemberState::Leading,
        Role::Observing => MemberState::Observing,
    }
}
