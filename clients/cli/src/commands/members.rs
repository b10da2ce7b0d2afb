//! `members`, and how members are shown.

use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets};
use quorate_client::{Client, Member, MemberAddress, Members as Known, Membership};
use serde::Serialize;

use crate::document::hex;
use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate members                   who is there, and how far behind the leader
  quorate members --server s2:7181  what another server knows
  quorate --output json members | jq .version";

/// The arguments of `members`.
#[derive(Args, Debug)]
pub struct Members {}

/// The members as JSON.
#[derive(Debug, Serialize)]
struct MembersDocument {
    version: String,
    pending_version: Option<String>,
    quorum: u32,
    leader_id: Option<u32>,
    told_by_id: u32,
    members: Vec<MemberDocument>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct MemberDocument {
    server_id: u32,
    role: &'static str,
    membership: Option<&'static str>,
    epoch: Option<u64>,
    zxid: Option<String>,
    behind: Option<u64>,
    lag_ms: Option<u128>,
    latency_ms: Option<u128>,
    synchronizing: bool,
    amnesiac: bool,
    addresses: Option<AddressesDocument>,
}

/// How a server is reached.
#[derive(Debug, Serialize)]
pub(crate) struct AddressesDocument {
    pub(crate) peer: String,
    grpc: Option<String>,
    http: Option<String>,
}

impl From<&MemberAddress> for AddressesDocument {
    fn from(address: &MemberAddress) -> AddressesDocument {
        let MemberAddress { peer, grpc, http } = address.clone();
        AddressesDocument { peer, grpc, http }
    }
}

impl From<&Member> for MemberDocument {
    fn from(member: &Member) -> MemberDocument {
        let milliseconds = |time: Duration| time.as_millis();
        MemberDocument {
            server_id: member.server_id,
            role: member.state.as_str(),
            membership: member.membership.map(Membership::as_str),
            epoch: member.zxid.map(|zxid| zxid >> 32),
            zxid: member.zxid.map(hex),
            behind: member.behind,
            lag_ms: member.lag.map(milliseconds),
            latency_ms: member.latency.map(milliseconds),
            synchronizing: member.synchronizing,
            amnesiac: member.amnesiac,
            addresses: member.address.as_ref().map(AddressesDocument::from),
        }
    }
}

impl Members {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let known = client.members().await?;
        let document = MembersDocument {
            version: hex(known.version),
            pending_version: known.pending_version.map(hex),
            quorum: known.quorum,
            leader_id: (known.leader_id != 0).then_some(known.leader_id),
            told_by_id: known.told_by_id,
            members: known.members.iter().map(MemberDocument::from).collect(),
        };
        if printer.is_json() {
            return printer.json(&document);
        }
        print_table(&document.members, printer)?;
        printer.line("")?;
        printer.line(&summary(&known))
    }
}

/// One row for each member.
pub(crate) fn print_table(members: &[MemberDocument], printer: &mut Printer) -> Result<(), Failure> {
    // A table pads its last column, too, which nobody sees and every diff shows.
    table(members).lines().try_for_each(|line| printer.line(line.trim_end()))
}

fn table(members: &[MemberDocument]) -> Table {
    let mut table = Table::new();
    let header = ["server", "role", "votes", "epoch", "zxid", "behind", "lag", "latency", "address"];
    table.load_preset(presets::NOTHING).set_header(header);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for member in members {
        table.add_row([
            member.server_id.to_string(),
            role(member),
            votes(member).to_owned(),
            number(member.epoch),
            member.zxid.clone().unwrap_or_else(|| "-".to_owned()),
            number(member.behind),
            time(member.lag_ms, "0 ms"),
            time(member.latency_ms, "< 1 ms"),
            member.addresses.as_ref().map_or("-", |addresses| &addresses.peer).to_owned(),
        ]);
    }
    table
}

fn role(member: &MemberDocument) -> String {
    let notes = [(member.synchronizing, "synchronizing"), (member.amnesiac, "amnesiac")];
    let noted = notes.into_iter().filter(|(is_so, _)| *is_so).map(|(_, note)| note);
    std::iter::once(member.role).chain(noted).collect::<Vec<_>>().join(", ")
}

fn votes(member: &MemberDocument) -> &'static str {
    match member.membership {
        Some("participant") => "yes",
        Some(_) => "no",
        None => "no member",
    }
}

fn time(milliseconds: Option<u128>, none: &str) -> String {
    match milliseconds {
        None => "-".to_owned(),
        Some(0) => none.to_owned(),
        Some(milliseconds @ 1..10_000) => format!("{milliseconds} ms"),
        Some(milliseconds) => format!("{} s", milliseconds / 1000),
    }
}

/// What holds for all of them.
fn summary(known: &Known) -> String {
    let leader = match known.leader_id {
        0 => "no leader is known".to_owned(),
        leader => format!("server {leader} leads"),
    };
    let told = match known.told_by_id {
        told_by if told_by == known.leader_id => String::new(),
        told_by => format!(", as server {told_by} knows"),
    };
    let change = match known.pending_version {
        Some(version) => format!("; {} is being introduced", hex(version)),
        None => String::new(),
    };
    format!("{leader}{told}; {} make a quorum; configuration {}{change}", known.quorum, hex(known.version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_client::MemberState;

    fn member(server_id: u32, state: MemberState) -> Member {
        Member {
            server_id,
            state,
            membership: Some(Membership::Participant),
            address: None,
            zxid: None,
            amnesiac: false,
            synchronizing: false,
            behind: None,
            lag: None,
            latency: None,
        }
    }

    #[test]
    fn a_row_says_what_is_known_and_nothing_else() {
        let address = MemberAddress { peer: "s2:7182".to_owned(), ..MemberAddress::default() };
        let slow = Member {
            membership: None,
            address: Some(address),
            zxid: Some(0x3_0000_0004),
            amnesiac: true,
            synchronizing: true,
            behind: Some(12),
            lag: Some(Duration::from_millis(12_345)),
            latency: Some(Duration::ZERO),
            ..member(2, MemberState::Observing)
        };
        let rows = [&member(1, MemberState::Unreachable), &slow].map(MemberDocument::from);
        let shown = table(&rows).to_string();
        let cells: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(cells[1], ["1", "unreachable", "yes", "-", "-", "-", "-", "-", "-"]);
        let expected = "2 observing, synchronizing, amnesiac no member 3 0x300000004 12 12 s < 1 ms s2:7182";
        assert_eq!(cells[2].join(" "), expected);
    }

    #[test]
    fn the_summary_says_who_knows_it() {
        let mut known = Known { told_by_id: 1, leader_id: 1, quorum: 2, version: 7, ..Known::default() };
        assert_eq!(summary(&known), "server 1 leads; 2 make a quorum; configuration 0x7");
        (known.leader_id, known.pending_version) = (0, Some(9));
        let expected =
            "no leader is known, as server 1 knows; 2 make a quorum; configuration 0x7; 0x9 is being introduced";
        assert_eq!(summary(&known), expected);
    }
}
