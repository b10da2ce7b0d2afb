//! `status`.

use clap::Args;
use comfy_table::{Table, presets};
use quorate_client::{Client, Status as ServerStatus};
use serde::Serialize;

use super::members::{self, MemberDocument};
use crate::document::hex;
use crate::exit::Failure;
use crate::printer::Printer;

/// The arguments of `status`.
#[derive(Args, Debug)]
pub struct Status {}

/// A server's status as JSON.
#[derive(Debug, Serialize)]
struct StatusDocument<'a> {
    server_id: u32,
    role: &'a str,
    serving: bool,
    version: &'a str,
    cluster_id: String,
    epoch: u32,
    zxid: String,
    leader_id: Option<u32>,
    uptime_ms: u128,
    znodes: u64,
    data_bytes: u64,
    ephemerals: u64,
    sessions: u64,
    watches: u64,
    streams: u64,
    digest: String,
    logged_zxid: String,
    durable_zxid: String,
    snapshot_zxid: Option<String>,
    history_zxid: String,
    disk_full: bool,
    awaited_ids: &'a [u32],
    members: Vec<MemberDocument>,
}

impl<'a> StatusDocument<'a> {
    fn new(status: &'a ServerStatus) -> StatusDocument<'a> {
        StatusDocument {
            server_id: status.header.server_id,
            role: status.header.role.as_str(),
            serving: status.serving,
            version: &status.version,
            cluster_id: hex(status.header.cluster_id),
            epoch: status.header.epoch,
            zxid: hex(status.header.zxid),
            leader_id: (status.leader_id != 0).then_some(status.leader_id),
            uptime_ms: status.uptime.as_millis(),
            znodes: status.znodes,
            data_bytes: status.data_bytes,
            ephemerals: status.ephemerals,
            sessions: status.sessions,
            watches: status.watches,
            streams: status.streams,
            digest: status.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            logged_zxid: hex(status.logged_zxid),
            durable_zxid: hex(status.durable_zxid),
            snapshot_zxid: (status.snapshot_zxid != 0).then(|| hex(status.snapshot_zxid)),
            history_zxid: hex(status.history_zxid),
            disk_full: status.disk_full,
            awaited_ids: &status.awaited_ids,
            members: status.members.iter().map(MemberDocument::from).collect(),
        }
    }
}

impl Status {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let status = client.status().await?;
        let document = StatusDocument::new(&status);
        if printer.is_json() {
            return printer.json(&document);
        }
        // A table pads its last column, too, which nobody sees and every diff shows.
        table(&document).lines().try_for_each(|line| printer.line(line.trim_end()))?;
        if document.members.len() > 1 {
            printer.line("")?;
            members::print_table(&document.members, printer)?;
        }
        Ok(())
    }
}

fn table(status: &StatusDocument<'_>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let leader = match status.leader_id {
        Some(id) if id == status.server_id => "this server".to_owned(),
        Some(id) => format!("server {id}"),
        None => "none known".to_owned(),
    };
    let serving = match status.awaited_ids {
        _ if status.serving => "yes".to_owned(),
        [] => "no: it cannot serve writes now".to_owned(),
        awaited => format!("no: the ensemble begins when these servers, too, are there with empty disks: {awaited:?}"),
    };
    let disk = if status.disk_full { "full: writes are refused" } else { "ok" };
    let rows = [
        ("server", format!("{} ({}), version {}", status.server_id, status.role, status.version)),
        ("serving", serving),
        ("leader", leader),
        ("up", uptime(status.uptime_ms)),
        ("cluster", status.cluster_id.clone()),
        ("epoch", status.epoch.to_string()),
        ("zxid", status.zxid.clone()),
        ("znodes", format!("{} ({} ephemeral)", status.znodes, status.ephemerals)),
        ("data", bytes(status.data_bytes)),
        ("clients", format!("{} sessions, {} watches, {} streams", status.sessions, status.watches, status.streams)),
        ("log", format!("logged to {}, durable to {}", status.logged_zxid, status.durable_zxid)),
        ("snapshot", status.snapshot_zxid.clone().unwrap_or_else(|| "none".to_owned())),
        ("history", format!("watches resume from {}", status.history_zxid)),
        ("disk", disk.to_owned()),
        ("digest", status.digest.clone()),
    ];
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    table
}

/// A time with its two greatest units.
fn uptime(milliseconds: u128) -> String {
    let seconds = milliseconds / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}

/// A size with its unit.
fn bytes(size: u64) -> String {
    match size {
        0..10_000 => format!("{size} bytes"),
        10_000..10_000_000 => format!("{} kB", size / 1000),
        _ => format!("{} MB", size / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        let times = [(5_000, "5 s"), (65_000, "1 min 5 s"), (3_700_000, "1 h 1 min"), (90_000_000, "1 d 1 h")];
        for (milliseconds, text) in times {
            assert_eq!(uptime(milliseconds), text);
        }
        for (size, text) in [(0, "0 bytes"), (9_999, "9999 bytes"), (12_345, "12 kB"), (12_345_678, "12 MB")] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn a_status_is_a_table_that_says_what_is_wrong() {
        let mut status = ServerStatus { znodes: 5, ..ServerStatus::default() };
        status.header.server_id = 1;
        let shown = table(&StatusDocument::new(&status)).to_string();
        assert!(shown.contains("no: it cannot serve writes now") && shown.contains("none known"), "{shown}");
        status.serving = true;
        status.leader_id = 1;
        let shown = table(&StatusDocument::new(&status)).to_string();
        assert!(shown.contains("this server") && shown.contains("5 (0 ephemeral)"), "{shown}");
    }
}
