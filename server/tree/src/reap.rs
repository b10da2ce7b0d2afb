//! `Deadlines`: which containers and TTL znodes the leader may delete, in the order in which they come due.

use alloc::collections::BTreeSet;
use alloc::string::String;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quorate_types::{NodeKind, Zxid};

use crate::znode::{Znode, ZnodeId};

/// How long a container stays after its last child went. Recipes create a container and then its first child, or
/// delete a child and create the next: deleting at once would make them start over again and again.
pub const CONTAINER_GRACE_MS: i64 = 10_000;

/// A znode that the leader may delete now. What has changed since is checked when the deletion is prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reap {
    /// Which.
    pub path: String,
    /// The txn that last changed it.
    pub mzxid: Zxid,
    /// A container or a TTL znode.
    pub kind: NodeKind,
}

/// Deadlines of childless containers and TTL znodes. Local: only the leader acts on them, by ordinary txns.
#[derive(Debug)]
pub(crate) struct Deadlines {
    by_time: BTreeSet<(i64, ZnodeId)>,
    by_znode: HashMap<ZnodeId, i64, FixedState>,
}

impl Deadlines {
    pub(crate) fn new(hash_seed: u64) -> Deadlines {
        Deadlines { by_time: BTreeSet::new(), by_znode: HashMap::with_hasher(FixedState::with_seed(hash_seed)) }
    }

    /// Brings the deadline of a znode up to date after it was created, changed, or lost or won a child at `time_ms`.
    pub(crate) fn update(&mut self, id: ZnodeId, znode: &Znode, time_ms: i64) {
        if !matches!(znode.kind(), NodeKind::Container | NodeKind::Ttl { .. }) {
            return;
        }
        self.forget(id);
        if let Some(due_ms) = due_ms(znode, time_ms) {
            self.by_time.insert((due_ms, id));
            self.by_znode.insert(id, due_ms);
        }
    }

    /// Drops the deadline of a znode, if it has one.
    pub(crate) fn forget(&mut self, id: ZnodeId) {
        if let Some(due_ms) = self.by_znode.remove(&id) {
            self.by_time.remove(&(due_ms, id));
        }
    }

    /// Those whose deadline lies before `wall_ms`, the earliest first.
    pub(crate) fn due(&self, wall_ms: i64) -> impl Iterator<Item = ZnodeId> {
        self.by_time.iter().take_while(move |(due_ms, _)| *due_ms < wall_ms).map(|(_, id)| *id)
    }

    /// The first moment at which [`Deadlines::due`] has something.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.by_time.first().map(|(due_ms, _)| due_ms.saturating_add(1))
    }
}

/// The last moment at which the znode may still stay; `None` if it has children, or is a container that never had any
/// (whoever made it is about to create the first).
fn due_ms(znode: &Znode, time_ms: i64) -> Option<i64> {
    if znode.num_children() > 0 {
        return None;
    }
    match znode.kind() {
        NodeKind::Ttl { ttl_ms } => Some(znode.mtime_ms.saturating_add_unsigned(ttl_ms)),
        NodeKind::Container if znode.creations() > 0 => Some(time_ms.saturating_add(CONTAINER_GRACE_MS)),
        NodeKind::Container | NodeKind::Persistent | NodeKind::Ephemeral(_) => None,
    }
}
