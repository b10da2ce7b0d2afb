//! `config`.

use clap::Args;
use quorate_client::{Client, MemberSpec, Members};

use crate::commands::reconfig;
use crate::document::hex;
use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate config       the ensemble's servers, as `reconfig --file` takes them
  quorate config -c    one line: the version, and where clients connect";

/// The arguments of `config`.
#[derive(Args, Debug)]
pub struct Config {
    /// Only the version and the addresses for clients
    #[arg(short, long)]
    clients: bool,
}

impl Config {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let known = client.members().await?;
        let members = members_of(&known);
        if printer.is_json() {
            return reconfig::print_json(known.version, &members, printer);
        }
        if self.clients {
            let addresses: Vec<&str> =
                members.iter().filter_map(|spec| spec.address.as_ref()?.grpc.as_deref()).collect();
            let line = format!("{} {}", hex(known.version), addresses.join(","));
            // They need not be known.
            return printer.line(line.trim_end());
        }
        members.iter().try_for_each(|spec| printer.line(&reconfig::line(spec)))?;
        printer.line(&format!("# version={}", hex(known.version)))
    }
}

/// Those who belong to the configuration; others learn without that.
fn members_of(known: &Members) -> Vec<MemberSpec> {
    let spec = |member: &quorate_client::Member| {
        let membership = member.membership?;
        Some(MemberSpec { server_id: member.server_id, membership, address: member.address.clone() })
    };
    known.members.iter().filter_map(spec).collect()
}
