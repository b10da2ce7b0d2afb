//! `/v1/stats/{path}`: the metadata of one znode.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quorate_client::Reason;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use super::znodes::ReadParameters;
use crate::etag::{Form, Tagged};
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::problem::{Problem, ProblemDocument};
use crate::representation::StatDocument;
use crate::{options, path, query};

const PREFIX: &str = "/v1/stats/";

/// The metadata of a znode, and the state that it was seen in.
#[derive(Serialize, ToSchema)]
#[schema(as = ZnodeStat)]
pub(crate) struct ZnodeStat<'a> {
    /// The znode.
    #[schema(example = "/app/config")]
    path: &'a str,
    /// The state that the stat was seen in.
    #[schema(value_type = String, example = "0x10000000a", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// The metadata.
    stat: StatDocument,
}

/// Read a znode's metadata.
#[utoipa::path(
    get, path = "/v1/stats/{*path}", tag = "znodes", operation_id = "getStat", params(ReadParameters),
    responses(
        (status = 200, description = "The metadata", body = ZnodeStat<'_>),
        (status = 304, description = "The caller has it already (`If-None-Match`)"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let parameters: ReadParameters = query::read(&parts.uri)?;
    let options = options::of_read(&gateway.config, &parts.headers, parameters.consistency)?;
    let found = gateway.client.exists(&*path).options(options).send().await;
    let found = found.map_err(|error| Problem::from(error).at(&path))?;
    let Some(stat) = found.stat else {
        return Err(Problem::new(Reason::NoNode, "there is no such znode").at(&path));
    };
    // The stat changes with what the envelope shows of it, so it has the envelope's tag.
    if Tagged::from(&stat).is_known(Form::Envelope, &parts.headers) {
        return Ok(Answer::new(&gateway, StatusCode::NOT_MODIFIED, found.zxid).stat(&stat, Form::Envelope).finish());
    }
    let document = ZnodeStat { path: &path, zxid: Hex(found.zxid), stat: StatDocument::from(&stat) };
    Ok(Answer::new(&gateway, StatusCode::OK, found.zxid).stat(&stat, Form::Envelope).json(&document).finish())
}
