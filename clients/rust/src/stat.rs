//! `Stat`: the metadata of a znode.

use quorate_proto::v1;

/// The metadata of a znode, with ZooKeeper's meaning of each field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The txn that created the znode.
    pub czxid: u64,
    /// The txn that last changed its data (its creation, at first).
    pub mzxid: u64,
    /// The txn that last created or deleted one of its children (its creation, at first).
    pub pzxid: u64,
    /// When it was created: milliseconds since the Unix epoch, on the leader's clock.
    pub ctime_ms: i64,
    /// When its data was last changed, likewise.
    pub mtime_ms: i64,
    /// Changes of its data since creation.
    pub version: i32,
    /// Creations and deletions among its children.
    pub cversion: i32,
    /// Changes of its ACL since creation.
    pub aversion: i32,
    /// The session that owns an ephemeral znode; 0 for every other kind.
    pub ephemeral_owner: u64,
    /// Bytes of its data; 0 for null data.
    pub data_length: u32,
    /// Children it has.
    pub num_children: u32,
}

impl Stat {
    /// Whether the znode goes when a session ends.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral_owner != 0
    }
}

impl From<v1::Stat> for Stat {
    fn from(stat: v1::Stat) -> Stat {
        Stat {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            pzxid: stat.pzxid,
            ctime_ms: stat.ctime_ms,
            mtime_ms: stat.mtime_ms,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            ephemeral_owner: stat.ephemeral_owner,
            data_length: stat.data_length,
            num_children: stat.num_children,
        }
    }
}
