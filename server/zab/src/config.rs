//! `Config`: what does not change while a server runs.

use quorate_types::ServerId;

use crate::members::Members;

/// What does not change while a server runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// This server.
    pub server: ServerId,
    /// The servers that the ensemble began with: its configuration as long as the log says nothing newer. For a server
    /// with nothing in its log that is amnesiac, or that is no voter here, they are only whom it asks for a leader. A
    /// server that joins an existing ensemble must not be started as a voter of it.
    pub founding: Members,
    /// Breaks ties between equally long logs in an election: the greater leads.
    pub priority: u8,
    /// A leader whose counter has come so far begins a new epoch in place. Far below `u32::MAX`, so that what is
    /// under way still fits; small in the simulator, so that it happens there.
    pub counter_soft_max: u32,
    /// How long things may take.
    pub timing: Timing,
    /// How much may be under way.
    pub limits: Limits,
}

impl Config {
    /// The soft limit of counters in production: 65,535 below the hard one.
    pub const COUNTER_SOFT_MAX: u32 = 0xffff_0000;

    /// The configuration of `server` in an ensemble that begins, or began, with `founding`.
    #[must_use]
    pub fn new(server: ServerId, founding: Members) -> Config {
        Config {
            server,
            founding,
            priority: 0,
            counter_soft_max: Config::COUNTER_SOFT_MAX,
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }
}

/// How long things may take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two pings of a leader.
    pub ping_ms: u64,
    /// ZooKeeper's `syncLimit`: leader and learner give each other up after so long a silence, and a leader gives up a
    /// learner that owes it an acknowledgement so long.
    pub sync_limit_ms: u64,
    /// ZooKeeper's `initLimit`: between a learner's coming and its being synchronized no longer time may pass without
    /// any progress.
    pub init_limit_ms: u64,
    /// How long an election waits for a better vote once a quorum agrees, unless all who can be reached agree.
    pub finalize_ms: u64,
    /// A vote is said again after so long, then after twice as long, and so on.
    pub resend_ms: u64,
    /// Up to this: a longer pause would be an outage.
    pub resend_ms_max: u64,
    /// Between two attempts to reach a leader.
    pub redial_ms: u64,
    /// How long a server that does not lead lets a learner wait: it may be about to lead.
    pub park_ms: u64,
    /// Between two epochs that a leader begins in place because a learner needs it.
    pub epoch_interval_ms: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            ping_ms: 100,
            sync_limit_ms: 1_500,
            init_limit_ms: 10_000,
            finalize_ms: 30,
            resend_ms: 100,
            resend_ms_max: 1_000,
            redial_ms: 50,
            park_ms: 200,
            epoch_interval_ms: 10_000,
        }
    }
}

/// How much may be under way, for each learner if not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of records in one append, unless a single record is larger.
    pub append_bytes_max: usize,
    /// Records in one append.
    pub append_records_max: usize,
    /// Bytes of records that were sent and are not acknowledged: at least bandwidth times round trip time.
    pub window_bytes: usize,
    /// Records that were sent and are not acknowledged.
    pub window_records: usize,
    /// Bytes of delivered records that are kept in memory, once for all learners; older ones are read from the log.
    pub cache_bytes: usize,
    /// A server may become a voter if it lags behind by no more records than this.
    pub joiner_lag_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            append_bytes_max: 1024 * 1024,
            append_records_max: 1_024,
            window_bytes: 4 * 1024 * 1024,
            window_records: 8_192,
            cache_bytes: 8 * 1024 * 1024,
            joiner_lag_max: 4_096,
        }
    }
}
