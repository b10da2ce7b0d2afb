//! `Follower`: a server that learns from a leader, voting or not: a follower, an observer, a joiner.
//!
//! | file | holds |
//! | --- | --- |
//! | `discovery` | the promise of an epoch, and what goes with it |
//! | `synchronization` | how the log becomes a prefix of the leader's |
//! | `broadcast` | records, commits and acknowledgements |

mod broadcast;
mod discovery;
mod synchronization;

use alloc::vec::Vec;
use quorate_types::{Epoch, Role, ServerId};

use crate::input::SnapshotBase;
use crate::local::{Belief, Local};
use crate::message::{ConnectionId, Message, Position, Refusal, Vote};
use crate::output::{Halt, Output, PeerOutput};
use crate::zab::{Phase, Turn};

/// A server that learns from a leader.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    leader: ServerId,
    session: Option<ConnectionId>,
    stage: Stage,
    /// The epoch that the leader has asked to promise; every later message of the session is of this epoch.
    epoch: Option<Epoch>,
    /// The epoch that it has last told the leader to have promised.
    answered: Option<Epoch>,
    /// The last acknowledgement that was sent.
    acknowledged: Option<(quorate_types::Zxid, crate::Standing)>,
    /// The marker of this epoch ends the amnesia of this server.
    readmits: bool,
    /// Grows whenever synchronization gets on.
    progress: u64,
    /// When the leader was last heard, or this began.
    heard_ms: u64,
    /// How long it may take until the leader has a session with this server and an epoch.
    patience_ms: u64,
    redial_at_ms: Option<u64>,
    /// Reads that want an answer of the leader, not sent yet.
    reads: Vec<u64>,
}

/// How far a learner has come.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    /// It dials the leader.
    Dialing,
    /// It has introduced itself, and waits for an epoch that it can promise.
    Introduced,
    /// It waits until its promise, and all of its log, are durable.
    Promising { counts: bool },
    /// It has said so, and waits for the leader's plan.
    Promised,
    /// It receives a snapshot.
    Receiving { base: Position },
    /// The snapshot is taking the place of its log.
    Installing,
    /// It gets the leader's history, up to the marker and beyond.
    Synchronizing,
    /// It is up to date, and stays so.
    Broadcast,
}

impl Follower {
    /// Follows `leader`, which has `patience_ms` to answer.
    pub(crate) fn new(leader: ServerId, patience_ms: u64, local: &Local, out: &mut Vec<Output>) -> Follower {
        out.push(Output::Peer(PeerOutput::Dial { to: leader }));
        Follower {
            leader,
            session: None,
            stage: Stage::Dialing,
            epoch: None,
            answered: None,
            acknowledged: None,
            readmits: false,
            progress: 0,
            heard_ms: local.now_ms,
            patience_ms,
            redial_at_ms: None,
            reads: Vec::new(),
        }
    }

    pub(crate) fn connected(
        &mut self,
        connection: ConnectionId,
        peer: ServerId,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) {
        if peer != self.leader || self.session.is_some() {
            return local.close(connection, out);
        }
        self.session = Some(connection);
        self.stage = Stage::Introduced;
        let info = Message::FollowerInfo {
            accepted_epoch: local.promise.epoch,
            config_version: local.committed_version(),
            standing: local.standing,
        };
        local.send(connection, info, out);
    }

    pub(crate) fn dial_failed(&mut self, peer: ServerId, local: &Local) -> Option<Turn> {
        if peer != self.leader || self.stage != Stage::Dialing {
            return None;
        }
        if !local.links.is_up(peer) {
            return Some(Turn::Look);
        }
        self.redial_at_ms = Some(local.now_ms + local.config.timing.redial_ms);
        None
    }

    pub(crate) fn disconnected(&self, connection: ConnectionId) -> Option<Turn> {
        (self.session == Some(connection)).then_some(Turn::Look)
    }

    pub(crate) fn link_down(&self, peer: ServerId) -> Option<Turn> {
        (peer == self.leader && self.stage == Stage::Dialing).then_some(Turn::Look)
    }

    pub(crate) fn message(
        &mut self,
        connection: ConnectionId,
        message: Message,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        if self.session != Some(connection) {
            return None;
        }
        self.heard_ms = local.now_ms;
        match message {
            Message::LeaderInfo { epoch } => return self.leader_info(epoch, local, out),
            Message::Refused(refusal) => return Some(self.refused(refusal)),
            _ => {}
        }
        if self.stage == Stage::Introduced {
            // It cannot follow in the present epoch and waits for the next one; what is said meanwhile is not for it.
            return None;
        }
        if message.epoch() != self.epoch {
            return Some(Turn::Look);
        }
        match message {
            Message::SyncPlan { plan, base, readmits, .. } => self.planned(plan, base, readmits, local, out),
            Message::Append { prev, frames, commit, digest, .. } => {
                let turn = self.append(prev, frames, local, out);
                turn.or_else(|| self.committed(commit, digest, local, out))
            }
            Message::Commit { commit, digest, .. } => self.committed(commit, digest, local, out),
            Message::Ping { seq, commit, digest, .. } => self.pinged(seq, commit, digest, local, out),
            Message::UpToDate { commit, .. } => self.up_to_date(commit, local, out),
            Message::ReadIndexOk { ids, zxid, .. } => {
                out.extend(ids.into_iter().map(|id| Output::ReadIndex { id, zxid }));
                None
            }
            Message::Handoff { target, .. } if target == local.me() => {
                // Everybody was told to follow this server: whom they wanted before says nothing any more.
                local.links.forget_heard();
                Some(Turn::Lead)
            }
            Message::Handoff { target, .. } => Some(Turn::FollowNext(target)),
            Message::ToLearner { payload, .. } => {
                out.push(Output::FromLeader(payload));
                None
            }
            Message::LeaderInfo { .. } | Message::Refused(_) => None,
            Message::FollowerInfo { .. }
            | Message::AckEpoch { .. }
            | Message::NeedEpoch { .. }
            | Message::Ack { .. }
            | Message::Pong { .. }
            | Message::ReadIndex { .. }
            | Message::ToLeader { .. } => Some(Turn::Look),
        }
    }

