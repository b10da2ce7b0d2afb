//! How the ensemble changes: a record that begins a joint phase, in which every decision needs a quorum of the old and
//! of the new configuration, and a record that ends it. Both are evaluated from the log alone.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use quorate_types::{FrameKind, Member, Members, ServerId, Zxid};

use super::{Leader, Stage};
use crate::local::Local;
use crate::message::{ConnectionId, Refusal};
use crate::output::Output;
use crate::quorum::Configs;

/// Why the ensemble stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReconfigured {
    /// This server does not lead.
    NotLeading,
    /// This server leads and is between two epochs, not yet established, or handing over.
    Later,
    /// Another reconfiguration is not finished.
    InProgress,
    /// The present configuration is not the expected one.
    BadVersion {
        /// The version of the present one.
        current: Zxid,
    },
    /// Nobody would vote.
    NoVoters,
    /// No quorum of the new voters is connected, trusted, and up to date.
    NewQuorumNotReady,
}

impl Leader {
    /// Begins a reconfiguration. Returns the version of the configuration to come.
    pub(crate) fn reconfigure(
        &mut self,
        servers: BTreeMap<ServerId, Member>,
        if_version: Option<Zxid>,
        context: &[u8],
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Result<Zxid, NotReconfigured> {
        if !self.is_open() {
            return Err(NotReconfigured::Later);
        }
        let current = local.configs.newest().map_or(Zxid::ZERO, |members| members.version);
        if local.configs.pending().is_some() {
            return Err(NotReconfigured::InProgress);
        }
        if if_version.is_some_and(|version| version != current) {
            return Err(NotReconfigured::BadVersion { current });
        }
        let members = Members { version: local.history.last().next(), servers };
        if members.voters().next().is_none() {
            return Err(NotReconfigured::NoVoters);
        }
        if !Configs::of(members.clone()).is_quorum(|server| self.is_ready(server, local)) {
            return Err(NotReconfigured::NewQuorumNotReady);
        }
        self.removed.retain(|server, _| !members.servers.contains_key(server));
        let mut payload = Vec::new();
        members.encode(&mut payload);
        payload.extend_from_slice(context);
        self.propose(FrameKind::Reconfig, members.version, &payload, local, out);
        Ok(members.version)
    }

    /// Whether a server could vote at once without anybody having to wait for it.
    pub(super) fn is_ready(&self, server: ServerId, local: &Local) -> bool {
        let lag_max = local.config.limits.joiner_lag_max;
        let keeps_up = |matched: Zxid| {
            matched.epoch() == local.commit.epoch()
                && local.commit.counter() <= matched.counter().saturating_add(lag_max)
        };
        let is_ready = |learner: &super::Learner| learner.is_up_to_date && keeps_up(learner.matched);
        server == local.me() || self.counting(server).is_some_and(is_ready)
    }

    /// Ends the joint phase once its beginning is committed by both configurations.
    pub(super) fn continue_reconfig(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        if self.stage != Stage::Broadcast {
            return;
        }
        if let Some(new) = local.configs.pending().filter(|new| local.commit >= new.version).cloned() {
            let mut payload = Vec::new();
            new.encode(&mut payload);
            let zxid = local.history.last().next();
            self.removed.extend(local.configs.leaving().into_iter().map(|server| (server, zxid)));
            self.propose(FrameKind::ConfigFinal, zxid, &payload, local, out);
        }
    }

    /// A leader that does not vote any more, and knows that to be committed, hands over as soon as somebody can take
    /// over.
    pub(super) fn leave_if_removed(&mut self, local: &Local) {
        let is_final = local.configs.pending().is_none() && local.commit >= local.history.configured_at();
        if is_final && !local.configs.is_voter(local.me()) && self.is_open() {
            // If nobody can, this leader goes on.
            let _ = self.transfer(None, local);
        }
    }

    /// A server that does not belong to the ensemble any more, and has learned so from its log, is let go.
    pub(super) fn release_removed(&mut self, connection: ConnectionId, local: &mut Local, out: &mut Vec<Output>) {
        let Some(learner) = self.learners.get(&connection) else { return };
        let Some(at) = self.removed.get(&learner.server).copied() else { return };
        if local.commit >= at && learner.told >= at && learner.matched >= at && self.stage == Stage::Broadcast {
            let version = local.configs.newest().map_or(Zxid::ZERO, |members| members.version);
            self.refuse(connection, Refusal::Removed { version }, local, out);
        }
    }
}
