//! The named maxima of everything that a client sends, each with its reason.

/// Bytes of data in one znode. A znode written at any door has to be readable at every other, and ZooKeeper's
/// clients refuse packets over `jute.maxbuffer` = 1,048,575; the rest of that is room for the path and the stat.
pub const DATA_BYTES_MAX: usize = 1_000_000;

/// Bytes of one path. ZooKeeper has no limit but its packet size; a path this long is a mistake, and a bound lets
/// every buffer that holds one be bounded.
pub const PATH_BYTES_MAX: usize = 4_096;

/// Entries of one ACL.
pub const ACL_ENTRIES_MAX: usize = 128;

/// Bytes of one ACL entry's scheme and id together.
pub const ACL_ID_BYTES_MAX: usize = 512;

/// Operations in one multi.
pub const MULTI_OPS_MAX: usize = 4_096;

/// Znodes that one recursive delete removes, all in one txn.
pub const DELETE_TREE_MAX: u32 = 10_000;

/// Bytes of one encoded txn: a log batch, a follower's frame and a peer message have to hold it.
pub const TXN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a backup in one txn of a restore: some milliseconds of every server's time.
pub const RESTORE_CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Children in one page of a listing.
pub const CHILDREN_PAGE_MAX: u32 = 10_000;

/// Bytes of data and names in one page of a listing, or in one multi-read.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Ephemerals that one session may own: closing it removes them all in one step.
pub const EPHEMERALS_PER_SESSION_MAX: u32 = 100_000;

/// The shortest session timeout granted, in milliseconds.
pub const SESSION_TIMEOUT_MS_MIN: u32 = 1_000;

/// The longest session timeout granted, in milliseconds.
pub const SESSION_TIMEOUT_MS_MAX: u32 = 300_000;

/// The longest time to live of a znode: 2^40 - 1 ms, about 34 years (ZooKeeper's `EphemeralType.TTL`).
pub const TTL_MS_MAX: u64 = (1 << 40) - 1;

/// Results of requests with an id that are remembered for one session or one sessionless caller.
pub const REMEMBERED_REQUESTS_MAX: usize = 256;

/// Bytes of the addresses of one server: a few names with ports, and a bound for every record that lists all servers.
pub const ADDRESS_BYTES_MAX: usize = 4_096;
