//! Phase 2: the log of each follower becomes a prefix of the leader's.

use quorate_types::ServerId;

use super::ensemble::{Ensemble, Event};
use super::rules::{Rule, Rules};
use super::server::{Role, Session, Stage};

impl Ensemble {
    /// DIFF, TRUNC: the follower drops what the leader lacks, and goes on from there.
    ///
    /// In one step with the disk: a crash that undoes it is a crash before it.
    pub(crate) fn plan_records(mut self, server: ServerId, rules: Rules) -> Option<Ensemble> {
        let session = self.awaits_plan(server)?;
        let (mine, theirs) = (self.server(session.leader).log, self.server(server).log);
        let common = mine.common_prefix(&theirs);
        let dropped = &theirs.records()[common..];
        let is_unknown = |epoch| mine.records().iter().all(|record| record.epoch != epoch);
        if dropped.iter().any(|record| is_unknown(record.epoch)) {
            self.seen.event = Some(Event::TruncatedAcrossEpochs);
        }
        if rules.keep(Rule::DropWhatTheLeaderLacks) {
            self.server_mut(server).log = theirs.truncated(common);
        }
        self.starts_streaming(server, session, rules);
        Some(self)
    }

    /// SNAP: a snapshot of the leader's state after so many records takes the place of the follower's log. It can be of
    /// anything that is committed, and the leader may have purged any part of its log before it, so there may always be
    /// one.
    ///
    /// In one step: a crash leaves the old log or the new one.
    pub(crate) fn plan_snapshot(mut self, server: ServerId, len: usize, rules: Rules) -> Option<Ensemble> {
        let session = self.awaits_plan(server)?;
        let snapshot = self.seen.committed.truncated(len);
        if snapshot.len() < len || !snapshot.is_prefix_of(&self.server(session.leader).durable_log()) {
            return None;
        }
        let common = self.server(session.leader).log.common_prefix(&self.server(server).log);
        if len == common || len < common && rules.keep(Rule::SnapshotHoldsTheCommonPrefix) {
            return None;
        }
        self.server_mut(server).log = snapshot;
        self.seen.event = Some(Event::InstalledSnapshot);
        self.starts_streaming(server, session, rules);
        Some(self)
    }

    /// The session of a follower that has promised, if its leader has finished discovery.
    fn awaits_plan(&self, server: ServerId) -> Option<Session> {
        let (session, leader) = self.session(server)?;
        (session.stage == Stage::Promised && leader.electing.is_none()).then_some(session)
    }

    fn starts_streaming(&mut self, server: ServerId, session: Session, rules: Rules) {
        let own = self.server_mut(server);
        own.durable = own.log.len() as u8;
        own.role = Role::Following(Session { stage: Stage::Streaming, ..session });
        self.commit(session.leader, rules);
    }
}
