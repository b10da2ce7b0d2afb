//! `AclTable`: every distinct ACL once, counted, so that a znode holds four bytes of it.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use quorate_types::{Acl, codec};
use xxhash_rust::xxh3::xxh3_128;

/// A place in the table. Local to one server and reused: never part of replicated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AclId(u32);

impl AclId {
    /// [`Acl::OPEN`], which is always there and not counted.
    pub(crate) const OPEN: AclId = AclId(0);
}

#[derive(Debug)]
struct Slot {
    acl: Acl,
    /// Of the ACL's content: what stands for it in digests.
    hash: u128,
    /// Znodes that have this ACL; 0 for a free slot.
    uses: u32,
}

/// Distinct ACLs by id.
#[derive(Debug)]
pub(crate) struct AclTable {
    slots: Vec<Slot>,
    free: Vec<AclId>,
    by_content: HashTable<AclId>,
    hasher: FixedState,
}

impl AclTable {
    pub(crate) fn new(hash_seed: u64) -> AclTable {
        AclTable {
            slots: alloc::vec![Slot { acl: Acl::OPEN, hash: content_hash(&Acl::OPEN), uses: 1 }],
            free: Vec::new(),
            by_content: HashTable::new(),
            hasher: FixedState::with_seed(hash_seed),
        }
    }

    pub(crate) fn acl(&self, id: AclId) -> &Acl {
        &self.slots[id.0 as usize].acl
    }

    pub(crate) fn hash(&self, id: AclId) -> u128 {
        self.slots[id.0 as usize].hash
    }

    /// The id of this ACL, counted once more.
    pub(crate) fn acquire(&mut self, acl: &Acl) -> AclId {
        if acl.is_open() {
            return AclId::OPEN;
        }
        let (hasher, slots) = (&self.hasher, &mut self.slots);
        let hash = hasher.hash_one(acl);
        if let Some(id) = self.by_content.find(hash, |id| slots[id.0 as usize].acl == *acl) {
            slots[id.0 as usize].uses += 1;
            return *id;
        }
        let slot = Slot { acl: acl.clone(), hash: content_hash(acl), uses: 1 };
        let id = match self.free.pop() {
            Some(id) => {
                slots[id.0 as usize] = slot;
                id
            }
            None => {
                slots.push(slot);
                AclId(slots.len() as u32 - 1)
            }
        };
        self.by_content.insert_unique(hash, id, |id| hasher.hash_one(&slots[id.0 as usize].acl));
        id
    }

    /// Counts one use more of an ACL in use.
    pub(crate) fn share(&mut self, id: AclId) {
        if id != AclId::OPEN {
            self.slots[id.0 as usize].uses += 1;
        }
    }

    /// Counts one use less; the last one frees the id.
    pub(crate) fn release(&mut self, id: AclId) {
        if id == AclId::OPEN {
            return;
        }
        let slot = &mut self.slots[id.0 as usize];
        assert!(slot.uses > 0, "ACL {} is released more often than acquired", id.0);
        slot.uses -= 1;
        if slot.uses == 0 {
            let acl = core::mem::take(&mut slot.acl);
            let Ok(entry) = self.by_content.find_entry(self.hasher.hash_one(&acl), |other| *other == id) else {
                panic!("ACL {} is in use and not found by its content", id.0)
            };
            entry.remove();
            self.free.push(id);
        }
    }

    /// Distinct ACLs in use, the open one included.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

fn content_hash(acl: &Acl) -> u128 {
    let mut bytes = Vec::with_capacity(codec::acl_len(acl));
    codec::put_acl(&mut bytes, acl);
    xxh3_128(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_types::{AclEntry, Perms};

    fn acl(id: &str) -> Acl {
        Acl::new(alloc::vec![AclEntry { perms: Perms::ALL, scheme: "digest".into(), id: id.into() }])
    }

    #[test]
    fn equal_acls_share_an_id_until_the_last_use_ends() {
        let mut table = AclTable::new(1);
        assert_eq!(table.acquire(&Acl::OPEN), AclId::OPEN);
        let (a, b) = (table.acquire(&acl("a:x")), table.acquire(&acl("b:x")));
        assert_ne!(a, b);
        assert_eq!(table.acquire(&acl("a:x")), a);
        assert_eq!((table.len(), table.acl(a)), (3, &acl("a:x")));
        table.release(a);
        assert_eq!(table.acl(a), &acl("a:x"));
        table.release(a);
        assert_eq!(table.len(), 2);
        assert_eq!(table.acquire(&acl("c:x")), a);
        assert_eq!(table.acl(a), &acl("c:x"));
        assert_ne!(table.hash(a), table.hash(b));
        table.release(AclId::OPEN);
        assert_eq!(table.acl(AclId::OPEN), &Acl::OPEN);
    }
}
