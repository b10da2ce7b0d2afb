//! `set`.

use clap::Args;
use quorate_client::{Call, Client, ops};

use crate::document::{StatDocument, StatOfPath};
use crate::exit::Failure;
use crate::input::DataInput;
use crate::precondition::Precondition;
use crate::printer::Printer;
use crate::text;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate set /app/config/port 8081
  quorate set /app/config/port 8081 -v 3      only if it still has version 3
  quorate set /app/config/port 8081 --upsert  create it if there is none
  date | quorate set /app/started -";

/// The arguments of `set`.
#[derive(Args, Debug)]
pub struct Set {
    /// Which znode
    pub(crate) path: String,

    #[command(flatten)]
    pub(crate) data: DataInput,

    /// Set null, which differs from empty
    #[arg(long, conflicts_with_all = ["data", "file", "base64"])]
    null: bool,

    /// Print its metadata after the change
    #[arg(short, long)]
    pub(crate) stat: bool,

    #[command(flatten)]
    precondition: Precondition,

    /// Create it if there is none
    #[arg(short, long, conflicts_with_all = ["version", "mzxid"])]
    upsert: bool,
}

impl Set {
    /// The call that sets it.
    pub(crate) fn call(self, client: &Client) -> Result<Call<ops::SetData>, Failure> {
        if !self.null && !self.data.is_given() {
            return Err(Failure::Usage("what to set is missing: give data, `-`, --file or --null".to_owned()));
        }
        let mut call = client.set(self.path, self.data.read()?);
        if let Some(version) = self.precondition.version() {
            call = call.version(version);
        }
        if let Some(mzxid) = self.precondition.mzxid {
            call = call.mzxid(mzxid);
        }
        if self.upsert {
            call = call.upsert();
        }
        Ok(call)
    }

    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let (path, stat) = (self.path.clone(), self.stat);
        let updated = self.call(client)?.await?;
        if printer.is_json() {
            let stat = StatDocument::from(&updated.stat);
            return printer.json(&StatOfPath { path: &path, created: Some(updated.created), stat });
        }
        if stat {
            printer.bytes(text::stat_block(&updated.stat).as_bytes())?;
        }
        Ok(())
    }
}
