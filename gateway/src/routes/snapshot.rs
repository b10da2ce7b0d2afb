//! `/v1/cluster/snapshot`: the whole state, as a file.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, HeaderValue};
use quorate_client::CallOptions;
use serde::Deserialize;
use utoipa::IntoParams;

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
