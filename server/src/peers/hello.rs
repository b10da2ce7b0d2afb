//! The hello: what both ends of a call have to prove before anything else is said.

use std::fmt;

use quorate_proto::peer::v1;
use quorate_types::{ClusterId, ServerId};
use thiserror::Error;

use super::codec;

/// Of the language that is spoken here. Changes whenever a message does.
pub const PROTOCOL_VERSION: u32 = 1;

/// Who a server is. Its address is no part of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The ensemble.
    pub cluster: ClusterId,
    /// The server within it.
    pub server: ServerId,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Link,
    Session,
    Snapshot,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Link, Kind::Session, Kind::Snapshot];

    /// How HTTP calls it.
    pub(super) fn path(self) -> &'static str {
        match self {
            Kind::Link => "/quorate.peer.v1.PeerService/Link",
            Kind::Session => "/quorate.peer.v1.PeerService/Session",
            Kind::Snapshot => "/quorate.peer.v1.PeerService/Snapshot",
        }
    }

    pub(super) fn of_path(path: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.path() == path)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Link => "link",
            Kind::Session => "session",
            Kind::Snapshot => "snapshot",
        })
    }
}

/// Why a hello is refused, as whoever refuses it sees it, or as the other end says.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HelloRefusal {
    /// The two programs cannot talk to each other.
    #[error("it speaks version {0} of the protocol, and this server version {PROTOCOL_VERSION}: run the same release")]
    ProtocolVersion(u32),
    /// The two servers have nothing to say to each other.
    #[error("it belongs to ensemble {0}: correct the addresses of the members, or the data directory")]
    Cluster(ClusterId),
    /// Somebody else answers at the address.
    #[error("it is server {0}, and another one was wanted: correct the addresses of the members")]
    Server(u32),
    /// There is no such server, or it is this one.
    #[error("it calls itself server {0}, which it cannot be: correct its id")]
    Caller(u32),
    /// The server called has its own reasons.
    #[error("it refuses this server, for reason {0}: see what it has logged")]
    Unwelcome(i32),
    /// It is too late for that snapshot, or too early.
    #[error("there is no such session, or no such snapshot in it")]
    Snapshot,
}

/// A caller's first words.
pub(super) fn hello(identity: Identity, wanted: ServerId) -> v1::Hello {
    v1::Hello {
        protocol_version: PROTOCOL_VERSION,
        cluster_id: identity.cluster.0,
        server_id: identity.server.0.into(),
        wanted_server_id: wanted.0.into(),
    }
}

/// What the server called answers. `session_token` is 0 but for sessions.
pub(super) fn reply(identity: Identity, session_token: u64, refusal: Option<HelloRefusal>) -> v1::HelloReply {
    let refusal = match refusal {
        None => v1::HelloRefusal::Unspecified,
        Some(HelloRefusal::ProtocolVersion(_)) => v1::HelloRefusal::ProtocolVersion,
        Some(HelloRefusal::Cluster(_)) => v1::HelloRefusal::Cluster,
        Some(HelloRefusal::Server(_)) => v1::HelloRefusal::Server,
        Some(HelloRefusal::Caller(_) | HelloRefusal::Unwelcome(_)) => v1::HelloRefusal::Caller,
        Some(HelloRefusal::Snapshot) => v1::HelloRefusal::Snapshot,
    };
    v1::HelloReply {
        protocol_version: PROTOCOL_VERSION,
        cluster_id: identity.cluster.0,
        server_id: identity.server.0.into(),
        session_token,
        refusal: refusal.into(),
    }
}

/// Whether the server called talks to this caller, and who that is.
pub(super) fn check(identity: Identity, hello: &v1::Hello) -> Result<ServerId, HelloRefusal> {
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(HelloRefusal::ProtocolVersion(hello.protocol_version));
    }
    if hello.cluster_id != identity.cluster.0 {
        return Err(HelloRefusal::Cluster(ClusterId(hello.cluster_id)));
    }
    if hello.wanted_server_id != u32::from(identity.server.0) {
        return Err(HelloRefusal::Server(hello.wanted_server_id));
    }
    let caller = codec::server_id(hello.server_id).filter(|caller| *caller != identity.server);
    caller.ok_or(HelloRefusal::Caller(hello.server_id))
}

/// Whether the caller talks to whoever answered: it has to be `wanted`, and to agree.
pub(super) fn check_reply(identity: Identity, wanted: ServerId, reply: &v1::HelloReply) -> Result<(), HelloRefusal> {
    if reply.protocol_version != PROTOCOL_VERSION {
        return Err(HelloRefusal::ProtocolVersion(reply.protocol_version));
    }
    if reply.cluster_id != identity.cluster.0 {
        return Err(HelloRefusal::Cluster(ClusterId(reply.cluster_id)));
    }
    if reply.server_id != u32::from(wanted.0) {
        return Err(HelloRefusal::Server(reply.server_id));
    }
    match v1::HelloRefusal::try_from(reply.refusal) {
        Ok(v1::HelloRefusal::Unspecified) => Ok(()),
        Ok(v1::HelloRefusal::Snapshot) => Err(HelloRefusal::Snapshot),
        Ok(_) | Err(_) => Err(HelloRefusal::Unwelcome(reply.refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Identity = Identity { cluster: ClusterId(7), server: ServerId(1) };
    const THEM: Identity = Identity { cluster: ClusterId(7), server: ServerId(2) };

    #[test]
    fn a_hello_is_accepted_only_from_another_server_of_the_same_ensemble_that_wants_this_one() {
        let check = |change: fn(&mut v1::Hello), expected| {
            let mut hello = hello(THEM, US.server);
            change(&mut hello);
            assert_eq!(check(US, &hello), expected);
        };
        check(|_| {}, Ok(ServerId(2)));
        check(|hello| hello.protocol_version = 2, Err(HelloRefusal::ProtocolVersion(2)));
        check(|hello| hello.cluster_id = 8, Err(HelloRefusal::Cluster(ClusterId(8))));
        check(|hello| hello.wanted_server_id = 3, Err(HelloRefusal::Server(3)));
        for id in [0, 1, 255, 258] {
            let mut hello = hello(THEM, US.server);
            hello.server_id = id;
            assert_eq!(super::check(US, &hello), Err(HelloRefusal::Caller(id)));
        }
    }

    #[test]
    fn an_answer_is_accepted_only_from_the_server_that_was_wanted_and_agrees() {
        let check = |change: fn(&mut v1::HelloReply), expected| {
            let mut answer = reply(US, 0, None);
            change(&mut answer);
            assert_eq!(check_reply(THEM, US.server, &answer), expected);
        };
        check(|_| {}, Ok(()));
        check(|answer| answer.protocol_version = 9, Err(HelloRefusal::ProtocolVersion(9)));
        check(|answer| answer.cluster_id = 8, Err(HelloRefusal::Cluster(ClusterId(8))));
        check(|answer| answer.server_id = 3, Err(HelloRefusal::Server(3)));
        check(|answer| answer.refusal = 5, Err(HelloRefusal::Snapshot));
        check(|answer| answer.refusal = 4, Err(HelloRefusal::Unwelcome(4)));
        check(|answer| answer.refusal = 77, Err(HelloRefusal::Unwelcome(77)));
    }
}
