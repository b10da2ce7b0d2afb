//! `Server`: what a server's disk holds, and what it does.

use quorate_types::ServerId;

use super::log::Log;
use super::rules::{Rule, Rules};

/// The servers of the model. All of them vote.
pub(crate) const SERVERS: [ServerId; 3] = [ServerId(1), ServerId(2), ServerId(3)];

/// Where an array with an entry for each server holds this one's.
pub(crate) fn at(server: ServerId) -> usize {
    usize::from(server.0 - 1)
}

/// One server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Server {
    pub(crate) log: Log,
    /// So many records of the log are durable. A crash keeps these, and any number of those that follow.
    pub(crate) durable: u8,
    pub(crate) promise: Promise,
    /// The promise that a crash keeps.
    pub(crate) durable_promise: Promise,
    pub(crate) standing: Standing,
    pub(crate) role: Role,
}

/// f.p of the paper: the greatest epoch that the server has promised, and to whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Promise {
    pub(crate) epoch: u8,
    pub(crate) leader: ServerId,
}

/// Whether what a server says may be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Standing {
    #[default]
    Voter,
    /// Its disk was wiped, and it has not been readmitted.
    Amnesiac,
}

/// What a server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// It does nothing, or it is down: nobody can tell the difference.
    #[default]
    Looking,
    Following(Session),
    Leading(Leader),
}

/// What a follower and its leader have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Session {
    pub(crate) leader: ServerId,
    pub(crate) stage: Stage,
    /// The follower is amnesiac, and the marker of the leader's epoch ends that: the session began before the discovery
    /// of that epoch was finished.
    pub(crate) readmits: bool,
}

/// How far a follower has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// It has introduced itself (FOLLOWERINFO) and is asked for a promise (LEADERINFO).
    Joined,
    /// It has promised the leader's epoch, and the leader has heard of it (ACKEPOCH).
    Promised,
    /// Its log is a prefix of the leader's (DIFF, TRUNC, SNAP), and grows with it.
    Streaming,
}

/// A server that leads, or tries to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Leader {
    pub(crate) epoch: u8,
    /// In discovery: who has promised the epoch.
    pub(crate) electing: Option<Servers>,
    /// The length of its log with its newest marker, from where on it commits; 0 before it has any.
    pub(crate) marker: u8,
}

/// A set of servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Servers(u8);

impl Servers {
    pub(crate) fn with(self, server: ServerId) -> Servers {
        Servers(self.0 | 1 << server.0)
    }

    pub(crate) fn contains(self, server: ServerId) -> bool {
        self.0 & 1 << server.0 != 0
    }

    /// Whether these are a majority.
    pub(crate) fn is_quorum(self) -> bool {
        2 * self.0.count_ones() as usize > SERVERS.len()
    }
}

impl FromIterator<ServerId> for Servers {
    fn from_iter<I: IntoIterator<Item = ServerId>>(servers: I) -> Servers {
        servers.into_iter().fold(Servers::default(), Servers::with)
    }
}

impl Server {
    /// What it does, if it leads.
    pub(crate) fn leads(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leading(leader) => Some(leader),
            Role::Looking | Role::Following(_) => None,
        }
    }

    /// Its session, if it follows.
    pub(crate) fn follows(&self) -> Option<Session> {
        match self.role {
            Role::Following(session) => Some(session),
            Role::Looking | Role::Leading(_) => None,
        }
    }

    /// What a crash is sure to keep of the log.
    pub(crate) fn durable_log(&self) -> Log {
        self.log.truncated(usize::from(self.durable))
    }

    /// How many records it says to have: those that a crash keeps.
    pub(crate) fn acknowledges(&self, rules: Rules) -> u8 {
        if rules.keep(Rule::AckWhatIsDurable) { self.durable } else { self.log.len() as u8 }
    }

    /// Whether anything that it says may be counted.
    pub(crate) fn counts(&self, rules: Rules) -> bool {
        self.standing == Standing::Voter || !rules.keep(Rule::AmnesiacsCountNowhere)
    }

    /// Everything that was written is durable.
    pub(crate) fn sync(&mut self) {
        self.durable = self.log.len() as u8;
        self.durable_promise = self.promise;
    }

    /// Promises an epoch, and waits for the disk before it says so.
    pub(crate) fn promise(&mut self, promise: Promise, rules: Rules) {
        self.promise = promise;
        self.durable = self.log.len() as u8;
        if rules.keep(Rule::PromiseDurablyThenAnswer) {
            self.durable_promise = promise;
        }
    }

    /// Ends what it does. Before it does anything else, it drains its disk.
    pub(crate) fn look(&mut self) {
        self.role = Role::Looking;
        self.sync();
    }
}
