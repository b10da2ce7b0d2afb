//! The results of a multi, as JSON has them.

use std::borrow::Cow;

use quorate_client::{Error, MultiResult, ReadResult, Stat};
use serde::Serialize;
use utoipa::ToSchema;

use super::batch::Asked;
use crate::acl::{self, EntryDocument};
use crate::problem::{FailureDocument, Problem};
use crate::representation::{Encoding, StatDocument, data_text};
use crate::routes::children::{self, ChildDocument};

/// The result of one operation. Which fields there are depends on the operation.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = OperationResult)]
pub(crate) struct ResultDocument<'a> {
    /// The operation.
    #[schema(example = "create")]
    op: &'static str,
    /// Its znode; of `create` with the digits that a sequential mode appended.
    #[schema(example = "/app/jobs/job-0000000001")]
    path: &'a str,
    /// The znode's metadata, after the change; for `exists` null if there is none. Missing for `delete` and `check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<StatDocument>, required = false)]
    stat: Option<Option<StatDocument>>,
    /// Of `set`: the znode was created, by `upsert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    created: Option<bool>,
    /// Of `delete`: how many znodes went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deleted: Option<u32>,
    /// Of `get`: the data, as `encoding` says; null for null data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, example = "hello")]
    data: Option<Option<Cow<'a, str>>>,
    /// How `data` is to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    encoding: Option<Encoding>,
    /// Of `get_acl`: the entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    acl: Option<Vec<EntryDocument>>,
    /// Of `children`: a page of them, in the order of their names' bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    children: Option<Vec<ChildDocument<'a>>>,
    /// Of `children`: where the next page begins; null if this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    next_page_token: Option<Option<String>>,
    /// Of a read that failed: why. There is nothing else of it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<FailureDocument>,
}

impl<'a> ResultDocument<'a> {
    /// Of an operation of a multi that was made.
    pub(super) fn of_change(asked: &'a Asked, result: &'a Result<MultiResult, Error>) -> ResultDocument<'a> {
        let document = ResultDocument { op: asked.op, path: &asked.path, ..ResultDocument::default() };
        match result {
            Ok(MultiResult::Created(created)) => {
                ResultDocument { path: &created.path, stat: shown(&created.stat), ..document }
            }
            Ok(MultiResult::Updated(updated)) => {
                ResultDocument { stat: shown(&updated.stat), created: Some(updated.created), ..document }
            }
            Ok(MultiResult::AclSet(updated)) => ResultDocument { stat: shown(&updated.stat), ..document },
            Ok(MultiResult::Deleted(deleted)) => ResultDocument { deleted: Some(deleted.count), ..document },
            Ok(MultiResult::Checked) => document,
            Err(error) => document.failed(error),
        }
    }

    /// Of a read.
    pub(super) fn of_read(asked: &'a Asked, result: &'a Result<ReadResult, Error>) -> ResultDocument<'a> {
        let document = ResultDocument { op: asked.op, path: &asked.path, ..ResultDocument::default() };
        match result {
            Ok(ReadResult::Znode(znode)) => {
                let (text, encoding) = data_text(znode.data.as_ref());
                ResultDocument { data: Some(text), encoding: Some(encoding), stat: shown(&znode.stat), ..document }
            }
            Ok(ReadResult::Existence(existence)) => {
                ResultDocument { stat: Some(existence.stat.as_ref().map(StatDocument::from)), ..document }
            }
            Ok(ReadResult::Acl(found)) => {
                ResultDocument { acl: Some(acl::entries(&found.acl)), stat: shown(&found.stat), ..document }
            }
            Ok(ReadResult::Children(found)) => ResultDocument {
                children: Some(found.children.iter().map(|child| ChildDocument::new(child, asked.with)).collect()),
                next_page_token: Some(children::next_page_token(&asked.path, found)),
                stat: shown(&found.stat),
                ..document
            },
            Err(error) => document.failed(error),
        }
    }

    fn failed(self, error: &Error) -> ResultDocument<'a> {
        ResultDocument { error: Some(Problem::from(error.clone()).in_short()), ..self }
    }
}

/// The stat of a znode that exists.
fn shown(stat: &Stat) -> Option<Option<StatDocument>> {
    Some(Some(StatDocument::from(stat)))
}
