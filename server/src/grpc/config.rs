//! `Config`: the named limits of the gRPC front door, each with its reason.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_proto::v1::MemberAddress;
use quorate_types::ServerId;

/// Limits and intervals. Every one exists from the start, because a limit that is added later breaks somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Origins, `https://host` or `https://host:port`, whose pages may call by gRPC-Web.
    pub web_origins: Vec<String>,
    /// Where servers are of which the ensemble's own configuration does not say it.
    pub places: BTreeMap<ServerId, MemberAddress>,
    /// Bytes of one message from a client; beyond it the call fails with TOO_LARGE and the connection goes on. Must
    /// hold the largest multi: more than [`quorate_types::limits::TXN_BYTES_MAX`].
    pub message_bytes_max: usize,
    /// How long a message may take to arrive, from its beginning to its end.
    pub receive_timeout: Duration,
    /// Bytes of incomplete messages that the whole server keeps, besides 64 KiB for each call: some of the largest.
    pub receive_bytes_max: usize,
    /// Calls under way on one connection; further ones wait at the client (`SETTINGS_MAX_CONCURRENT_STREAMS`).
    pub concurrent_streams_max: u32,
    /// Bytes of the headers of one call; beyond it the call is refused.
    pub header_list_bytes_max: u32,
    /// How long a client that has connected may take to say its first words.
    pub handshake_timeout: Duration,
    /// How long a connection may be silent before it is pinged ...
    pub keepalive_interval: Duration,
    /// ... and how long it may leave a ping unanswered before it is closed.
    pub keepalive_timeout: Duration,
    /// How old a connection may become before its client is asked to open another; `None` for any age, since
    /// streams and sessions live on their connections.
    pub connection_age_max: Option<Duration>,
    /// How long the calls of a connection that has to end may still take.
    pub connection_age_grace: Duration,
    /// Bytes that a client may send on one stream ahead of what was read.
    pub stream_window_bytes: u32,
    /// Bytes that a client may send on one connection ahead of what was read.
    pub connection_window_bytes: u32,
    /// Bytes of one stream's responses that wait to be written to the connection.
    pub send_buffer_bytes: usize,
    /// How often a health watch looks at the server.
    pub health_interval: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            web_origins: Vec::new(),
            places: BTreeMap::new(),
            message_bytes_max: 8 * 1024 * 1024,
            receive_timeout: Duration::from_secs(20),
            receive_bytes_max: 128 * 1024 * 1024,
            concurrent_streams_max: 1_000,
            header_list_bytes_max: 16 * 1024,
            handshake_timeout: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            connection_age_max: None,
            connection_age_grace: Duration::from_secs(10),
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 1024 * 1024,
            send_buffer_bytes: 128 * 1024,
            health_interval: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_types::limits::TXN_BYTES_MAX;

    use super::*;

    #[test]
    fn a_message_holds_the_largest_multi_and_leaves_room_for_its_envelope() {
        assert!(Config::default().message_bytes_max >= TXN_BYTES_MAX + TXN_BYTES_MAX / 4);
    }
}
