//! `Views`: the exact state at earlier zxids, while writes go on.
//!
//! Opening a view copies nothing. From then on the first change of each znode saves its old version (a znode is small,
//! its children are in shared chunks) in the layer of the newest open view; `Znode::stamp` says whether that is done.
//! A view sees of a znode the version in the first layer, from its own upwards, that has one, or else the living one.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use quorate_types::{Acl, Zxid};

use crate::znode::{Znode, ZnodeId};

/// The name of an open view. Later views have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewId(u32);

/// The version of a znode that some view still sees.
#[derive(Debug)]
struct Saved {
    id: ZnodeId,
    /// The znode's stamp: views up to this one have an older version or none.
    since: u32,
    znode: Znode,
    acl: Acl,
}

impl Saved {
    fn bytes(&self) -> usize {
        let children = self.znode.children().map_or(0, |children| children.allocated_bytes());
        size_of::<Saved>() + self.znode.body_len() + children
    }
}

/// Versions that were replaced while this view was the newest one.
#[derive(Debug)]
struct Layer {
    serial: u32,
    zxid: Zxid,
    /// Positions in `saved`, by znode.
    index: HashTable<u32>,
    saved: Vec<Saved>,
    bytes: usize,
}

/// All open views, oldest first.
#[derive(Debug)]
pub(crate) struct Views {
    layers: Vec<Layer>,
    last_serial: u32,
    /// Versions that no view needs any more, freed a few at a time.
    garbage: Vec<Saved>,
    hasher: FixedState,
}

impl Views {
    pub(crate) fn new(hash_seed: u64) -> Views {
        let hasher = FixedState::with_seed(hash_seed);
        Views { layers: Vec::new(), last_serial: 0, garbage: Vec::new(), hasher }
    }

    pub(crate) fn open(&mut self, zxid: Zxid) -> ViewId {
        assert!(self.last_serial < u32::MAX, "no server opens 2^32 views in its life");
        self.last_serial += 1;
        let (serial, index) = (self.last_serial, HashTable::new());
        self.layers.push(Layer { serial, zxid, index, saved: Vec::new(), bytes: 0 });
        ViewId(serial)
    }

    /// Ends a view. What an older view still needs goes over to it, the rest is garbage.
    pub(crate) fn close(&mut self, view: ViewId) {
        let at = self.position(view);
        let closed = self.layers.remove(at);
        let Some(older) = at.checked_sub(1).map(|older| &mut self.layers[older]) else {
            if self.garbage.is_empty() {
                self.garbage = closed.saved;
            } else {
                self.garbage.extend(closed.saved);
            }
            return;
        };
        for saved in closed.saved {
            if saved.since < older.serial {
                older.insert(&self.hasher, saved);
            } else {
                self.garbage.push(saved);
            }
        }
    }

    /// The stamp of a znode that is created now.
    pub(crate) fn stamp(&self) -> u32 {
        self.last_serial
    }

    /// Keeps the version of a znode that is about to be changed or deleted, if a view needs it and has it not yet.
    pub(crate) fn preserve(&mut self, id: ZnodeId, znode: &mut Znode, acl: impl FnOnce() -> Acl) {
        let Some(newest) = self.layers.last_mut() else { return };
        if znode.stamp >= newest.serial {
            return;
        }
        newest.insert(&self.hasher, Saved { id, since: znode.stamp, znode: znode.clone(), acl: acl() });
        znode.stamp = self.last_serial;
    }

    /// The version of the znode that the view sees, unless it is the living one.
    pub(crate) fn find(&self, view: ViewId, id: ZnodeId) -> Option<(&Znode, &Acl)> {
        let from = self.position(view);
        self.layers[from..]
            .iter()
            .find_map(|layer| layer.find(&self.hasher, id))
            .map(|saved| (&saved.znode, &saved.acl))
    }

    pub(crate) fn zxid(&self, view: ViewId) -> Zxid {
        self.layers[self.position(view)].zxid
    }

    /// Bytes of all versions that this view may still have to see.
    pub(crate) fn bytes(&self, view: ViewId) -> usize {
        self.layers[self.position(view)..].iter().map(|layer| layer.bytes).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.layers.len()
    }

    pub(crate) fn total_bytes(&self) -> usize {
        let garbage = self.garbage.capacity() * size_of::<Saved>();
        garbage + self.layers.iter().map(|layer| layer.bytes).sum::<usize>()
    }

    /// Frees at most `max` versions that nobody needs; whether more are left.
    pub(crate) fn sweep(&mut self, max: usize) -> bool {
        self.garbage.truncate(self.garbage.len().saturating_sub(max));
        if self.garbage.is_empty() && self.garbage.capacity() > 0 {
            self.garbage = Vec::new();
        }
        !self.garbage.is_empty()
    }

    fn position(&self, view: ViewId) -> usize {
        let found = self.layers.binary_search_by_key(&view.0, |layer| layer.serial);
        found.unwrap_or_else(|_| panic!("{view:?} is not open"))
    }
}

impl Layer {
    fn insert(&mut self, hasher: &FixedState, saved: Saved) {
        let all = &mut self.saved;
        self.bytes += saved.bytes();
        let hash = hasher.hash_one(saved.id);
        let at = u32::try_from(all.len()).expect("a layer has at most one version of each of 2^32 znodes");
        all.push(saved);
        self.index.insert_unique(hash, at, |at| hasher.hash_one(all[*at as usize].id));
    }

    fn find(&self, hasher: &FixedState, id: ZnodeId) -> Option<&Saved> {
        if self.saved.is_empty() {
            return None;
        }
        let at = self.index.find(hasher.hash_one(id), |at| self.saved[*at as usize].id == id)?;
        Some(&self.saved[*at as usize])
    }
}
