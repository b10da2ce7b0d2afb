//! `version`.

use clap::Args;
use quorate_client::Client;
use serde::Serialize;

use crate::exit::Failure;
use crate::printer::Printer;

/// The version of this program.
const OWN: &str = env!("CARGO_PKG_VERSION");

/// The arguments of `version`.
#[derive(Args, Debug)]
pub struct Version {}

#[derive(Serialize)]
struct VersionDocument<'a> {
    client: &'static str,
    server: &'a str,
    server_id: u32,
}

impl Version {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        if !printer.is_json() {
            // What is known without a server is said without one.
            printer.line(&format!("client {OWN}"))?;
        }
        let status = client.status().await?;
        let (server, server_id) = (&*status.version, status.header.server_id);
        if printer.is_json() {
            return printer.json(&VersionDocument { client: OWN, server, server_id });
        }
        printer.line(&format!("server {server} (server {server_id})"))
    }
}
