//! `Administrator`: who asks for other members and for another leader, one thing at a time and of whichever server, and
//! asks again when nobody has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use quorate_replica::outbox::OutboxLimits;
use quorate_replica::{ClientInput, Delivery, Input, Order};
use quorate_storage::sim::Rng;
use quorate_types::{Caller, MemberRole, MembersChange, NewMember, Op, OutboxId, Reply, Request, Response, Tag};

use super::clients::Connection;
use super::invariants::administration::{Asked, Verdict};
use super::server::Id;
use super::world::{Event, World};

/// Whoever has heard nothing for so long asks elsewhere.
const PATIENCE_US: u64 = 7_000_000;

/// What it takes to read an answer, at most.
const READ_US: u64 = 1_000;

/// Who changes the members, and who is to lead.
pub(crate) struct Administrator {
    rng: Rng,
    pub(crate) connection: Option<Connection>,
    is_read_due: bool,
    next_tag: u64,
    pub(crate) asked: Option<Asked>,
    /// What was asked for last, if it is worth asking for again: it was done, or nobody knows.
    again: Option<Op>,
    /// Of what it was told that nobody knows the outcome of: without an order, an answer may come nevertheless.
    doubtful: BTreeSet<Tag>,
    /// To what was asked for last.
    pub(crate) answer: Option<Response>,
}

impl Administrator {
    pub(crate) fn new(rng: Rng) -> Administrator {
        Administrator {
            rng,
            connection: None,
            is_read_due: false,
            next_tag: 1,
            asked: None,
            again: None,
            doubtful: BTreeSet::new(),
            answer: None,
        }
    }

    /// The process of a server has ended.
    pub(crate) fn disconnected_from(&mut self, id: Id) {
        if self.connection.take_if(|connection| connection.server == id).is_some() {
            self.asked = None;
        }
    }
}

impl World {
    pub(crate) fn administer_later(&mut self) {
        let every_us = self.swarm.administration.every_ms * 1000;
        if every_us > 0 {
            let in_us = self.administrator.rng.below(2 * every_us);
            self.schedule(in_us, None, Event::Administer);
        }
    }

    /// The administrator has time to do something.
    pub(crate) fn administer(&mut self) {
        self.administer_later();
        if self.is_peace {
            return;
        }
        if let Some(Asked { since_us, .. }) = self.administrator.asked {
            if self.now_us < since_us + PATIENCE_US {
                return;
            }
            self.administrator_leaves();
        } else if self.administrator.rng.below(3) == 0 {
            self.administrator_leaves();
        }
        let op = self.choose_administration();
        self.ask_as_administrator(op);
    }

    fn choose_administration(&mut self) -> Op {
        let Administrator { rng, again, .. } = &mut self.administrator;
        if let Some(op) = again.take()
            && rng.coin()
        {
            return op;
        }
        match rng.below(10) {
            0 => Op::Members,
            _ if rng.chance(self.swarm.administration.transfers) => {
                let to = rng.below(self.servers.len() as u64 + 1) as usize;
                Op::TransferLeadership { target: (to < self.servers.len()).then(|| Id(to).server()) }
            }
            _ => self.choose_members(),
        }
    }

    /// A change to members of whom more than enough could vote, as far as anybody knows.
    fn choose_members(&mut self) -> Op {
        let present = self.ledger.history.present_members();
        let rng = &mut self.administrator.rng;
        let mut add = BTreeMap::new();
        let mut remove = BTreeSet::new();
        let is_small = rng.coin();
        for id in (0..self.servers.len()).map(Id) {
            // Some change one server, others everything.
            if is_small && rng.below(self.servers.len() as u64) > 0 {
                continue;
            }
            match rng.below(4) {
                0 => drop(remove.insert(id.server())),
                1 => drop(add.insert(id.server(), new_member(MemberRole::Observer))),
                _ => drop(add.insert(id.server(), new_member(MemberRole::Participant))),
            }
        }
        let if_version = [None, Some(present.version)][rng.below(2) as usize];
        let change =
            if !is_small && rng.coin() { MembersChange::Whole(add) } else { MembersChange::Steps { add, remove } };
        Op::Reconfigure { change, if_version }
    }

