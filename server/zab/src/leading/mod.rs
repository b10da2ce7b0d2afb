//! `Leader`: a server that leads, or tries to.
//!
//! | file | holds |
//! | --- | --- |
//! | `learner` | what it knows of each learner |
//! | `discovery` | an epoch above every promise of a quorum, promised by a quorum |
//! | `synchronization` | the plan that makes each learner's log a prefix of this one |
//! | `broadcast` | what is sent, acknowledged and committed |
//! | `supervision` | pings, and who is given up: a learner by the leader, the leader by itself |
//! | `read_index` | what a linearizable read has to wait for |
//! | `reconfig` | how the ensemble changes |
//! | `transfer` | how leadership is handed over |
//! | `timeline`, `view` | what is known of the learners' lags and latencies, for whoever wants to know |

mod broadcast;
mod discovery;
pub(crate) mod learner;
mod read_index;
pub(crate) mod reconfig;
mod supervision;
mod synchronization;
mod timeline;
pub(crate) mod transfer;
mod view;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use quorate_types::mutation::mutated;
use quorate_types::{Epoch, Role, ServerId, Zxid};

use self::learner::{Answer, Learner};
use self::read_index::Reads;
use self::timeline::Timeline;
use self::transfer::Transfer;
use crate::links::FollowerInfo;
use crate::local::{Belief, Local};
use crate::message::{ConnectionId, Message, Refusal};
use crate::output::Output;
use crate::quorum::Configs;
use crate::zab::{Phase, Turn};

/// A server that leads, or tries to.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    stage: Stage,
    /// The epoch that it proposes or has; that of the last one while it looks for the next.
    epoch: Epoch,
    /// The marker that the present commits count from: that of the last epoch, until the next one has its own.
    marker: Option<Zxid>,
    learners: BTreeMap<ConnectionId, Learner>,
    /// When the present stage began.
    since_ms: u64,
    /// When an epoch was last begun.
    began_ms: u64,
    /// When each server that counts last said something that proves that it hears this leader.
    heard_ms: BTreeMap<ServerId, u64>,
    /// A learner needs an epoch above this one.
    needs_epoch: Option<Epoch>,
    /// The next epoch is above this one, whatever was promised.
    above: Epoch,
    /// The last ping.
    ping: u64,
    ping_at_ms: u64,
    timeline: Timeline,
    reads: Reads,
    transfer: Option<Transfer>,
    /// Those whom the last configuration does not name any more, and the record that made it final.
    removed: BTreeMap<ServerId, Zxid>,
}

/// Above this an epoch can only come from a fault; whoever claims it is not listened to, or the epochs would be used
/// up.
pub(crate) const EPOCH_MAX: Epoch = Epoch(Epoch::MAX.0 - 1);

/// How far a leader has come in its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits until a quorum has told which epochs are promised.
    Gathering,
    /// Its own promise is on its way to the disk.
    Promising,
    /// It waits until a quorum has promised.
    Electing { promised: BTreeSet<ServerId> },
    /// It waits until a quorum has its marker.
    Synchronizing,
    /// It is established.
    Broadcast,
}

impl Leader {
    /// Begins to lead, with the learners that waited for it.
    pub(crate) fn new(local: &mut Local, out: &mut Vec<Output>) -> (Leader, Option<Turn>) {
        let mut leader = Leader {
            stage: Stage::Gathering,
            epoch: Epoch(0),
            marker: None,
            learners: BTreeMap::new(),
            since_ms: local.now_ms,
            began_ms: local.now_ms,
            heard_ms: BTreeMap::new(),
            needs_epoch: None,
            above: Epoch(0),
            ping: 0,
            ping_at_ms: local.now_ms,
            timeline: Timeline::default(),
            reads: Reads::default(),
            transfer: None,
            removed: BTreeMap::new(),
        };
        for (connection, server, info) in local.links.take_parked(u64::MAX) {
            if let Some(turn) = leader.joins(connection, server, &info, local, out) {
                return (leader, Some(turn));
            }
        }
        leader.gather(local, out);
        (leader, None)
    }

