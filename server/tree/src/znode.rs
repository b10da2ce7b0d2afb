//! `Znode`: one znode in memory, small enough that a million of them are cheap.

use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use quorate_types::{NodeKind, SessionId, Stat, Zxid};

use crate::acl_table::AclId;
use crate::children::Children;

/// A znode's place in the slab. Local to one server and reused: never part of replicated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ZnodeId(pub(crate) u32);

impl ZnodeId {
    /// `/`, which is created first and never deleted.
    pub(crate) const ROOT: ZnodeId = ZnodeId(0);
}

/// One znode. Its path is not stored: the name is here, the rest follows from the parents.
#[derive(Clone, Debug)]
pub(crate) struct Znode {
    pub(crate) czxid: Zxid,
    pub(crate) mzxid: Zxid,
    pub(crate) ctime_ms: i64,
    pub(crate) mtime_ms: i64,
    /// The name's bytes, then the data's: one exact allocation.
    body: Box<[u8]>,
    /// `None` for a persistent leaf that never had children, as most znodes are.
    rare: Option<Box<Rare>>,
    /// Of the root: itself.
    pub(crate) parent: ZnodeId,
    pub(crate) acl: AclId,
    pub(crate) version: i32,
    pub(crate) aversion: i32,
    /// The newest view when this znode was created or last saved for views: older views have what they need.
    pub(crate) stamp: u32,
    name_len: u16,
    data_is_null: bool,
}

/// What only few znodes have.
#[derive(Clone, Debug)]
struct Rare {
    children: Children,
    /// Children ever created; the next sequence suffix.
    creations: u64,
    /// The last creation or deletion of a child; `czxid` before the first.
    pzxid: Zxid,
    kind: NodeKind,
}

/// What a znode is made of; the rest is zero at first.
pub(crate) struct Birth<'a> {
    pub(crate) parent: ZnodeId,
    pub(crate) name: &'a str,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) kind: NodeKind,
    pub(crate) acl: AclId,
    pub(crate) zxid: Zxid,
    pub(crate) time_ms: i64,
    pub(crate) stamp: u32,
}

/// `2 * creations - num_children`, wrapping: what clients see as the count of creations and deletions of children.
pub(crate) fn cversion(creations: u64, num_children: u32) -> i32 {
    creations.wrapping_mul(2).wrapping_sub(u64::from(num_children)) as i32
}

/// The version after `version`. It wraps, and skips -1, which ZooKeeper's clients cannot expect.
pub(crate) fn next_version(version: i32) -> i32 {
    match version.wrapping_add(1) {
        -1 => 0,
        next => next,
    }
}

impl Znode {
    pub(crate) fn new(birth: &Birth<'_>) -> Znode {
        let mut znode = Znode {
            czxid: birth.zxid,
            mzxid: birth.zxid,
            ctime_ms: birth.time_ms,
            mtime_ms: birth.time_ms,
            body: body(birth.name.as_bytes(), birth.data),
            rare: None,
            parent: birth.parent,
            acl: birth.acl,
            version: 0,
            aversion: 0,
            stamp: birth.stamp,
            name_len: u16::try_from(birth.name.len()).expect("a path, hence a name, has at most 4096 bytes"),
            data_is_null: birth.data.is_none(),
        };
        if birth.kind != NodeKind::Persistent {
            znode.rare_mut().kind = birth.kind;
        }
        znode
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            let kind = NodeKind::Persistent;
            Box::new(Rare { children: Children::default(), creations: 0, pzxid: self.czxid, kind })
        })
    }

    /// Children ever created.
    pub(crate) fn creations(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.creations)
    }

    /// The txn that last created or deleted a child, or created this znode.
    pub(crate) fn pzxid(&self) -> Zxid {
        self.rare.as_ref().map_or(self.czxid, |rare| rare.pzxid)
    }

    /// Sets what the last change of the children left behind.
    pub(crate) fn set_lineage(&mut self, creations: u64, pzxid: Zxid) {
        if (creations, pzxid) != (self.creations(), self.pzxid()) {
            let rare = self.rare_mut();
            (rare.creations, rare.pzxid) = (creations, pzxid);
        }
    }

    /// `None` only if there are none.
    pub(crate) fn children(&self) -> Option<&Children> {
        self.rare.as_ref().map(|rare| &rare.children)
    }

    pub(crate) fn children_mut(&mut self) -> &mut Children {
        &mut self.rare_mut().children
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.body[..usize::from(self.name_len)]
    }

    pub(crate) fn name_str(&self) -> &str {
        core::str::from_utf8(self.name()).expect("names are UTF-8: they come from a str, and snapshots are checked")
    }

    /// The data; empty if it is null.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body[usize::from(self.name_len)..]
    }

    pub(crate) fn data(&self) -> Option<&[u8]> {
        if self.data_is_null { None } else { Some(self.bytes()) }
    }

    pub(crate) fn data_is_null(&self) -> bool {
        self.data_is_null
    }

    /// A copy of the data that a reply can carry away.
    pub(crate) fn data_copy(&self) -> Option<Bytes> {
        self.data().map(Bytes::copy_from_slice)
    }

    /// Name and data together, as they are allocated.
    pub(crate) fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Replaces the data and gives the old data up, in the memory that held it.
    pub(crate) fn replace_data(&mut self, data: Option<&[u8]>) -> Option<Bytes> {
        let new = body(self.name(), data);
        let old = core::mem::replace(&mut self.body, new);
        let was_null = core::mem::replace(&mut self.data_is_null, data.is_none());
        data_of_body(old, self.name_len, was_null)
    }

    /// The data, in the memory that held it.
    pub(crate) fn into_data(self) -> Option<Bytes> {
        data_of_body(self.body, self.name_len, self.data_is_null)
    }

    pub(crate) fn kind(&self) -> NodeKind {
        self.rare.as_ref().map_or(NodeKind::Persistent, |rare| rare.kind)
    }

    /// The kind as two numbers, for hashing and encoding.
    pub(crate) fn kind_parts(&self) -> (u8, u64) {
        match self.kind() {
            NodeKind::Persistent => (0, 0),
            NodeKind::Ephemeral(session) => (1, session.0),
            NodeKind::Container => (2, 0),
            NodeKind::Ttl { ttl_ms } => (3, ttl_ms),
        }
    }

    pub(crate) fn num_children(&self) -> u32 {
        self.children().map_or(0, Children::len)
    }

    pub(crate) fn stat(&self) -> Stat {
        let num_children = self.num_children();
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            pzxid: self.pzxid(),
            ctime_ms: self.ctime_ms,
            mtime_ms: self.mtime_ms,
            version: self.version,
            cversion: cversion(self.creations(), num_children),
            aversion: self.aversion,
            ephemeral_owner: self.kind().owner(),
            data_length: self.bytes().len() as u32,
            num_children,
        }
    }
}

