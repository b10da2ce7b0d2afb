//! `/v1/multi`: several changes, all or nothing; or several reads of one state.

mod batch;
mod operation;
mod result;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quorate_client::ops::{Multi, MultiRead};
use quorate_client::{Call, MultiReply, Reason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use self::batch::{Asked, Batch, Made};
use self::operation::Operation;
use self::result::ResultDocument;
use super::Answer;
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::options::{self, Consistency, Preference};
use crate::problem::{Problem, ProblemDocument};
use crate::{body, query};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MultiParameters {
    /// For reads: how fresh the state must be. Default: `session`.
    #[param(inline)]
    consistency: Option<Consistency>,
}

/// What is to be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Multi)]
pub(crate) struct MultiWish {
    /// At most 4,096, either all changes (and guards) or all reads. Changes see what those before them did.
    #[schema(value_type = Vec<Operation>, max_items = 4096, example = json!([
        {"op": "check", "path": "/app/lock", "mzxid": "0x100000002"},
        {"op": "create", "path": "/app/jobs/job-", "data": "first", "mode": "sequential"},
        {"op": "set", "path": "/app/config", "data": "hello", "version": 3},
    ]))]
    // Read one by one, so that what is wrong with one of them can be said of that one.
    operations: Vec<Value>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = MultiResults)]
pub(crate) struct MultiDocument<'a> {
    /// The txn that made all changes; the one state that all reads saw.
    #[schema(value_type = String, example = "0x10000000a", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// One for each operation, in order.
    results: Vec<ResultDocument<'a>>,
}

/// Do several things at once.
///
/// Changes are made all or not at all, in one txn: if one cannot be made, the problem is that one's and names it by its
/// position in `operation`. Reads see one state, and each succeeds or fails by itself.
#[utoipa::path(
    post, path = "/v1/multi", tag = "znodes", operation_id = "multi", params(MultiParameters),
    request_body(content = MultiWish, description = "What is to be done"),
    responses(
        (status = 200, description = "All changes are made; or each read's own result", body = MultiDocument<'_>),
        (status = 204, description = "All changes are made, with `Prefer: return=minimal`"),
        (status = "default", description = "It failed; no change is made", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn post(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let parameters: MultiParameters = query::read(&parts.uri)?;
    let wish: MultiWish = body::json(&gateway, &parts.headers, body, "the operations").await?;
    let mut batch = Batch::new(&gateway.client);
    for (at, operation) in wish.operations.into_iter().enumerate() {
        let added = Operation::read(operation).and_then(|operation| batch.add(operation));
        added.map_err(|problem| problem.in_operation(at, None))?;
    }
    let (made, asked) = batch.finish();
    match made {
        Made::Changes(_) if parameters.consistency.is_some() => {
            Err(Problem::bad_arguments("consistency is for reads: changes are made of the newest state"))
        }
        Made::Changes(call) => {
            let call = call.options(options::of_write(&gateway.config, &parts.headers)?);
            change(&gateway, call, &asked, Preference::of(&parts.headers)).await
        }
        Made::Reads(call) => {
            let options = options::of_read(&gateway.config, &parts.headers, parameters.consistency)?;
            read(&gateway, call.options(options), &asked).await
        }
    }
}

async fn change(
    gateway: &Gateway,
    call: Call<Multi>,
    asked: &[Asked],
    preference: Preference,
) -> Result<Response, Problem> {
    let reply = call.send().await?;
    if !reply.committed {
        return Err(failure(reply, asked));
    }
    if preference == Preference::Minimal {
        return Ok(Answer::new(gateway, StatusCode::NO_CONTENT, reply.zxid).applied("return=minimal").finish());
    }
    let results = reply.results.iter().zip(asked).map(|(result, asked)| ResultDocument::of_change(asked, result));
    let document = MultiDocument { zxid: Hex(reply.zxid), results: results.collect() };
    Ok(Answer::new(gateway, StatusCode::OK, reply.zxid).json(&document).finish())
}

async fn read(gateway: &Gateway, call: Call<MultiRead>, asked: &[Asked]) -> Result<Response, Problem> {
    let reply = call.send().await?;
    let results = reply.results.iter().zip(asked).map(|(result, asked)| ResultDocument::of_read(asked, result));
    let document = MultiDocument { zxid: Hex(reply.zxid), results: results.collect() };
    Ok(Answer::new(gateway, StatusCode::OK, reply.zxid).json(&document).finish())
}

/// Why no change was made: the one operation that has an error of its own.
fn failure(mut reply: MultiReply, asked: &[Asked]) -> Problem {
    let own = reply.first_failure().filter(|at| *at < asked.len());
    match own.map(|at| (at, reply.results.swap_remove(at))) {
        Some((at, Err(error))) => Problem::from(error).at(&asked[at].path).in_operation(at, Some(asked[at].op)),
        Some((_, Ok(_))) | None => Problem::new(Reason::Internal, "no operation says why none was made"),
    }
}
