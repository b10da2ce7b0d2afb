//! `Network`: sessions, which deliver in order until they break and then lose a suffix, and links between servers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_zab::{ConnectionId, Message};

use super::server::Id;

/// What one end of a session has put on its way to the other.
#[derive(Clone, Debug)]
pub(crate) struct OnWay {
    pub(crate) message: Message,
    /// So many signs of life of sessions its sender had told of by then.
    pub(crate) told: usize,
}

/// One end of a session: who is there, and what is on its way to him.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) server: Id,
    /// The process: another one on the same server is none of this session.
    pub(crate) incarnation: u64,
    pub(crate) connection: ConnectionId,
    /// This end knows of the session, and not yet of its end.
    pub(crate) is_open: bool,
    pub(crate) incoming: VecDeque<OnWay>,
    /// Bytes of records among them.
    pub(crate) record_bytes: usize,
    /// When the last message on its way arrives: none overtakes another.
    pub(crate) last_arrival_us: u64,
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
    pub(crate) sessions: BTreeMap<u64, Session>,
    next_session: u64,
    /// Nothing gets from the first to the second.
    blocked: BTreeSet<(Id, Id)>,
    /// Nothing arrives before this moment, and then everything at once.
    clogged_until_us: BTreeMap<(Id, Id), u64>,
    /// The links that the first was told to be up, to which process of the second.
    pub(crate) links_up: BTreeMap<(Id, Id), u64>,
}

/// The session that a connection belongs to, and which of its ends it is.
pub(crate) fn place_of(connection: ConnectionId) -> (u64, usize) {
    (connection.0 / 2, (connection.0 % 2) as usize)
}

impl Network {
    pub(crate) fn passes(&self, from: Id, to: Id) -> bool {
        from == to || !self.blocked.contains(&(from, to))
    }

    pub(crate) fn passes_both_ways(&self, a: Id, b: Id) -> bool {
        self.passes(a, b) && self.passes(b, a)
    }

    pub(crate) fn block(&mut self, from: Id, to: Id) {
        self.blocked.insert((from, to));
    }

    /// Everything gets to a server and from it.
    pub(crate) fn unblock(&mut self, id: Id) {
        self.blocked.retain(|(from, to)| *from != id && *to != id);
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.blocked.is_empty()
    }

    pub(crate) fn heal(&mut self) {
        self.blocked.clear();
        self.clogged_until_us.clear();
    }

    pub(crate) fn clog(&mut self, from: Id, to: Id, until_us: u64) {
        self.clogged_until_us.insert((from, to), until_us);
    }

    /// Until when a connection delivers nothing.
    pub(crate) fn clogged_until_us(&self, from: Id, to: Id) -> u64 {
        self.clogged_until_us.get(&(from, to)).copied().unwrap_or(0)
    }

    /// Opens a session. Returns its two connections, that of the server that has dialed first.
    pub(crate) fn open(&mut self, dialing: (Id, u64), accepting: (Id, u64)) -> [ConnectionId; 2] {
        self.next_session += 1;
        let connections = [0, 1].map(|end| ConnectionId(self.next_session * 2 + end));
        let end = |(server, incarnation), connection| End {
            server,
            incarnation,
            connection,
            is_open: true,
            incoming: VecDeque::new(),
            record_bytes: 0,
            last_arrival_us: 0,
            is_ending: false,
        };
        let ends = [end(dialing, connections[0]), end(accepting, connections[1])];
        self.sessions.insert(self.next_session, Session { ends });
        connections
    }

    /// The end that a connection is, and the other one.
    pub(crate) fn ends(&mut self, connection: ConnectionId) -> Option<(&mut End, &mut End)> {
        let (session, end) = place_of(connection);
        let [dialing, accepting] = &mut self.sessions.get_mut(&session)?.ends;
        Some(if end == 0 { (dialing, accepting) } else { (accepting, dialing) })
    }

    /// The connections of a server that it still knows of.
    pub(crate) fn connections_of(&self, server: Id) -> Vec<ConnectionId> {
        let ends = self.sessions.values().flat_map(|session| &session.ends);
        ends.filter(|end| end.server == server && end.is_open).map(|end| end.connection).collect()
    }

    /// Forgets sessions that nobody knows of any more.
    pub(crate) fn tidy(&mut self) {
        self.sessions.retain(|_, session| session.ends.iter().any(|end| end.is_open));
    }
}
