//! `Line`: what is between a client and its server. What a client sends takes its time, may be held up in one direction or
//! both, and, when the client has gone elsewhere, may still arrive before the server notices that.

use std::collections::VecDeque;

use quorate_replica::{ClientInput, Input};
use quorate_types::{Request, Tag};

use super::clients::Connection;
use super::world::{Event, World};

/// What a client has sent arrives at most so long after it has left.
const LATE_US: u64 = 3_000_000;

/// Between a client and the server that it is connected with.
#[derive(Default)]
pub(crate) struct Line {
    /// To the server, in order.
    on_way: VecDeque<(Tag, Request)>,
    last_arrival_us: u64,
    /// Nothing gets to the server before this moment.
    to_server_us: u64,
    /// Nothing gets to the client before this moment.
    pub(crate) to_client_us: u64,
}

/// A request of a client that is not there any more.
pub(crate) struct Late {
    connection: Connection,
    tag: Tag,
    request: Request,
}

impl Line {
    pub(crate) fn is_cut(&self, now_us: u64) -> bool {
        self.to_server_us.max(self.to_client_us) > now_us
    }
}

impl World {
    /// A client sends a request to the server that it is connected with.
    pub(crate) fn send_to_server(&mut self, which: usize, tag: Tag, request: Request) {
        let most_us = self.swarm.lines.latency_us;
        let client = &mut self.clients[which];
        let Some(connection) = client.connection else { return };
        let takes_us = if most_us > 0 && !self.is_peace { client.rng.below(most_us) } else { 0 };
        let line = &mut client.line;
        let at_us = (self.now_us + takes_us).max(line.last_arrival_us).max(line.to_server_us);
        if at_us <= self.now_us && line.on_way.is_empty() {
            return self.deliver_to_server(connection, tag, request);
        }
        line.on_way.push_back((tag, request));
        line.last_arrival_us = at_us;
        self.schedule_at(at_us, None, Event::Sent(which));
    }

    /// The next of what a client has sent arrives, unless something holds it up.
    pub(crate) fn sent(&mut self, which: usize) {
        let client = &mut self.clients[which];
        let to_server_us = client.line.to_server_us;
        if to_server_us > self.now_us {
            return self.schedule_at(to_server_us, None, Event::Sent(which));
        }
        if let Some((tag, request)) = client.line.on_way.pop_front()
            && let Some(connection) = client.connection
        {
            self.deliver_to_server(connection, tag, request);
        }
    }

    fn deliver_to_server(&mut self, connection: Connection, tag: Tag, request: Request) {
        let Connection { server, incarnation, outbox } = connection;
        if self.servers[server.0].incarnation != incarnation {
            return;
        }
        let Some(process) = &mut self.servers[server.0].process else { return };
        if process.outboxes.contains_key(&outbox) {
            process.lanes.clients.push_back(Input::Client(ClientInput::Request { outbox, tag, request }));
            self.wake(server);
        }
    }

    /// A client has left this connection. What was on its way is lost; or, if nothing that the client does elsewhere may be
    /// overtaken by it, may come late.
    pub(crate) fn abandon_line(&mut self, which: usize, connection: Connection) {
        let client = &mut self.clients[which];
        let on_way = std::mem::take(&mut client.line).on_way;
        let comes_late = client.is_protected() && !on_way.is_empty() && client.rng.coin();
        if !comes_late || self.is_peace {
            return;
        }
        self.count("requests that come late");
        let mut in_us = 0;
        for (tag, request) in on_way {
            in_us += self.clients[which].rng.below(LATE_US - in_us);
            let late = Box::new(Late { connection, tag, request });
            self.schedule(in_us, None, Event::Late(late));
        }
    }

    pub(crate) fn late(&mut self, late: Late) {
        let Late { connection, tag, request } = late;
        self.deliver_to_server(connection, tag, request);
    }

    /// Something comes between a client and its server, in one direction or both.
    pub(crate) fn cut_client(&mut self) {
        let which = self.chances.faults.below(self.clients.len() as u64) as usize;
        let until_us = self.now_us + self.chances.faults.below(self.swarm.lines.cut_ms * 1000);
        let directions = self.chances.faults.below(3);
        let line = &mut self.clients[which].line;
        if directions != 0 {
            line.to_server_us = until_us;
        }
        if directions != 1 {
            line.to_client_us = until_us;
        }
        self.count(["clients not heard", "clients that hear nothing", "clients cut off"][directions as usize]);
    }
}
