//! `/v1/cluster/snapshot`: the whole state, as a file that leaves, or comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, HeaderValue};
use http_body_util::BodyExt as _;
use quorate_client::CallOptions;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::options::{self, Consistency};
use crate::problem::{Problem, ProblemDocument};
use crate::query;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SnapshotParameters {
    /// How fresh the state must be.
    #[param(inline)]
    consistency: Option<Consistency>,
}

/// Take a backup.
///
/// The whole state as of one zxid, while writes go on: everything that the server behind the gateway had applied when it
/// was asked. The body is a snapshot file, which can be verified by itself; `Quorate-Zxid` says which state it holds. It
/// holds everything, whatever ACLs say: keep it as you keep the servers' own data. A body that is shorter than
/// `Content-Length` says was cut off.
#[utoipa::path(
    get, path = "/v1/cluster/snapshot", tag = "cluster", operation_id = "getSnapshot",
    params(SnapshotParameters),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let SnapshotParameters { consistency } = query::read(request.uri())?;
    let options = options::of_read(&gateway.config, request.headers(), consistency)?;
    // A large state takes longer to be written than anything else takes.
    let options = CallOptions { timeout: None, ..options };
    let snapshot = gateway.client.snapshot().options(options).send().await?;
    let name = format!("attachment; filename=\"quorate-{}.snapshot\"", Hex(snapshot.zxid));
    let name = HeaderValue::try_from(name).expect("a number is visible ASCII");
    let (zxid, bytes) = (snapshot.zxid, snapshot.bytes);
    Ok(Answer::new(&gateway, StatusCode::OK, zxid)
        .field((CACHE_CONTROL, NO_STORE))
        .field((CONTENT_DISPOSITION, name))
        .field((CONTENT_LENGTH, bytes.into()))
        .body(OCTETS, Body::from_stream(snapshot))
        .finish())
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RestoreParameters {
    /// Restore it even if it is another ensemble's backup.
    #[serde(default)]
    force_cluster: bool,
}

/// A backup was restored.
#[derive(Serialize, ToSchema)]
#[schema(as = Restored)]
pub(crate) struct RestoredDocument {
    /// The txn that has replaced the state.
    #[schema(value_type = String, example = "0x10000002a", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// The state that the backup was of.
    #[schema(value_type = String, example = "0x100000007", pattern = "^0x[0-9a-f]{1,16}$")]
    backup_zxid: Hex,
}

/// Restore a backup.
///
/// The whole state becomes that of the backup, on all servers at the same zxid. What was written since is gone; every
/// session ends, as if it had expired, and so does every watch. The ensemble's configuration stays, and so does the order of
/// zxids. If the request fails nothing has changed, unless the problem says `maybe_applied`.
#[utoipa::path(
    put, path = "/v1/cluster/snapshot", tag = "cluster", operation_id = "restoreSnapshot",
    params(RestoreParameters),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file"),
    responses(
        (status = 200, description = "It is restored", body = RestoredDocument),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn put(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let RestoreParameters { force_cluster } = query::read(request.uri())?;
    let is_broken = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&is_broken);
    // A body that breaks off ends early, which is no good backup.
    let pieces = stream::unfold(request.into_body(), move |mut body| {
        let broken = Arc::clone(&broken);
        async move {
            loop {
                match body.frame().await? {
                    // Trailers say nothing that we would understand.
                    Ok(frame) => {
                        if let Ok(piece) = frame.into_data() {
                            return Some((piece, body));
                        }
                    }
                    Err(_) => {
                        broken.store(true, Ordering::Relaxed);
                        return None;
                    }
                }
            }
        }
    });
    let restore = gateway.client.restore(pieces.boxed());
    let restored = match if force_cluster { restore.force_cluster() } else { restore }.await {
        Err(_) if is_broken.load(Ordering::Relaxed) => {
            return Err(Problem::bad_arguments("the body could not be read to its end; nothing was restored"));
        }
        outcome => outcome?,
    };
    let document = RestoredDocument { zxid: Hex(restored.zxid), backup_zxid: Hex(restored.backup_zxid) };
    Ok(Answer::new(&gateway, StatusCode::OK, restored.zxid).json(&document).finish())
}
