//! Phase 0, fast leader election: who should try to lead.
//!
//! Never relevant to safety: an election only proposes who tries, and discovery and synchronization check
//! everything again. Whoever has the longest log should lead; the votes of a round converge on him, because everybody
//! adopts a better vote and says so. A server that joins an ensemble with a leader follows that leader instead.

mod founding;
mod tally;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use quorate_types::mutation::mutated;
use quorate_types::{Epoch, Members, Role, ServerId};

use self::founding::Founding;
use crate::local::{Belief, Local};
use crate::message::{Notification, Vote};
use crate::output::Output;
use crate::zab::Turn;

/// A server that looks for a leader.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    /// What was submitted to the disk before is not all durable yet: until it is, this server cannot say what its log
    /// ends with, and says nothing.
    is_draining: bool,
    /// This server's vote; `None` if it cannot lead and knows nobody whom it may support.
    vote: Option<Vote>,
    /// What voters, this one included, have voted in this round.
    received: BTreeMap<ServerId, Vote>,
    /// What servers that are not looking say about who leads.
    claims: BTreeMap<ServerId, Claim>,
    /// Whether the ensemble may begin with this server.
    founding: Founding,
    /// A quorum agrees with this server's vote; if nothing changes until then, it is decided.
    decide_at_ms: Option<u64>,
    resend_at_ms: u64,
    resend_ms: u64,
}

#[derive(Clone, Debug)]
struct Claim {
    leader: ServerId,
    epoch: Option<Epoch>,
    /// The newest configuration that the claimant knows.
    members: Members,
}

impl Election {
    pub(crate) fn new(local: &Local) -> Election {
        Election {
            is_draining: true,
            vote: None,
            received: BTreeMap::new(),
            claims: BTreeMap::new(),
            founding: Founding::default(),
            decide_at_ms: None,
            resend_at_ms: local.now_ms,
            resend_ms: local.config.timing.resend_ms,
        }
    }

    /// The disk has done something: perhaps all that this server waited for.
    pub(crate) fn synced(&mut self, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        if self.founding.is_done(local) {
            self.begin_round(local.round + 1, local);
            self.ask_all(local, out);
            return self.decide(local);
        }
        self.drained(local, out)
    }

    /// Begins to vote once everything that was submitted before is durable.
    pub(crate) fn drained(&mut self, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        if !self.is_draining || !local.disk.is_idle() {
            return None;
        }
        self.is_draining = false;
        self.founding.begin_if_all_are_blank(local, out);
        self.begin_round(local.round + 1, local);
        self.ask_all(local, out);
        self.decide(local)
    }

    pub(crate) fn heard(
        &mut self,
        from: ServerId,
        notification: &Notification,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        if self.is_draining {
            return None;
        }
        self.founding.heard(from, notification, local);
        self.founding.begin_if_all_are_blank(local, out);
        let said_again = match notification.role {
            Role::Looking => {
                self.claims.remove(&from);
                self.heard_vote(from, notification, local, out)
            }
            Role::Following | Role::Leading => {
                self.heard_claim(from, notification, local);
                false
            }
            Role::Observing => false,
        };
        if !said_again && !notification.is_answer {
            local.notify(from, &self.belief(), true, out);
        }
        self.decide(local)
    }

