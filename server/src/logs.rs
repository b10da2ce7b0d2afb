//! `quorate log`: what stands in a server's log, read by the very code that servers read it with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use quorate_cli::{Failure, Global, Printer, rfc3339, with_exit_codes};
use quorate_storage::{History, RealDisk};
use quorate_types::{Frame, FrameKind, Members, NodeKind, Restore, Txn, TxnBody, TxnOp, Zxid};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  quorate log dump ./quorate-data
  quorate log dump ./quorate-data --from 0x100000010 --count 20
  quorate log dump ./quorate-data --path /app    what became of a subtree
  quorate log dump ./quorate-data --output json | jq .zxid

It needs no server, and does not disturb one that uses the directory.";

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Look at a server's log
    #[command(subcommand, after_help = EXAMPLES, after_long_help = with_exit_codes(EXAMPLES))]
    Log(Log),
}

/// What can be done with a log.
#[derive(Subcommand, Debug)]
pub(crate) enum Log {
    /// Print its records, each on a line
    #[command(after_help = EXAMPLES, after_long_help = with_exit_codes(EXAMPLES))]
    Dump(Dump),
}

/// The arguments of `log dump`.
#[derive(Args, Debug)]
pub(crate) struct Dump {
    /// A server's data directory
    data_dir: PathBuf,

    /// Begin with this zxid
    #[arg(long, value_name = "ZXID", value_parser = parse_zxid)]
    from: Option<Zxid>,

    /// End with this zxid
    #[arg(long, value_name = "ZXID", value_parser = parse_zxid)]
    to: Option<Zxid>,

    /// Only what concerns this znode, or one below it
    #[arg(long)]
    path: Option<String>,

    /// Print so many records at most
    #[arg(short = 'n', long, value_name = "RECORDS")]
    count: Option<u64>,
}

fn parse_zxid(text: &str) -> Result<Zxid, String> {
    let zxid = text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
    let zxid = zxid.ok_or_else(|| format!("write it as zxids are printed: 0x{text}"))?;
    zxid.map(Zxid).map_err(|_| format!("`{text}` is no zxid"))
}

/// Runs a command and prints its results, or why there are none.
pub(crate) async fn run(Command::Log(Log::Dump(dump)): Command, global: Global) -> ExitCode {
    quorate_cli::run_with(global, async |_, printer| dump.run(printer)).await
}

impl Dump {
    fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        let dir = self.data_dir.display();
        if !self.data_dir.is_dir() {
            return Err(Failure::Other(format!("{dir} is no directory")));
        }
        let failed = |error: &dyn std::fmt::Display| Failure::Other(format!("{dir}: {error}"));
        let disk = RealDisk::open(&self.data_dir).map_err(|error| failed(&error))?;
        let history = History::open(disk).map_err(|error| failed(&error))?;
        let (mut left, mut printed) = (self.count.unwrap_or(u64::MAX), Ok(()));
        let visited = history.visit(self.from.unwrap_or(Zxid::ZERO), |frame| {
            if left == 0 || self.to.is_some_and(|to| frame.zxid() > to) {
                return false;
            }
            let record = match Record::read(&frame) {
                Ok(record) => record,
                Err(error) => {
                    printed = Err(failed(&format!("the record {} cannot be read: {error}", frame.zxid())));
                    return false;
                }
            };
            if self.path.as_ref().is_none_or(|path| record.concerns(path)) {
                left -= 1;
                printed = record.print(printer);
            }
            printed.is_ok()
        });
        printed?;
        visited.map_err(|error| failed(&error))?;
        printer.flush()?;
        if left > 0
            && let Some(torn) = history.torn()
        {
            let (file, offset, reason) = (&torn.file, torn.offset, &torn.reason);
            eprintln!("-- behind it, in {file} at {offset}, a write that was interrupted or is under way: {reason}");
        }
        Ok(())
    }
}

/// A record, for programs.
#[derive(Debug, Serialize)]
struct Record {
    zxid: String,
    kind: &'static str,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    changes: Vec<Change>,
}

