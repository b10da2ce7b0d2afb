//! `Segment`: the changes of consecutive txns, packed together.
//!
//! ```text
//! txns     zxid, end of its changes                  which txn lies at a position
//! changes  kind, end of its path, end of its body    what a watch matches is at hand without unpacking anything
//! paths    text
//! bodies   flags | ACLs | stat | previous data | data
//! ```
//! A change of an ordinary znode takes some 45 bytes besides its path and data, in a share of four allocations.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem::size_of;

use bytes::Bytes;
use quorate_types::{Acl, AclEntry, Change, ChangeKind, Event, Stat, Zxid};

use super::packing::{self, Near, Unpacker};

/// What an allocation costs besides the bytes that are asked for.
const ALLOCATION_BYTES: usize = 16;

/// Data from this size on is kept as it came: copying it would cost more than an allocation.
const BLOB_BYTES_MIN: usize = 4096;

/// What a blob costs besides its bytes, its place in the list and an allocation: the head by which it is shared.
const SHARED_BYTES: usize = 32;

/// How many of a segment's ACLs are looked at for one that is to be entered. Most znodes have one of few.
const ACLS_COMPARED: usize = 8;

/// What the body of a change holds, and in which form.
mod flags {
    pub(super) const DATA: u8 = 1;
    pub(super) const DATA_IS_BLOB: u8 = 2;
    pub(super) const PREVIOUS: u8 = 4;
    pub(super) const PREVIOUS_IS_BLOB: u8 = 8;
    pub(super) const ACL: u8 = 16;
    pub(super) const PARENT_ACL: u8 = 32;
}

/// Txns with their changes; complete, but for the last segment of a history.
#[derive(Debug)]
pub(super) struct Segment {
    /// The sequence number of the first txn.
    first: u64,
    txns: Vec<Txn>,
    changes: Vec<Head>,
    paths: String,
    bodies: Vec<u8>,
    /// Restricted ACLs; a body says which is meant by its place.
    acls: Vec<Acl>,
    /// Large data, likewise.
    blobs: Vec<Bytes>,
    /// What the content of `acls` and `blobs` takes.
    outside_bytes: usize,
    /// What the times of changes are near to.
    time_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Txn {
    zxid: Zxid,
    changes_end: u32,
}

#[derive(Debug)]
struct Head {
    path_end: u32,
    body_end: u32,
    kind: ChangeKind,
}

impl Segment {
    /// An empty one, whose first txn will have this sequence number, with room for a little more than `like` holds.
    pub(super) fn new(first: u64, like: Option<&Segment>) -> Segment {
        let room = |len: fn(&Segment) -> usize| like.map_or(0, |like| len(like) + len(like) / 8);
        Segment {
            first,
            txns: Vec::with_capacity(room(|like| like.txns.len())),
            changes: Vec::with_capacity(room(|like| like.changes.len())),
            paths: String::with_capacity(room(|like| like.paths.len())),
            bodies: Vec::with_capacity(room(|like| like.bodies.len())),
            acls: Vec::new(),
            blobs: Vec::new(),
            outside_bytes: 0,
            time_ms: 0,
        }
    }

    /// Appends the changes of a txn.
    pub(super) fn push(&mut self, zxid: Zxid, mut changes: Vec<Change>) {
        if let (true, Some(change)) = (self.changes.is_empty(), changes.first()) {
            self.time_ms = change.stat.mtime_ms;
        }
        let is_only = changes.len() == 1;
        for (index, change) in changes.iter_mut().enumerate() {
            let is_next = change.zxid == zxid && change.index as usize == index;
            assert!(is_next, "change {index} of {zxid:?} calls itself {} of {:?}", change.index, change.zxid);
            self.push_change(change, is_only);
        }
        self.txns.push(Txn { zxid, changes_end: self.changes.len() as u32 });
    }