    /// Counts a vote. Whether this server's own has changed, and was said to everybody.
    fn heard_vote(
        &mut self,
        from: ServerId,
        notification: &Notification,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> bool {
        // Who may lead decides for himself by his log, and who counts is decided when votes are counted.
        let Some(vote) = notification.vote.filter(|_| local.supports()) else { return false };
        // Who has no vote to offer is heard by nobody, whatever his round, and joins the round of those who have one.
        if notification.round < local.round && self.vote.is_some() {
            return false;
        }
        let is_other_round = notification.round != local.round;
        if is_other_round {
            self.begin_round(notification.round, local);
        }
        self.received.insert(from, vote);
        // Who still has no vote is heard by nobody: he may come from one round to another and back, as votes come that he
        // cannot support, and would be answered every time if he asked.
        let may_ask = self.vote.is_some() || mutated("asks-without-vote");
        let changed = self.adopt_best(local) || (is_other_round && may_ask);
        if changed {
            self.ask_all(local, out);
        }
        changed
    }

    /// Notes whom somebody follows. If it is since this round, he has voted so.
    fn heard_claim(&mut self, from: ServerId, notification: &Notification, local: &Local) {
        self.received.remove(&from);
        self.claims.remove(&from);
        let Notification { epoch, ref members, .. } = *notification;
        let Some(leader) = notification.vote.map(|vote| vote.leader) else { return };
        self.claims.insert(from, Claim { leader, epoch, members: members.clone() });
        if let Some(vote) = self.vote.filter(|vote| vote.leader == leader && notification.round == local.round) {
            self.received.insert(from, vote);
        }
    }

    pub(crate) fn link_up(&mut self, peer: ServerId, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        if self.is_draining {
            return None;
        }
        if self.adopt_best(local) {
            self.ask_all(local, out);
        } else {
            local.notify(peer, &self.belief(), false, out);
        }
        self.decide(local)
    }

    /// Nobody waits for a server that cannot be reached, and nobody should want it to lead.
    pub(crate) fn link_down(&mut self, peer: ServerId, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        self.received.remove(&peer);
        self.claims.remove(&peer);
        if self.vote.is_some_and(|vote| vote.leader == peer) {
            self.begin_round(local.round + 1, local);
            self.ask_all(local, out);
        }
        if self.is_draining { None } else { self.decide(local) }
    }

    pub(crate) fn tick(&mut self, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        if self.is_draining {
            return None;
        }
        if local.now_ms >= self.resend_at_ms {
            self.resend_ms = (2 * self.resend_ms).min(local.config.timing.resend_ms_max);
            self.ask_all(local, out);
        }
        self.decide(local)
    }

    pub(crate) fn wake_ms(&self) -> u64 {
        if self.is_draining {
            return u64::MAX;
        }
        self.decide_at_ms.map_or(self.resend_at_ms, |decide_at_ms| decide_at_ms.min(self.resend_at_ms))
    }

    /// Whom this server waits for because the ensemble can begin only with all of them; `None` if it does not.
    pub(crate) fn awaits(&self, local: &Local) -> Option<Vec<ServerId>> {
        self.founding.awaits(local)
    }

    pub(crate) fn belief(&self) -> Belief {
        Belief { role: Role::Looking, vote: self.vote, epoch: None }
    }

    fn begin_round(&mut self, round: u64, local: &mut Local) {
        local.round = round;
        self.received.clear();
        self.decide_at_ms = None;
        self.vote = local.may_lead().then(|| local.own_vote());
        self.received.extend(self.vote.map(|vote| (local.me(), vote)));
    }

    /// Adopts the best vote of this round that is for a server within reach, and for one that was not tried in vain.
    fn adopt_best(&mut self, local: &Local) -> bool {
        let is_hopeful = |leader| local.links.is_up(leader) && !local.has_failed(leader);
        let best = self.received.values().filter(|vote| vote.leader == local.me() || is_hopeful(vote.leader)).max();
        let best = best.copied();
        let Some(better) = best.filter(|best| self.vote.is_none_or(|vote| *best > vote)) else { return false };
        self.vote = Some(better);
        self.received.insert(local.me(), better);
        self.decide_at_ms = None;
        true
    }

    /// Says to all who vote what this server believes, and wants to hear what they do.
    fn ask_all(&mut self, local: &Local, out: &mut Vec<Output>) {
        for server in local.known_voters() {
            local.notify(server, &self.belief(), false, out);
        }
        // Nobody has to say it at the same time as somebody else.
        let jitter = (u64::from(local.me().0) * 37 + local.round * 11) % (self.resend_ms / 4).max(1);
        self.resend_at_ms = local.now_ms + self.resend_ms + jitter;
    }
}
