//! The clients' side of the world: how they come to a server, leave it, ask and read.

use quorate_replica::outbox::OutboxLimits;
use quorate_replica::{ClientInput, Delivery, Input, Order, Outbox};
use quorate_types::{OutboxId, Request, Tag};

use super::clients::{Connection, Shared};
use super::server::Id;
use super::world::{Event, World};

/// A client that has heard nothing for so long, and waits for something, goes elsewhere.
const PATIENCE_US: u64 = 5_000_000;

/// A client that has left in silence is noticed to be gone after at most so long.
const UNNOTICED_US: u64 = 8_000_000;

impl World {
    /// A client has time to do something.
    pub(crate) fn client_acts(&mut self, which: usize) {
        let think_us = self.swarm.clients.think_us;
        let client = &mut self.clients[which];
        let in_us = think_us / 2 + client.rng.below(think_us);
        let rests = which == 0 && client.rng.below(self.swarm.clients.first_acts_in) > 0;
        self.schedule(in_us, None, Event::Act(which));
        if rests && !self.is_peace {
            return;
        }
        if self.clients[which].connection.is_some() && self.wants_to_leave(which) {
            self.leave(which);
        }
        if self.clients[which].connection.is_none() && !self.connect(which) {
            return;
        }
        if self.is_quiet {
            return self.watch_again(which);
        }
        for _ in 0..=self.clients[which].rng.below(4) {
            if self.clients[which].outstanding() >= self.swarm.clients.outstanding {
                break;
            }
            if !self.ask(which) {
                break;
            }
        }
    }

    fn wants_to_leave(&mut self, which: usize) -> bool {
        let client = &mut self.clients[which];
        let is_patient = client.outstanding() == 0 || self.now_us < client.heard_us + PATIENCE_US;
        !is_patient || (!self.is_quiet && client.rng.chance(self.swarm.clients.moves))
    }

    pub(crate) fn leave(&mut self, which: usize) {
        let client = &mut self.clients[which];
        let Some(connection) = client.disconnected(&mut self.ledger) else { return };
        let Connection { server, outbox, .. } = connection;
        let is_cut = client.line.is_cut(self.now_us);
        self.abandon_line(which, connection);
        let client = &mut self.clients[which];
        let unnoticed = !self.is_peace && (is_cut || client.rng.chance(self.swarm.clients.moves_unnoticed));
        let in_us = client.rng.below(if unnoticed { UNNOTICED_US } else { 2_000 });
        self.count(if unnoticed { "clients left in silence" } else { "clients left" });
        self.schedule(in_us, Some(server), Event::Gone(server, outbox));
    }

    /// The server notices that a client is gone.
    pub(crate) fn client_gone(&mut self, id: Id, incarnation: Option<u64>, outbox: OutboxId) {
        if incarnation != Some(self.servers[id.0].incarnation) {
            return;
        }
        let Some(process) = &mut self.servers[id.0].process else { return };
        if process.outboxes.remove(&outbox).is_some() {
            process.lanes.clients.push_back(Input::Client(ClientInput::Closed { outbox }));
            self.wake(id);
        }
    }

    fn connect(&mut self, which: usize) -> bool {
        let running: Vec<Id> = self.ids().into_iter().filter(|id| self.is_running(*id)).collect();
        if running.is_empty() {
            return false;
        }
        let client = &mut self.clients[which];
        let id = running[client.rng.below(running.len() as u64) as usize];
        // A budget below what a resumed watch is sent at once: it is canceled, and begun again, until there is peace.
        let tight = OutboxLimits { bytes_max: 1 << 20, watch_bytes_max: 8_000, low_water_bytes: 2_000 };
        let limits = if self.is_peace { OutboxLimits::default() } else { tight };
        let connection = self.open_outbox(id, Order::Fifo, limits);
        self.say(|| format!("client {which} comes to {} as {:?}", id.server(), connection.outbox));
        self.clients[which].connected(connection, self.now_us);
        true
    }

    /// Somebody comes to a server that runs.
    pub(crate) fn open_outbox(&mut self, id: Id, order: Order, limits: OutboxLimits) -> Connection {
        let server = &mut self.servers[id.0];
        let incarnation = server.incarnation;
        let process = server.process.as_mut().expect("it runs");
        process.next_outbox += 1;
        let outbox = OutboxId(process.next_outbox);
        process.outboxes.insert(outbox, Outbox::new(limits));
        process.lanes.clients.push_back(Input::Client(ClientInput::Open { outbox, order }));
        self.wake(id);
        Connection { server: id, incarnation, outbox }
    }

