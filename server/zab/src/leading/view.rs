//! What a leader knows of its learners, for whoever wants to know.

use alloc::vec::Vec;
use quorate_types::{MemberState, MemberStatus, ServerId, Zxid};

use super::Leader;
use crate::local::Local;
use crate::message::Standing;

impl Leader {
    /// Those who learn from this leader.
    pub(crate) fn learners(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.learners.values().map(|learner| learner.server)
    }

    /// What is known of a server that learns from this leader.
    pub(crate) fn describe(&self, server: ServerId, local: &Local) -> Option<MemberStatus> {
        let learner = self.learners.values().find(|learner| learner.server == server)?;
        let matched = Some(learner.matched).filter(|matched| *matched != Zxid::ZERO);
        let votes = local.configs.is_voter(server);
        Some(MemberStatus {
            state: if votes { MemberState::Following } else { MemberState::Observing },
            is_amnesiac: learner.standing == Standing::Amnesiac,
            is_synchronizing: !learner.is_up_to_date,
            zxid: matched,
            behind: matched.map(|matched| local.history.records_between(matched, local.commit)),
            lag_ms: matched.map(|matched| self.timeline.lag_ms(matched, local.now_ms)),
            latency_ms: learner.latency_ms,
            ..local.describe(server)
        })
    }

    /// The voters among `servers` that could not vote at once without anybody having to wait for them.
    pub(crate) fn not_ready(&self, servers: impl Iterator<Item = ServerId>, local: &Local) -> Vec<ServerId> {
        servers.filter(|server| !self.is_ready(*server, local)).collect()
    }

    /// Whether leadership is being handed over.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.transfer.is_some()
    }
}
