//! `Network`: sessions, which deliver in order until they are cut and then lose a suffix, and links between servers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_types::ServerId;
use quorate_zab::{ConnectionId, Message};

/// One end of a session: who is there, and what is on its way to him.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) server: ServerId,
    /// This end knows of the session, and not yet of its end.
    pub(crate) is_open: bool,
    pub(crate) incoming: VecDeque<Message>,
    /// When the last message on its way arrives: none overtakes another.
    pub(crate) last_arrival_ms: u64,
    /// Nothing more is put on its way to this end; it is told so after what is on its way.
    pub(crate) is_ending: bool,
}

/// A session: the end that has dialed, and the one that has accepted.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) ends: [End; 2],
}

/// Everything between the servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) sessions: BTreeMap<ConnectionId, Session>,
    next_connection: u64,
    /// Nothing gets from the first to the second.
    blocked: BTreeSet<(ServerId, ServerId)>,
    /// The links that the first was told to be up.
    pub(crate) links_up: BTreeSet<(ServerId, ServerId)>,
}

impl Network {
    pub(crate) fn passes(&self, from: ServerId, to: ServerId) -> bool {
        !self.blocked.contains(&(from, to))
    }

    pub(crate) fn passes_both_ways(&self, a: ServerId, b: ServerId) -> bool {
        self.passes(a, b) && self.passes(b, a)
    }

    pub(crate) fn block(&mut self, from: ServerId, to: ServerId) {
        self.blocked.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.blocked.clear();
    }

    pub(crate) fn open(&mut self, dialing: ServerId, accepting: ServerId) -> ConnectionId {
        self.next_connection += 1;
        let end =
            |server| End { server, is_open: true, incoming: VecDeque::new(), last_arrival_ms: 0, is_ending: false };
        let connection = ConnectionId(self.next_connection);
        self.sessions.insert(connection, Session { ends: [end(dialing), end(accepting)] });
        connection
    }

    /// The end at `server`, and the other one.
    pub(crate) fn ends(&mut self, connection: ConnectionId, server: ServerId) -> Option<(&mut End, &mut End)> {
        let [dialing, accepting] = &mut self.sessions.get_mut(&connection)?.ends;
        Some(if dialing.server == server { (dialing, accepting) } else { (accepting, dialing) })
    }

    /// The sessions in which `server` takes part, and still knows of.
    pub(crate) fn sessions_of(&self, server: ServerId) -> Vec<ConnectionId> {
        let takes_part = |session: &Session| session.ends.iter().any(|end| end.server == server && end.is_open);
        self.sessions.iter().filter(|(_, session)| takes_part(session)).map(|(connection, _)| *connection).collect()
    }

    /// Forgets sessions that nobody knows of any more.
    pub(crate) fn tidy(&mut self) {
        self.sessions.retain(|_, session| session.ends.iter().any(|end| end.is_open));
    }
}
