//! `sync`.

use clap::Args;
use quorate_client::Client;
use serde::Serialize;

use crate::document::hex;
use crate::exit::Failure;
use crate::printer::Printer;

/// The arguments of `sync`.
#[derive(Args, Debug)]
pub struct Sync {
    /// Ignored: everything is caught up with
    #[arg(hide = true)]
    path: Option<String>,
}

#[derive(Serialize)]
struct SyncDocument {
    zxid: String,
}

impl Sync {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let zxid = hex(client.sync().await?.zxid);
        if printer.is_json() {
            return printer.json(&SyncDocument { zxid });
        }
        printer.line(&zxid)
    }
}