/// The kind of these numbers, if there is one.
pub(crate) fn kind_from_parts(tag: u8, value: u64) -> Option<NodeKind> {
    match (tag, value) {
        (0, 0) => Some(NodeKind::Persistent),
        (1, 1..) => Some(NodeKind::Ephemeral(SessionId(value))),
        (2, 0) => Some(NodeKind::Container),
        (3, ttl_ms) => Some(NodeKind::Ttl { ttl_ms }),
        _ => None,
    }
}

fn body(name: &[u8], data: Option<&[u8]>) -> Box<[u8]> {
    let data = data.unwrap_or_default();
    let mut body = Vec::with_capacity(name.len() + data.len());
    body.extend_from_slice(name);
    body.extend_from_slice(data);
    body.into_boxed_slice()
}

fn data_of_body(body: Box<[u8]>, name_len: u16, is_null: bool) -> Option<Bytes> {
    if is_null {
        return None;
    }
    let mut data = Bytes::from(body);
    data.advance(usize::from(name_len));
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn birth<'a>(name: &'a str, data: Option<&'a [u8]>, kind: NodeKind) -> Birth<'a> {
        Birth { parent: ZnodeId::ROOT, name, data, kind, acl: AclId::OPEN, zxid: Zxid(7), time_ms: 9, stamp: 0 }
    }

    #[test]
    fn a_znode_is_at_most_80_bytes_and_an_empty_slot_costs_no_more() {
        assert_eq!(size_of::<Znode>(), 80);
        assert_eq!(size_of::<Option<Znode>>(), 80);
    }

    #[test]
    fn name_and_data_share_an_allocation_and_null_differs_from_empty() {
        let mut znode = Znode::new(&birth("key", Some(b"old"), NodeKind::Persistent));
        assert_eq!((znode.name(), znode.data()), (&b"key"[..], Some(&b"old"[..])));
        assert_eq!(znode.replace_data(None).as_deref(), Some(&b"old"[..]));
        assert_eq!((znode.name_str(), znode.data(), znode.stat().data_length), ("key", None, 0));
        assert_eq!(znode.replace_data(Some(b"")), None);
        assert_eq!(znode.data(), Some(&b""[..]));
        assert_eq!(znode.into_data().as_deref(), Some(&b""[..]));
    }

    #[test]
    fn kinds_survive_their_packing() {
        for kind in [
            NodeKind::Persistent,
            NodeKind::Container,
            NodeKind::Ephemeral(SessionId(u64::MAX)),
            NodeKind::Ttl { ttl_ms: 3 },
        ] {
            let znode = Znode::new(&birth("n", None, kind));
            let (tag, value) = znode.kind_parts();
            assert_eq!((znode.kind(), kind_from_parts(tag, value)), (kind, Some(kind)));
            assert_eq!(znode.stat().ephemeral_owner, kind.owner());
        }
        assert_eq!(kind_from_parts(1, 0), None);
        assert_eq!(kind_from_parts(4, 0), None);
    }

    #[test]
    fn versions_wrap_and_skip_minus_one() {
        assert_eq!(next_version(0), 1);
        assert_eq!(next_version(-1), 0);
        assert_eq!(next_version(-2), 0);
        assert_eq!(next_version(i32::MAX), i32::MIN);
    }

    #[test]
    fn cversion_counts_creations_and_deletions_and_wraps() {
        assert_eq!(cversion(0, 1), -1);
        assert_eq!(cversion(3, 1), 5);
        assert_eq!(cversion(1 << 31, 0), 0);
        assert_eq!(cversion(u64::MAX, 0), -2);
    }
}
