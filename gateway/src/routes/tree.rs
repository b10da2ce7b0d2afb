//! `/v1/tree/{path}`: a znode and what lies below it, all of one state.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, VARY};
use quorate_client::Reason;
use serde::Deserialize;
use tokio::time;
use utoipa::IntoParams;

use super::{ACCEPT, Answer};
use crate::gateway::Gateway;
use crate::options::{self, Consistency};
use crate::problem::{Problem, ProblemDocument};
use crate::representation::{JSON_TYPE, NDJSON, NDJSON_TYPE, named_quality};
use crate::tree_stream::{Bounds, Layout, LineDocument, TreeDocument, TreeStream};
use crate::{path, query};

const PREFIX: &str = "/v1/tree/";

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TreeParameters {
    /// Nothing that lies more levels below the top: 0 for the top alone, 1 for its children, too. Default: everything.
    #[param(example = 1)]
    depth: Option<u32>,
    /// At most so many znodes; `truncated` says whether there are more. Default: all.
    #[param(minimum = 1, example = 1000)]
    limit: Option<u64>,
    /// What is wanted of each znode besides its stat: `data`, `acl`, or both with a comma between.
    #[param(pattern = "^(data|acl)(,(data|acl))*$", example = "data")]
    with: Option<String>,
    /// How fresh the state must be. Default: `session`.
    #[param(inline)]
    consistency: Option<Consistency>,
}

/// Read a subtree.
///
/// The znode and everything below it, parents before their children, siblings in the order of their names' bytes, as of
/// one zxid, while writes go on. Znodes that the caller may not read are left out, with all that is below them. One JSON
/// document, or with `Accept: application/x-ndjson` a line for each znode and one for the end. It is sent as it is read:
/// what is cut off within the document, or has no line for the end, is not the whole.
#[utoipa::path(
    get, path = "/v1/tree/{*path}", tag = "znodes", operation_id = "getTree", params(TreeParameters),
    responses(
        (status = 200, description = "The subtree", content(
            (TreeDocument<'_> = "application/json"),
            (LineDocument<'_> = "application/x-ndjson"),
        )),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let parameters: TreeParameters = query::read(&parts.uri)?;
    if parameters.limit == Some(0) {
        return Err(Problem::bad_arguments("limit is at least 1"));
    }
    let bounds = Bounds::read(parameters.with.as_deref(), parameters.limit)?;
    let options = options::of_read(&gateway.config, &parts.headers, parameters.consistency)?;
    let place = gateway.begin_stream()?;
    let mut call = gateway.client.stream_tree(&*path).options(options);
    if let Some(levels) = parameters.depth {
        call = call.depth_max(levels);
    }
    let call = if bounds.with_data { call.with_data() } else { call };
    let call = if bounds.with_acl { call.with_acl() } else { call };
    let Ok(begun) = time::timeout(gateway.config.request_timeout, call.send()).await else {
        return Err(Problem::new(Reason::DeadlineExceeded, "no server began to stream the tree in time"));
    };
    let tree = begun.map_err(|error| Problem::from(error).at(&path))?;
    let lines = named_quality(&parts.headers, NDJSON);
    let (layout, content_type) = if lines > 0 && lines >= named_quality(&parts.headers, "application/json") {
        (Layout::Lines, NDJSON_TYPE)
    } else {
        (Layout::Document, JSON_TYPE)
    };
    let zxid = tree.zxid();
    let body = TreeStream::new(&gateway, tree, &path, bounds, layout, place);
    Ok(Answer::new(&gateway, StatusCode::OK, zxid)
        .body(content_type, Body::new(body))
        .field((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .field((VARY, ACCEPT))
        .finish())
}
