//! `ls`.

use clap::Args;
use futures_util::StreamExt as _;
use quorate_client::{CallOptions, Client, WatchKind, ZxidBound};
use serde::Serialize;

use crate::commands::read::wait_for_change;
use crate::document::{ChildrenDocument, StatDocument, StatOfPath};
use crate::exit::Failure;
use crate::printer::Printer;
use crate::text;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate ls /app          names, one on each line
  quorate ls -R /app       every path below it, too, as of one moment
  quorate ls -w /workers   and wait until a child comes or goes";

/// The arguments of `ls`.
#[derive(Args, Debug)]
pub struct List {
    /// Whose children
    #[arg(default_value = "/")]
    path: String,

    /// Print the znode's metadata, too
    #[arg(short, long)]
    stat: bool,

    /// Then wait until a child comes or goes, and print that
    #[arg(short, long, conflicts_with = "recursive")]
    watch: bool,

    /// Print the path of the znode and of everything below it
    #[arg(short = 'R', long)]
    recursive: bool,
}

/// A line of `ls -R` as JSON.
#[derive(Serialize)]
struct PathDocument<'a> {
    path: &'a str,
}

impl List {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let zxid = self.show(client, printer).await?;
        wait_for_change(self.awaited(), client, zxid, printer).await
    }

    /// The change that is waited for after the state was shown.
    pub(crate) fn awaited(&self) -> Option<(&str, WatchKind)> {
        self.watch.then_some((&self.path, WatchKind::Children))
    }

    /// Prints the state, and says as of which zxid it is.
    pub(crate) async fn show(&self, client: &Client, printer: &mut Printer) -> Result<u64, Failure> {
        if self.recursive { self.list_tree(client, printer).await } else { self.list_children(client, printer).await }
    }

    async fn list_tree(&self, client: &Client, printer: &mut Printer) -> Result<u64, Failure> {
        let mut tree = client.stream_tree(&self.path).await?;
        let zxid = tree.zxid();
        while let Some(node) = tree.next().await {
            let node = node?;
            match (printer.is_json(), self.stat) {
                (true, true) => {
                    let stat = StatDocument::from(&node.stat);
                    printer.json(&StatOfPath { path: &node.path, created: None, stat })?;
                }
                (true, false) => printer.json(&PathDocument { path: &node.path })?,
                (false, true) => {
                    printer.line(&node.path)?;
                    printer.bytes(text::stat_block(&node.stat).as_bytes())?;
                }
                (false, false) => printer.line(&node.path)?,
            }
        }
        Ok(zxid)
    }

    async fn list_children(&self, client: &Client, printer: &mut Printer) -> Result<u64, Failure> {
        let mut page = client.children(&self.path).await?;
        let (stat, zxid) = (page.stat, page.zxid);
        let mut names = Vec::new();
        loop {
            let more = page.more;
            names.extend(page.children.into_iter().map(|child| child.name));
            let Some(last) = names.last().filter(|_| more) else { break };
            // Pages may be of different moments, but never of an earlier one.
            let cluster_id = client.last_header().map_or(0, |header| header.cluster_id);
            let options = CallOptions { min_zxid: Some(ZxidBound { cluster_id, zxid }), ..CallOptions::default() };
            page = client.children(&self.path).after(last).options(options).await?;
        }
        if printer.is_json() {
            let document = ChildrenDocument { path: &self.path, children: names, stat: StatDocument::from(&stat) };
            printer.json(&document)?;
        } else {
            names.iter().try_for_each(|name| printer.line(name))?;
            if self.stat {
                printer.bytes(text::stat_block(&stat).as_bytes())?;
            }
        }
        Ok(zxid)
    }
}
