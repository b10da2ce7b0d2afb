//! `/v1/children/{path}`: the children of one znode, in pages.

use std::borrow::Cow;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quorate_client::ops::ListChildren;
use quorate_client::{Call, Child, Children, Client};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::options::{self, Consistency};
use crate::problem::{Problem, ProblemDocument};
use crate::representation::{Encoding, StatDocument, data_text};
use crate::{page, path, query};

const PREFIX: &str = "/v1/children/";

/// Children in one page; the servers have no larger pages.
const LIMIT_MAX: u32 = 10_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParameters {
    /// At most so many. A page may also end early where it would become large.
    #[param(minimum = 1, maximum = 10_000, example = 100)]
    pub(super) limit: Option<u32>,
    /// Where the page begins: the `next_page_token` of the page before. The listing goes on by name and is not
    /// frozen: what is created or deleted meanwhile may appear or not.
    #[param(min_length = 1)]
    pub(super) page_token: Option<String>,
    /// What is wanted of each child besides its name: `stat`, `data`, or both with a comma between. Both only
    /// where the child's ACL lets the caller read it; data comes with the stat.
    #[param(pattern = "^(stat|data)(,(stat|data))*$", example = "stat,data")]
    pub(super) with: Option<String>,
    /// How fresh the state must be. Default: `session`.
    #[param(inline)]
    pub(super) consistency: Option<Consistency>,
}

impl ListParameters {
    /// The call that lists these children of the znode at `path`, and what is wanted of each of them.
    pub(super) fn call(&self, client: &Client, path: &str) -> Result<(Call<ListChildren>, With), Problem> {
        let with = self.with.as_deref().map_or(Ok(With::default()), With::parse)?;
        if self.limit.is_some_and(|limit| !(1..=LIMIT_MAX).contains(&limit)) {
            return Err(Problem::bad_arguments(format!("limit is 1 to {LIMIT_MAX}")));
        }
        let mut call = client.children(path).limit(self.limit.unwrap_or(0));
        if let Some(token) = &self.page_token {
            let unknown = || Problem::bad_arguments("page_token is none that a listing of this znode answered");
            call = call.after(page::read_token(path, token).ok_or_else(unknown)?);
        }
        if with.stat {
            call = call.with_stat();
        }
        if with.data {
            call = call.with_data();
        }
        Ok((call, with))
    }
}

/// What is wanted of each child besides its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct With {
    stat: bool,
    data: bool,
}

impl With {
    fn parse(text: &str) -> Result<With, Problem> {
        text.split(',').try_fold(With::default(), |with, word| match word {
            "stat" => Ok(With { stat: true, ..with }),
            "data" => Ok(With { data: true, ..with }),
            _ => Err(Problem::bad_arguments(format!("with={word:?} is unknown: ask for stat, data, or stat,data"))),
        })
    }
}

/// A page of children, in the order of their names' bytes.
#[derive(Serialize, ToSchema)]
#[schema(as = Children)]
pub(crate) struct ChildrenPage<'a> {
    /// The parent.
    #[schema(example = "/app")]
    path: &'a str,
    /// The state that the page shows.
    #[schema(value_type = String, example = "0x10000000a", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// The parent's metadata.
    stat: StatDocument,
    /// The children.
    children: Vec<ChildDocument<'a>>,
    /// Where the next page begins; null if this is the last one.
    #[schema(required, example = json!(null))]
    next_page_token: Option<String>,
}

/// A child.
#[derive(Serialize, ToSchema)]
#[schema(as = Child)]
pub(crate) struct ChildDocument<'a> {
    /// Without the parent's path.
    #[schema(example = "config")]
    name: &'a str,
    /// Missing unless it was asked for and the caller may read the child.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stat: Option<StatDocument>,
    /// The data, as `encoding` says; null for null data. Missing unless it was asked for and the caller may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, example = "hello")]
    data: Option<Option<Cow<'a, str>>>,
    /// How `data` is to be read. Missing without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    encoding: Option<Encoding>,
}

impl<'a> ChildDocument<'a> {
    pub(super) fn new(child: &'a Child, with: With) -> ChildDocument<'a> {
        // Data that the caller may not read comes without a stat; data that is null comes with one.
        let readable = with.data && child.stat.is_some();
        let (text, encoding) = readable.then(|| data_text(child.data.as_ref())).unzip();
        ChildDocument { name: &child.name, stat: child.stat.as_ref().map(StatDocument::from), data: text, encoding }
    }
}

/// List a znode's children.
#[utoipa::path(
    get, path = "/v1/children/{*path}", tag = "znodes", operation_id = "listChildren", params(ListParameters),
    responses(
        (status = 200, description = "A page of children", body = ChildrenPage<'_>),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let parameters: ListParameters = query::read(&parts.uri)?;
    let options = options::of_read(&gateway.config, &parts.headers, parameters.consistency)?;
    let (call, with) = parameters.call(&gateway.client, &path)?;
    let call = call.options(options);
    let found = call.send().await.map_err(|error| Problem::from(error).at(&path))?;
    let document = ChildrenPage {
        path: &path,
        zxid: Hex(found.zxid),
        stat: StatDocument::from(&found.stat),
        children: found.children.iter().map(|child| ChildDocument::new(child, with)).collect(),
        next_page_token: next_page_token(&path, &found),
    };
    Ok(Answer::new(&gateway, StatusCode::OK, found.zxid).json(&document).finish())
}

/// Where the page after `page` begins, if there is one.
pub(super) fn next_page_token(path: &str, page: &Children) -> Option<String> {
    let last = page.children.last().filter(|_| page.more)?;
    Some(page::token(path, &last.name))
}
