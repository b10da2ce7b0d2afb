//! `Children`: the ids of a znode's children in the order of their names, in chunks that views may share.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::keys::{self, Keys};
use crate::znode::ZnodeId;

/// Ids in one chunk: a change moves at most 4 KiB, and copies as much when a view shares the chunk.
const CHUNK_MAX: usize = 512;

/// A chunk that shrinks below this is joined with a neighbour if both fit well into one.
const CHUNK_MIN: usize = 128;

/// Lists up to this long are searched by their names alone: most directories are small, and should stay so in memory.
const KEYLESS_MAX: usize = 16;

/// A sorted list of children. Names live in the slab: whoever searches brings `name_of`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    /// None is empty.
    chunks: Vec<Arc<Chunk>>,
    /// Empty, or of each chunk a name that is greater than all names in the chunk before and, but for a name that
    /// shares the key, not greater than any in the chunk.
    heads: Keys,
    len: u32,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    ids: Vec<ZnodeId>,
    /// Empty, or those of all names.
    keys: Keys,
}

/// A place between two children. Stays valid as long as the list does not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    chunk: u32,
    offset: u32,
}

impl Children {
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Bytes allocated for the list, about.
    pub(crate) fn allocated_bytes(&self) -> usize {
        const CHUNK_BYTES: usize = 3 * size_of::<usize>() + size_of::<Chunk>();
        let entry = size_of::<ZnodeId>() + if self.len as usize > KEYLESS_MAX { size_of::<u32>() } else { 0 };
        size_of::<Children>()
            + self.heads.allocated_bytes()
            + self.chunks.len() * CHUNK_BYTES
            + self.len as usize * entry
    }

