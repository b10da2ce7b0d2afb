//! `Slab`: the memory of all znodes, by id, in chunks that never move.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use crate::znode::{Znode, ZnodeId};

/// Znodes in one chunk (80 KiB): growth allocates one more chunk and copies nothing.
const CHUNK: usize = 1024;

/// Znodes by id. A freed id is used again, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    /// Every chunk but the last has [`CHUNK`] slots.
    chunks: Vec<Vec<Option<Znode>>>,
    free: Vec<ZnodeId>,
}

impl Slab {
    pub(crate) fn insert(&mut self, znode: Znode) -> ZnodeId {
        if let Some(id) = self.free.pop() {
            let slot = &mut self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK];
            assert!(slot.is_none(), "slot {} is on the free list and holds a znode", id.0);
            *slot = Some(znode);
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = self.chunks.len() - 1;
        let chunk = &mut self.chunks[full];
        let id = u32::try_from(full * CHUNK + chunk.len()).expect("memory ends before 2^32 znodes do");
        chunk.push(Some(znode));
        ZnodeId(id)
    }

    /// Frees the id and gives up the znode.
    pub(crate) fn remove(&mut self, id: ZnodeId) -> Znode {
        let slot = &mut self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK];
        let znode = slot.take().expect("only ids of living znodes are removed");
        self.free.push(id);
        znode
    }

    /// Lets some znodes go that nobody has a use for any more, the memory of a chunk; whether more are left.
    pub(crate) fn let_go(&mut self) -> bool {
        self.chunks.pop();
        if self.chunks.is_empty() {
            self.free = Vec::new();
        }
        !self.chunks.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots() - self.free.len()
    }

    /// Bytes allocated here, without what the znodes themselves point to.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Option<Znode>>() + self.free.capacity() * size_of::<ZnodeId>()
    }

    fn slots(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }
}

impl Index<ZnodeId> for Slab {
    type Output = Znode;

    fn index(&self, id: ZnodeId) -> &Znode {
        self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK].as_ref().expect("ids in use name living znodes")
    }
}

impl IndexMut<ZnodeId> for Slab {
    fn index_mut(&mut self, id: ZnodeId) -> &mut Znode {
        self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK].as_mut().expect("ids in use name living znodes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl_table::AclId;
    use crate::znode::Birth;
    use quorate_types::{NodeKind, Zxid};

    fn znode(name: &str) -> Znode {
        let (parent, acl, kind) = (ZnodeId::ROOT, AclId::OPEN, NodeKind::Persistent);
        Znode::new(&Birth { parent, name, data: None, kind, acl, zxid: Zxid::ZERO, time_ms: 0, stamp: 0 })
    }

    #[test]
    fn ids_are_dense_and_freed_ones_come_back() {
        let mut slab = Slab::default();
        for i in 0..3 * CHUNK as u32 {
            assert_eq!(slab.insert(znode(&alloc::format!("{i}"))), ZnodeId(i));
        }
        assert_eq!(slab.remove(ZnodeId(5)).name(), b"5");
        assert_eq!(slab.remove(ZnodeId(2000)).name(), b"2000");
        assert_eq!(slab.len(), 3 * CHUNK - 2);
        assert_eq!(slab.insert(znode("x")), ZnodeId(2000));
        assert_eq!(slab.insert(znode("y")), ZnodeId(5));
        assert_eq!(slab.insert(znode("z")), ZnodeId(3 * CHUNK as u32));
        assert_eq!((slab[ZnodeId(5)].name(), slab[ZnodeId(6)].name()), (&b"y"[..], &b"6"[..]));
    }
}
