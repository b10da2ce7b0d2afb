//! `import`.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_client::{Client, Error, Reason};
use serde::Serialize;

use crate::commands::export_file::{self, Contents, Planned};
use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate import app.ndjson --dry-run
  quorate import app.ndjson
  quorate import app.ndjson --to /restored       /app/x becomes /restored/x
  quorate import app.ndjson --existing overwrite
  quorate export --server old:7181 | quorate import - --server new:7181

The file is checked as a whole before anything is created. Ephemeral znodes are
left out: they would belong to nobody.";

/// Creates that are under way at once: enough to fill the disk's batches.
const UNDER_WAY_MAX: usize = 256;

/// The arguments of `import`.
#[derive(Args, Debug)]
pub struct Import {
    /// What `export` has written; `-` is standard input
    file: PathBuf,

    /// Create it below this path instead of where it was
    #[arg(long, value_name = "PATH")]
    to: Option<String>,

    /// What to do with a znode that exists
    #[arg(long, value_enum, default_value_t = Existing::Fail)]
    existing: Existing,

    /// Only check the file, and count
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Existing {
    /// Stop
    Fail,
    /// Leave it as it is
    Skip,
    /// Set its data
    Overwrite,
}

/// What became of the znodes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Counts {
    created: u64,
    overwritten: u64,
    skipped: u64,
    /// Left out.
    ephemeral: u64,
    dry_run: bool,
}

/// What became of one znode.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Done {
    Created,
    Overwritten,
    Skipped,
}

impl Counts {
    fn count(&mut self, done: Done) {
        match done {
            Done::Created => self.created += 1,
            Done::Overwritten => self.overwritten += 1,
            Done::Skipped => self.skipped += 1,
        }
    }
}

impl Import {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let (nodes, ephemeral) = self.plan()?;
        let mut counts = Counts { ephemeral, dry_run: self.dry_run, ..Counts::default() };
        if self.dry_run {
            counts = self.rehearse(client, &nodes, counts).await?;
        } else {
            let progress = progress_bar(nodes.len());
            let outcome = self.create_all(client, nodes, &mut counts, &progress).await;
            progress.finish_and_clear();
            if let Err(failure) = outcome {
                eprintln!("stopped: {}; with --existing skip it goes on from here", describe(&counts));
                return Err(failure);
            }
        }
        if printer.is_json() {
            return printer.json(&counts);
        }
        eprintln!("{}", describe(&counts));
        Ok(())
    }

    /// Reads the file: the znodes to create where they are to be, and how many ephemeral ones are left out.
    fn plan(&self) -> Result<(Vec<Planned>, u64), Failure> {
        let name = self.file.display();
        let contents = if self.file.as_os_str() == "-" {
            export_file::read(io::stdin().lock())
        } else {
            let file = File::open(&self.file);
            export_file::read(file.map_err(|error| Failure::io(&format!("cannot read {name}"), &error))?)
        };
        let wrong = |text: String| Failure::Other(format!("{name}: {text}"));
        let Contents { head, nodes } = contents.map_err(wrong)?;
        let all = nodes.len();
        let nodes = nodes.into_iter().filter(|node| !node.mode.is_ephemeral());
        // Without a move, too: whoever imports /app is not to find something in /etc.
        let to = self.to.as_deref().unwrap_or(&head.path);
        let nodes = nodes.map(|node| match moved(&node.path, &head.path, to) {
            Some(path) => Ok(Planned { path, ..node }),
            None => Err(wrong(format!("{} does not lie below {}, where it says it does", node.path, head.path))),
        });
        let nodes: Vec<Planned> = nodes.collect::<Result<_, Failure>>()?;
        let ephemeral = (all - nodes.len()) as u64;
        Ok((nodes, ephemeral))
    }

    /// Counts what would be done.
    async fn rehearse(&self, client: &Client, nodes: &[Planned], mut counts: Counts) -> Result<Counts, Failure> {
        let asked = nodes.iter().map(|node| client.exists(&node.path).send());
        let mut answers = stream::iter(asked).buffered(UNDER_WAY_MAX).zip(stream::iter(nodes));
        while let Some((answer, node)) = answers.next().await {
            counts.count(match (answer?.stat.is_some(), self.existing) {
                (false, _) => Done::Created,
                (true, _) if node.path == "/" => Done::Overwritten,
                (true, Existing::Overwrite) => Done::Overwritten,
                (true, Existing::Skip) => Done::Skipped,
                (true, Existing::Fail) => {
                    return Err(Error::new(Reason::NodeExists, format!("{} exists already", node.path)).into());
                }
            });
        }
        Ok(counts)
    }

    /// Creates the znodes in order, many at a time. One server executes them in the order in which they are sent; but a
    /// connection may break, so one that finds no parent is tried again when those before it are done.
    async fn create_all(
        &self,
        client: &Client,
        nodes: Vec<Planned>,
        counts: &mut Counts,
        progress: &ProgressBar,
    ) -> Result<(), Failure> {
        let mut orphans = Vec::new();
        let creates = nodes.into_iter().map(|node| async {
            let outcome = self.create(client, &node).await;
            (node, outcome)
        });
        let mut outcomes = stream::iter(creates).buffered(UNDER_WAY_MAX);
        while let Some((node, outcome)) = outcomes.next().await {
            match outcome {
                Err(error) if error.reason() == Reason::NoParent => orphans.push(node),
                outcome => {
                    counts.count(outcome?);
                    progress.inc(1);
                }
            }
        }
        for node in orphans {
            counts.count(self.create(client, &node).await?);
            progress.inc(1);
        }
        Ok(())
    }

    async fn create(&self, client: &Client, node: &Planned) -> Result<Done, Error> {
        if node.path == "/" {
            // It is always there.
            return match &node.data {
                None => Ok(Done::Skipped),
                Some(data) => client.set("/", data.clone()).await.map(|_| Done::Overwritten),
            };
        }
        let mut create = client.create(&node.path, node.data.clone()).mode(node.mode);
        if let Some(acl) = &node.acl {
            create = create.acl(acl.clone());
        }
        match create.send().await {
            Ok(_) => Ok(Done::Created),
            Err(error) if error.reason() == Reason::NodeExists => match self.existing {
                Existing::Fail => Err(error),
                Existing::Skip => Ok(Done::Skipped),
                Existing::Overwrite => client.set(&node.path, node.data.clone()).await.map(|_| Done::Overwritten),
            },
            Err(error) => Err(error),
        }
    }
}

