//! `restore`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use futures_util::stream;
use quorate_cli::{Failure, Printer};
use quorate_client::Client;
use serde::Serialize;

use super::{SnapshotDocument, hex, inspect};

pub(super) const EXAMPLES: &str = "\
Examples:
  quorate restore all.snapshot
  quorate restore all.snapshot --yes --output json
  quorate restore of-another-ensemble.snapshot --force-cluster

The whole state becomes that of the backup, on all servers at the same moment
and without a restart; what was written since is gone. Every session ends, as if
it had expired, with its ephemeral znodes; every watch ends, and its client has
to look at the new state. The ensemble's servers stay as they are, and zxids go
on growing. Sessions, ephemeral znodes and remembered requests of the backup are
not restored. If it fails before its end, nothing has changed.";

/// Bytes that are sent at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// The arguments of `restore`.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// A backup; it is verified before anything is sent
    file: PathBuf,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Restore it even if it is another ensemble's
    #[arg(long)]
    force_cluster: bool,
}

/// What was done, for programs.
#[derive(Serialize)]
struct RestoredDocument<'a> {
    #[serde(flatten)]
    backup: SnapshotDocument<'a>,
    restored_zxid: String,
}

impl Restore {
    pub(super) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        if self.file.as_os_str() == "-" {
            return Err(Failure::Usage("a backup is read twice, first to be verified: name a file".to_owned()));
        }
        let checked = inspect::check(&self.file)?;
        let name = self.file.display().to_string();
        let backup = SnapshotDocument::new(&name, &checked);
        if !self.yes {
            let _ = backup.lines().iter().try_for_each(|line| writeln!(io::stderr(), "{line}"));
        }
        quorate_cli::confirm("Replace everything in the ensemble by this", self.yes)?;
        let failed = |error: io::Error| Failure::Other(format!("cannot read {name}: {error}"));
        let mut sending = Sending { file: File::open(&self.file).map_err(failed)?, sent: 0, of: checked.bytes };
        // The file may fail now, though it was read before: what is sent ends early then, and is refused.
        let pieces = stream::iter(std::iter::from_fn(move || sending.next()));
        let restore = client.restore(pieces);
        let restored = if self.force_cluster { restore.force_cluster().await? } else { restore.await? };
        let restored_zxid = hex(restored.zxid);
        if printer.is_json() {
            return printer.json(&RestoredDocument { backup, restored_zxid });
        }
        printer.line(&format!("restored {} znodes as of {}, at {restored_zxid}", backup.znodes, backup.zxid))
    }
}

/// A file on its way, with how far it is on standard error, if that is a terminal.
struct Sending {
    file: File,
    sent: u64,
    of: u64,
}

impl Sending {
    fn next(&mut self) -> Option<Bytes> {
        let mut piece = vec![0; PIECE_BYTES];
        let read = self.file.read(&mut piece).ok().filter(|read| *read > 0)?;
        piece.truncate(read);
        self.sent += read as u64;
        if io::stderr().is_terminal() {
            let end = if self.sent == self.of { "\n" } else { "" };
            // Whoever cannot be told misses nothing that matters.
            let _ = write!(io::stderr(), "\r{} of {} kB{end}", self.sent / 1000, self.of / 1000);
        }
        Some(Bytes::from(piece))
    }
}
