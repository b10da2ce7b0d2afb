//! `export`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use quorate_client::{Client, Tree, TreeNode};

use crate::commands::export_file::{End, EndLine, Head, Node};
use crate::commands::export_tar::TarWriter;
use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate export > all.ndjson
  quorate export /app --file app.ndjson
  quorate export /app --format json | jq '.znodes[].path'
  quorate export /app --format tar --file app.tar

The file shows one moment, exactly, while others go on writing. Its first line
says which, its last line that it is whole.";

/// What servers make for themselves; it is exported only if it is asked for by its path.
const RESERVED: &str = "/zookeeper";

/// The arguments of `export`.
#[derive(Args, Debug)]
pub struct Export {
    /// The top of the tree
    #[arg(default_value = "/")]
    path: String,

    /// Write to a file, which appears when it is complete
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,

    /// Export ephemeral znodes, too
    #[arg(short, long)]
    ephemerals: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Format {
    /// One object for each znode, on a line
    Ndjson,
    /// One object for all of them
    Json,
    /// A file or a directory for each znode, to be looked at with `tar`
    Tar,
}

/// Writes a form.
enum Writer {
    Ndjson,
    /// Whether a znode was written before.
    Json {
        goes_on: bool,
    },
    Tar(TarWriter),
}

impl Writer {
    fn new(format: Format) -> Writer {
        match format {
            Format::Ndjson => Writer::Ndjson,
            Format::Json => Writer::Json { goes_on: false },
            Format::Tar => Writer::Tar(TarWriter::new()),
        }
    }

    fn head(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(head)?;
        match self {
            Writer::Ndjson => line.push(b'\n'),
            Writer::Json { .. } => {
                // It goes on with the znodes.
                line.pop();
                line.extend(b",\"znodes\":[");
            }
            Writer::Tar(tar) => return tar.head(head),
        }
        Ok(line)
    }

    fn node(&mut self, node: &TreeNode) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        match self {
            Writer::Ndjson => {
                serde_json::to_writer(&mut line, &Node::new(node))?;
                line.push(b'\n');
            }
            Writer::Json { goes_on } => {
                line.extend(if *goes_on { &b",\n"[..] } else { b"\n" });
                serde_json::to_writer(&mut line, &Node::new(node))?;
                *goes_on = true;
            }
            Writer::Tar(tar) => return tar.node(node),
        }
        Ok(line)
    }

    fn end(self, end: End) -> io::Result<Vec<u8>> {
        match self {
            Writer::Ndjson => {
                let mut line = serde_json::to_vec(&EndLine { end })?;
                line.push(b'\n');
                Ok(line)
            }
            Writer::Json { .. } => Ok(b"\n]}\n".to_vec()),
            Writer::Tar(tar) => tar.end(end),
        }
    }
}

/// Where the export goes.
enum Sink<'a> {
    File { out: BufWriter<File>, partial: PathBuf },
    Stdout(&'a mut Printer),
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Sink::File { out, partial } => out.write_all(bytes).map_err(|error| cannot_write(partial, &error)),
            Sink::Stdout(printer) => printer.bytes(bytes),
        }
    }
}

fn cannot_write(file: &Path, error: &std::io::Error) -> Failure {
    Failure::io(&format!("cannot write {}", file.display()), error)
}

impl Export {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        if self.format == Format::Tar && self.file.is_none() && printer.is_terminal() {
            return Err(Failure::Usage("an archive is nothing for a terminal: name a file with --file".to_owned()));
        }
        let tree = client.stream_tree(&self.path).with_data().with_acl().await?;
        let cluster_id = client.last_header().map_or(0, |header| header.cluster_id);
        let head = Head::new(&self.path, tree.zxid(), cluster_id);
        let Some(file) = &self.file else {
            return self.write(&mut Sink::Stdout(printer), &head, tree).await.map(|_| ());
        };
        let mut partial = file.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let out = BufWriter::new(File::create(&partial).map_err(|error| cannot_write(&partial, &error))?);
        let mut sink = Sink::File { out, partial: partial.clone() };
        let written = self.write(&mut sink, &head, tree).await;
        let outcome = written.and_then(|znodes| {
            let Sink::File { out, .. } = sink else { return Ok(znodes) };
            let synced = out.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
            synced.and_then(|()| fs::rename(&partial, file)).map_err(|error| cannot_write(file, &error))?;
            Ok(znodes)
        });
        match outcome {
            Ok(znodes) => eprintln!("{znodes} znodes exported to {}", file.display()),
            Err(failure) => {
                // A rest of a file is of no use to anybody; that it cannot be removed is not worth a word more.
                let _ = fs::remove_file(&partial);
                return Err(failure);
            }
        }
        Ok(())
    }

    async fn write(&self, sink: &mut Sink<'_>, head: &Head, mut tree: Tree) -> Result<u64, Failure> {
        let failed = |error: io::Error| Failure::Other(format!("cannot be exported: {error}"));
        let mut writer = Writer::new(self.format);
        sink.write(&writer.head(head).map_err(failed)?)?;
        let mut znodes = 0;
        let mut masked = 0_u64;
        while let Some(node) = tree.next().await {
            let node = node?;
            if !self.wants(&node) {
                continue;
            }
            masked += u64::from(has_masked_digest(&node));
            sink.write(&writer.node(&node).map_err(failed)?)?;
            znodes += 1;
        }
        sink.write(&writer.end(End { znodes }).map_err(failed)?)?;
        if masked > 0 {
            eprintln!(
                "{masked} znodes have ACLs with digests that you may not see: they cannot be imported as they are"
            );
        }
        Ok(znodes)
    }

    fn wants(&self, node: &TreeNode) -> bool {
        let is_reserved =
            |path: &str| path.strip_prefix(RESERVED).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (self.ephemerals || !node.stat.is_ephemeral()) && (!is_reserved(&node.path) || is_reserved(&self.path))
    }
}

/// Whether the ACL has a digest that is shown as `x`.
fn has_masked_digest(node: &TreeNode) -> bool {
    let is_masked = |id: &str| id.rsplit_once(':').is_some_and(|(_, digest)| digest == "x");
    node.acl.as_ref().is_some_and(|acl| acl.0.iter().any(|entry| entry.scheme == "digest" && is_masked(&entry.id)))
}

#[cfg(test)]
mod tests {
    use quorate_client::{CreateMode, Stat};

    use super::*;

    #[test]
    fn ephemeral_and_reserved_znodes_are_left_out_unless_asked_for() {
        let node = |path: &str, owner| TreeNode {
            path: path.to_owned(),
            stat: Stat { ephemeral_owner: owner, ..Stat::default() },
            data: None,
            acl: Some("digest:bob:x:r".parse().expect("valid")),
            mode: CreateMode::Persistent,
        };
        let wants = |path: &str, ephemerals, node: &TreeNode| {
            Export { path: path.to_owned(), file: None, format: Format::Ndjson, ephemerals }.wants(node)
        };
        assert!(wants("/", false, &node("/a", 0)));
        assert!(!wants("/", false, &node("/a", 7)));
        assert!(wants("/", true, &node("/a", 7)));
        assert!(!wants("/", false, &node("/zookeeper", 0)) && !wants("/", false, &node("/zookeeper/quota", 0)));
        assert!(wants("/", false, &node("/zookeepers", 0)));
        assert!(wants("/zookeeper", false, &node("/zookeeper/quota", 0)));
        assert!(has_masked_digest(&node("/a", 0)));
    }
}
