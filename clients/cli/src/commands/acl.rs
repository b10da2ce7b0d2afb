//! `getAcl` and `setAcl`.

use clap::Args;
use quorate_client::{Acl, Call, Client, ops};
use serde::Serialize;

use crate::document::{AclEntryDocument, StatDocument, StatOfPath, acl_document};
use crate::exit::Failure;
use crate::precondition::ANY_VERSION;
use crate::printer::Printer;
use crate::text;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate getAcl /app
  quorate setAcl /app world:anyone:crwa      no deleting of its children
  quorate setAcl /app world:anyone:cdr -v 0  only if nobody has set it before";

/// The arguments of `getAcl`.
#[derive(Args, Debug)]
pub struct GetAcl {
    /// Whose
    path: String,

    /// Print its metadata, too
    #[arg(short, long)]
    stat: bool,
}

#[derive(Serialize)]
struct AclDocument<'a> {
    path: &'a str,
    acl: Vec<AclEntryDocument>,
    stat: StatDocument,
}

impl GetAcl {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let znode = client.acl(&self.path).await?;
        if printer.is_json() {
            let stat = StatDocument::from(&znode.stat);
            return printer.json(&AclDocument { path: &self.path, acl: acl_document(&znode.acl), stat });
        }
        // In the form in which `setAcl` and `create` take it.
        znode.acl.0.iter().try_for_each(|entry| printer.line(&entry.to_string()))?;
        if self.stat {
            printer.bytes(text::stat_block(&znode.stat).as_bytes())?;
        }
        Ok(())
    }
}

/// The arguments of `setAcl`.
#[derive(Args, Debug)]
pub struct SetAcl {
    /// Whose
    pub(crate) path: String,

    /// scheme:id:perms, with commas between entries; perms are letters of cdrwa
    pub(crate) acl: Acl,

    /// Only if this is the version of the ACL; -1 is any, as in zkCli
    #[arg(short = 'v', long = "if-version", value_name = "VERSION", allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-1..))]
    version: Option<i32>,

    /// Print its metadata after the change
    #[arg(short, long)]
    pub(crate) stat: bool,
}

impl SetAcl {
    /// The call that sets it.
    pub(crate) fn call(&self, client: &Client) -> Call<ops::SetAcl> {
        let call = client.set_acl(&self.path, self.acl.clone());
        match self.version.filter(|version| *version != ANY_VERSION) {
            Some(version) => call.aversion(version),
            None => call,
        }
    }

    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let updated = self.call(client).await?;
        if printer.is_json() {
            let stat = StatDocument::from(&updated.stat);
            return printer.json(&StatOfPath { path: &self.path, created: None, stat });
        }
        if self.stat {
            printer.bytes(text::stat_block(&updated.stat).as_bytes())?;
        }
        Ok(())
    }
}