    /// A learner has introduced itself.
    pub(crate) fn joins(
        &mut self,
        connection: ConnectionId,
        server: ServerId,
        info: &FollowerInfo,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        if info.accepted_epoch >= EPOCH_MAX {
            local.close(connection, out);
            return None;
        }
        let is_early = !matches!(self.stage, Stage::Synchronizing | Stage::Broadcast);
        let known = local.configs.newest().map_or(Zxid::ZERO, |members| members.version);
        if is_early && local.configs.is_voter(server) && info.config_version > known {
            // It knows a committed configuration that this log does not hold: somebody else has to lead.
            return Some(Turn::Look);
        }
        let others = |(_, learner): &(&ConnectionId, &Learner)| learner.server == server;
        if let Some(earlier) = self.learners.iter().find(others).map(|(earlier, _)| *earlier) {
            self.drop_learner(earlier, local, out);
        }
        let learner = Learner::new(server, info, is_early, local.now_ms);
        if !is_early && info.accepted_epoch > self.epoch {
            self.needs_epoch = self.needs_epoch.max(Some(info.accepted_epoch));
        }
        self.learners.insert(connection, learner);
        match self.stage {
            Stage::Gathering => self.gather(local, out),
            Stage::Promising => {}
            Stage::Electing { .. } | Stage::Synchronizing | Stage::Broadcast => self.ask(connection, local, out),
        }
        None
    }

    pub(crate) fn message(
        &mut self,
        connection: ConnectionId,
        message: Message,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        let learner = self.learners.get_mut(&connection)?;
        if !learner.may_say(&message) {
            self.drop_learner(connection, local, out);
            return None;
        }
        match message {
            Message::NeedEpoch { at_least } if at_least >= EPOCH_MAX => {
                self.drop_learner(connection, local, out);
                None
            }
            Message::NeedEpoch { at_least } => {
                learner.accepted_epoch = learner.accepted_epoch.max(at_least);
                self.needs_epoch = self.needs_epoch.max(Some(at_least));
                None
            }
            // A new epoch was begun meanwhile, and its answer will come.
            Message::AckEpoch { epoch, .. } if learner.awaited != Some(epoch) => None,
            Message::AckEpoch { counts, last, delivered, epochs, .. } => {
                self.answered(connection, Answer { counts, last, delivered, epochs }, local, out)
            }
            Message::Ack { durable, standing, .. } => {
                self.acknowledged(connection, durable, standing, local, out);
                None
            }
            Message::Pong { epoch, seq, progress, .. } => {
                if Some(epoch) == learner.asked {
                    learner.latency_ms = self.timeline.since_ping_ms(seq, local.now_ms).or(learner.latency_ms);
                    learner.ponged(seq, progress, local.now_ms);
                    self.heard(connection, local);
                    self.confirm_reads(local, out);
                }
                None
            }
            Message::ReadIndex { ids, .. } => {
                self.reads.ask_for(connection, ids);
                None
            }
            Message::ToLeader { payload, .. } => {
                let server = learner.server;
                out.push(Output::FromLearner { connection, server, payload });
                None
            }
            Message::FollowerInfo { .. }
            | Message::LeaderInfo { .. }
            | Message::SyncPlan { .. }
            | Message::Append { .. }
            | Message::Commit { .. }
            | Message::UpToDate { .. }
            | Message::Ping { .. }
            | Message::ReadIndexOk { .. }
            | Message::Handoff { .. }
            | Message::Refused(_)
            | Message::ToLearner { .. } => {
                self.drop_learner(connection, local, out);
                None
            }
        }
    }

    pub(crate) fn disconnected(&mut self, connection: ConnectionId) {
        self.learners.remove(&connection);
        self.reads.forget(connection);
    }

    /// The disk has reported.
    pub(crate) fn synced(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        if self.stage == Stage::Promising && !local.disk.is_promising() {
            self.elect(local, out);
        }
        self.advance(local, out);
    }

