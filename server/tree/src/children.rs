//! `Children`: the ids of a znode's children in the order of their names, in chunks that views may share.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::znode::ZnodeId;

/// Ids in one chunk: a change moves at most 2 KiB, and copies as much when a view shares the chunk.
const CHUNK_MAX: usize = 512;

/// A chunk that shrinks below this is joined with a neighbour if both fit well into one.
const CHUNK_MIN: usize = 128;

/// A sorted list of children. Names live in the slab: whoever searches brings `name_of`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    /// None is empty.
    chunks: Vec<Arc<Vec<ZnodeId>>>,
    len: u32,
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
        const CHUNK_OVERHEAD: usize = 2 * size_of::<usize>() + size_of::<Vec<ZnodeId>>();
        size_of::<Children>()
            + self.chunks.capacity() * size_of::<usize>()
            + self.chunks.len() * CHUNK_OVERHEAD
            + self.len as usize * size_of::<ZnodeId>()
    }

    /// Adds a child whose name is not in the list.
    pub(crate) fn insert<'a>(&mut self, id: ZnodeId, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8]) {
        let appends = self.last().is_none_or(|last| name_of(last) < name);
        if appends {
            return self.push_last(id);
        }
        let Err(at) = self.search(name, name_of) else { panic!("child {:?} is in the list already", name) };
        let (mut chunk, mut offset) = (at.chunk as usize, at.offset as usize);
        if self.chunks[chunk].len() == CHUNK_MAX {
            let upper = Arc::make_mut(&mut self.chunks[chunk]).split_off(CHUNK_MAX / 2);
            self.chunks.insert(chunk + 1, Arc::new(upper));
            if offset > CHUNK_MAX / 2 {
                (chunk, offset) = (chunk + 1, offset - CHUNK_MAX / 2);
            }
        }
        Arc::make_mut(&mut self.chunks[chunk]).insert(offset, id);
        self.len += 1;
    }

    /// Adds a child whose name comes after all others.
    pub(crate) fn push_last(&mut self, id: ZnodeId) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_MAX => Arc::make_mut(chunk).push(id),
            _ => self.chunks.push(Arc::new(alloc::vec![id])),
        }
        self.len += 1;
    }

    /// Takes the child of this name out.
    pub(crate) fn remove<'a>(&mut self, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8]) {
        let Ok(at) = self.search(name, name_of) else { panic!("child {:?} is not in the list", name) };
        let chunk = at.chunk as usize;
        Arc::make_mut(&mut self.chunks[chunk]).remove(at.offset as usize);
        self.len -= 1;
        match self.chunks[chunk].len() {
            0 => {
                self.chunks.remove(chunk);
            }
            1..CHUNK_MIN => self.join(chunk),
            _ => {}
        }
    }

    /// Joins a small chunk with a neighbour, unless the two would soon have to be split again.
    fn join(&mut self, chunk: usize) {
        let lower = if chunk + 1 < self.chunks.len() { chunk } else { chunk.saturating_sub(1) };
        let Some(upper) = self.chunks.get(lower + 1) else { return };
        if self.chunks[lower].len() + upper.len() > CHUNK_MAX / 2 {
            return;
        }
        let upper = self.chunks.remove(lower + 1);
        Arc::make_mut(&mut self.chunks[lower]).extend_from_slice(&upper);
    }

    /// Where the child of this name is, or else where it would stand.
    pub(crate) fn search<'a>(&self, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8]) -> Result<Position, Position> {
        let after = self.chunks.partition_point(|chunk| name_of(chunk[0]).cmp(name) != Ordering::Greater);
        let chunk = after.saturating_sub(1);
        let Some(ids) = self.chunks.get(chunk) else { return Err(Position::default()) };
        let position = |offset: usize| Position { chunk: chunk as u32, offset: offset as u32 };
        ids.binary_search_by(|id| name_of(*id).cmp(name)).map(position).map_err(position)
    }

    /// The place after the last child whose name is not after `name`.
    pub(crate) fn after<'a>(&self, name: &[u8], name_of: impl Fn(ZnodeId) -> &'a [u8]) -> Position {
        match self.search(name, name_of) {
            Ok(found) => Position { offset: found.offset + 1, ..found },
            Err(gap) => gap,
        }
    }

    /// The child at `position`, which moves on to the next one.
    pub(crate) fn next(&self, position: &mut Position) -> Option<ZnodeId> {
        let mut chunk = self.chunks.get(position.chunk as usize)?;
        if position.offset as usize >= chunk.len() {
            *position = Position { chunk: position.chunk + 1, offset: 0 };
            chunk = self.chunks.get(position.chunk as usize)?;
        }
        let id = chunk[position.offset as usize];
        position.offset += 1;
        Some(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ZnodeId> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().copied())
    }

    fn last(&self) -> Option<ZnodeId> {
        self.chunks.last()?.last().copied()
    }
}

#[cfg(test)]
mod tests;
