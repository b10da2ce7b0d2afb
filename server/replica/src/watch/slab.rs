//! `Slab`: values by small numbers that are used again.

use alloc::vec::Vec;

/// A growing array with holes. The number of a new value depends only on what was inserted and removed before.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self.places[id as usize] = Some(value);
            return id;
        }
        self.places.push(Some(value));
        (self.places.len() - 1) as u32
    }

    /// # Panics
    /// If there is nothing by this number.
    pub(super) fn remove(&mut self, id: u32) -> T {
        self.free.push(id);
        self.places[id as usize].take().expect("only what was inserted is removed, and once")
    }

    /// The values, in the order of their numbers.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.places.into_iter().flatten()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

impl<T> core::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        self.places[id as usize].as_ref().expect("only what was inserted is asked for")
    }
}

impl<T> core::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        self.places[id as usize].as_mut().expect("only what was inserted is asked for")
    }
}
