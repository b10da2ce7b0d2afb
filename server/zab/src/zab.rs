//! `Zab`: the agreement of one server. This file holds what it is made of and how it goes from one role to the next;
//! what happens within a role stands in the files of that role.

use alloc::vec::Vec;
use quorate_types::{Role, ServerId, Zxid};

use crate::config::Config;
use crate::disk::Disk;
use crate::election::Election;
use crate::following::Follower;
use crate::hearsay::Hearsay;
use crate::history::History;
use crate::input::{Input, Origin};
use crate::leading::Leader;
use crate::links::{FollowerInfo, Links};
use crate::local::{Belief, Local};
use crate::message::{ConnectionId, Digest, Message, Notification, Position, Refusal, Standing};
use crate::output::{Halt, Output, Promise};

/// What a server begins with: what its disk holds, all of it durable.
#[derive(Clone, Debug)]
pub struct Start {
    /// The last promise.
    pub promise: Promise,
    /// Whether it counts.
    pub standing: Standing,
    /// The disk was empty when it was prepared, and nobody has said that the ensemble is a new one. Such a server is
    /// amnesiac; but if all voters that the ensemble is to begin with turn out to be blank, there is nothing that could
    /// have been forgotten, and it begins with them. Has no meaning for a server with promises or records.
    pub may_found: bool,
    /// The log, and what of it is in the state already.
    pub history: History,
    /// Everything up to here is known to have been committed.
    pub commit: Zxid,
    /// Before the first record that the log still holds.
    pub log_start: Zxid,
    /// The newest snapshot that can be sent to a learner.
    pub snapshot: Option<Position>,
}

/// Where in the protocol a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody leads, as far as this server knows.
    Election,
    /// A prospective leader gathers promises for its epoch.
    Discovery,
    /// The leader's whole history, and its marker, are on their way to a quorum.
    Synchronization,
    /// The leader proposes and commits.
    Broadcast,
}

/// The agreement of one server.
///
/// Every input goes through [`Zab::step`]; after a batch of them [`Zab::flush`] sends what the batch has led to.
#[derive(Clone, Debug)]
pub struct Zab {
    pub(crate) local: Local,
    pub(crate) state: State,
}

/// What a server does, with everything that belongs to it: what is left of an earlier role cannot be mistaken for
/// something of the present one.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// It takes part in an election.
    Looking(Election),
    /// It learns from a leader.
    Following(Follower),
    /// It leads, or tries to.
    Leading(Leader),
    /// It must not take part any more.
    Halted,
}

/// What a server turns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// An election.
    Look,
    /// Leading.
    Lead,
    /// Following a leader that an election has found.
    Follow(ServerId),
    /// Following a leader to whom leadership was handed over.
    FollowNext(ServerId),
    /// Nothing any more.
    Halt(Halt),
}

impl Zab {
    /// A server that has just started.
    ///
    /// # Panics
    /// If the promise is older than the history: such a disk was put together from two.
    #[must_use]
    pub fn new(config: Config, start: Start) -> Zab {
        let Start { promise, standing, may_found, mut history, commit, log_start, snapshot } = start;
        let last = history.last();
        assert!(promise.epoch >= last.epoch(), "promised {:?}, but logged {last:?}", promise.epoch);
        history.keep_bytes(config.limits.cache_bytes);
        let local = Local {
            now_ms: 0,
            promise,
            standing,
            may_found,
            configs: Local::configs_of(&history, &config, standing),
            hearsay: Hearsay::default(),
            disk: Disk::new(),
            disk_moved_ms: 0,
            durable: last,
            commit: commit.min(last).max(history.delivered()),
            log_start,
            snapshot,
            digest: Digest::default(),
            round: 0,
            has_leader: false,
            failures: None,
            links: Links::default(),
            history,
            config,
        };
        let state = State::Looking(Election::new(&local));
        Zab { local, state }
    }

    /// Begins: delivers what is known to be committed, then looks for a leader.
    pub fn start(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.local.now_ms = now_ms;
        self.local.deliver(out);
        self.take(Some(Turn::Look), out);
    }

    /// Takes one input. Never fails and never blocks; what it leads to is in `out`, and, for records, commits and
    /// reads, what the next [`Zab::flush`] adds.
    pub fn step(&mut self, now_ms: u64, input: Input, out: &mut Vec<Output>) {
        if matches!(self.state, State::Halted) {
            return;
        }
        self.local.now_ms = self.local.now_ms.max(now_ms);
        let turn = self.handle(input, out);
        self.take(turn, out);
        if !matches!(self.state, State::Halted) {
            self.local.deliver(out);
        }
    }

    /// Ends a batch of steps: sends what they have led to.
    pub fn flush(&mut self, out: &mut Vec<Output>) {
        let turn = match &mut self.state {
            State::Leading(leader) => leader.flush(&mut self.local, out),
            State::Following(follower) => {
                follower.flush(&self.local, out);
                None
            }
            State::Looking(_) | State::Halted => None,
        };
        self.take(turn, out);
    }

