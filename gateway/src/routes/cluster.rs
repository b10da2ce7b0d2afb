//! `/v1/cluster`: the ensemble, as the server behind the gateway knows it.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use quorate_client::Status;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use super::members::MemberDocument;
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::problem::{Problem, ProblemDocument};

/// The ensemble, as one of its servers knows it.
#[derive(Serialize, ToSchema)]
#[schema(as = Cluster)]
pub(crate) struct ClusterDocument<'a> {
    /// The ensemble's id.
    #[schema(value_type = String, example = "0x5eed", pattern = "^0x[0-9a-f]{1,16}$")]
    cluster_id: Hex,
    /// The epoch of the leader that the server follows (or is).
    #[schema(example = 1)]
    epoch: u32,
    /// The leader that it knows; null if it knows none.
    #[schema(required, example = 1)]
    leader_id: Option<u32>,
    /// The server that answered.
    #[schema(example = 1)]
    server_id: u32,
    /// What that server does.
    #[schema(example = "leading")]
    role: &'a str,
    /// The version of its program.
    #[schema(example = "0.1.0")]
    version: &'a str,
    /// Whether it can serve writes now.
    serving: bool,
    /// Since its start.
    #[schema(example = 60_000)]
    uptime_ms: u64,
    /// The last txn that it has applied.
    #[schema(value_type = String, example = "0x100000002", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// The oldest zxid from which a watch can resume on it.
    #[schema(value_type = String, example = "0x100000001", pattern = "^0x[0-9a-f]{1,16}$")]
    history_zxid: Hex,
    /// What the replicated state holds.
    state: StateDocument,
    /// What is on its disk.
    storage: StorageDocument,
    /// Sessions that live.
    sessions: u64,
    /// Watches of its clients.
    watches: u64,
    /// Streams of its clients.
    streams: u64,
    /// The ensemble's servers.
    members: Vec<MemberDocument<'a>>,
    /// The ensemble, as far as the server knows, has not begun, and begins when these servers, too, are there with empty
    /// disks. Empty if it has begun.
    awaited_ids: &'a [u32],
}

/// What the replicated state holds.
#[derive(Serialize, ToSchema)]
#[schema(as = ClusterState)]
pub(crate) struct StateDocument {
    /// Znodes, those that are always there included.
    znodes: u64,
    /// Bytes of their data.
    data_bytes: u64,
    /// Ephemeral znodes among them.
    ephemerals: u64,
    /// A hash of all of it in hexadecimal, equal on every server at the same zxid.
    digest: String,
}

/// What is on a server's disk.
#[derive(Serialize, ToSchema)]
#[schema(as = ClusterStorage)]
pub(crate) struct StorageDocument {
    /// The last txn in the log.
    #[schema(value_type = String, example = "0x100000002", pattern = "^0x[0-9a-f]{1,16}$")]
    logged_zxid: Hex,
    /// The last txn that is known to be durable.
    #[schema(value_type = String, example = "0x100000002", pattern = "^0x[0-9a-f]{1,16}$")]
    durable_zxid: Hex,
    /// The newest snapshot; null if there is none.
    #[schema(value_type = Option<String>, required, example = json!(null), pattern = "^0x[0-9a-f]{1,16}$")]
    snapshot_zxid: Option<Hex>,
    /// Writes are refused for lack of space.
    full: bool,
}

impl<'a> From<&'a Status> for ClusterDocument<'a> {
    fn from(status: &'a Status) -> ClusterDocument<'a> {
        ClusterDocument {
            cluster_id: Hex(status.header.cluster_id),
            epoch: status.header.epoch,
            leader_id: (status.leader_id != 0).then_some(status.leader_id),
            server_id: status.header.server_id,
            role: status.header.role.as_str(),
            version: &status.version,
            serving: status.serving,
            uptime_ms: u64::try_from(status.uptime.as_millis()).unwrap_or(u64::MAX),
            zxid: Hex(status.header.zxid),
            history_zxid: Hex(status.history_zxid),
            state: StateDocument {
                znodes: status.znodes,
                data_bytes: status.data_bytes,
                ephemerals: status.ephemerals,
                digest: status.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            },
            storage: StorageDocument {
                logged_zxid: Hex(status.logged_zxid),
                durable_zxid: Hex(status.durable_zxid),
                snapshot_zxid: (status.snapshot_zxid != 0).then_some(Hex(status.snapshot_zxid)),
                full: status.disk_full,
            },
            sessions: status.sessions,
            watches: status.watches,
            streams: status.streams,
            members: status.members.iter().map(MemberDocument::from).collect(),
            awaited_ids: &status.awaited_ids,
        }
    }
}

/// Read the state of the ensemble.
#[utoipa::path(
    get, path = "/v1/cluster", tag = "cluster", operation_id = "getCluster",
    responses(
        (status = 200, description = "The ensemble, as the server behind the gateway knows it", body = ClusterDocument<'_>),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let status = gateway.client.status().timeout(gateway.config.request_timeout).send().await?;
    let document = ClusterDocument::from(&status);
    Ok(Answer::new(&gateway, StatusCode::OK, status.header.zxid).json(&document).finish())
}