/// What a record changes.
#[derive(Debug, Default, Serialize)]
struct Change {
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The rest, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Record {
    fn read(frame: &Frame) -> Result<Record, quorate_types::codec::DecodeError> {
        let (zxid, bytes) = (frame.zxid().to_string(), frame.bytes().len());
        let of_agreement =
            |kind, changes| Record { zxid: zxid.clone(), kind, bytes, time: None, session: None, changes };
        Ok(match frame.kind() {
            FrameKind::Marker => of_agreement("marker", vec![Change::new("epoch", frame.zxid().epoch().0.to_string())]),
            FrameKind::Reconfig => {
                let (members, _) = Members::of_reconfig(frame.payload())?;
                of_agreement("reconfig", vec![Change::new("members", in_words(&members))])
            }
            FrameKind::ConfigFinal => {
                let members = Members::decode(&mut quorate_types::codec::Reader::new(frame.payload()))?;
                of_agreement("config-final", vec![Change::new("members", in_words(&members))])
            }
            FrameKind::Txn => {
                let txn = Txn::decode(frame.payload())?;
                let session = txn.session.is_some().then(|| txn.session.to_string());
                let changes = changes(&txn.body);
                Record { zxid, kind: "txn", bytes, time: Some(rfc3339(txn.time_ms)), session, changes }
            }
        })
    }

    fn concerns(&self, top: &str) -> bool {
        let is_below = |path: &str| {
            top == "/" || path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.changes.iter().filter_map(|change| change.path.as_deref()).any(is_below)
    }

    fn print(&self, printer: &mut Printer) -> Result<(), Failure> {
        if printer.is_json() {
            return printer.json(self);
        }
        let Record { zxid, kind, time, session, changes, .. } = self;
        let changes: Vec<String> = changes.iter().map(Change::in_words).collect();
        let time = time.as_deref().unwrap_or("-");
        let session = session.as_deref().unwrap_or("-");
        printer.line(&format!("{zxid:<13} {time:<24} {session:<19} {kind:<6} {}", changes.join("; ")))
    }
}

impl Change {
    fn new(change: &'static str, detail: impl Into<String>) -> Change {
        Change { change, path: None, detail: detail.into() }
    }

    fn of(change: &'static str, path: &str, detail: impl Into<String>) -> Change {
        Change { path: Some(path.to_owned()), ..Change::new(change, detail) }
    }

    fn in_words(&self) -> String {
        let parts = [Some(self.change), self.path.as_deref(), Some(&*self.detail).filter(|detail| !detail.is_empty())];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

fn in_words(members: &Members) -> String {
    let voters: Vec<String> = members.voters().map(|voter| voter.to_string()).collect();
    let others = members.servers.len() - voters.len();
    format!("of version {}: {} vote, {others} observe", members.version, voters.join(","))
}

fn changes(body: &TxnBody) -> Vec<Change> {
    match body {
        TxnBody::Ops { shape: _, ops } => ops.iter().map(change).collect(),
        TxnBody::OpenSession { id, timeout_ms, secret: _ } => {
            vec![Change::new("open-session", format!("{id} timeout {timeout_ms} ms"))]
        }
        TxnBody::CloseSession { id, deleted } => {
            let gone = deleted.iter().flatten().map(|deleted| Change::of("delete", &deleted.path, ""));
            std::iter::once(Change::new("close-session", id.to_string())).chain(gone).collect()
        }
        TxnBody::Restore(step) => vec![match step {
            Restore::Begin { backup } => Change::new("restore-begin", format!("of {backup}")),
            Restore::Chunk { id, index, bytes } => {
                Change::new("restore-chunk", format!("of {id}: number {index}, {} bytes", bytes.len()))
            }
            Restore::Finish { id, digest } => Change::new("restore-finish", format!("of {id}: digest {digest:032x}")),
            Restore::Abort { id } => Change::new("restore-abort", format!("of {id}")),
        }],
    }
}

fn change(op: &TxnOp) -> Change {
    let size = |data: &Option<_>| match data {
        None => "null".to_owned(),
        Some(data) => format!("{} bytes", bytes::Bytes::len(data)),
    };
    match op {
        TxnOp::Create { path, data, kind, .. } => {
            let kind = match kind {
                NodeKind::Persistent => String::new(),
                NodeKind::Ephemeral(session) => format!("ephemeral of {session}, "),
                NodeKind::Container => "container, ".to_owned(),
                NodeKind::Ttl { ttl_ms } => format!("ttl {ttl_ms} ms, "),
            };
            Change::of("create", path, format!("{kind}{}", size(data)))
        }
        TxnOp::Delete { path, .. } => Change::of("delete", path, ""),
        TxnOp::SetData { path, data, stat, .. } => {
            Change::of("set", path, format!("version {}, {}", stat.version, size(data)))
        }
        TxnOp::SetAcl { path, stat, .. } => Change::of("set-acl", path, format!("version {}", stat.aversion)),
        TxnOp::Check => Change::new("check", ""),
    }
}