    fn handle(&mut self, input: Input, out: &mut Vec<Output>) -> Option<Turn> {
        match input {
            Input::Tick => self.tick(out),
            Input::Synced(token) => self.synced(token, out),
            Input::LogRead { token, read } => {
                if let State::Leading(leader) = &mut self.state {
                    leader.log_read(token, read, &mut self.local, out);
                }
                None
            }
            Input::Purged(zxid) => {
                self.local.log_start = self.local.log_start.max(zxid);
                None
            }
            Input::SnapshotTaken(position) => {
                self.local.snapshot = Some(position);
                None
            }
            Input::LinkUp(peer) => self.link(peer, true, out),
            Input::LinkDown(peer) => self.link(peer, false, out),
            Input::Notified { from, notification } => self.notified(from, notification, out),
            Input::Connected { connection, peer, origin } => {
                self.connected(connection, peer, origin, out);
                None
            }
            Input::DialFailed { peer } => match &mut self.state {
                State::Following(follower) => follower.dial_failed(peer, &self.local),
                State::Looking(_) | State::Leading(_) | State::Halted => None,
            },
            Input::Disconnected(connection) => self.disconnected(connection),
            Input::Message { connection, message } => self.message(connection, message, out),
            Input::SnapshotProgress(_) | Input::SnapshotReceived { .. } | Input::SnapshotFailed(_) => {
                self.snapshot_input(input, out)
            }
        }
    }

    fn tick(&mut self, out: &mut Vec<Output>) -> Option<Turn> {
        let Local { now_ms, config, .. } = &self.local;
        let since_ms = now_ms.checked_sub(config.timing.park_ms);
        for (connection, ..) in since_ms.map(|since_ms| self.local.links.take_parked(since_ms)).unwrap_or_default() {
            self.refuse(connection, out);
        }
        match &mut self.state {
            State::Looking(election) => election.tick(&mut self.local, out),
            State::Following(follower) => follower.tick(&self.local, out),
            State::Leading(leader) => leader.tick(&mut self.local, out),
            State::Halted => None,
        }
    }

    fn synced(&mut self, token: u64, out: &mut Vec<Output>) -> Option<Turn> {
        self.local.synced(token, out);
        match &mut self.state {
            State::Looking(election) => election.synced(&mut self.local, out),
            State::Following(follower) => {
                follower.synced(&mut self.local, out);
                None
            }
            State::Leading(leader) => {
                leader.synced(&mut self.local, out);
                None
            }
            State::Halted => None,
        }
    }

    fn link(&mut self, peer: ServerId, is_up: bool, out: &mut Vec<Output>) -> Option<Turn> {
        self.local.links.set_up(peer, is_up);
        match &mut self.state {
            State::Looking(election) if is_up => election.link_up(peer, &mut self.local, out),
            State::Looking(election) => election.link_down(peer, &mut self.local, out),
            State::Following(follower) if !is_up => follower.link_down(peer),
            State::Following(_) | State::Leading(_) => {
                if is_up && self.local.links.heard(peer).is_some_and(|heard| heard.role == Role::Looking) {
                    // What it was answered before has not come to it.
                    self.tell(peer, out);
                }
                None
            }
            State::Halted => None,
        }
    }

    fn notified(&mut self, from: ServerId, notification: Notification, out: &mut Vec<Output>) -> Option<Turn> {
        self.local.hear_of(from, &notification.members, out);
        let answers = !notification.is_answer && notification.role == Role::Looking;
        self.local.links.set_heard(from, notification.clone());
        match &mut self.state {
            State::Looking(election) => return election.heard(from, &notification, &mut self.local, out),
            State::Following(_) | State::Leading(_) | State::Halted => {}
        }
        if answers {
            self.tell(from, out);
        }
        match &self.state {
            State::Leading(leader) if leader.phase() == Phase::Discovery && !leader.may_find_quorum(&self.local) => {
                Some(Turn::Look)
            }
            _ => None,
        }
    }

    fn connected(&mut self, connection: ConnectionId, peer: ServerId, origin: Origin, out: &mut Vec<Output>) {
        self.local.links.connected(connection, peer, origin);
        match (&mut self.state, origin) {
            (State::Following(follower), Origin::Dialed) => follower.connected(connection, peer, &mut self.local, out),
            (_, Origin::Dialed) => self.local.close(connection, out),
            // The learner speaks first.
            (_, Origin::Accepted) => {}
        }
    }

    fn disconnected(&mut self, connection: ConnectionId) -> Option<Turn> {
        if !self.local.links.closed(connection) {
            return None;
        }
        match &mut self.state {
            State::Following(follower) => follower.disconnected(connection),
            State::Leading(leader) => {
                leader.disconnected(connection);
                None
            }
            State::Looking(_) | State::Halted => None,
        }
    }

