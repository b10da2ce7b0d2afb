//! `Slab`: calls under way, found by the id that travels with them.

/// Things with ids. An id is never used twice, so an answer that comes too late finds nothing instead of a stranger.
#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The first free entry of a chain through [`Entry::Free`].
    free: Option<u32>,
    len: usize,
}

#[derive(Debug)]
struct Entry<T> {
    /// How often the place was used before.
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Free { next: Option<u32> },
    Used(T),
}

/// The place in the lower half, its generation in the upper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) u64);

impl Id {
    fn new(at: u32, generation: u32) -> Id {
        Id(u64::from(generation) << 32 | u64::from(at))
    }

    fn at(self) -> usize {
        // Only the lower half remains.
        self.0 as u32 as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { entries: Vec::new(), free: None, len: 0 }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, thing: T) -> Id {
        self.len += 1;
        let Some(at) = self.free else {
            let at = u32::try_from(self.entries.len()).expect("calls under way are bounded far below 2^32");
            self.entries.push(Entry { generation: 0, content: Content::Used(thing) });
            return Id::new(at, 0);
        };
        let entry = &mut self.entries[at as usize];
        let Content::Free { next } = entry.content else { unreachable!("the chain leads through free entries only") };
        self.free = next;
        entry.content = Content::Used(thing);
        Id::new(at, entry.generation)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.entries.get_mut(id.at()).filter(|entry| entry.generation == id.generation()) {
            Some(Entry { content: Content::Used(thing), .. }) => Some(thing),
            Some(Entry { content: Content::Free { .. }, .. }) | None => None,
        }
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let entry = self.entries.get_mut(id.at()).filter(|entry| entry.generation == id.generation())?;
        if let Content::Free { .. } = entry.content {
            return None;
        }
        let content = std::mem::replace(&mut entry.content, Content::Free { next: self.free });
        entry.generation = entry.generation.wrapping_add(1);
        self.free = Some(id.0 as u32);
        self.len -= 1;
        match content {
            Content::Used(thing) => Some(thing),
            Content::Free { .. } => None,
        }
    }

    /// All things, in no order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut T)> {
        self.entries.iter_mut().enumerate().filter_map(|(at, entry)| match &mut entry.content {
            // Places are counted in 32 bits: see `insert`.
            Content::Used(thing) => Some((Id::new(at as u32, entry.generation), thing)),
            Content::Free { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_but_ids_are_not() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        let c = slab.insert('c');
        assert_eq!(c.at(), a.at());
        assert_eq!(slab.get_mut(a), None);
        assert_eq!(slab.get_mut(c), Some(&mut 'c'));
        assert_eq!(slab.get_mut(b), Some(&mut 'b'));
        assert_eq!(slab.get_mut(Id(77)), None);
        assert_eq!(slab.iter_mut().map(|(id, thing)| (id, *thing)).collect::<Vec<_>>(), [(c, 'c'), (b, 'b')]);
        assert_eq!(slab.len(), 2);
        assert_eq!((slab.remove(b), slab.remove(c)), (Some('b'), Some('c')));
        assert_eq!((slab.insert('d').at(), slab.insert('e').at()), (c.at(), b.at()));
        assert_eq!((slab.len(), slab.entries.len()), (2, 2));
    }
}
