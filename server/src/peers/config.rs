//! `Config`: what may be chosen about the transport.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_types::ServerId;

use super::tls::TlsFiles;

/// The choices of whoever runs the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the other servers are for their peers, `host:port`; for members whose address is not part of the ensemble's
    /// configuration.
    pub addresses: BTreeMap<ServerId, String>,
    /// Without, everybody on the network can call themselves a server.
    pub tls: Option<TlsFiles>,
    /// How fast a snapshot is sent at most, so that it leaves the disk and the network to the log.
    pub snapshot_bytes_per_second: u64,
    /// Of the trees that are decoded from snapshots.
    pub hash_seed: u64,
    /// How long others may take.
    pub timing: Timing,
}

/// How long others may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the decision to dial until it has failed. Elections wait for it.
    pub dial: Duration,
    /// Until a connection that was accepted says who calls.
    pub hello: Duration,
    /// What was said before an end may take so long to get out.
    pub close: Duration,
    /// On links: how often the connection is asked whether it lives; one that has not answered by the next time does not.
    /// Sessions have pings of their own, which agreement judges.
    pub keepalive: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            dial: Duration::from_millis(500),
            hello: Duration::from_secs(1),
            close: Duration::from_secs(1),
            keepalive: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// Without TLS, with snapshots of 100 MiB a second.
    #[must_use]
    pub fn new(addresses: BTreeMap<ServerId, String>, hash_seed: u64) -> Config {
        Config {
            addresses,
            tls: None,
            snapshot_bytes_per_second: 100 * 1024 * 1024,
            hash_seed,
            timing: Timing::default(),
        }
    }
}
