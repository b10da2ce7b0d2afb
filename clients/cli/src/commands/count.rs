//! `getAllChildrenNumber`.

use clap::Args;
use quorate_client::Client;
use serde::Serialize;

use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate getAllChildrenNumber /app    everything below it, not only children";

/// The arguments of `getAllChildrenNumber`.
#[derive(Args, Debug)]
pub struct GetAllChildrenNumber {
    /// Below which znode; it is not counted itself
    #[arg(default_value = "/")]
    path: String,
}

#[derive(Serialize)]
struct CountDocument<'a> {
    path: &'a str,
    count: u64,
}

impl GetAllChildrenNumber {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let count = client.count_descendants(&self.path).await?.count;
        if printer.is_json() {
            return printer.json(&CountDocument { path: &self.path, count });
        }
        printer.line(&count.to_string())
    }
}
