//! How a znode is created, and what kind of znode it then is.

use crate::SessionId;

/// What a client asks for at creation (`org.apache.zookeeper.CreateMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreateMode {
    /// Stays until it is deleted.
    #[default]
    Persistent,
    /// Likewise, with the parent's creation count appended to its name.
    PersistentSequential,
    /// Deleted when the session that created it ends.
    Ephemeral,
    /// Likewise, with the parent's creation count appended to its name.
    EphemeralSequential,
    /// Deleted by the leader some time after its last child is gone.
    Container,
    /// Deleted by the leader when it has had no child and no change of data for `ttl_ms`.
    Ttl {
        /// 1 to [`crate::limits::TTL_MS_MAX`] milliseconds.
        ttl_ms: u64,
    },
    /// Likewise, with the parent's creation count appended to its name.
    TtlSequential {
        /// 1 to [`crate::limits::TTL_MS_MAX`] milliseconds.
        ttl_ms: u64,
    },
}

impl CreateMode {
    /// Whether the parent's creation count is appended to the name.
    #[must_use]
    pub const fn is_sequential(self) -> bool {
        match self {
            CreateMode::PersistentSequential | CreateMode::EphemeralSequential | CreateMode::TtlSequential { .. } => {
                true
            }
            CreateMode::Persistent | CreateMode::Ephemeral | CreateMode::Container | CreateMode::Ttl { .. } => false,
        }
    }

    /// Whether the znode will belong to the creating session.
    #[must_use]
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, CreateMode::Ephemeral | CreateMode::EphemeralSequential)
    }

    /// The kind of the znode that `session` creates in this mode.
    #[must_use]
    pub const fn kind(self, session: SessionId) -> NodeKind {
        match self {
            CreateMode::Persistent | CreateMode::PersistentSequential => NodeKind::Persistent,
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => NodeKind::Ephemeral(session),
            CreateMode::Container => NodeKind::Container,
            CreateMode::Ttl { ttl_ms } | CreateMode::TtlSequential { ttl_ms } => NodeKind::Ttl { ttl_ms },
        }
    }
}

/// What decides when a znode goes away by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Never.
    #[default]
    Persistent,
    /// When this session ends.
    Ephemeral(SessionId),
    /// When it has lost its last child.
    Container,
    /// When it has no child and was not changed for so long.
    Ttl {
        /// Milliseconds.
        ttl_ms: u64,
    },
}

impl NodeKind {
    /// The session of an ephemeral znode, else [`SessionId::NONE`].
    #[must_use]
    pub const fn owner(self) -> SessionId {
        match self {
            NodeKind::Ephemeral(session) => session,
            NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl { .. } => SessionId::NONE,
        }
    }
}