    fn refused(&self, refusal: Refusal) -> Turn {
        match refusal {
            Refusal::NotLeading { .. } => Turn::Look,
            Refusal::Removed { version } => Turn::Halt(Halt::Removed { version }),
            Refusal::Diverged { common } => Turn::Halt(Halt::Diverged { common }),
        }
    }

    /// The disk has reported.
    pub(crate) fn synced(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        if let Stage::Promising { counts } = self.stage {
            self.promise_is_durable(counts, local, out);
        }
        if self.stage == Stage::Installing && local.disk.is_idle() {
            self.stage = Stage::Synchronizing;
        }
        self.acknowledge(local, out);
    }

    pub(crate) fn snapshot_progress(&mut self, connection: ConnectionId) {
        if self.session == Some(connection) {
            self.progress += 1;
        }
    }

    pub(crate) fn snapshot_received(
        &mut self,
        connection: ConnectionId,
        base: SnapshotBase,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) {
        if self.session == Some(connection) {
            self.received(base, local, out);
        }
    }

    pub(crate) fn snapshot_failed(&self, connection: ConnectionId) -> Option<Turn> {
        (self.session == Some(connection) && matches!(self.stage, Stage::Receiving { .. })).then_some(Turn::Look)
    }

    pub(crate) fn tick(&mut self, local: &Local, out: &mut Vec<Output>) -> Option<Turn> {
        if local.now_ms >= self.give_up_ms(local) {
            return Some(Turn::Look);
        }
        if self.redial_at_ms.take_if(|at_ms| local.now_ms >= *at_ms).is_some() {
            out.push(Output::Peer(PeerOutput::Dial { to: self.leader }));
        }
        None
    }

    /// A leader that has an epoch pings; before, it may take its time to find a quorum.
    fn give_up_ms(&self, local: &Local) -> u64 {
        let limit_ms = match self.stage {
            Stage::Dialing | Stage::Introduced => self.patience_ms,
            _ => local.config.timing.sync_limit_ms,
        };
        self.heard_ms.saturating_add(limit_ms)
    }

    pub(crate) fn wake_ms(&self, local: &Local) -> u64 {
        self.redial_at_ms.unwrap_or(u64::MAX).min(self.give_up_ms(local))
    }

    /// Sends what was gathered since the last time.
    pub(crate) fn flush(&mut self, local: &Local, out: &mut Vec<Output>) {
        if self.stage != Stage::Broadcast || self.reads.is_empty() {
            return;
        }
        let ids = core::mem::take(&mut self.reads);
        self.say(local, out, |epoch| Message::ReadIndex { epoch, ids });
    }

    /// Wants to know from the leader what a read has to wait for.
    pub(crate) fn read_index(&mut self, id: u64) {
        self.reads.push(id);
    }

    /// Says something to the leader's replica.
    pub(crate) fn to_leader(&self, payload: bytes::Bytes, local: &Local, out: &mut Vec<Output>) {
        if let (Some(connection), Some(epoch)) = (self.session, self.answered) {
            local.send(connection, Message::ToLeader { epoch, payload }, out);
        }
    }

    fn say(&self, local: &Local, out: &mut Vec<Output>, message: impl FnOnce(Epoch) -> Message) {
        if let (Some(connection), Some(epoch)) = (self.session, self.epoch) {
            local.send(connection, message(epoch), out);
        }
    }

    /// Whether the leader never came to lead, as far as this server could see.
    pub(crate) fn was_in_vain(&self) -> bool {
        self.epoch.is_none()
    }

    pub(crate) fn leader(&self) -> ServerId {
        self.leader
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Dialing | Stage::Introduced | Stage::Promising { .. } | Stage::Promised => Phase::Discovery,
            Stage::Receiving { .. } | Stage::Installing | Stage::Synchronizing => Phase::Synchronization,
            Stage::Broadcast => Phase::Broadcast,
        }
    }

    pub(crate) fn belief(&self, local: &Local) -> Belief {
        let role = if local.configs.is_voter(local.me()) { Role::Following } else { Role::Observing };
        let vote = Vote { leader: self.leader, priority: 0, ..local.own_vote() };
        Belief { role, vote: Some(vote), epoch: self.epoch }
    }

    /// Ends the session.
    pub(crate) fn leave(self, local: &mut Local, out: &mut Vec<Output>) {
        if let Some(connection) = self.session {
            local.close(connection, out);
        }
    }
}
