//! The sessions and links of the world: what is sent, what arrives, and what breaks.

use quorate::peers::carried;
use quorate_replica::Input;
use quorate_types::limits::RESTORE_CHUNK_BYTES_MAX;
use quorate_zab::{ConnectionId, Message, Notification, Origin};

use super::network::{OnWay, place_of};
use super::server::{Aside, Id};
use super::world::{Event, World};

/// A dial that is not answered fails after this long.
const DIAL_US: u64 = 500_000;

/// Between two looks at whether what is blocked can pass.
const BLOCKED_US: u64 = 20_000;

/// Bytes of the largest record that clients here lead to.
const RECORD_BYTES_MAX: usize = 16_000;

impl World {
    fn latency_us(&mut self, from: Id, to: Id) -> u64 {
        let (least, more) = if self.is_peace { (50, 500) } else { self.swarm.network.latency_us };
        let latency_us = least + self.chances.network.below(more);
        latency_us.max(self.network.clogged_until_us(from, to).saturating_sub(self.now_us))
    }

    /// An input of a server's driver, from the network.
    pub(crate) fn push_peer(&mut self, id: Id, input: quorate_zab::Input, told: usize) {
        if let Some(process) = &mut self.servers[id.0].process {
            process.lanes.peers.push_back((Input::Peer(input), told));
            self.wake(id);
        }
    }

    // ---- Links -----------------------------------------------------------------------------------------------------

    /// Looks, a little later, whether the links of a server have to go up or down.
    pub(crate) fn check_links_of(&mut self, id: Id) {
        for other in self.ids().into_iter().filter(|other| *other != id) {
            for (from, to) in [(id, other), (other, id)] {
                let in_us = 1_000 + self.chances.network.below(30_000);
                self.schedule(in_us, None, Event::CheckLink { from, to });
            }
        }
    }

    pub(crate) fn check_all_links(&mut self) {
        for id in self.ids() {
            self.check_links_of(id);
        }
    }

    pub(crate) fn check_link(&mut self, from: Id, to: Id) {
        if !self.is_running(from) {
            return;
        }
        if !self.keeps_link(from, to) {
            // Whoever gives a link up need not be told.
            self.network.links_up.remove(&(from, to));
            return;
        }
        let incarnation = self.servers[to.0].incarnation;
        let is_up = self.is_running(to) && self.network.passes_both_ways(from, to);
        let was_up = self.network.links_up.get(&(from, to)).copied();
        if was_up.is_some_and(|known| !is_up || known != incarnation) {
            self.network.links_up.remove(&(from, to));
            self.push_peer(from, quorate_zab::Input::LinkDown(to.server()), 0);
        }
        if is_up && was_up != Some(incarnation) {
            self.network.links_up.insert((from, to), incarnation);
            self.push_peer(from, quorate_zab::Input::LinkUp(to.server()), 0);
        }
    }

    fn keeps_link(&self, from: Id, to: Id) -> bool {
        self.servers[from.0].process.as_ref().is_some_and(|process| process.members.contains(&to))
    }

    /// On the link to the other server; or on that server's own link, if this one keeps none with it.
    pub(crate) fn notify(&mut self, from: Id, to: Id, notification: Notification) {
        let link = if self.keeps_link(from, to) { (from, to) } else { (to, from) };
        if self.network.links_up.contains_key(&link) {
            let in_us = self.latency_us(from, to);
            let notification = Box::new(notification);
            self.schedule(in_us, Some(to), Event::Notified { from, to, notification });
        }
    }

    pub(crate) fn notified(&mut self, from: Id, to: Id, incarnation: Option<u64>, notification: Notification) {
        let is_same = incarnation == Some(self.servers[to.0].incarnation);
        if is_same && self.network.passes(from, to) {
            self.push_peer(to, quorate_zab::Input::Notified { from: from.server(), notification }, 0);
        }
    }

    // ---- Sessions --------------------------------------------------------------------------------------------------

    pub(crate) fn dial(&mut self, from: Id, to: Id) {
        let in_us = self.latency_us(from, to);
        self.schedule(in_us, Some(from), Event::Dial { from, to });
    }

    pub(crate) fn dialed(&mut self, from: Id, to: Id, incarnation: Option<u64>) {
        if !self.is_running(from) || incarnation != Some(self.servers[from.0].incarnation) {
            return;
        }
        let answers = self.is_running(to) && self.servers[to.0].paused_until_us <= self.now_us;
        if !answers || !self.network.passes_both_ways(from, to) {
            let refused = !self.is_running(to) && self.network.passes_both_ways(from, to);
            let late_us = if refused { 0 } else { DIAL_US };
            return self.schedule(late_us, Some(from), Event::DialFailed { from, to });
        }
        let of = |id: Id| (id, self.servers[id.0].incarnation);
        let [dialing, accepting] = self.network.open(of(from), of(to));
        let accepted =
            quorate_zab::Input::Connected { connection: accepting, peer: from.server(), origin: Origin::Accepted };
        let dialed = quorate_zab::Input::Connected { connection: dialing, peer: to.server(), origin: Origin::Dialed };
        self.push_peer(to, accepted, 0);
        self.push_peer(from, dialed, 0);
    }

    pub(crate) fn dial_failed(&mut self, from: Id, to: Id, incarnation: Option<u64>) {
        if incarnation == Some(self.servers[from.0].incarnation) {
            self.push_peer(from, quorate_zab::Input::DialFailed { peer: to.server() }, 0);
        }
    }

