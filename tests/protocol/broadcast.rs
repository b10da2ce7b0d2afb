//! Phase 3, and the end of phase 2, which is no different: records go to followers in order, from one cursor over one
//! log, the marker of the epoch (NEWLEADER) among them.

use quorate_types::ServerId;

use super::ensemble::Ensemble;
use super::log::Zxid;
use super::rules::{Rule, Rules};
use super::server::{Role, Session, Stage, Standing};

impl Ensemble {
    /// An established leader proposes a txn.
    pub(crate) fn propose(mut self, server: ServerId, rules: Rules) -> Option<Ensemble> {
        let leader = self.leader(server).filter(|leader| self.is_established(leader))?;
        let epoch = leader.epoch;
        let log = &mut self.server_mut(server).log;
        let counter = if log.last().epoch == epoch { log.last().counter + 1 } else { 1 };
        log.push(Zxid { epoch, counter });
        self.left.txns = self.left.txns.checked_sub(1)?;
        self.commit(server, rules);
        Some(self)
    }

    /// PROPOSAL and ACK: the follower gets the next record, and says so when its disk has it.
    ///
    /// In one step: a crash that loses the record is a crash before it, and a leader that is told later, or never, can
    /// do less and not more.
    pub(crate) fn append(mut self, server: ServerId, rules: Rules) -> Option<Ensemble> {
        let session = self.server(server).follows().filter(|session| session.stage == Stage::Streaming)?;
        let next = *self.server(session.leader).log.records().get(self.server(server).log.len())?;
        let own = self.server_mut(server);
        own.log.push(next);
        if rules.keep(Rule::AckWhatIsDurable) {
            own.durable = own.log.len() as u8;
        }
        self.commit(session.leader, rules);
        Some(self)
    }

    /// The disk of a server has everything that was written. A leader may have sent it long before.
    pub(crate) fn sync(mut self, server: ServerId, rules: Rules) -> Option<Ensemble> {
        let own = self.server_mut(server);
        let before = *own;
        own.sync();
        if *own == before {
            return None;
        }
        self.commit(server, rules);
        Some(self)
    }

    /// UPTODATE, and what it means to an amnesiac that has the marker of an epoch whose discovery it has seen the end
    /// of: whatever it may have forgotten concerned older epochs, so it counts again.
    pub(crate) fn readmit(mut self, server: ServerId, rules: Rules) -> Option<Ensemble> {
        let (session, leader) = self.session(server).filter(|(session, _)| session.stage == Stage::Streaming)?;
        let own = self.server(server);
        let has_marker = own.durable >= leader.marker;
        let may_count = session.readmits || !rules.keep(Rule::ReadmitByALaterEpoch);
        if own.standing == Standing::Voter || !has_marker || !may_count || !self.is_established(leader) {
            return None;
        }
        let own = self.server_mut(server);
        own.standing = Standing::Voter;
        own.role = Role::Following(Session { readmits: false, ..session });
        self.commit(session.leader, rules);
        Some(self)
    }
}