    /// Sends what was gathered since the last time.
    pub(crate) fn flush(&mut self, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        self.begin_reads(local, out);
        self.send_all(local, out);
        self.leave_if_removed(local);
        self.hand_over(local, out)
    }

    /// Says something to a learner's replica.
    pub(crate) fn to_learner(
        &self,
        connection: ConnectionId,
        payload: bytes::Bytes,
        local: &Local,
        out: &mut Vec<Output>,
    ) {
        self.say(connection, local, out, |epoch| Message::ToLearner { epoch, payload });
    }

    fn say(
        &self,
        connection: ConnectionId,
        local: &Local,
        out: &mut Vec<Output>,
        message: impl FnOnce(Epoch) -> Message,
    ) {
        if let Some(epoch) = self.learners.get(&connection).and_then(|learner| learner.asked) {
            local.send(connection, message(epoch), out);
        }
    }

    /// Ends the session with a learner; it may come again.
    fn drop_learner(&mut self, connection: ConnectionId, local: &mut Local, out: &mut Vec<Output>) {
        self.disconnected(connection);
        local.close(connection, out);
    }

    fn refuse(&mut self, connection: ConnectionId, refusal: Refusal, local: &mut Local, out: &mut Vec<Output>) {
        local.send(connection, Message::Refused(refusal), out);
        self.drop_learner(connection, local, out);
    }

    /// The learner that speaks for a server, if what it says may be counted.
    fn counting(&self, server: ServerId) -> Option<&Learner> {
        let counts = |learner: &&Learner| {
            learner.server == server && (learner.standing == crate::Standing::Voter || mutated("count-amnesiac"))
        };
        self.learners.values().find(counts)
    }

    /// Whether this leader together with those learners of whom `belongs` holds, and who count, is a quorum.
    fn is_quorum(&self, local: &Local, belongs: impl Fn(&Learner) -> bool) -> bool {
        is_enough(local, |server| server == local.me() || self.counting(server).is_some_and(&belongs))
    }

    fn enter(&mut self, stage: Stage, local: &Local) {
        self.stage = stage;
        self.since_ms = local.now_ms;
    }

    /// Whether it may propose now.
    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Broadcast && self.transfer.is_none()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Gathering | Stage::Promising | Stage::Electing { .. } => Phase::Discovery,
            Stage::Synchronizing => Phase::Synchronization,
            Stage::Broadcast => Phase::Broadcast,
        }
    }

    pub(crate) fn belief(&self, local: &Local) -> Belief {
        let epoch = (self.epoch != Epoch(0)).then_some(self.epoch);
        Belief { role: Role::Leading, vote: Some(local.own_vote()), epoch }
    }

    /// The oldest place from which a learner still reads, or will.
    pub(crate) fn oldest_needed(&self) -> Option<Zxid> {
        let place = |learner: &Learner| match &learner.stage {
            learner::Stage::Planning { common, .. } => Some(*common),
            learner::Stage::Snapshot { base } => Some(base.zxid),
            learner::Stage::Streaming { .. } => Some(learner.sent.zxid),
            learner::Stage::Asked | learner::Stage::Answered(_) => None,
        };
        self.learners.values().filter_map(place).min()
    }

    /// Ends all sessions.
    pub(crate) fn leave(self, local: &mut Local, out: &mut Vec<Output>) {
        for connection in self.learners.into_keys() {
            local.close(connection, out);
        }
    }
}

/// Whether these servers can decide for the ensemble.
fn is_enough(local: &Local, belongs: impl Fn(ServerId) -> bool) -> bool {
    match local.configs.present() {
        Some(old) if mutated("old-quorum-leads") => Configs::of(old.clone()).is_quorum(belongs),
        _ if mutated("new-quorum-leads") => {
            local.configs.newest().is_some_and(|new| Configs::of(new.clone()).is_quorum(belongs))
        }
        _ => local.configs.is_quorum(belongs),
    }
}