    pub(crate) fn send(&mut self, id: Id, connection: ConnectionId, message: Message) {
        let now_us = self.now_us;
        let Some((mine, other)) = self.network.ends(connection) else { return };
        let to = other.server;
        if !mine.is_open || other.is_ending {
            return;
        }
        let origin = if place_of(connection).1 == 0 { Origin::Dialed } else { Origin::Accepted };
        let message = if self.swarm.network.encoded { carried(&message, origin) } else { message };
        self.ledger.history.said(id, to.server(), &message);
        let told = self.ledger.sessions.told(id);
        let latency_us = self.latency_us(id, to);
        let bytes = record_bytes(&message);
        let window = self.swarm.window;
        let Some((_, other)) = self.network.ends(connection) else { return };
        other.record_bytes += bytes;
        let is_restoring = self.swarm.restores.every_ms > 0;
        let record_bytes_max = if is_restoring { RESTORE_CHUNK_BYTES_MAX + RECORD_BYTES_MAX } else { RECORD_BYTES_MAX };
        let most = window.window_bytes + window.append_bytes_max.max(record_bytes_max);
        assert!(other.record_bytes <= most, "BoundedMemory: {} bytes are on their way to {to:?}", other.record_bytes);
        other.incoming.push_back(OnWay { message, told });
        other.last_arrival_us = other.last_arrival_us.max(now_us + latency_us);
        let (at_us, connection) = (other.last_arrival_us, other.connection);
        self.schedule_at(at_us, None, Event::Arrive(connection));
    }

    /// The next of what is on its way to this end of a session arrives, or its end does.
    pub(crate) fn arrive(&mut self, connection: ConnectionId) {
        let Some((mine, other)) = self.network.ends(connection) else { return };
        if !mine.is_open {
            return;
        }
        let (from, to, is_ending) = (other.server, mine.server, mine.is_ending);
        let passes = self.network.passes(from, to);
        if !passes && !is_ending {
            // It is on its way as long as it takes.
            return self.schedule(BLOCKED_US, None, Event::Arrive(connection));
        }
        let Some((mine, _)) = self.network.ends(connection) else { return };
        if !passes {
            mine.incoming.clear();
        }
        match mine.incoming.pop_front() {
            Some(OnWay { message, told }) => {
                mine.record_bytes -= record_bytes(&message);
                self.push_peer(to, quorate_zab::Input::Message { connection, message }, told);
            }
            None if mine.is_ending => {
                mine.is_open = false;
                self.push_peer(to, quorate_zab::Input::Disconnected(connection), 0);
                self.network.tidy();
            }
            None => {}
        }
    }

    /// One end closes the session; the other hears what was said before, if nothing goes wrong.
    pub(crate) fn close(&mut self, id: Id, connection: ConnectionId) {
        self.forget_transfers(id, connection);
        let now_us = self.now_us;
        let Some((mine, other)) = self.network.ends(connection) else { return };
        if !mine.is_open {
            return;
        }
        mine.is_open = false;
        mine.incoming.clear();
        other.is_ending = true;
        let (to, last_us, theirs) = (other.server, other.last_arrival_us, other.connection);
        let in_us = last_us.saturating_sub(now_us) + self.latency_us(id, to);
        self.schedule(in_us, None, Event::Arrive(theirs));
        self.network.tidy();
    }

    /// A session breaks: each direction loses what was on its way from some point on.
    pub(crate) fn cut(&mut self, connection: ConnectionId) {
        let (session, _) = place_of(connection);
        for end in 0..2 {
            self.end_soon(ConnectionId(session * 2 + end), 30_000);
        }
    }

    /// Nothing more gets to this end, but for some of what is on its way; and then it hears so.
    fn end_soon(&mut self, connection: ConnectionId, within_us: u64) {
        let Some((mine, other)) = self.network.ends(connection) else { return };
        let (from, to) = (other.server, mine.server);
        let on_way = if self.network.passes(from, to) { self.on_way(connection) } else { 0 };
        let kept = self.chances.network.below(on_way as u64 + 1);
        let in_us = self.chances.network.below(within_us + 1);
        let Some((mine, _)) = self.network.ends(connection) else { return };
        let lost = mine.incoming.split_off(kept as usize);
        mine.record_bytes -= lost.iter().map(|on_way| record_bytes(&on_way.message)).sum::<usize>();
        mine.is_ending = true;
        for extra in 0..=kept {
            self.schedule(in_us + extra * 10, None, Event::Arrive(connection));
        }
    }

    fn on_way(&mut self, connection: ConnectionId) -> usize {
        self.network.ends(connection).map_or(0, |(mine, _)| mine.incoming.len())
    }

    /// The process of a server has ended: so have its sessions and links, as the others will notice.
    pub(crate) fn end_connections_of(&mut self, id: Id) {
        for connection in self.network.connections_of(id) {
            let Some((mine, other)) = self.network.ends(connection) else { continue };
            mine.is_open = false;
            mine.incoming.clear();
            let theirs = other.connection;
            let is_half_open = self.chances.network.chance(self.swarm.network.half_open) && !self.is_peace;
            self.end_soon(theirs, if is_half_open { 4_000_000 } else { 20_000 });
        }
        self.network.links_up.retain(|(from, _), _| *from != id);
        self.network.tidy();
        self.check_links_of(id);
    }

    /// What was received in a session that has ended, and was not begun to be installed, is forgotten.
    pub(crate) fn forget_transfers(&mut self, id: Id, connection: ConnectionId) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        process.offered.remove(&connection);
        if matches!(&process.aside, Aside::Received(of) if *of == connection) {
            process.aside = Aside::Free;
        }
    }
}

fn record_bytes(message: &Message) -> usize {
    match message {
        Message::Append { frames, .. } => frames.iter().map(|frame| frame.bytes().len()).sum(),
        _ => 0,
    }
}
