//! `Stranger`: who has just come, knows nothing, asks a server what one znode holds, and leaves.

use std::sync::Arc;

use quorate_replica::outbox::OutboxLimits;
use quorate_replica::{ClientInput, Delivery, Input, Order};
use quorate_storage::sim::Rng;
use quorate_types::{Caller, Code, Op, Path, ReadOp, Request, Tag};

use super::clients::Connection;
use super::invariants::Ledger;
use super::invariants::judged::SHARED;
use super::server::Id;
use super::world::{Event, World};

/// Between two of them, at most.
const EVERY_US: u64 = 200_000;

/// Who asks once.
pub(crate) struct Stranger {
    rng: Rng,
    connection: Option<Connection>,
    path: &'static str,
    asked_us: u64,
    is_answered: bool,
}

impl Stranger {
    pub(crate) fn new(rng: Rng) -> Stranger {
        Stranger { rng, connection: None, path: SHARED[0], asked_us: 0, is_answered: false }
    }

    /// The process of a server has ended.
    pub(crate) fn disconnected_from(&mut self, id: Id) {
        self.connection.take_if(|connection| connection.server == id);
    }

    /// A server sends him something, or somebody else.
    pub(crate) fn is_sent(&mut self, from: Connection, delivery: &Delivery, now_us: u64, ledger: &mut Ledger) {
        if self.connection != Some(from) {
            return;
        }
        self.is_answered = true;
        if let Delivery::Reply { zxid, response, .. } = delivery
            && response.as_ref().err().is_none_or(|error| error.code() == Code::NoNode)
        {
            ledger.timeliness.shown(*zxid, self.asked_us, now_us);
            ledger.reads.read(self.path, *zxid, response);
        }
    }
}

impl World {
    pub(crate) fn stranger_comes_later(&mut self) {
        let in_us = self.stranger.rng.below(EVERY_US);
        self.schedule(in_us, None, Event::Visit);
    }

    /// He comes, waits on, or leaves: at once when he is answered, sooner or later when he is not.
    pub(crate) fn stranger_comes(&mut self) {
        let is_leaving = self.is_peace || self.stranger.is_answered || self.stranger.rng.below(20) == 0;
        if is_leaving && let Some(Connection { server, outbox, .. }) = self.stranger.connection.take() {
            self.schedule(0, Some(server), Event::Gone(server, outbox));
        }
        if self.is_peace {
            return;
        }
        if self.stranger.connection.is_none() {
            self.stranger_asks();
        }
        self.stranger_comes_later();
    }

    fn stranger_asks(&mut self) {
        let running: Vec<Id> = self.ids().into_iter().filter(|id| self.is_running(*id)).collect();
        if running.is_empty() {
            return;
        }
        let rng = &mut self.stranger.rng;
        let id = running[rng.below(running.len() as u64) as usize];
        let path = SHARED[rng.below(SHARED.len() as u64) as usize];
        let connection = self.open_outbox(id, Order::None, OutboxLimits::default());
        (self.stranger.path, self.stranger.is_answered) = (path, false);
        (self.stranger.connection, self.stranger.asked_us) = (Some(connection), self.now_us);
        let op = Op::Read { op: ReadOp::Get { path: Path::new(path).expect("a path") }, watch: false };
        let request = Request::new(op, Arc::new(Caller::anonymous()));
        let Connection { outbox, .. } = connection;
        let Some(process) = &mut self.servers[id.0].process else { return };
        process.lanes.clients.push_back(Input::Client(ClientInput::Request { outbox, tag: Tag(1), request }));
    }
}
