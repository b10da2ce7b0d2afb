//! `Change`: one of the changes of a multi.

use clap::{Args, Parser, Subcommand};
use quorate_client::{Call, Client, ops};

use crate::commands::acl::SetAcl;
use crate::commands::create::Create;
use crate::commands::delete::Delete;
use crate::commands::set::Set;
use crate::exit::Failure;
use crate::precondition::Precondition;

/// A change as it is typed.
#[derive(Parser, Debug)]
#[command(no_binary_name = true, name = "", disable_help_flag = true, disable_help_subcommand = true)]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) change: Change,
}

/// What a multi can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Change {
    Create(Create),
    Set(Set),
    Delete(Delete),
    #[command(name = "setAcl", visible_alias = "set-acl")]
    SetAcl(SetAcl),
    Check(Check),
}

/// The arguments of `check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Which znode; by itself, that it exists
    path: String,

    #[command(flatten)]
    precondition: Precondition,

    /// That it does not exist
    #[arg(long, conflicts_with_all = ["version", "mzxid"])]
    absent: bool,
}

impl Change {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Change::Create(_) => "create",
            Change::Set(_) => "set",
            Change::Delete(_) => "delete",
            Change::SetAcl(_) => "setAcl",
            Change::Check(_) => "check",
        }
    }

    pub(crate) fn path(&self) -> &str {
        match self {
            Change::Create(create) => &create.path,
            Change::Set(set) => &set.path,
            Change::Delete(delete) => &delete.path,
            Change::SetAcl(set) => &set.path,
            Change::Check(check) => &check.path,
        }
    }

    /// Whether its data is to come from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        match self {
            Change::Create(create) => create.data.reads_stdin(),
            Change::Set(set) => set.data.reads_stdin(),
            Change::Delete(_) | Change::SetAcl(_) | Change::Check(_) => false,
        }
    }

    /// Whether the metadata after the change is to be shown.
    pub(crate) fn wants_stat(&self) -> bool {
        match self {
            Change::Set(set) => set.stat,
            Change::SetAcl(set) => set.stat,
            Change::Create(_) | Change::Delete(_) | Change::Check(_) => false,
        }
    }

    pub(crate) fn add_to(self, multi: Call<ops::Multi>, client: &Client) -> Result<Call<ops::Multi>, Failure> {
        Ok(match self {
            Change::Create(create) => multi.add(create.call(client)?),
            Change::Set(set) => multi.add(set.call(client)?),
            Change::Delete(delete) => multi.add(delete.call(client)),
            Change::SetAcl(set) => multi.add(set.call(client)),
            Change::Check(check) => multi.add(check.guard(client)),
        })
    }
}

impl Check {
    fn guard(self, client: &Client) -> quorate_client::Check {
        let guard = client.check(self.path);
        match (self.precondition.version(), self.precondition.mzxid) {
            (Some(version), _) => guard.version(version),
            (None, Some(mzxid)) => guard.mzxid(mzxid),
            (None, None) if self.absent => guard.not_exists(),
            (None, None) => guard,
        }
    }
}
