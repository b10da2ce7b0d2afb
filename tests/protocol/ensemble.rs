//! `Ensemble`: the state of the model: the servers, what an observer of all of them has seen, and what may still
//! happen.

use quorate_types::ServerId;

use super::log::{Log, Zxid};
use super::rules::{Rule, Rules};
use super::server::{Leader, Role, SERVERS, Server, Session, Stage, at};

/// All servers, and what none of them knows.
///
/// Its hash, which is all that the checker compares, does not depend on who is who: see `names`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ensemble {
    pub(crate) servers: [Server; 3],
    pub(crate) seen: Seen,
    pub(crate) left: Budget,
}

/// What an observer of everything has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Seen {
    /// What leaders have committed, in order.
    pub(crate) committed: Log,
    /// For each of these records the epoch of the leader that committed it first.
    pub(crate) committed_in: [u8; 8],
    /// A leader has committed something else in the place of what was committed.
    pub(crate) has_forked: bool,
    /// How many leaders have finished discovery, by epoch.
    pub(crate) leaders: [u8; 8],
    /// What the last step was remarkable for.
    pub(crate) event: Option<Event>,
}

/// What has to happen now and then, or the model is about nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Event {
    /// A follower has dropped records of an epoch of which its leader has none.
    TruncatedAcrossEpochs,
    /// A snapshot has brought a follower what its log did not hold.
    InstalledSnapshot,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Budget {
    pub(crate) txns: u8,
    pub(crate) crashes: u8,
    /// How often a session, or all sessions of a leader, may be cut.
    pub(crate) cuts: u8,
    pub(crate) wipes: u8,
}

impl Ensemble {
    pub(crate) fn new(budget: Budget) -> Ensemble {
        Ensemble { left: budget, ..Ensemble::default() }
    }

    pub(crate) fn server(&self, server: ServerId) -> &Server {
        &self.servers[at(server)]
    }

    pub(crate) fn server_mut(&mut self, server: ServerId) -> &mut Server {
        &mut self.servers[at(server)]
    }

    /// What a server is as a leader.
    pub(crate) fn leader(&self, server: ServerId) -> Option<&Leader> {
        self.server(server).leads()
    }

    pub(crate) fn leader_mut(&mut self, server: ServerId) -> Option<&mut Leader> {
        match &mut self.server_mut(server).role {
            Role::Leading(leader) => Some(leader),
            Role::Looking | Role::Following(_) => None,
        }
    }

    /// Those who are in a session with a leader.
    pub(crate) fn followers(&self, leader: ServerId) -> impl Iterator<Item = ServerId> + use<> {
        let servers = self.servers;
        let follows =
            move |server: &ServerId| servers[at(*server)].follows().is_some_and(|session| session.leader == leader);
        SERVERS.into_iter().filter(follows)
    }

    /// A server stops doing what it does. The followers of a leader notice.
    pub(crate) fn look(&mut self, server: ServerId) {
        for follower in self.followers(server) {
            self.server_mut(follower).look();
        }
        self.server_mut(server).look();
    }

    /// The session of a follower, and its leader.
    pub(crate) fn session(&self, follower: ServerId) -> Option<(Session, &Leader)> {
        let session = self.server(follower).follows()?;
        Some((session, self.leader(session.leader)?))
    }

    /// Whether a leader's marker is committed.
    pub(crate) fn is_established(&self, leader: &Leader) -> bool {
        let marker = Zxid { epoch: leader.epoch, counter: 0 };
        leader.electing.is_none() && self.seen.committed.records().contains(&marker)
    }

    /// The leader commits what a quorum acknowledges, its own disk counting like everybody's.
    ///
    /// At once, and not in a step of its own: to commit later would only allow less to happen meanwhile.
    pub(crate) fn commit(&mut self, server: ServerId, rules: Rules) {
        let Some(leader) = self.leader(server).filter(|leader| leader.marker > 0) else { return };
        let own = self.server(server);
        let mut has =
            SERVERS.map(|from| if self.hears(server, from, rules) { self.server(from).acknowledges(rules) } else { 0 });
        has.sort_unstable();
        let reached = has[SERVERS.len() / 2];
        if reached < leader.marker && rules.keep(Rule::CommitFromTheMarkerOn) {
            return;
        }
        let epoch = own.log.records()[usize::from(leader.marker) - 1].epoch;
        self.seen.commits(&own.log.truncated(usize::from(reached)), epoch);
    }

    /// Whether a leader counts what a server acknowledges.
    fn hears(&self, leader: ServerId, from: ServerId, rules: Rules) -> bool {
        let streams = |session: Session| session.leader == leader && session.stage == Stage::Streaming;
        let server = self.server(from);
        from == leader || server.counts(rules) && server.follows().is_some_and(streams)
    }
}

impl Seen {
    /// The leader of an epoch says that this is committed.
    fn commits(&mut self, log: &Log, epoch: u8) {
        let known = self.committed.len();
        self.has_forked |= !log.is_prefix_of(&self.committed) && !self.committed.is_prefix_of(log);
        if log.len() > known && !self.has_forked {
            self.committed_in[known..log.len()].fill(epoch);
            self.committed = *log;
        }
    }
}
