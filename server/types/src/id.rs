//! Names of things: clusters, servers, sessions, and the outboxes and tags that bring a reply back to its asker.

use core::fmt;

/// The identity of an ensemble, drawn at random when its first server initializes itself. Checked in every
/// handshake and in every file, so that two ensembles can never be mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The number of a server within its ensemble, 1 to 254. Never reused for another disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u8);

impl ServerId {
    /// The least server id; 0 means "none" in records.
    pub const MIN: ServerId = ServerId(1);
    /// The greatest server id: 255 in the top byte of an owner marks a TTL znode in ZooKeeper.
    pub const MAX: ServerId = ServerId(254);
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A client's session. The top byte is the id of the server that was leader when it was opened; the rest is unique
/// under that leader. Never 0, which means "no session".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// No session.
    pub const NONE: SessionId = SessionId(0);

    /// Whether this names a session.
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// What proves that a caller owns a session: 16 random bytes, drawn by the door at which the session was opened.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SessionSecret(pub [u8; 16]);

impl SessionSecret {
    /// Compares in time that does not depend on where the two differ.
    #[must_use]
    pub fn matches(&self, other: &SessionSecret) -> bool {
        self.0.iter().zip(other.0.iter()).fold(0u8, |acc, (a, b)| acc | (a ^ b)) == 0
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(..)")
    }
}

/// One ordered stream from the replica to one client: a gRPC Channel, a watch stream, a ZooKeeper connection.
///
/// Numbered by the shell and never reused, not by a later process of the same server either: a txn names the outbox that
/// waits for its reply, and may be applied only after that outbox's process has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(pub u64);

/// What matches a reply to its request within one outbox; chosen by the door, opaque to the replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

/// A watch's name, chosen by the client, unique within its outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);
