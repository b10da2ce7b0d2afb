//! The digest: a wrapping sum of 128-bit hashes, one or two for each thing in the replicated state.
//!
//! A sum can be updated by what changed alone, and does not depend on an order. Each term is bound to its key (the
//! path, the session), so that equal sums mean equal states up to the collision of a 128-bit hash. A znode has two
//! terms, because creating and deleting children changes its stat and should not cost a hash of its data.

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::znode::Znode;

/// The running sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) u128);

impl Digest {
    pub(crate) fn add(&mut self, term: u128) {
        self.0 = self.0.wrapping_add(term);
    }

    pub(crate) fn subtract(&mut self, term: u128) {
        self.0 = self.0.wrapping_sub(term);
    }
}

/// What stands for a path in the terms of its znode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathHash(u128);

impl PathHash {
    pub(crate) fn of(path: &str) -> PathHash {
        PathHash(xxh3_128(path.as_bytes()))
    }
}

const STAT_TERM_BYTES: usize = 2 * 16 + 7 * 8 + 3 * 4 + 1;

/// The term for everything about a znode but its data.
pub(crate) fn stat_term(path: PathHash, znode: &Znode, acl_hash: u128) -> u128 {
    let (kind_tag, kind_value) = znode.kind_parts();
    let mut bytes = [0; STAT_TERM_BYTES];
    let mut rest = &mut bytes[..];
    let mut put = |value: &[u8]| {
        let (head, tail) = core::mem::take(&mut rest).split_at_mut(value.len());
        head.copy_from_slice(value);
        rest = tail;
    };
    put(&path.0.to_le_bytes());
    put(&acl_hash.to_le_bytes());
    put(&znode.czxid.0.to_le_bytes());
    put(&znode.mzxid.0.to_le_bytes());
    put(&znode.pzxid().0.to_le_bytes());
    put(&znode.ctime_ms.to_le_bytes());
    put(&znode.mtime_ms.to_le_bytes());
    put(&znode.creations().to_le_bytes());
    put(&kind_value.to_le_bytes());
    put(&znode.version.to_le_bytes());
    put(&znode.aversion.to_le_bytes());
    put(&znode.num_children().to_le_bytes());
    put(&[kind_tag]);
    assert!(rest.is_empty(), "{} bytes of a stat's term are left unset", rest.len());
    xxh3_128(&bytes)
}

/// The term for a znode's data.
pub(crate) fn data_term(path: PathHash, znode: &Znode) -> u128 {
    const NULL: u64 = 0x6e75_6c6c_6e75_6c6c;
    let path_seed = path.0 as u64 ^ (path.0 >> 64) as u64;
    let seed = if znode.data_is_null() { path_seed ^ NULL } else { path_seed };
    xxh3_128_with_seed(znode.bytes(), seed)
}
