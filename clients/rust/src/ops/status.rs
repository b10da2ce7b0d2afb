//! `Status`: what the server that is asked is, does and holds.

use std::time::Duration;

use bytes::Bytes;
use quorate_proto::v1;

use crate::{Header, Member};

/// What a server is, does and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The server itself, its role and its newest state.
    pub header: Header,
    /// The version of its program.
    pub version: String,
    /// Whether it can serve writes now, and knows that it has caught up with its ensemble.
    pub serving: bool,
    /// The leader that it knows; 0 if it knows none.
    pub leader_id: u32,
    /// Since its start.
    pub uptime: Duration,
    /// Znodes, those that are always there included.
    pub znodes: u64,
    /// Bytes of their data.
    pub data_bytes: u64,
    /// Ephemeral znodes among them.
    pub ephemerals: u64,
    /// A hash of the replicated state, equal on every server at the same zxid: 16 bytes.
    pub digest: Bytes,
    /// The last txn in its log.
    pub logged_zxid: u64,
    /// The last txn that is known to be durable there.
    pub durable_zxid: u64,
    /// Its newest snapshot; 0 if there is none.
    pub snapshot_zxid: u64,
    /// It refuses writes for lack of space.
    pub disk_full: bool,
    /// Sessions that live.
    pub sessions: u64,
    /// Watches of its clients.
    pub watches: u64,
    /// Client streams.
    pub streams: u64,
    /// The oldest zxid from which a watch can resume there.
    pub history_zxid: u64,
    /// The ensemble's servers.
    pub members: Vec<Member>,
    /// The ensemble, as far as the server knows, has not begun, and begins when these servers, too, are there with empty
    /// disks. Empty if it has begun.
    pub awaited_ids: Vec<u32>,
}

impl From<v1::StatusResponse> for Status {
    fn from(status: v1::StatusResponse) -> Status {
        let state = status.state.unwrap_or_default();
        let storage = status.storage.unwrap_or_default();
        Status {
            header: status.header.as_ref().map(Header::from).unwrap_or_default(),
            version: status.version,
            serving: status.serving,
            leader_id: status.leader_id,
            uptime: Duration::from_millis(status.uptime_ms),
            znodes: state.znodes,
            data_bytes: state.data_bytes,
            ephemerals: state.ephemerals,
            digest: state.digest,
            logged_zxid: storage.logged_zxid,
            durable_zxid: storage.durable_zxid,
            snapshot_zxid: storage.snapshot_zxid,
            disk_full: storage.full,
            sessions: status.sessions,
            watches: status.watches,
            streams: status.streams,
            history_zxid: status.history_zxid,
            members: status.members.into_iter().map(Member::from).collect(),
            awaited_ids: status.awaited_ids,
        }
    }
}
