//! `Links`: what this server knows of the others, and which sessions it has with them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use quorate_types::{Epoch, Role, ServerId, Zxid};

use crate::input::Origin;
use crate::message::{ConnectionId, Notification, Standing};

/// The first message of a session: see [`crate::Message::FollowerInfo`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FollowerInfo {
    pub(crate) accepted_epoch: Epoch,
    pub(crate) config_version: Zxid,
    pub(crate) standing: Standing,
}

/// The links and sessions of one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    peers: BTreeMap<ServerId, Peer>,
    sessions: BTreeMap<ConnectionId, Session>,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    is_up: bool,
    heard: Option<Notification>,
}

#[derive(Clone, Debug)]
struct Session {
    peer: ServerId,
    origin: Origin,
    /// A learner that waits until it is certain who leads, and since when.
    parked: Option<(FollowerInfo, u64)>,
}

impl Links {
    pub(crate) fn set_up(&mut self, peer: ServerId, is_up: bool) {
        self.peers.entry(peer).or_default().is_up = is_up;
    }

    pub(crate) fn is_up(&self, peer: ServerId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.is_up)
    }

    pub(crate) fn set_heard(&mut self, from: ServerId, notification: Notification) {
        self.peers.entry(from).or_default().heard = Some(notification);
    }

    /// The newest that a server has said on its link.
    pub(crate) fn heard(&self, from: ServerId) -> Option<&Notification> {
        self.peers.get(&from)?.heard.as_ref()
    }

    /// Whatever anybody has said on his link is out of date.
    pub(crate) fn forget_heard(&mut self) {
        self.peers.values_mut().for_each(|peer| peer.heard = None);
    }

    /// Those who said last that they look for a leader.
    pub(crate) fn looking(&self) -> Vec<ServerId> {
        let is_looking = |peer: &Peer| peer.heard.as_ref().is_some_and(|heard| heard.role == Role::Looking);
        self.peers.iter().filter(|(_, peer)| is_looking(peer)).map(|(server, _)| *server).collect()
    }

    pub(crate) fn connected(&mut self, connection: ConnectionId, peer: ServerId, origin: Origin) {
        self.sessions.insert(connection, Session { peer, origin, parked: None });
    }

    /// Forgets a session. `false` if there is none, so that nothing is done for it twice.
    pub(crate) fn closed(&mut self, connection: ConnectionId) -> bool {
        self.sessions.remove(&connection).is_some()
    }

    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.sessions.contains_key(&connection)
    }

    /// The server at the other end of a session, and who began it.
    pub(crate) fn session(&self, connection: ConnectionId) -> Option<(ServerId, Origin)> {
        self.sessions.get(&connection).map(|session| (session.peer, session.origin))
    }

    /// A learner has introduced itself to a server that does not lead.
    pub(crate) fn park(&mut self, connection: ConnectionId, info: FollowerInfo, now_ms: u64) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.parked = Some((info, now_ms));
        }
    }

    /// Hands out the learners that have waited since `since_ms` or longer.
    pub(crate) fn take_parked(&mut self, since_ms: u64) -> Vec<(ConnectionId, ServerId, FollowerInfo)> {
        let due = |session: &mut Session| session.parked.take_if(|(_, since)| *since <= since_ms).map(|(info, _)| info);
        let sessions = self.sessions.iter_mut();
        sessions.filter_map(|(connection, one)| due(one).map(|info| (*connection, one.peer, info))).collect()
    }

    /// Since when the first parked learner waits.
    pub(crate) fn parked_since_ms(&self) -> Option<u64> {
        self.sessions.values().filter_map(|session| session.parked.map(|(_, since)| since)).min()
    }
}