/// Where a znode comes to stand when the tree at `from` is moved to `to`; `None` if it does not belong to that tree.
fn moved(path: &str, from: &str, to: &str) -> Option<String> {
    let rest = path.strip_prefix(from.trim_end_matches('/')).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    let moved = format!("{}{}", to.trim_end_matches('/'), rest.trim_end_matches('/'));
    Some(if moved.is_empty() { "/".to_owned() } else { moved })
}

fn describe(counts: &Counts) -> String {
    let Counts { created, overwritten, skipped, ephemeral, dry_run } = *counts;
    let mut text = format!("{created} znodes {}", if dry_run { "would be created" } else { "created" });
    for (count, what) in [(overwritten, "overwritten"), (skipped, "skipped"), (ephemeral, "ephemeral left out")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

/// Drawn on standard error, if that is a terminal.
fn progress_bar(znodes: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(znodes as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} znodes, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_can_be_moved() {
        let check = |path, from, to, expected: Option<&str>| {
            assert_eq!(moved(path, from, to).as_deref(), expected, "{path} from {from} to {to}");
        };
        check("/app/x", "/app", "/b/c", Some("/b/c/x"));
        check("/app", "/app", "/b", Some("/b"));
        check("/", "/", "/b", Some("/b"));
        check("/x", "/", "/b/", Some("/b/x"));
        check("/app/x", "/app", "/", Some("/x"));
        check("/app", "/app", "/", Some("/"));
        check("/apple", "/app", "/b", None);
    }

    #[test]
    fn counts_are_told() {
        let counts = Counts { created: 3, skipped: 1, ..Counts::default() };
        assert_eq!(describe(&counts), "3 znodes created, 1 skipped");
        let json = r#"{"created":3,"overwritten":0,"skipped":1,"ephemeral":0,"dry_run":false}"#;
        assert_eq!(serde_json::to_string(&counts).expect("json"), json);
    }
}