    /// Takes what is large out of the change, and copies the rest.
    fn push_change(&mut self, change: &mut Change, is_only: bool) {
        let Change { kind, zxid, index: _, path, stat, data, previous_data, acl, parent_acl } = change;
        let is_blob = |data: &Option<Bytes>| data.as_ref().is_some_and(|data| data.len() >= BLOB_BYTES_MIN);
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        self.bodies.push(
            flag(data.is_some(), flags::DATA)
                | flag(is_blob(data), flags::DATA_IS_BLOB)
                | flag(previous_data.is_some(), flags::PREVIOUS)
                | flag(is_blob(previous_data), flags::PREVIOUS_IS_BLOB)
                | flag(!acl.is_open(), flags::ACL)
                | flag(!parent_acl.is_open(), flags::PARENT_ACL),
        );
        self.put_acl(acl);
        self.put_acl(parent_acl);
        // The length of the data is known from the data: nothing is left of it in the stat.
        let known_len = data.as_ref().or(previous_data.as_ref()).map_or(0, |data| data.len() as u32);
        let stat = Stat { data_length: stat.data_length.wrapping_sub(known_len), ..*stat };
        packing::put_stat(&mut self.bodies, &stat, Near { zxid: *zxid, time_ms: self.time_ms });
        if is_blob(previous_data) {
            self.put_blob(previous_data.take());
        } else if let Some(data) = previous_data {
            packing::put_number(&mut self.bodies, data.len() as u64);
            self.bodies.extend_from_slice(data);
        }
        if is_blob(data) {
            // It may share the memory of its whole txn, which is not all to be kept for a small part of it.
            let own = data.take().map(|data| if is_only { data } else { Bytes::copy_from_slice(&data) });
            self.put_blob(own);
        } else if let Some(data) = data {
            self.bodies.extend_from_slice(data);
        }
        self.paths.push_str(path);
        let (path_end, body_end) = (self.paths.len() as u32, self.bodies.len() as u32);
        self.changes.push(Head { path_end, body_end, kind: *kind });
    }

    fn put_acl(&mut self, acl: &Acl) {
        let Some(entries) = acl.restricted() else { return };
        let compared = self.acls.len().saturating_sub(ACLS_COMPARED);
        let known = self.acls[compared..].iter().position(|known| known == acl).map(|at| compared + at);
        let at = known.unwrap_or_else(|| {
            self.outside_bytes += acl_bytes(entries);
            self.acls.push(acl.clone());
            self.acls.len() - 1
        });
        packing::put_number(&mut self.bodies, at as u64);
    }

    fn put_blob(&mut self, data: Option<Bytes>) {
        packing::put_number(&mut self.bodies, self.blobs.len() as u64);
        self.outside_bytes += data.as_ref().map_or(0, Bytes::len) + ALLOCATION_BYTES + SHARED_BYTES;
        self.blobs.extend(data);
    }

    /// Nothing more will be appended.
    pub(super) fn complete(&mut self) {
        self.txns.shrink_to_fit();
        self.changes.shrink_to_fit();
        self.paths.shrink_to_fit();
        self.bodies.shrink_to_fit();
        self.acls.shrink_to_fit();
        self.blobs.shrink_to_fit();
    }

    /// Bytes in memory, what the allocations cost included. ACLs and blobs that are shared count in full.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Segment>()
            + 6 * ALLOCATION_BYTES
            + self.txns.capacity() * size_of::<Txn>()
            + self.changes.capacity() * size_of::<Head>()
            + self.paths.capacity()
            + self.bodies.capacity()
            + self.acls.capacity() * size_of::<Acl>()
            + self.blobs.capacity() * size_of::<Bytes>()
            + self.outside_bytes
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The last txn.
    pub(super) fn last_zxid(&self) -> Zxid {
        self.txns.last().expect("a segment is begun for a txn").zxid
    }

    /// The first txn that is not before `zxid`: its sequence number, its zxid, and how many changes it made.
    pub(super) fn find(&self, zxid: Zxid) -> Option<(u64, Zxid, u32)> {
        let at = self.txns.partition_point(|txn| txn.zxid < zxid);
        let txn = self.txns.get(at)?;
        Some((self.first + at as u64, txn.zxid, txn.changes_end - self.changes_before(at)))
    }

    /// The txn with this sequence number, and its changes but for the first `from` of them; `None` if it lies behind.
    #[inline]
    pub(super) fn changes(&self, sequence: u64, from: u32) -> Option<(Zxid, Packed<'_>)> {
        let at = (sequence - self.first) as usize;
        let Txn { zxid, changes_end: end } = *self.txns.get(at)?;
        let begin = self.changes_before(at);
        Some((zxid, Packed { segment: self, zxid, begin, start: begin.saturating_add(from).min(end), end }))
    }

