//! `backup`.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::StreamExt as _;
use quorate_cli::{Failure, Printer};
use quorate_client::{Client, Error, Reason, Snapshot};

use super::SnapshotDocument;
use super::check::{Check, Checked};
use crate::shutdown::Signals;

pub(super) const EXAMPLES: &str = "\
Examples:
  quorate backup all.snapshot
  quorate backup - | gzip > all.snapshot.gz
  quorate backup nightly.snapshot --force --output json

The file shows one moment, exactly, while others go on writing. It is verified
as it arrives, and has its name only when all of it is there and durable. It
holds everything, whatever ACLs say: keep it as you keep the servers' own data.";

/// Between two looks at how far it is, for whoever watches.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// The arguments of `backup`.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The file; `-` for standard output
    file: PathBuf,

    /// Replace the file if there is one
    #[arg(short, long)]
    force: bool,
}

impl Backup {
    pub(super) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = self.file.display().to_string();
        if self.file.as_os_str() == "-" {
            let checked = receive(client, &mut io::stdout().lock(), "standard output").await?;
            // What is on standard output is the backup.
            let document = SnapshotDocument::new(&name, &checked);
            let _ = document.lines().iter().try_for_each(|line| writeln!(io::stderr(), "{line}"));
            return Ok(());
        }
        self.may_write()?;
        let mut partial = Partial::create(&self.file)?;
        let mut signals =
            Signals::new().map_err(|error| Failure::Other(format!("cannot listen for signals: {error}")))?;
        let checked = tokio::select! {
            received = receive(client, &mut partial.file, &name) => received?,
            signal = signals.next() => return Err(Failure::Other(format!("{signal}: nothing was written"))),
        };
        self.may_write()?;
        partial.finish(&self.file)?;
        SnapshotDocument::new(&name, &checked).print(printer)
    }

    fn may_write(&self) -> Result<(), Failure> {
        match self.force || !self.file.exists() {
            true => Ok(()),
            false => Err(Failure::Other(format!("{} is there already; --force replaces it", self.file.display()))),
        }
    }
}

/// Takes the snapshot, verifies it, and writes it out as it comes.
async fn receive(client: &Client, out: &mut dyn Write, name: &str) -> Result<Checked, Failure> {
    let mut snapshot = client.snapshot().await?;
    let mut check = Check::new();
    let mut progress = Progress::new(&snapshot);
    // What does not pass is damaged, wherever that has happened.
    let wrong = |error| Failure::Other(format!("what arrives is no good snapshot: {error}"));
    while let Some(piece) = snapshot.next().await {
        let piece = piece?;
        check.push(&piece).map_err(wrong)?;
        out.write_all(&piece).map_err(|error| Failure::io(&format!("cannot write {name}"), &error))?;
        progress.add(piece.len());
    }
    out.flush().map_err(|error| Failure::io(&format!("cannot write {name}"), &error))?;
    let checked = check.finish().map_err(wrong)?;
    let is_promised = (checked.header.cluster_id.0, checked.header.position.zxid.0, &checked.digest.to_be_bytes()[..])
        == (snapshot.header.cluster_id, snapshot.zxid, &snapshot.digest[..]);
    match is_promised {
        true => Ok(checked),
        false => Err(Error::new(Reason::Protocol, "the server sent another snapshot than it has said").into()),
    }
}

/// How far it is, on standard error, if that is a terminal.
struct Progress {
    bytes: u64,
    of: u64,
    shown: Option<Instant>,
    is_watched: bool,
}

impl Progress {
    fn new(snapshot: &Snapshot) -> Progress {
        Progress { bytes: 0, of: snapshot.bytes, shown: None, is_watched: io::stderr().is_terminal() }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_INTERVAL);
        if self.is_watched && (is_due || self.bytes == self.of) {
            self.shown = Some(Instant::now());
            let end = if self.bytes == self.of { "\n" } else { "" };
            let (done, all) = (self.bytes / 1000, self.of / 1000);
            // Whoever cannot be told misses nothing that matters.
            let _ = write!(io::stderr(), "\r{done} of {all} kB{end}");
        }
    }
}

/// A file that has its name only when it is complete. Dropped before, it is removed.
struct Partial {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl Partial {
    fn create(target: &Path) -> Result<Partial, Failure> {
        let mut path = target.as_os_str().to_owned();
        // Two backups to the same file must not write into each other's.
        path.push(format!(".{}.partial", std::process::id()));
        let path = PathBuf::from(path);
        // Sessions' secrets are in it, and whatever ACLs hide.
        let options = File::options().write(true).create(true).truncate(true).mode(0o600).clone();
        let file = options.open(&path).map_err(|error| cannot_write(&path, &error))?;
        Ok(Partial { file, path, finished: false })
    }

    /// Makes it durable, under its name.
    fn finish(mut self, target: &Path) -> Result<(), Failure> {
        let dir = match target.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let named = self.file.sync_all().and_then(|()| fs::rename(&self.path, target));
        self.finished = named.is_ok();
        let durable = named.and_then(|()| File::open(dir)?.sync_all());
        durable.map_err(|error| cannot_write(target, &error))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // A rest of a file is of no use to anybody; that it cannot be removed is not worth a word more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn cannot_write(file: &Path, error: &io::Error) -> Failure {
    Failure::io(&format!("cannot write {}", file.display()), error)
}
