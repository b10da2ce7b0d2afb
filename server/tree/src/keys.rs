//! `Keys`: four bytes of each of some sorted names, so that a search among them rarely has to look at a name.
//!
//! Names live all over memory, and a binary search that follows each of them misses the cache at every step. Siblings
//! mostly share a prefix; the four bytes after it tell nearly all of them apart and lie side by side here.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

/// The keys of a sorted list of names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// A prefix of every name.
    common: Box<[u8]>,
    /// Of each name the four bytes after `common`, padded with zeros, which no name contains.
    keys: Vec<u32>,
}

impl Keys {
    /// Keys of names in ascending order; `common` is as long as it can be.
    pub(crate) fn of<'a>(names: impl DoubleEndedIterator<Item = &'a [u8]> + Clone) -> Keys {
        let (Some(first), Some(last)) = (names.clone().next(), names.clone().next_back()) else {
            return Keys::default();
        };
        let shared = shared_len(first, last);
        Keys { common: first[..shared].into(), keys: names.map(|name| key(&name[shared..])).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn common_len(&self) -> usize {
        self.common.len()
    }

    /// Names before this range are less than `name`, names after it are greater; those within have to be asked.
    pub(crate) fn narrow(&self, name: &[u8]) -> Range<usize> {
        let shared = name.len().min(self.common.len());
        match name[..shared].cmp(&self.common[..shared]) {
            Ordering::Less => 0..0,
            Ordering::Equal if shared < self.common.len() => 0..0,
            Ordering::Greater => self.keys.len()..self.keys.len(),
            Ordering::Equal => {
                let wanted = key(&name[shared..]);
                let start = self.keys.partition_point(|key| *key < wanted);
                let equal = self.keys[start..].iter().take_while(|key| **key == wanted).count();
                start..start + equal
            }
        }
    }

    pub(crate) fn insert(&mut self, at: usize, name: &[u8]) {
        if self.keys.is_empty() {
            self.common = name.into();
        }
        let shared = shared_len(&self.common, name);
        if shared < self.common.len() {
            self.shorten(shared);
        }
        self.keys.insert(at, key(&name[shared..]));
    }

    pub(crate) fn remove(&mut self, at: usize) {
        self.keys.remove(at);
    }

    pub(crate) fn split_off(&mut self, at: usize) -> Keys {
        Keys { common: self.common.clone(), keys: self.keys.split_off(at) }
    }

    /// Bytes allocated here, about.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.common.len() + self.keys.capacity() * size_of::<u32>()
    }

    /// Gives up a part of the common prefix: it goes to the front of every key, without a look at the names.
    fn shorten(&mut self, len: usize) {
        let mut window = [0; 4 + 4];
        let moved = (self.common.len() - len).min(4);
        window[..moved].copy_from_slice(&self.common[len..len + moved]);
        for slot in &mut self.keys {
            window[moved..moved + 4].copy_from_slice(&slot.to_be_bytes());
            *slot = key(&window[..4]);
        }
        self.common = self.common[..len].into();
    }
}

fn key(rest: &[u8]) -> u32 {
    let mut bytes = [0; 4];
    let len = rest.len().min(4);
    bytes[..len].copy_from_slice(&rest[..len]);
    u32::from_be_bytes(bytes)
}

/// Bytes that two names have in common at their beginning.
pub(crate) fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_narrowed_range_is_right_about_what_lies_outside_of_it(
            names in prop::collection::btree_set("(long-common-)?[ab]{0,7}", 1..40),
            inserted in prop::collection::btree_set("(long-com|l)?[abc]{1,7}", 0..10),
            probe in "(long-common-|long)?[abc]{0,7}",
            removed in any::<prop::sample::Index>(),
        ) {
            let built: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
            let mut keys = Keys::of(built.iter().copied());
            let mut all: BTreeSet<&[u8]> = built.into_iter().collect();
            for name in &inserted {
                if all.insert(name.as_bytes()) {
                    let at = all.iter().position(|other| *other == name.as_bytes()).unwrap();
                    keys.insert(at, name.as_bytes());
                }
            }
            let mut all: Vec<&[u8]> = all.into_iter().collect();
            let removed = removed.index(all.len());
            all.remove(removed);
            keys.remove(removed);
            let upper = keys.split_off(all.len() / 2);
            let (low, high) = all.split_at(all.len() / 2);
            for (keys, names) in [(&keys, low), (&upper, high)] {
                let range = keys.narrow(probe.as_bytes());
                prop_assert_eq!(keys.len(), names.len());
                prop_assert!(names[..range.start].iter().all(|name| *name < probe.as_bytes()));
                prop_assert!(names[range.end..].iter().all(|name| *name > probe.as_bytes()));
            }
        }
    }

    #[test]
    fn keys_tell_ordinary_siblings_apart() {
        let names: Vec<_> = (0..512).map(|i| alloc::format!("lock-{i:010}")).collect();
        let keys = Keys::of(names.iter().map(|name| name.as_bytes()));
        assert!(names.iter().enumerate().all(|(at, name)| keys.narrow(name.as_bytes()) == (at..at + 1)));
    }
}
