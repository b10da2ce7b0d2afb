//! `snapshot inspect`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use quorate_cli::{Failure, Printer};

use super::SnapshotDocument;
use super::check::{Check, Checked};

pub(super) const EXAMPLES: &str = "\
Examples:
  quorate snapshot inspect all.snapshot
  quorate snapshot inspect - < all.snapshot
  quorate snapshot inspect all.snapshot --output json | jq -r .zxid

It needs no server. A damaged file is one that fails: the message says where.";

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// The arguments of `snapshot inspect`.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// A backup, or a snapshot from a server's data directory; `-` for standard input
    file: PathBuf,
}

impl Inspect {
    pub(super) fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        let checked = check(&self.file)?;
        SnapshotDocument::new(&self.file.display().to_string(), &checked).print(printer)
    }
}

/// Verifies a whole file.
pub(super) fn check(file: &Path) -> Result<Checked, Failure> {
    let failed = |error: io::Error| Failure::Other(format!("cannot read {}: {error}", file.display()));
    let wrong = |error| Failure::Other(format!("{}: {error}", file.display()));
    let mut input: Box<dyn Read> = match file.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(file).map_err(failed)?),
    };
    let mut check = Check::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match input.read(&mut piece).map_err(failed)? {
            0 => return check.finish().map_err(wrong),
            read => check.push(&piece[..read]).map_err(wrong)?,
        }
    }
}