    fn message(&mut self, connection: ConnectionId, message: Message, out: &mut Vec<Output>) -> Option<Turn> {
        let (peer, origin) = self.local.links.session(connection)?;
        match (message, origin) {
            (Message::FollowerInfo { accepted_epoch, config_version, standing }, Origin::Accepted) => {
                let info = FollowerInfo { accepted_epoch, config_version, standing };
                match &mut self.state {
                    State::Leading(leader) => leader.joins(connection, peer, &info, &mut self.local, out),
                    State::Looking(_) | State::Following(_) | State::Halted => {
                        self.local.links.park(connection, info, self.local.now_ms);
                        None
                    }
                }
            }
            (message, Origin::Accepted) => match &mut self.state {
                State::Leading(leader) => leader.message(connection, message, &mut self.local, out),
                State::Looking(_) | State::Following(_) | State::Halted => None,
            },
            (message, Origin::Dialed) => match &mut self.state {
                State::Following(follower) => follower.message(connection, message, &mut self.local, out),
                State::Looking(_) | State::Leading(_) | State::Halted => None,
            },
        }
    }

    fn snapshot_input(&mut self, input: Input, out: &mut Vec<Output>) -> Option<Turn> {
        match (&mut self.state, input) {
            (State::Following(follower), Input::SnapshotProgress(connection)) => {
                follower.snapshot_progress(connection);
                None
            }
            (State::Following(follower), Input::SnapshotReceived { connection, base }) => {
                follower.snapshot_received(connection, base, &mut self.local, out);
                None
            }
            (State::Following(follower), Input::SnapshotFailed(connection)) => follower.snapshot_failed(connection),
            (State::Leading(leader), Input::SnapshotFailed(connection)) => {
                leader.snapshot_failed(connection, &mut self.local, out);
                None
            }
            _ => None,
        }
    }

    fn refuse(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        let hint = self.leader().filter(|leader| *leader != self.local.me());
        self.local.send(connection, Message::Refused(Refusal::NotLeading { hint }), out);
        self.local.close(connection, out);
    }

    // ---- From one role to the next ---------------------------------------------------------------------------------

    fn take(&mut self, turn: Option<Turn>, out: &mut Vec<Output>) {
        let mut next = turn;
        while let Some(turn) = next {
            self.leave(out);
            next = match turn {
                Turn::Look => self.look(out),
                Turn::Lead => self.lead(out),
                Turn::Follow(leader) => self.follow(leader, self.local.config.timing.init_limit_ms, out),
                Turn::FollowNext(leader) => self.follow(leader, self.local.config.timing.sync_limit_ms, out),
                Turn::Halt(halt) => {
                    out.push(Output::Halt(halt));
                    None
                }
            };
        }
    }

    fn leave(&mut self, out: &mut Vec<Output>) {
        match core::mem::replace(&mut self.state, State::Halted) {
            State::Following(follower) => {
                if follower.was_in_vain() {
                    self.local.note_failure(follower.leader());
                }
                follower.leave(&mut self.local, out);
            }
            State::Leading(leader) => leader.leave(&mut self.local, out),
            State::Looking(_) | State::Halted => {}
        }
        // What a leader has said of records that this log does not hold is of no use under another one.
        self.local.commit = self.local.commit.min(self.local.history.last());
        if core::mem::take(&mut self.local.has_leader) {
            out.push(Output::Looking);
        }
    }

    fn look(&mut self, out: &mut Vec<Output>) -> Option<Turn> {
        let mut election = Election::new(&self.local);
        let turn = election.drained(&mut self.local, out);
        self.state = State::Looking(election);
        turn
    }

    fn lead(&mut self, out: &mut Vec<Output>) -> Option<Turn> {
        if !self.local.may_lead() {
            return Some(Turn::Look);
        }
        let (leader, turn) = Leader::new(&mut self.local, out);
        self.state = State::Leading(leader);
        self.tell_the_looking(out);
        turn
    }

    fn follow(&mut self, leader: ServerId, patience_ms: u64, out: &mut Vec<Output>) -> Option<Turn> {
        self.state = State::Following(Follower::new(leader, patience_ms, &self.local, out));
        self.tell_the_looking(out);
        None
    }

    /// Those who look for a leader need not ask again to learn what this server has decided.
    fn tell_the_looking(&self, out: &mut Vec<Output>) {
        for server in self.local.links.looking() {
            self.tell(server, out);
        }
    }

    fn tell(&self, server: ServerId, out: &mut Vec<Output>) {
        if let Some(belief) = self.belief() {
            self.local.notify(server, &belief, true, out);
        }
    }

    pub(crate) fn belief(&self) -> Option<Belief> {
        match &self.state {
            State::Looking(election) => Some(election.belief()),
            State::Following(follower) => Some(follower.belief(&self.local)),
            State::Leading(leader) => Some(leader.belief(&self.local)),
            State::Halted => None,
        }
    }
}

#[cfg(test)]
mod tests;
