//! The sessions and links of the world: what is sent, what arrives, and what is cut.

use quorate_types::ServerId;
use quorate_zab::{ConnectionId, Input, Message, Origin};

use crate::network::End;
use crate::world::{Event, World};

impl World {
    /// Looks, a little later, whether the links between two servers have to go up or down.
    pub(crate) fn check_links(&mut self, a: ServerId, b: ServerId) {
        for (from, to) in [(a, b), (b, a)] {
            let in_ms = self.rng.range(1, 30);
            self.schedule(in_ms, None, Event::CheckLink { from, to });
        }
    }

    pub(crate) fn check_link(&mut self, from: ServerId, to: ServerId) {
        let is_up = self.zab(to).is_some() && self.network.passes_both_ways(from, to);
        let was_up = self.network.links_up.contains(&(from, to));
        if is_up && !was_up {
            self.network.links_up.insert((from, to));
            self.step(from, Input::LinkUp(to));
        } else if was_up && !is_up {
            self.network.links_up.remove(&(from, to));
            self.step(from, Input::LinkDown(to));
        }
    }

    pub(crate) fn dialed(&mut self, from: ServerId, to: ServerId) {
        let answers = self.zab(to).is_some() && self.servers[&to].paused_until_ms <= self.now_ms;
        if !answers || !self.network.passes_both_ways(from, to) {
            return self.step(from, Input::DialFailed { peer: to });
        }
        let connection = self.network.open(from, to);
        self.step(to, Input::Connected { connection, peer: from, origin: Origin::Accepted });
        self.step(from, Input::Connected { connection, peer: to, origin: Origin::Dialed });
    }

    pub(crate) fn send(&mut self, id: ServerId, connection: ConnectionId, message: Message) {
        let latency_ms = self.between(self.make.latency_ms);
        let now_ms = self.now_ms;
        let Some((mine, other)) = self.network.ends(connection, id) else { return };
        if !mine.is_open || other.is_ending {
            return;
        }
        other.incoming.push_back(message);
        other.last_arrival_ms = other.last_arrival_ms.max(now_ms + latency_ms);
        let (to, in_ms) = (other.server, other.last_arrival_ms - now_ms);
        self.schedule(in_ms, None, Event::Arrive(connection, to));
    }

    pub(crate) fn arrive(&mut self, connection: ConnectionId, to: ServerId) {
        let Some((mine, other)) = self.network.ends(connection, to) else { return };
        if !mine.is_open {
            return;
        }
        let (from, is_ending) = (other.server, mine.is_ending);
        let passes = self.network.passes(from, to);
        if !passes && !is_ending {
            // It is on its way as long as it takes.
            return self.schedule(20, None, Event::Arrive(connection, to));
        }
        let Some((mine, _)) = self.network.ends(connection, to) else { return };
        if !passes {
            mine.incoming.clear();
        }
        match mine.incoming.pop_front() {
            Some(message) => self.step(to, Input::Message { connection, message }),
            None if mine.is_ending => {
                mine.is_open = false;
                self.step(to, Input::Disconnected(connection));
                self.network.tidy();
            }
            None => {}
        }
    }

    /// One end closes the session; the other hears what was said before, if nothing goes wrong.
    pub(crate) fn close(&mut self, id: ServerId, connection: ConnectionId) {
        let Some((mine, other)) = self.network.ends(connection, id) else { return };
        mine.is_open = false;
        mine.incoming.clear();
        other.is_ending = true;
        let (to, last_ms) = (other.server, other.last_arrival_ms);
        let in_ms = last_ms.saturating_sub(self.now_ms) + self.between(self.make.latency_ms);
        self.schedule(in_ms, None, Event::Arrive(connection, to));
    }

    /// The session breaks: each direction loses what was on its way from some point on.
    pub(crate) fn cut(&mut self, connection: ConnectionId) {
        let Some(session) = self.network.sessions.get(&connection) else { return };
        let [a, b] = &session.ends;
        let arrives =
            |from: &End, to: &End| if self.network.passes(from.server, to.server) { to.incoming.len() } else { 0 };
        let on_way = [arrives(b, a), arrives(a, b)];
        for (end, on_way) in on_way.into_iter().enumerate() {
            let (kept, in_ms) = (self.rng.range(0, on_way as u64), self.rng.range(0, 30));
            let Some(session) = self.network.sessions.get_mut(&connection) else { return };
            session.ends[end].incoming.truncate(kept as usize);
            session.ends[end].is_ending = true;
            let to = session.ends[end].server;
            for extra_ms in 0..=kept {
                self.schedule(in_ms + extra_ms, None, Event::Arrive(connection, to));
            }
        }
        self.ghost.see("session cut");
    }
}