    /// Asks whichever server, over the connection that there is or a new one.
    pub(crate) fn ask_as_administrator(&mut self, op: Op) {
        if self.administrator.connection.is_none() && !self.administrator_connects() {
            return;
        }
        let Some(Connection { server, outbox, .. }) = self.administrator.connection else { return };
        self.say(|| format!("the administrator asks {} for {op:?}", server.server()));
        let tag = Tag(self.administrator.next_tag);
        self.administrator.next_tag += 1;
        self.administrator.asked = Some(Asked::new(tag, op.clone(), self.now_us, &self.ledger.history));
        let mut request = Request::new(op, Arc::new(Caller::anonymous()));
        if self.administrator.rng.coin() {
            request.deadline_ms = self.now_of(server).monotonic_ms + 1 + self.administrator.rng.below(10_000);
        }
        let Some(process) = &mut self.servers[server.0].process else { return };
        process.lanes.clients.push_back(Input::Client(ClientInput::Request { outbox, tag, request }));
        self.wake(server);
    }

    fn administrator_connects(&mut self) -> bool {
        let running: Vec<Id> = self.ids().into_iter().filter(|id| self.is_running(*id)).collect();
        if running.is_empty() {
            return false;
        }
        let rng = &mut self.administrator.rng;
        let id = running[rng.below(running.len() as u64) as usize];
        let order = [Order::Fifo, Order::None][rng.below(2) as usize];
        let connection = self.open_outbox(id, order, OutboxLimits::default());
        self.administrator.connection = Some(connection);
        true
    }

    pub(crate) fn administrator_leaves(&mut self) {
        (self.administrator.asked, self.administrator.answer) = (None, None);
        if let Some(Connection { server, outbox, .. }) = self.administrator.connection.take() {
            let in_us = self.administrator.rng.below(2_000);
            self.schedule(in_us, Some(server), Event::Gone(server, outbox));
        }
    }

    pub(crate) fn administrator_reads_soon(&mut self) {
        if !std::mem::replace(&mut self.administrator.is_read_due, true) {
            let in_us = 20 + self.administrator.rng.below(READ_US);
            self.schedule(in_us, None, Event::AdministratorReads);
        }
    }

    pub(crate) fn administrator_reads(&mut self) {
        self.administrator.is_read_due = false;
        let Some(Connection { server, outbox, .. }) = self.administrator.connection else { return };
        let Some(queue) = self.outbox(server, outbox) else { return };
        let mut batch = Vec::new();
        queue.pop(&mut batch, usize::MAX);
        for delivery in batch {
            self.say(|| format!("the administrator gets {delivery:?}"));
            match delivery {
                Delivery::Reply { tag, response, .. } => self.administrator_is_told(server, outbox, tag, response),
                Delivery::Close(_) => return self.administrator_leaves(),
                other => panic!("nobody asked for {other:?}"),
            }
        }
    }

    fn administrator_is_told(&mut self, server: Id, outbox: OutboxId, tag: Tag, response: Response) {
        let Some(asked) = self.administrator.asked.take_if(|asked| asked.tag == tag) else {
            assert!(self.administrator.doubtful.remove(&tag), "AdminTruth: {tag:?} is answered twice: {response:?}");
            return;
        };
        let ledger = &mut self.ledger;
        let verdict = ledger.administration.judge(&asked, server.server(), outbox, &response, &ledger.history);
        if verdict == Verdict::Unknown {
            self.administrator.doubtful.insert(tag);
        }
        if let Ok(Reply::Reconfigured(members)) = &response
            && members.voters().any(|voter| Id::of(voter).0 >= self.swarm.founders())
        {
            self.count("newcomers who vote");
        }
        self.administrator.again = (verdict != Verdict::Refused).then_some(asked.op);
        self.administrator.answer = Some(response);
    }
}

pub(crate) fn new_member(role: MemberRole) -> NewMember {
    NewMember { role, address: Some(Bytes::new()) }
}
