//! `delete` and `deleteall`.

use clap::Args;
use futures_util::StreamExt as _;
use quorate_client::{Call, Client, Reason, ops};

use crate::confirm::confirm;
use crate::document::DeletedDocument;
use crate::exit::Failure;
use crate::precondition::Precondition;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate delete /app/config/port
  quorate delete /app/config/port -v 3    only if it still has version 3";

pub(crate) const ALL_EXAMPLES: &str = "\
Examples:
  quorate deleteall /app          asks, then deletes all of it in one txn
  quorate deleteall /app --yes    without asking
  quorate deleteall /big -b 100   in steps of 100 znodes, each a txn of its own";

/// Znodes that one txn deletes at most.
const ONE_TXN_MAX: u64 = 10_000;

/// Znodes of one step where there are too many for one txn.
const STEP: u16 = 1_000;

/// Others may create znodes while a large tree is deleted: after so many rounds they have won.
const ROUNDS_MAX: u32 = 5;

/// The arguments of `delete`.
#[derive(Args, Debug)]
pub struct Delete {
    /// Which znode
    pub(crate) path: String,

    #[command(flatten)]
    precondition: Precondition,
}

impl Delete {
    /// The call that deletes it.
    pub(crate) fn call(&self, client: &Client) -> Call<ops::Delete> {
        let mut call = client.delete(&self.path);
        if let Some(version) = self.precondition.version() {
            call = call.version(version);
        }
        if let Some(mzxid) = self.precondition.mzxid {
            call = call.mzxid(mzxid);
        }
        call
    }

    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        self.call(client).await?;
        if printer.is_json() {
            printer.json(&DeletedDocument { path: &self.path, deleted: 1 })?;
        }
        Ok(())
    }
}

/// The arguments of `deleteall`.
#[derive(Args, Debug)]
pub struct DeleteAll {
    /// Which znode
    path: String,

    /// Delete in steps of so many znodes, not all in one txn; more than 10,000 always go in steps: of 1,000, unless
    /// this says otherwise
    #[arg(short, long, value_name = "ZNODES", value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch: Option<u16>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl DeleteAll {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let below = client.count_descendants(&self.path).await?.count;
        let what = match below {
            0 => format!("deleting {}, which has nothing below it,", self.path),
            1 => format!("deleting {} and the znode below it", self.path),
            _ => format!("deleting {} and the {below} znodes below it", self.path),
        };
        let step = steps(below, self.batch);
        let how = step.map_or_else(String::new, |step| format!(" in steps of {step}"));
        confirm(&format!("{what}{how}"), self.yes)?;
        let deleted = match step {
            None => client.delete(&self.path).recursive(0).await?.count.into(),
            Some(step) => delete_in_steps(client, &self.path, step.into()).await?,
        };
        if printer.is_json() {
            return printer.json(&DeletedDocument { path: &self.path, deleted });
        }
        eprintln!("{deleted} znode{} deleted", if deleted == 1 { "" } else { "s" });
        Ok(())
    }
}

/// Of how many znodes each step is, unless a znode and the `below` ones below it go in one txn.
fn steps(below: u64, wanted: Option<u16>) -> Option<u16> {
    wanted.or((below >= ONE_TXN_MAX).then_some(STEP))
}

/// Deletes from the leaves up. What others create meanwhile is found in another round.
async fn delete_in_steps(client: &Client, path: &str, step: usize) -> Result<u64, Failure> {
    let mut deleted = 0;
    for _ in 0..ROUNDS_MAX {
        let mut paths = Vec::new();
        let mut tree = match client.stream_tree(path).await {
            Err(error) if error.reason() == Reason::NoNode && deleted > 0 => return Ok(deleted),
            begun => begun?,
        };
        while let Some(node) = tree.next().await {
            paths.push(node?.path);
        }
        // Parents come first in a stream: from its end, no znode has children any more when its turn comes.
        let mut disturbed = false;
        for paths in paths.rchunks(step) {
            let multi = paths.iter().rev().fold(client.multi(), |multi, path| multi.add(client.delete(path)));
            match multi.await?.into_result() {
                Ok(results) => deleted += results.len() as u64,
                Err(error) if matches!(error.reason(), Reason::NotEmpty | Reason::NoNode) => disturbed = true,
                Err(error) => return Err(error.into()),
            }
        }
        if !disturbed {
            return Ok(deleted);
        }
    }
    let text = format!("others go on creating znodes below {path}: {deleted} were deleted, but it is still there");
    Err(Failure::Other(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_for_one_txn_goes_in_steps() {
        assert_eq!(steps(0, None), None);
        assert_eq!(steps(9_999, None), None);
        assert_eq!(steps(10_000, None), Some(1_000));
        assert_eq!((steps(3, Some(2)), steps(20_000, Some(7))), (Some(2), Some(7)));
    }
}