    /// Sends the client's next request, if it has one.
    fn ask(&mut self, which: usize) -> bool {
        let client = &mut self.clients[which];
        let Some(Connection { server, .. }) = client.connection else { return false };
        let server_ms = self.servers[server.0].clock.now(self.now_us).monotonic_ms;
        let shared = &mut Shared { ledger: &mut self.ledger, swarm: &self.swarm.clients, server_ms };
        let Some((tag, request)) = client.next(shared) else { return false };
        self.request(which, tag, request);
        true
    }

    /// A client sends a request to the server that it is connected with.
    fn request(&mut self, which: usize, tag: Tag, request: Request) {
        let now_us = self.now_us;
        self.say(|| format!("client {which} sends {tag:?} {:?}", request.op));
        let client = &mut self.clients[which];
        if client.outstanding() == 1 {
            client.heard_us = now_us;
        }
        self.send_to_server(which, tag, request);
    }

    fn watch_again(&mut self, which: usize) {
        if !self.clients[which].watching.running {
            let (tag, request) = self.clients[which].watch_only();
            self.request(which, tag, request);
        }
    }

    /// A client writes something that has to succeed.
    pub(crate) fn probe(&mut self, which: usize) {
        // On a connection that belongs to no session: that one may have ended.
        self.leave(which);
        self.clients[which].forget_session();
        if self.connect(which) {
            let (tag, request) = self.clients[which].probe(&mut self.ledger);
            self.request(which, tag, request);
        }
    }

    /// There is something to be read for whoever has this outbox.
    pub(crate) fn read_soon(&mut self, id: Id, outbox: OutboxId) {
        let incarnation = self.servers[id.0].incarnation;
        let is_his = |connection: &Connection| *connection == Connection { server: id, incarnation, outbox };
        if self.administrator.connection.as_ref().is_some_and(is_his) {
            return self.administrator_reads_soon();
        }
        if self.restorer.connection.as_ref().is_some_and(is_his) {
            return self.restorer_reads_soon();
        }
        let Some(which) = self.clients.iter().position(|client| client.connection.as_ref().is_some_and(is_his)) else {
            return;
        };
        let client = &mut self.clients[which];
        if !std::mem::replace(&mut client.is_read_due, true) {
            let in_us = 20 + client.rng.below(self.swarm.clients.read_us);
            self.schedule(in_us, None, Event::Read(which));
        }
    }

    /// A client reads what it was sent.
    pub(crate) fn client_reads(&mut self, which: usize) {
        let to_client_us = self.clients[which].line.to_client_us;
        if to_client_us > self.now_us && !self.is_peace {
            return self.schedule_at(to_client_us, None, Event::Read(which));
        }
        self.clients[which].is_read_due = false;
        let Some(Connection { server, outbox, .. }) = self.clients[which].connection else { return };
        let Some(queue) = self.outbox(server, outbox) else { return };
        let mut batch = Vec::new();
        let popped = queue.pop(&mut batch, 64 << 10);
        let has_more = !queue.is_empty();
        if popped.ready {
            let Some(process) = &mut self.servers[server.0].process else { return };
            process.lanes.clients.push_back(Input::Client(ClientInput::Ready { outbox }));
            self.wake(server);
        }
        if !batch.is_empty() {
            self.clients[which].heard_us = self.now_us;
        }
        for delivery in batch {
            self.say(|| format!("client {which} gets {delivery:?}"));
            if matches!(delivery, Delivery::Close(_)) {
                self.count("connections closed");
                self.clients[which].disconnected(&mut self.ledger);
                let incarnation = Some(self.servers[server.0].incarnation);
                return self.client_gone(server, incarnation, outbox);
            }
            self.clients[which].receive(delivery, &mut self.ledger);
        }
        if has_more {
            self.read_soon(server, outbox);
        }
        if std::mem::take(&mut self.clients[which].is_eager) && !self.is_quiet {
            self.ask(which);
        }
    }

    /// The process of a server has ended, and with it all connections to it.
    pub(crate) fn disconnect_clients_of(&mut self, id: Id) {
        for client in &mut self.clients {
            if client.connection.is_some_and(|connection| connection.server == id) {
                client.disconnected(&mut self.ledger);
            }
        }
        self.administrator.disconnected_from(id);
        self.restorer.disconnected_from(id);
        self.stranger.disconnected_from(id);
    }
}
