//! Phase 1: a leader proposes an epoch, a quorum promises it, and nobody in that quorum has a longer log.

use quorate_types::ServerId;

use super::ensemble::Ensemble;
use super::log::Zxid;
use super::rules::{Rule, Rules};
use super::server::{Leader, Promise, Role, Servers, Session, Stage, Standing};

impl Ensemble {
    /// A server tries to lead, in an epoch one above its own promise or one of which it has heard. Who tries, and when,
    /// is up to the election, which may do what it likes. A leader that is established already begins the new epoch in
    /// place: with its sessions, and with what is not committed yet as a part of its history.
    pub(crate) fn propose_epoch(mut self, server: ServerId, epoch: u8, rules: Rules) -> Option<Ensemble> {
        let own = self.server(server);
        let is_next = self.servers.iter().any(|heard| heard.promise.epoch + 1 == epoch);
        if !own.counts(rules) || epoch <= own.promise.epoch || !is_next {
            return None;
        }
        let marker = match own.role {
            Role::Looking => 0,
            Role::Leading(leader) if self.is_established(&leader) => leader.marker,
            Role::Leading(_) | Role::Following(_) => return None,
        };
        self.server_mut(server).promise(Promise { epoch, leader: server }, rules);
        self.commit(server, rules);
        let electing = Some(Servers::default().with(server));
        self.server_mut(server).role = Role::Leading(Leader { epoch, electing, marker });
        for follower in self.followers(server) {
            self.introduce(follower, server);
        }
        Some(self)
    }

    /// FOLLOWERINFO, CEPOCH, and the promise: a server follows whoever leads or tries to.
    ///
    /// In one step: until it promises, it might as well not have joined.
    pub(crate) fn join(mut self, server: ServerId, leader: ServerId, is_heard: bool, rules: Rules) -> Option<Ensemble> {
        self.leader(leader).filter(|_| self.server(server).role == Role::Looking)?;
        self.introduce(server, leader);
        self.promise(server, is_heard, rules)
    }

    /// A session begins, or begins again because its leader does.
    fn introduce(&mut self, server: ServerId, leader: ServerId) {
        let is_early = self.leader(leader).is_some_and(|leader| leader.electing.is_some());
        let own = self.server_mut(server);
        let readmits = is_early && own.standing == Standing::Amnesiac;
        own.role = Role::Following(Session { leader, stage: Stage::Joined, readmits });
    }

    /// LEADERINFO, NEWEPOCH: the leader asks for the promise of its epoch, and gets it unless a later one is promised.
    /// ACKEPOCH, ACK-E: it hears of that, and of the end of the follower's log; or it does not, and the session is cut.
    pub(crate) fn promise(mut self, server: ServerId, is_heard: bool, rules: Rules) -> Option<Ensemble> {
        let (session, leader) = self.session(server).filter(|(session, _)| session.stage == Stage::Joined)?;
        let promise = Promise { epoch: leader.epoch, leader: session.leader };
        let given = self.server(server).promise;
        if promise.epoch < given.epoch {
            return None;
        }
        let is_mine = promise.epoch > given.epoch || promise == given;
        self.server_mut(server).promise(if is_mine { promise } else { given }, rules);
        if !is_heard {
            return self.cut(server);
        }
        let counts = is_mine || !rules.keep(Rule::PromiseOnce);
        self.hears_promise(server, session, counts && self.server(server).counts(rules), rules);
        Some(self)
    }

    fn hears_promise(&mut self, server: ServerId, session: Session, counts: bool, rules: Rules) {
        let (theirs, mine) = (self.server(server).log.last(), self.server(session.leader).log.last());
        self.server_mut(server).role = Role::Following(Session { stage: Stage::Promised, ..session });
        let Some(leader) = self.leader_mut(session.leader) else { return };
        let Some(promised) = leader.electing.filter(|_| counts) else { return };
        if theirs > mine && rules.keep(Rule::AbdicateToTheLongerLog) {
            return self.look(session.leader);
        }
        leader.electing = Some(promised.with(server));
        if promised.with(server).is_quorum() {
            self.finish_discovery(session.leader);
        }
    }

    /// With the promises of a quorum the leader's history is final, and its marker goes after it.
    fn finish_discovery(&mut self, server: ServerId) {
        let log = &mut self.server_mut(server).log;
        let marker = log.len() as u8 + 1;
        let Some(leader) = self.leader_mut(server) else { return };
        *leader = Leader { electing: None, marker, ..*leader };
        let epoch = leader.epoch;
        self.server_mut(server).log.push(Zxid { epoch, counter: 0 });
        self.seen.leaders[usize::from(epoch)] += 1;
    }
}
