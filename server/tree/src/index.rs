//! `Index`: the one hash index from (parent, name) to znode; a path is looked up one component at a time.

use core::hash::{BuildHasher, Hasher};

use alloc::boxed::Box;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::slab::Slab;
use crate::znode::{Znode, ZnodeId};

/// Tables that the entries are spread over, so that growth rehashes one small table at a time: with a million
/// znodes well under a millisecond each, where one table of all would stop the server for a tenth of a second.
const SHARDS: usize = 64;

/// Ids of all znodes but the root, found by parent and name. Keys are not stored but read from the slab.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[HashTable<ZnodeId>]>,
    hasher: FixedState,
}

impl Index {
    pub(crate) fn new(hash_seed: u64) -> Index {
        Index { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), hasher: FixedState::with_seed(hash_seed) }
    }

    /// Makes room, so that loading a known number of znodes never rehashes.
    pub(crate) fn reserve(&mut self, slab: &Slab, count: usize) {
        let hasher = &self.hasher;
        // Shards fill unevenly; the slack of an eighth covers it.
        let each = count / SHARDS + count / SHARDS / 8;
        self.shards.iter_mut().for_each(|shard| shard.reserve(each, |id| hash_of(hasher, slab, *id)));
    }

    pub(crate) fn find(&self, slab: &Slab, parent: ZnodeId, name: &[u8]) -> Option<ZnodeId> {
        let hash = hash(&self.hasher, parent, name);
        self.shards[shard(hash)].find(hash, |id| is_it(slab, *id, parent, name)).copied()
    }

    /// Enters a znode of the slab.
    ///
    /// # Panics
    /// If its parent has a child of that name already.
    pub(crate) fn insert(&mut self, slab: &Slab, id: ZnodeId) {
        let hasher = &self.hasher;
        let Znode { parent, .. } = slab[id];
        let name = slab[id].name();
        let hash = hash(hasher, parent, name);
        let same = |other: &ZnodeId| is_it(slab, *other, parent, name);
        match self.shards[shard(hash)].entry(hash, same, |id| hash_of(hasher, slab, *id)) {
            Entry::Vacant(vacant) => drop(vacant.insert(id)),
            Entry::Occupied(_) => panic!("{parent:?} has two children with the name {}", name.escape_ascii()),
        }
    }

    /// Takes out a znode that is still in the slab.
    pub(crate) fn remove(&mut self, slab: &Slab, id: ZnodeId) {
        let hash = hash_of(&self.hasher, slab, id);
        let Ok(entry) = self.shards[shard(hash)].find_entry(hash, |other| *other == id) else {
            panic!("{id:?} is in the slab and not in the index")
        };
        entry.remove();
    }

    pub(crate) fn allocated_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.allocation_size()).sum()
    }
}

fn hash(hasher: &FixedState, parent: ZnodeId, name: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u32(parent.0);
    hasher.write(name);
    hasher.finish()
}

fn is_it(slab: &Slab, id: ZnodeId, parent: ZnodeId, name: &[u8]) -> bool {
    let znode = &slab[id];
    znode.parent == parent && znode.name() == name
}

fn hash_of(hasher: &FixedState, slab: &Slab, id: ZnodeId) -> u64 {
    let znode = &slab[id];
    hash(hasher, znode.parent, znode.name())
}

/// Bits that neither a table's bucket (the low ones) nor its tag (the top seven) is taken from.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl_table::AclId;
    use crate::znode::Birth;
    use alloc::format;
    use quorate_types::{NodeKind, Zxid};

    fn insert(slab: &mut Slab, index: &mut Index, parent: ZnodeId, name: &str) -> ZnodeId {
        let (kind, acl) = (NodeKind::Persistent, AclId::OPEN);
        let birth = Birth { parent, name, data: None, kind, acl, zxid: Zxid::ZERO, time_ms: 0, stamp: 0 };
        let id = slab.insert(Znode::new(&birth));
        index.insert(slab, id);
        id
    }

    #[test]
    fn what_was_entered_is_found_until_it_is_taken_out() {
        let (mut slab, mut index) = (Slab::default(), Index::new(3));
        let ids: alloc::vec::Vec<_> =
            (0..5000).map(|i| insert(&mut slab, &mut index, ZnodeId(i % 7), &format!("n{}", i / 7))).collect();
        for (i, id) in ids.iter().enumerate() {
            let (parent, name) = (ZnodeId(i as u32 % 7), format!("n{}", i / 7));
            assert_eq!(index.find(&slab, parent, name.as_bytes()), Some(*id));
            if i % 2 == 0 {
                index.remove(&slab, *id);
                assert_eq!(index.find(&slab, parent, name.as_bytes()), None);
                slab.remove(*id);
            }
        }
        assert_eq!(index.find(&slab, ZnodeId(0), b"n"), None);
    }

    #[test]
    #[should_panic(expected = "two children with the name n0")]
    fn no_name_is_entered_twice() {
        let (mut slab, mut index) = (Slab::default(), Index::new(3));
        insert(&mut slab, &mut index, ZnodeId(1), "n0");
        insert(&mut slab, &mut index, ZnodeId(2), "n0");
        insert(&mut slab, &mut index, ZnodeId(1), "n0");
    }

    #[test]
    fn no_shard_is_crowded() {
        let (mut slab, mut index) = (Slab::default(), Index::new(1));
        for i in 0..64_000 {
            insert(&mut slab, &mut index, ZnodeId(1), &format!("key-{i:08}"));
        }
        assert!(index.shards.iter().all(|shard| (800..1200).contains(&shard.len())));
    }
}
