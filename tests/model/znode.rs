//! `ModelZnode`: one znode with every number of its stat but those that others have to count.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_types::{AclEntry, NodeKind, Perms, Stat, Zxid};

/// A znode.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelZnode {
    /// `None` is null.
    pub data: Option<Bytes>,
    /// As it is kept: `auth` is resolved, duplicates are gone.
    pub acl: Vec<AclEntry>,
    /// What makes it go away.
    pub kind: NodeKind,
    /// Children ever created.
    pub creations: u64,
    /// The stat as far as it does not follow from the others: `cversion`, `num_children`, `data_length` and
    /// `ephemeral_owner` are 0.
    pub stat: Stat,
}

impl ModelZnode {
    /// A znode that comes to be.
    #[must_use]
    pub fn new(data: Option<Bytes>, acl: Vec<AclEntry>, kind: NodeKind, zxid: Zxid, time_ms: i64) -> ModelZnode {
        let stat =
            Stat { czxid: zxid, mzxid: zxid, pzxid: zxid, ctime_ms: time_ms, mtime_ms: time_ms, ..Stat::default() };
        ModelZnode { data, acl, kind, creations: 0, stat }
    }

    /// The whole stat of a znode with `children` children.
    #[must_use]
    pub fn stat(&self, children: usize) -> Stat {
        Stat {
            cversion: (self.creations as i32).wrapping_mul(2).wrapping_sub(children as i32),
            ephemeral_owner: self.kind.owner(),
            data_length: self.data.as_ref().map_or(0, |data| data.len() as u32),
            num_children: children as u32,
            ..self.stat
        }
    }
}

/// `world:anyone` with these permissions.
fn world(perms: Perms) -> Vec<AclEntry> {
    vec![AclEntry { perms, scheme: "world".into(), id: "anyone".into() }]
}

/// The znodes that are always there. They were created by no txn, so that their zxids, times and creations are 0.
pub(super) fn reserved() -> BTreeMap<String, ModelZnode> {
    let of = |perms| ModelZnode::new(Some(Bytes::new()), world(perms), NodeKind::Persistent, Zxid::ZERO, 0);
    let mut config = of(Perms::READ);
    config.stat.aversion = -1;
    let open = ["/", "/zookeeper", "/zookeeper/quota"].map(|path| (path.to_owned(), of(Perms::ALL)));
    open.into_iter().chain([("/zookeeper/config".to_owned(), config)]).collect()
}
