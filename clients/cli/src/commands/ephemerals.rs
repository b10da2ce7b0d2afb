//! `getEphemerals`.

use clap::Args;
use futures_util::StreamExt as _;
use quorate_client::Client;
use serde::Serialize;

use crate::document::{hex, parse_id};
use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate getEphemerals --all             of all sessions, with their owners
  quorate getEphemerals /workers --all
  quorate getEphemerals --owner 0x100000100000002

In a shell, without --all and --owner, those of the shell's own session.";

/// The arguments of `getEphemerals`.
#[derive(Args, Debug)]
pub struct GetEphemerals {
    /// Only this znode and what is below it
    #[arg(default_value = "/")]
    path: String,

    /// Those of every session
    #[arg(short, long)]
    all: bool,

    /// Those of this session
    #[arg(short, long, value_name = "SESSION", value_parser = parse_id, conflicts_with = "all")]
    owner: Option<u64>,
}

#[derive(Serialize)]
struct EphemeralDocument<'a> {
    path: &'a str,
    ephemeral_owner: String,
}

impl GetEphemerals {
    /// `own` is the session of whoever asks, if he can have one; 0 as long as he has none.
    pub(crate) async fn run(self, client: &Client, own: Option<u64>, printer: &mut Printer) -> Result<(), Failure> {
        let owner = match (self.all, self.owner) {
            (true, _) => None,
            (false, Some(owner)) => Some(owner),
            (false, None) => Some(own.ok_or_else(|| Failure::Usage(ASK.to_owned()))?),
        };
        let mut tree = client.stream_tree(&self.path).await?;
        while let Some(node) = tree.next().await {
            let node = node?;
            let found = node.stat.ephemeral_owner;
            if !node.stat.is_ephemeral() || owner.is_some_and(|owner| owner != found) {
                continue;
            }
            if printer.is_json() {
                printer.json(&EphemeralDocument { path: &node.path, ephemeral_owner: hex(found) })?;
            } else if owner.is_some() {
                printer.line(&node.path)?;
            } else {
                printer.line(&format!("{} {}", node.path, hex(found)))?;
            }
        }
        Ok(())
    }
}

const ASK: &str = "there is no session here whose they could be: name one with --owner, or all with --all; \
                   a `quorate shell` has a session of its own";
