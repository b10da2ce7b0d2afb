//! `CreateMode`: what kind of znode a create makes.

use std::time::Duration;

use quorate_proto::v1;

/// What kind of znode a create makes, and how its name ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreateMode {
    /// Stays until it is deleted.
    #[default]
    Persistent,
    /// Likewise; ten digits that grow with every child of the parent are appended to its name.
    PersistentSequential,
    /// Deleted when the session that created it ends.
    Ephemeral,
    /// Likewise, with digits appended.
    EphemeralSequential,
    /// Deleted by the leader some time after its last child is gone.
    Container,
    /// Deleted by the leader when it has had no child and no change of data for so long: 1 ms to 2^40 - 1 ms.
    Ttl(Duration),
    /// Likewise, with digits appended.
    TtlSequential(Duration),
}

impl CreateMode {
    /// Whether digits are appended to the name.
    #[must_use]
    pub fn is_sequential(self) -> bool {
        match self {
            CreateMode::PersistentSequential | CreateMode::EphemeralSequential | CreateMode::TtlSequential(_) => true,
            CreateMode::Persistent | CreateMode::Ephemeral | CreateMode::Container | CreateMode::Ttl(_) => false,
        }
    }

    /// Whether the znode goes with its session, hence needs one.
    #[must_use]
    pub fn is_ephemeral(self) -> bool {
        match self {
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => true,
            CreateMode::Persistent
            | CreateMode::PersistentSequential
            | CreateMode::Container
            | CreateMode::Ttl(_)
            | CreateMode::TtlSequential(_) => false,
        }
    }

    /// The wire's two fields.
    pub(crate) fn to_wire(self) -> (v1::CreateMode, u64) {
        let milliseconds = |ttl: Duration| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        match self {
            CreateMode::Persistent => (v1::CreateMode::Persistent, 0),
            CreateMode::PersistentSequential => (v1::CreateMode::PersistentSequential, 0),
            CreateMode::Ephemeral => (v1::CreateMode::Ephemeral, 0),
            CreateMode::EphemeralSequential => (v1::CreateMode::EphemeralSequential, 0),
            CreateMode::Container => (v1::CreateMode::Container, 0),
            CreateMode::Ttl(ttl) => (v1::CreateMode::Ttl, milliseconds(ttl)),
            CreateMode::TtlSequential(ttl) => (v1::CreateMode::TtlSequential, milliseconds(ttl)),
        }
    }

    /// From the wire's two fields.
    pub(crate) fn from_wire(mode: v1::CreateMode, ttl_ms: u64) -> CreateMode {
        match mode {
            v1::CreateMode::Unspecified | v1::CreateMode::Persistent => CreateMode::Persistent,
            v1::CreateMode::PersistentSequential => CreateMode::PersistentSequential,
            v1::CreateMode::Ephemeral => CreateMode::Ephemeral,
            v1::CreateMode::EphemeralSequential => CreateMode::EphemeralSequential,
            v1::CreateMode::Container => CreateMode::Container,
            v1::CreateMode::Ttl => CreateMode::Ttl(Duration::from_millis(ttl_ms)),
            v1::CreateMode::TtlSequential => CreateMode::TtlSequential(Duration::from_millis(ttl_ms)),
        }
    }
}
