//! `quorate backup`, `quorate restore` and `quorate snapshot`: snapshot files on the client's side, which are verified here with the very code
//! that servers read them with. So these commands stand in the program and not with the client's others.

mod backup;
mod check;
mod inspect;
mod restore;

use std::process::ExitCode;

use clap::Subcommand;
use quorate_cli::{Failure, Global, Printer, with_exit_codes};
use serde::Serialize;

use self::check::Checked;

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Write a backup to a file: the whole state as of one moment
    #[command(after_help = backup::EXAMPLES, after_long_help = with_exit_codes(backup::EXAMPLES))]
    Backup(backup::Backup),
    /// Replace the whole state by that of a backup
    #[command(after_help = restore::EXAMPLES, after_long_help = with_exit_codes(restore::EXAMPLES))]
    Restore(restore::Restore),
    /// Look at backups and at the servers' own snapshots
    #[command(subcommand, after_help = inspect::EXAMPLES, after_long_help = with_exit_codes(inspect::EXAMPLES))]
    Snapshot(Snapshot),
}

/// What can be done with a file.
#[derive(Subcommand, Debug)]
pub(crate) enum Snapshot {
    /// Verify a file and say what it holds
    #[command(after_help = inspect::EXAMPLES, after_long_help = with_exit_codes(inspect::EXAMPLES))]
    Inspect(inspect::Inspect),
}

/// Runs a command and prints its results, or why there are none.
pub(crate) async fn run(command: Command, global: Global) -> ExitCode {
    quorate_cli::run_with(global, async |client, printer| match command {
        Command::Backup(backup) => backup.run(client, printer).await,
        Command::Restore(restore) => restore.run(client, printer).await,
        Command::Snapshot(Snapshot::Inspect(inspect)) => inspect.run(printer),
    })
    .await
}

/// What a verified file holds, for programs.
#[derive(Debug, Serialize)]
struct SnapshotDocument<'a> {
    file: &'a str,
    cluster_id: String,
    zxid: String,
    znodes: u64,
    data_bytes: u64,
    sessions: u64,
    ephemerals: u64,
    bytes: u64,
    digest: String,
}

impl SnapshotDocument<'_> {
    fn new<'a>(file: &'a str, checked: &Checked) -> SnapshotDocument<'a> {
        SnapshotDocument {
            file,
            cluster_id: hex(checked.header.cluster_id.0),
            zxid: hex(checked.header.position.zxid.0),
            znodes: checked.znodes,
            data_bytes: checked.data_bytes,
            sessions: checked.sessions,
            ephemerals: checked.ephemerals,
            bytes: checked.bytes,
            digest: format!("{:032x}", checked.digest),
        }
    }

    fn print(&self, printer: &mut Printer) -> Result<(), Failure> {
        if printer.is_json() {
            return printer.json(self);
        }
        self.lines().iter().try_for_each(|line| printer.line(line))
    }

    fn lines(&self) -> [String; 6] {
        let SnapshotDocument { file, cluster_id, zxid, znodes, data_bytes, sessions, ephemerals, bytes, digest } = self;
        [
            format!("file     {file} ({bytes} bytes, verified)"),
            format!("cluster  {cluster_id}"),
            format!("zxid     {zxid}"),
            format!("znodes   {znodes} ({data_bytes} bytes of data)"),
            format!("clients  {sessions} sessions, {ephemerals} ephemeral znodes"),
            format!("digest   {digest}"),
        ]
    }
}

fn hex(id: u64) -> String {
    format!("{id:#x}")
}
