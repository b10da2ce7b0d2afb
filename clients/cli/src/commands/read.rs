//! `get` and `stat`.

use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use quorate_client::{Client, Error, Reason, WatchEvent, WatchKind};

use crate::commands::watch;
use crate::document::{DataDocument, StatDocument, StatOfPath, ZnodeDocument};
use crate::exit::Failure;
use crate::printer::Printer;
use crate::text;

pub(crate) const GET_EXAMPLES: &str = "\
Examples:
  quorate get /app/config/port
  quorate get -s /app/config/port                  with its metadata
  quorate get /app/cert > cert.pem                 exactly its bytes
  quorate get -w /app/config/port                  and wait for the next change
  quorate get /app/config/port --output json | jq -r .data";

pub(crate) const STAT_EXAMPLES: &str = "\
Examples:
  quorate stat /app
  quorate stat /app --output json | jq .stat.version";

/// The arguments of `get`.
#[derive(Args, Debug)]
pub struct Get {
    /// Which znode
    path: String,

    /// Print its metadata, too
    #[arg(short, long)]
    stat: bool,

    /// Then wait for the next change, and print it
    #[arg(short, long)]
    watch: bool,

    /// Print data in base64
    #[arg(short, long, conflicts_with = "hex")]
    base64: bool,

    /// Print data as a table of hexadecimal digits
    #[arg(short = 'x', long)]
    hex: bool,
}

impl Get {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let zxid = self.show(client, printer).await?;
        wait_for_change(self.awaited(), client, zxid, printer).await
    }

    /// The change that is waited for after the state was shown.
    pub(crate) fn awaited(&self) -> Option<(&str, WatchKind)> {
        self.watch.then_some((&self.path, WatchKind::Node))
    }

    /// Prints the state, and says as of which zxid it is.
    pub(crate) async fn show(&self, client: &Client, printer: &mut Printer) -> Result<u64, Failure> {
        let znode = client.get(&self.path).await?;
        if printer.is_json() {
            let data = DataDocument::new(znode.data.as_ref());
            let stat = StatDocument::from(&znode.stat);
            printer.json(&ZnodeDocument { path: &self.path, data, stat })?;
        } else {
            self.print_data(znode.data.as_deref(), printer)?;
            if self.stat {
                printer.bytes(text::stat_block(&znode.stat).as_bytes())?;
            }
        }
        Ok(znode.zxid)
    }

    fn print_data(&self, data: Option<&[u8]>, printer: &mut Printer) -> Result<(), Failure> {
        use base64::Engine as _;
        let Some(data) = data else {
            // On standard output it could be taken for data.
            eprintln!("{} has null data", self.path);
            return Ok(());
        };
        if self.hex {
            return printer.bytes(text::hex_dump(data).as_bytes());
        }
        if self.base64 {
            return printer.line(&base64::engine::general_purpose::STANDARD.encode(data));
        }
        printer.bytes(data)?;
        // For people, and where something else follows; a file shall have exactly the data.
        if (printer.is_terminal() || self.stat || self.watch) && !data.ends_with(b"\n") {
            printer.bytes(b"\n")?;
        }
        Ok(())
    }
}

/// The arguments of `stat`.
#[derive(Args, Debug)]
pub struct Stat {
    /// Which znode
    path: String,

    /// Then wait for the next change, and print it
    #[arg(short, long)]
    watch: bool,
}

impl Stat {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let zxid = self.show(client, printer).await?;
        wait_for_change(self.awaited(), client, zxid, printer).await
    }

    /// The change that is waited for after the state was shown.
    pub(crate) fn awaited(&self) -> Option<(&str, WatchKind)> {
        self.watch.then_some((&self.path, WatchKind::Node))
    }

    /// Prints the state, and says as of which zxid it is.
    pub(crate) async fn show(&self, client: &Client, printer: &mut Printer) -> Result<u64, Failure> {
        let existence = client.exists(&self.path).await?;
        let Some(stat) = existence.stat else {
            return Err(Error::new(Reason::NoNode, format!("{}: there is no such znode", self.path)).into());
        };
        if printer.is_json() {
            printer.json(&StatOfPath { path: &self.path, created: None, stat: StatDocument::from(&stat) })?;
        } else {
            printer.bytes(text::stat_block(&stat).as_bytes())?;
        }
        Ok(existence.zxid)
    }
}

/// Prints the first changes after a state that was printed, if they are waited for.
pub(crate) async fn wait_for_change(
    awaited: Option<(&str, WatchKind)>,
    client: &Client,
    zxid: u64,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let Some((path, kind)) = awaited else { return Ok(()) };
    printer.flush()?;
    let watch = client.watch(path).kind(kind).from(zxid, None).progress_interval(Duration::from_secs(5));
    let mut watch = watch.start();
    while let Some(told) = watch.next().await {
        if let WatchEvent::Events(events) = told? {
            return events.iter().try_for_each(|event| watch::print_event(event, false, printer));
        }
    }
    Ok(())
}
