//! The operations of a multi, as JSON has them.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::acl::EntryDocument;
use crate::problem::Problem;
use crate::representation::{Encoding, required_but_nullable};
use crate::routes::znodes::Mode;

/// One operation of a multi.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
#[schema(as = Operation)]
pub(crate) enum Operation {
    /// A guard: changes nothing, but the others are made only if it holds.
    Check(Check),
    /// Create a znode.
    Create(Create),
    /// Set a znode's data.
    Set(Set),
    /// Delete a znode that has no children.
    Delete(Delete),
    /// Replace a znode's ACL.
    SetAcl(SetAcl),
    /// Read data and stat.
    Get(Target),
    /// Read the stat; that there is no such znode is an answer.
    Exists(Target),
    /// List children.
    Children(Children),
    /// Read the ACL.
    GetAcl(Target),
}

impl Operation {
    /// What one element of the list says.
    pub(crate) fn read(element: Value) -> Result<Operation, Problem> {
        serde_json::from_value(element)
            .map_err(|error| Problem::bad_arguments(format!("the body does not describe an operation: {error}")))
    }
}

/// What has to hold of a znode; by itself, that it exists.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CheckOperation)]
pub(crate) struct Check {
    /// The znode.
    #[schema(example = "/app/lock")]
    pub(super) path: String,
    /// That its `version` is this.
    pub(super) version: Option<i32>,
    /// That its `mzxid` is this.
    #[schema(example = "0x100000002", pattern = "^0x[0-9a-fA-F]{1,16}$")]
    pub(super) mzxid: Option<String>,
    /// That it does not exist.
    #[serde(default)]
    pub(super) not_exists: bool,
}

/// A znode that is to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateOperation)]
pub(crate) struct Create {
    /// Where; a sequential mode appends digits to it, and it may then end with `/`.
    #[schema(example = "/app/jobs/job-")]
    pub(super) path: String,
    /// The data, as `encoding` says; null for null data.
    #[serde(deserialize_with = "required_but_nullable")]
    #[schema(required, example = "first")]
    pub(super) data: Option<String>,
    /// How `data` is to be read.
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// What kind of znode.
    #[serde(default)]
    pub(super) mode: Mode,
    /// For the TTL modes: how long it stays without children and changes, in milliseconds.
    #[schema(minimum = 1, maximum = 1_099_511_627_775_u64, example = 60_000)]
    pub(super) ttl_ms: Option<u64>,
    /// Who may do what. Default: everybody everything.
    pub(super) acl: Option<Vec<EntryDocument>>,
    /// Create missing ancestors, too.
    #[serde(default)]
    pub(super) parents: bool,
}

/// Data that is to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetOperation)]
pub(crate) struct Set {
    /// The znode.
    #[schema(example = "/app/config")]
    pub(super) path: String,
    /// The data, as `encoding` says; null for null data.
    #[serde(deserialize_with = "required_but_nullable")]
    #[schema(required, example = "hello")]
    pub(super) data: Option<String>,
    /// How `data` is to be read.
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// Only if its `version` is this.
    #[schema(example = 3)]
    pub(super) version: Option<i32>,
    /// Only if its `mzxid` is this.
    #[schema(example = "0x100000002", pattern = "^0x[0-9a-fA-F]{1,16}$")]
    pub(super) mzxid: Option<String>,
    /// Create it, as a persistent znode that is open to everybody, if it is missing. Not with a condition.
    #[serde(default)]
    pub(super) upsert: bool,
}

/// A znode that is to be deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeleteOperation)]
pub(crate) struct Delete {
    /// The znode.
    #[schema(example = "/app/old")]
    pub(super) path: String,
    /// Only if its `version` is this.
    #[schema(example = 3)]
    pub(super) version: Option<i32>,
    /// Only if its `mzxid` is this.
    #[schema(example = "0x100000002", pattern = "^0x[0-9a-fA-F]{1,16}$")]
    pub(super) mzxid: Option<String>,
}

/// An ACL that is to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetAclOperation)]
pub(crate) struct SetAcl {
    /// The znode.
    #[schema(example = "/app/config")]
    pub(super) path: String,
    /// All entries: those that the znode has now go.
    pub(super) acl: Vec<EntryDocument>,
    /// Only if its `aversion` is this.
    #[schema(example = 0)]
    pub(super) aversion: Option<i32>,
}

/// A znode that is to be read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReadOperation)]
pub(crate) struct Target {
    /// The znode.
    #[schema(example = "/app/config")]
    pub(super) path: String,
}

/// Children that are to be listed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChildrenOperation)]
pub(crate) struct Children {
    /// The parent.
    #[schema(example = "/app")]
    pub(super) path: String,
    /// At most so many.
    #[schema(minimum = 1, maximum = 10_000, example = 100)]
    pub(super) limit: Option<u32>,
    /// Where the page begins: the `next_page_token` of the page before.
    pub(super) page_token: Option<String>,
    /// What is wanted of each child besides its name: `stat`, `data`, or both with a comma between.
    #[schema(pattern = "^(stat|data)(,(stat|data))*$", example = "stat,data")]
    pub(super) with: Option<String>,
}
