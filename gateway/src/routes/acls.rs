//! `/v1/acls/{path}`: who may do what with one znode.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, ETAG};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::znodes::ReadParameters;
use super::{Answer, NO_CACHE};
use crate::acl::{self, EntryDocument};
use crate::etag::{AclCondition, AclTag};
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::options::{self, Preference};
use crate::problem::{Problem, ProblemDocument};
use crate::representation::{StatDocument, Written};
use crate::{body, path, query};
use quorate_client::{Reason, Stat};

const PREFIX: &str = "/v1/acls/";

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutParameters {
    /// Only if the stat's `aversion` is this. `If-Match` says the same with the tag of an ACL.
    #[param(example = 0)]
    aversion: Option<i32>,
}

/// The ACL of a znode. What no entry grants is denied.
#[derive(Serialize, ToSchema)]
#[schema(as = Acl)]
pub(crate) struct AclDocument<'a> {
    /// The znode.
    #[schema(example = "/app/config")]
    path: &'a str,
    /// The state that the ACL was seen in.
    #[schema(value_type = String, example = "0x10000000a", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// Its entries, each of which grants something.
    acl: Vec<EntryDocument>,
    /// The znode's metadata.
    stat: StatDocument,
}

/// An ACL that is to be set. What came with a read (`path`, `zxid`, `stat`) may be sent back with it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAcl)]
pub(crate) struct SentAcl {
    /// All entries: those that the znode has now go.
    acl: Vec<EntryDocument>,
    /// If given, must be the path of the URL.
    #[schema(example = "/app/config")]
    path: Option<String>,
    /// Ignored.
    #[serde(default, rename = "zxid")]
    #[schema(value_type = Value)]
    _zxid: serde::de::IgnoredAny,
    /// Ignored.
    #[serde(default, rename = "stat")]
    #[schema(value_type = Value)]
    _stat: serde::de::IgnoredAny,
}

/// Read a znode's ACL.
///
/// It takes the permission to read the znode or to change its ACL.
#[utoipa::path(
    get, path = "/v1/acls/{*path}", tag = "znodes", operation_id = "getAcl", params(ReadParameters),
    responses(
        (status = 200, description = "The ACL", body = AclDocument<'_>),
        (status = 304, description = "The caller has it already (`If-None-Match`)"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let parameters: ReadParameters = query::read(&parts.uri)?;
    let options = options::of_read(&gateway.config, &parts.headers, parameters.consistency)?;
    let found = gateway.client.acl(&*path).options(options).send().await;
    let found = found.map_err(|error| Problem::from(error).at(&path))?;
    let is_known = AclTag::from(&found.stat).is_known(&parts.headers);
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let answer = tagged(Answer::new(&gateway, status, found.zxid), &found.stat);
    if is_known {
        return Ok(answer.finish());
    }
    let document = AclDocument {
        path: &path,
        zxid: Hex(found.zxid),
        acl: acl::entries(&found.acl),
        stat: StatDocument::from(&found.stat),
    };
    Ok(answer.json(&document).finish())
}

/// Replace a znode's ACL.
///
/// `If-Match` with the tag of a read replaces it only if it has not been changed since: the servers compare the
/// `aversion`, which begins at 0 again if the znode is deleted and created.
#[utoipa::path(
    put, path = "/v1/acls/{*path}", tag = "znodes", operation_id = "putAcl", params(PutParameters),
    request_body(content = SentAcl, description = "The ACL"),
    responses(
        (status = 200, description = "Replaced", body = Written<'_>),
        (status = 204, description = "Replaced, with `Prefer: return=minimal`"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn put(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let parameters: PutParameters = query::read(&parts.uri)?;
    let condition = AclCondition::of_write(&parts.headers, parameters.aversion)?;
    let options = options::of_write(&gateway.config, &parts.headers)?;
    let sent: SentAcl = body::json(&gateway, &parts.headers, body, "the ACL").await?;
    if sent.path.is_some_and(|named| named != *path) {
        return Err(Problem::bad_arguments("the body's path is not the URL's"));
    }
    let call = gateway.client.set_acl(&*path, acl::read(sent.acl)?).options(options);
    let call = match condition {
        AclCondition::None | AclCondition::Exists => call,
        AclCondition::Aversion(aversion) => call.aversion(aversion),
        AclCondition::Never => {
            let detail = "the ACL's present entity tag is none of those in If-Match";
            return Err(Problem::new(Reason::BadVersion, detail).at(&path));
        }
    };
    let set = call.send().await.map_err(|error| refused(error, condition).at(&path))?;
    let is_minimal = Preference::of(&parts.headers) == Preference::Minimal;
    let status = if is_minimal { StatusCode::NO_CONTENT } else { StatusCode::OK };
    let answer = tagged(Answer::new(&gateway, status, set.zxid), &set.stat);
    if is_minimal {
        return Ok(answer.applied("return=minimal").finish());
    }
    Ok(answer.json(&Written { path: &path, stat: StatDocument::from(&set.stat) }).finish())
}

fn tagged(answer: Answer, stat: &Stat) -> Answer {
    answer.field((ETAG, AclTag::from(stat).header())).field((CACHE_CONTROL, NO_CACHE))
}

/// That there is no such znode is a failed condition where the caller named one.
fn refused(error: quorate_client::Error, condition: AclCondition) -> Problem {
    let problem = Problem::from(error);
    match (condition, problem.reason()) {
        (AclCondition::Exists | AclCondition::Aversion(_), Some(Reason::NoNode)) => problem.conditional(),
        _ => problem,
    }
}