    fn changes_before(&self, txn: usize) -> u32 {
        if txn == 0 { 0 } else { self.txns[txn - 1].changes_end }
    }
}

fn acl_bytes(entries: &[AclEntry]) -> usize {
    let texts = |entry: &AclEntry| entry.scheme.capacity() + entry.id.capacity() + 2 * ALLOCATION_BYTES;
    ALLOCATION_BYTES + entries.iter().map(|entry| size_of::<AclEntry>() + texts(entry)).sum::<usize>()
}

/// The changes of one txn, or the later ones of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'a> {
    segment: &'a Segment,
    zxid: Zxid,
    /// Where the txn's changes begin in the segment, and which of them these are.
    begin: u32,
    start: u32,
    end: u32,
}

impl<'a> Packed<'a> {
    #[inline]
    pub(super) fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// The txn, if this is its only change.
    pub(super) fn alone(self) -> Option<Zxid> {
        (self.begin + 1 == self.end && self.start == self.begin).then_some(self.zxid)
    }

    /// # Panics
    /// If there are not so many.
    #[inline]
    pub(super) fn get(self, at: usize) -> PackedChange<'a> {
        let place = self.start as usize + at;
        assert!(at < self.len(), "change {at} of {}", self.len());
        let segment = self.segment;
        let head = &segment.changes[place];
        let (path, body) = match place.checked_sub(1).map(|before| &segment.changes[before]) {
            Some(before) => (before.path_end, before.body_end),
            None => (0, 0),
        };
        PackedChange {
            segment,
            zxid: self.zxid,
            index: place as u32 - self.begin,
            kind: head.kind,
            path: &segment.paths[path as usize..head.path_end as usize],
            body: &segment.bodies[body as usize..head.body_end as usize],
        }
    }
}

/// One change. What does not stand here is unpacked when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedChange<'a> {
    segment: &'a Segment,
    zxid: Zxid,
    index: u32,
    pub(super) kind: ChangeKind,
    pub(super) path: &'a str,
    body: &'a [u8],
}

impl<'a> PackedChange<'a> {
    pub(super) fn acl(self) -> &'a Acl {
        let mut body = Unpacker(self.body);
        let flags = body.byte();
        self.acl_at(flags & flags::ACL != 0, &mut body)
    }

    pub(super) fn parent_acl(self) -> &'a Acl {
        let mut body = Unpacker(self.body);
        let flags = body.byte();
        self.acl_at(flags & flags::ACL != 0, &mut body);
        self.acl_at(flags & flags::PARENT_ACL != 0, &mut body)
    }

    fn acl_at(self, is_restricted: bool, body: &mut Unpacker<'a>) -> &'a Acl {
        if is_restricted { &self.segment.acls[body.number() as usize] } else { &Acl::OPEN }
    }

    /// What a watch is told of it.
    #[inline]
    pub(super) fn event(self, with_data: bool, with_previous_data: bool) -> Event {
        let PackedChange { segment, zxid, index, kind, path, body } = self;
        let mut body = Unpacker(body);
        let flags = body.byte();
        let has = |flag: u8| flags & flag != 0;
        self.acl_at(has(flags::ACL), &mut body);
        self.acl_at(has(flags::PARENT_ACL), &mut body);
        let mut stat = body.stat(Near { zxid, time_ms: segment.time_ms });
        let previous = has(flags::PREVIOUS).then(|| match has(flags::PREVIOUS_IS_BLOB) {
            true => Kept::Blob(&segment.blobs[body.number() as usize]),
            false => {
                let len = body.number() as usize;
                Kept::Inline(body.take(len))
            }
        });
        let data = has(flags::DATA).then(|| match has(flags::DATA_IS_BLOB) {
            true => Kept::Blob(&segment.blobs[body.number() as usize]),
            false => Kept::Inline(body.rest()),
        });
        stat.data_length = stat.data_length.wrapping_add(data.or(previous).map_or(0, Kept::len));
        let data = data.filter(|_| with_data).map(Kept::share);
        let previous_data = previous.filter(|_| with_previous_data).map(Kept::share);
        Event { kind, zxid, index, path: String::from(path), stat, data, previous_data }
    }
}

/// Data as it is kept.
#[derive(Clone, Copy)]
enum Kept<'a> {
    Inline(&'a [u8]),
    Blob(&'a Bytes),
}

impl Kept<'_> {
    fn len(self) -> u32 {
        match self {
            Kept::Inline(data) => data.len() as u32,
            Kept::Blob(data) => data.len() as u32,
        }
    }

    /// For an event, which must not keep a whole segment alive.
    fn share(self) -> Bytes {
        match self {
            Kept::Inline(data) => Bytes::copy_from_slice(data),
            Kept::Blob(data) => data.clone(),
        }
    }
}
