//! `/v1/access-checks`: what the caller may do, and why.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use quorate_client::Perms;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use super::znodes::ReadParameters;
use crate::acl::{self, EntryDocument};
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::options;
use crate::problem::{Problem, ProblemDocument};
use crate::{body, path, query};

/// What is asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessQuestion)]
pub(crate) struct AccessQuestion {
    /// The znode. To create or delete one takes `c` or `d` of its parent.
    #[schema(example = "/app/config")]
    path: String,
    /// What the caller would do with it: one or more of the letters that an ACL entry has.
    #[schema(example = "rw", pattern = "^[cdrwa]+$")]
    perms: String,
}

/// What the caller may do with a znode.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessAnswer)]
pub(crate) struct AccessAnswer<'a> {
    /// The znode.
    #[schema(example = "/app/config")]
    path: &'a str,
    /// The state that the ACL was seen in.
    #[schema(value_type = String, example = "0x10000000a", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// The caller may do all that was asked for.
    #[schema(example = true)]
    allowed: bool,
    /// Everything that the caller may do with the znode.
    #[schema(example = "cdrwa", pattern = "^[cdrwa]*$")]
    granted: String,
    /// The entries of the znode's ACL that grant it. None if the caller passes every check, or may do nothing.
    entries: Vec<EntryDocument>,
}

/// Ask what the caller may do.
///
/// Everybody may ask. The answer is that of the servers, for this caller, in one state: by the next request the ACL may be
/// another one.
#[utoipa::path(
    post, path = "/v1/access-checks", tag = "znodes", operation_id = "checkAccess", params(ReadParameters),
    request_body(content = AccessQuestion, description = "What is asked"),
    responses(
        (status = 200, description = "The answer, whatever it is", body = AccessAnswer<'_>),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn post(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let parameters: ReadParameters = query::read(&parts.uri)?;
    let options = options::of_read(&gateway.config, &parts.headers, parameters.consistency)?;
    let asked: AccessQuestion = body::json(&gateway, &parts.headers, body, "the question").await?;
    path::check(&asked.path).map_err(|fault| Problem::from(fault).at(&asked.path))?;
    let wanted: Perms = asked.perms.parse().map_err(|error: quorate_client::Error| {
        Problem::bad_arguments(format!("perms is not valid: {}", error.message()))
    })?;
    if wanted == Perms::default() {
        return Err(Problem::bad_arguments("perms names nothing: ask for letters of cdrwa"));
    }
    let found = gateway.client.check_access(&*asked.path).options(options).send().await;
    let found = found.map_err(|error| Problem::from(error).at(&asked.path))?;
    let document = AccessAnswer {
        path: &asked.path,
        zxid: Hex(found.zxid),
        allowed: found.perms.contains(wanted),
        granted: found.perms.to_string(),
        entries: acl::entries(&found.entries),
    };
    let no_store = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Answer::new(&gateway, StatusCode::OK, found.zxid).field(no_store).json(&document).finish())
}
