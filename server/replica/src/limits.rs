//! The named maxima and intervals of a replica, each with its reason.

/// The shell steps a tick at least this often, in milliseconds: the resolution of every timeout here.
pub const TICK_MS: u64 = 50;

/// Bytes of records that may be on their way to the disk. Beyond it clients are no longer listened to; a log segment
/// holds several times as much, so a full disk is noticed before it hurts what is under way.
pub const UNDER_WAY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Records that may be on their way to the disk: bounds the overlay that validation looks through.
pub const UNDER_WAY_RECORDS_MAX: usize = 20_000;

/// Bytes of requests and answers that may wait within a replica: for the answers before them, for the disk, for a leader.
/// Beyond it clients are no longer listened to, or are told to come back.
pub const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What leaders have stated of the state and this server has not come to yet: more than a window of appends holds.
pub const EXPECTED_DIGESTS_MAX: usize = 1_024;

/// Bytes that the watch history holds, unless configured.
pub const HISTORY_BYTES: usize = 16 * 1024 * 1024;

/// Watches of one outbox.
pub const WATCHES_PER_OUTBOX_MAX: usize = 10_000;

/// Requests of one outbox that wait for their turn.
pub const WAITING_PER_OUTBOX_MAX: usize = 10_000;

/// How long a request waits for `min_zxid`, in milliseconds, if its deadline leaves so much.
pub const MIN_ZXID_WAIT_MS: u64 = 5_000;

/// How old the state may be, in milliseconds, that is shown to whoever does not ask for whatever there is: longer than an
/// election takes, so that reads go on meanwhile; less than anybody notices who is not told.
pub const STALENESS_MS: u64 = 5_000;

/// How long a server that was asked for the members waits for its leader's word, in milliseconds, before it tells what it
/// knows itself: somebody wants to see what is wrong.
pub const MEMBERS_WAIT_MS: u64 = 300;

/// How long whoever asked for a transfer of leadership waits for somebody to lead, in milliseconds: the leader gives up
/// much sooner, and an election in between is over by then.
pub const TRANSFER_WAIT_MS: u64 = 5_000;

/// How long a request waits for a leader, in milliseconds: several times an election. Then whoever asks is told that there is
/// none, and may ask elsewhere.
pub const LEADER_WAIT_MS: u64 = 2_000;

/// Requests that wait for a `min_zxid` at the same time.
pub const MIN_ZXID_WAITERS_MAX: usize = 10_000;

/// Requests that wait for the leader's word at the same time: more than a round trip's worth.
pub const INDEXING_MAX: usize = 20_000;

/// Trees and initial states that are streamed at the same time: each pins what changes under it.
pub const STREAMED_TREES_MAX: usize = 64;

/// Bytes of superseded znodes that one streamed tree may pin before it is given up.
pub const PINNED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that one slice of a streamed tree or a catching-up watch produces: some milliseconds of work.
pub const SLICE_BYTES: usize = 256 * 1024;

/// Bytes that one slice of a snapshot produces. Nobody waits for a snapshot, and every write waits for its slices: half a
/// millisecond of work.
pub const SNAPSHOT_SLICE_BYTES: usize = 64 * 1024;

/// Old versions of znodes that each tick frees, besides what every txn does: some hundred microseconds of work.
pub const SWEEP_PER_TICK: usize = 1_024;

/// How long nothing may come of a restore, in milliseconds, before the leader gives it up: whoever sent it is gone.
pub const RESTORE_SILENCE_MS: u64 = 30_000;

/// Clients that may wait for a snapshot: they share the one that is written, so nobody needs more.
pub const SNAPSHOT_WAITERS_MAX: usize = 64;

/// Znodes or changes that one such slice looks at.
pub const SLICE_ITEMS: usize = 4_096;

/// Records between two snapshots, unless configured.
pub const SNAPSHOT_RECORDS: u64 = 500_000;

/// Bytes of log between two snapshots, unless configured.
pub const SNAPSHOT_BYTES: u64 = 256 * 1024 * 1024;

/// How long the disk of a leader stays full, in milliseconds, before it leaves it to another server to lead. Room is looked
/// for five times a second.
pub const FULL_LEADER_MS: u64 = 1_000;

/// How often the leader looks for containers and TTL znodes whose time is up, in milliseconds.
pub const REAP_INTERVAL_MS: u64 = 1_000;

/// Znodes that one look removes at most: expiry on a large scale must not crowd clients out.
pub const REAP_MAX: usize = 1_000;

/// A jump of the wall clock by more than this, in milliseconds, suspends reaping ...
pub const WALL_JUMP_MS: i64 = 60_000;

/// ... for so long, in milliseconds: an operator may set the clock right again.
pub const REAP_SUSPENSION_MS: u64 = 60_000;

/// The interval of progress markers that a watch gets unless it asks, in milliseconds.
pub const PROGRESS_MS: u32 = 10_000;

/// What the answers of one turn may take before others have their turn: bytes of replies, or work that takes as long.
/// Some milliseconds, and the memory that a turn can fill before it sees who reads.
pub const EFFORT_BYTES: usize = 4 * 1024 * 1024;

/// Counts of large subtrees that may wait for one another.
pub const COUNTS_WAITING_MAX: usize = 1_000;
