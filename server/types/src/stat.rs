//! `Stat`: what a client may know about a znode besides its data.

use crate::{SessionId, Zxid};

/// The metadata of a znode, with ZooKeeper's meaning of each field (`org.apache.zookeeper.data.Stat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The txn that created the znode.
    pub czxid: Zxid,
    /// The txn that last changed its data (its creation, at first).
    pub mzxid: Zxid,
    /// The txn that last created or deleted one of its children (its creation, at first).
    pub pzxid: Zxid,
    /// When it was created, in milliseconds since the Unix epoch, on the leader's clock.
    pub ctime_ms: i64,
    /// When its data was last changed, likewise.
    pub mtime_ms: i64,
    /// Changes of its data since creation.
    pub version: i32,
    /// Creations and deletions among its children: `2 * creations - num_children`, wrapping.
    pub cversion: i32,
    /// Changes of its ACL since creation.
    pub aversion: i32,
    /// The session that owns an ephemeral znode; [`SessionId::NONE`] for every other kind.
    pub ephemeral_owner: SessionId,
    /// Bytes of its data; 0 for null data.
    pub data_length: u32,
    /// Children it has.
    pub num_children: u32,
}