    /// Adds a child whose name is not in the list.
    pub(crate) fn insert<'a>(&mut self, id: ZnodeId, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        if self.last().is_none_or(|last| name_of(last) < name) {
            return self.push_last(id, name, name_of);
        }
        let Err(at) = self.search(name, name_of) else { panic!("child {name:?} is in the list already") };
        let (mut chunk, mut offset) = (at.chunk as usize, at.offset as usize);
        if self.chunks[chunk].ids.len() == CHUNK_MAX {
            self.split(chunk, name_of);
            if offset > CHUNK_MAX / 2 {
                (chunk, offset) = (chunk + 1, offset - CHUNK_MAX / 2);
            }
        }
        Arc::make_mut(&mut self.chunks[chunk]).insert(offset, id, name, name_of);
        if (chunk, offset) == (0, 0) && self.heads.len() > 0 {
            self.heads.remove(0);
            self.heads.insert(0, name);
        }
        self.len += 1;
    }

    /// Adds a child whose name comes after all others.
    pub(crate) fn push_last<'a>(&mut self, id: ZnodeId, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.ids.len() < CHUNK_MAX => {
                let chunk = Arc::make_mut(chunk);
                chunk.insert(chunk.ids.len(), id, name, name_of);
            }
            _ => {
                let chunk = Chunk { ids: alloc::vec![id], keys: Keys::default() };
                self.insert_chunk(self.chunks.len(), chunk, name_of);
            }
        }
        self.len += 1;
    }

    /// Takes the child of this name out.
    pub(crate) fn remove<'a>(&mut self, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        let Ok(at) = self.search(name, name_of) else { panic!("child {name:?} is not in the list") };
        let chunk = at.chunk as usize;
        let left = Arc::make_mut(&mut self.chunks[chunk]).remove(at.offset as usize);
        self.len -= 1;
        match left {
            0 => drop(self.remove_chunk(chunk)),
            1..CHUNK_MIN => self.join(chunk, name_of),
            _ => {}
        }
    }

    fn split<'a>(&mut self, chunk: usize, name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        let lower = Arc::make_mut(&mut self.chunks[chunk]);
        let mut upper = Chunk { ids: lower.ids.split_off(CHUNK_MAX / 2), keys: lower.keys.split_off(CHUNK_MAX / 2) };
        lower.sharpen(name_of);
        upper.sharpen(name_of);
        self.insert_chunk(chunk + 1, upper, name_of);
    }

    /// Joins a small chunk with a neighbour, unless the two would soon have to be split again.
    fn join<'a>(&mut self, chunk: usize, name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        let lower = if chunk + 1 < self.chunks.len() { chunk } else { chunk.saturating_sub(1) };
        let Some(upper) = self.chunks.get(lower + 1) else { return };
        if self.chunks[lower].ids.len() + upper.ids.len() > CHUNK_MAX / 2 {
            return;
        }
        let upper = self.remove_chunk(lower + 1);
        let lower = Arc::make_mut(&mut self.chunks[lower]);
        lower.ids.extend_from_slice(&upper.ids);
        lower.rebuild_keys(name_of);
    }

    fn insert_chunk<'a>(&mut self, at: usize, chunk: Chunk, name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        let head = name_of(chunk.ids[0]);
        self.chunks.insert(at, Arc::new(chunk));
        if self.heads.len() > 0 {
            self.heads.insert(at, head);
        } else if self.chunks.len() > KEYLESS_MAX {
            self.heads = Keys::of(self.chunks.iter().map(|chunk| name_of(chunk.ids[0])));
        }
    }

    fn remove_chunk(&mut self, at: usize) -> Arc<Chunk> {
        if self.heads.len() > 0 {
            self.heads.remove(at);
        }
        self.chunks.remove(at)
    }

    /// Where the child of this name is, or else where it would stand.
    pub(crate) fn search<'a>(
        &self,
        name: &[u8],
        name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy,
    ) -> Result<Position, Position> {
        let asked = if self.heads.len() > 0 { self.heads.narrow(name) } else { 0..self.chunks.len() };
        let begins_before = |chunk: &Arc<Chunk>| name_of(chunk.ids[0]) <= name;
        let after = asked.start + self.chunks[asked].partition_point(begins_before);
        let chunk = after.saturating_sub(1);
        let Some(found) = self.chunks.get(chunk).map(|chunk| chunk.search(name, name_of)) else {
            return Err(Position::default());
        };
        let position = |offset: usize| Position { chunk: chunk as u32, offset: offset as u32 };
        found.map(position).map_err(position)
    }

    /// The place after the last child whose name is not after `name`.
    pub(crate) fn after<'a>(&self, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) -> Position {
        match self.search(name, name_of) {
            Ok(found) => Position { offset: found.offset + 1, ..found },
            Err(gap) => gap,
        }
    }

    /// The child at `position`, which moves on to the next one.
    pub(crate) fn next(&self, position: &mut Position) -> Option<ZnodeId> {
        let mut chunk = self.chunks.get(position.chunk as usize)?;
        if position.offset as usize >= chunk.ids.len() {
            *position = Position { chunk: position.chunk + 1, offset: 0 };
            chunk = self.chunks.get(position.chunk as usize)?;
        }
        let id = chunk.ids[position.offset as usize];
        position.offset += 1;
        Some(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ZnodeId> {
        self.chunks.iter().flat_map(|chunk| chunk.ids.iter().copied())
    }

    fn last(&self) -> Option<ZnodeId> {
        self.chunks.last()?.ids.last().copied()
    }
}

impl Chunk {
    fn search<'a>(&self, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8]) -> Result<usize, usize> {
        let asked = if self.keys.len() > 0 { self.keys.narrow(name) } else { 0..self.ids.len() };
        let start = asked.start;
        let found = self.ids[asked].binary_search_by(|id| name_of(*id).cmp(name));
        found.map(|at| start + at).map_err(|at| start + at)
    }

    fn insert<'a>(&mut self, at: usize, id: ZnodeId, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        self.ids.insert(at, id);
        if self.keys.len() > 0 {
            self.keys.insert(at, name);
        } else if self.ids.len() > KEYLESS_MAX {
            self.rebuild_keys(name_of);
        }
    }

    /// Takes an id out; how many are left.
    fn remove(&mut self, at: usize) -> usize {
        self.ids.remove(at);
        if self.keys.len() > 0 {
            self.keys.remove(at);
        }
        self.ids.len()
    }

    /// Brings keys up to date that no longer tell the names of a divided chunk apart.
    fn sharpen<'a>(&mut self, name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        let (Some(first), Some(last)) = (self.ids.first(), self.ids.last()) else { return };
        if keys::shared_len(name_of(*first), name_of(*last)) > self.keys.common_len() + 1 {
            self.rebuild_keys(name_of);
        }
    }

    fn rebuild_keys<'a>(&mut self, name_of: impl Fn(ZnodeId) -> &'a [u8] + Copy) {
        self.keys = Keys::of(self.ids.iter().map(|id| name_of(*id)));
    }
}

#[cfg(test)]
mod tests;
