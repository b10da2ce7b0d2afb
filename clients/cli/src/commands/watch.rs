//! `watch`.

use clap::Args;
use futures_util::StreamExt as _;
use quorate_client::{Client, Event, WatchEvent, WatchKind};

use crate::document::{EventDocument, parse_id};
use crate::exit::Failure;
use crate::printer::Printer;
use crate::text;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate watch /app/config/port            created, changed, deleted
  quorate watch -R /app --data              everything below it, with data
  quorate watch -R /app --initial           what there is, then what changes
  quorate watch /app -R --count 1           exit after one change
  quorate watch -R / --output json | jq .   one JSON object on each line

It goes on by itself when a connection breaks, and misses nothing. After an
interruption, --from with the zxid of the last line goes on where that was.";

/// The arguments of `watch`.
#[derive(Args, Debug)]
pub struct Watch {
    /// Which znode; it need not exist
    path: String,

    /// Everything below it, too
    #[arg(short = 'R', long, conflicts_with = "children")]
    recursive: bool,

    /// Its children coming and going, instead of its data
    #[arg(short, long)]
    children: bool,

    /// Print first what there is
    #[arg(short, long, conflicts_with = "from")]
    initial: bool,

    /// Print data, too
    #[arg(short, long)]
    data: bool,

    /// Begin after this txn, or after the change with this index in it
    #[arg(long, value_name = "ZXID[.INDEX]", value_parser = parse_position)]
    from: Option<Position>,

    /// Exit after so many changes
    #[arg(short = 'n', long, value_name = "CHANGES", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// A change: its txn, and its index there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Position {
    zxid: u64,
    index: Option<u32>,
}

fn parse_position(text: &str) -> Result<Position, String> {
    match text.split_once('.') {
        None => Ok(Position { zxid: parse_id(text)?, index: None }),
        Some((zxid, index)) => {
            let index = index.parse().map_err(|_| format!("`{index}` is no index: write {zxid}.0"))?;
            Ok(Position { zxid: parse_id(zxid)?, index: Some(index) })
        }
    }
}

impl Watch {
    /// Of a znode, or of everything below it, too, until it is interrupted.
    pub(crate) fn plain(path: String, recursive: bool) -> Watch {
        Watch { path, recursive, children: false, initial: false, data: false, from: None, count: None }
    }

    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let kind = match (self.recursive, self.children) {
            (true, _) => WatchKind::Recursive,
            (_, true) => WatchKind::Children,
            (false, false) => WatchKind::Node,
        };
        let mut watch = client.watch(&self.path).kind(kind);
        if let Some(Position { zxid, index }) = self.from {
            watch = watch.from(zxid, index);
        }
        if self.initial {
            watch = watch.send_initial();
        }
        if self.data {
            watch = watch.with_data();
        }
        let mut watch = watch.start();
        let mut left = self.count.unwrap_or(u64::MAX);
        while let Some(told) = watch.next().await {
            match told? {
                WatchEvent::Events(events) => {
                    for event in &events {
                        print_event(event, self.data, printer)?;
                        left -= 1;
                        if left == 0 {
                            return Ok(());
                        }
                    }
                }
                WatchEvent::Synced { zxid } => print_marker("synced", Some(zxid), printer)?,
                WatchEvent::Reset => print_marker("reset", None, printer)?,
                WatchEvent::Created { .. } | WatchEvent::Progress { .. } => {}
            }
            printer.flush()?;
        }
        Ok(())
    }
}

/// Prints one change.
pub(crate) fn print_event(event: &Event, with_data: bool, printer: &mut Printer) -> Result<(), Failure> {
    if printer.is_json() {
        return printer.json(&EventDocument::new(event, with_data));
    }
    printer.line(&text::event_line(event, with_data))
}

/// Prints something that is about no znode. For people it is a remark beside the data.
fn print_marker(name: &str, zxid: Option<u64>, printer: &mut Printer) -> Result<(), Failure> {
    if printer.is_json() {
        return printer.json(&EventDocument::marker(name, zxid));
    }
    printer.flush()?;
    match name {
        "synced" => eprintln!("-- that is what there is; now what changes"),
        _ => eprintln!("-- the beginning was interrupted: once more, from the beginning"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_zxid_with_or_without_an_index() {
        assert_eq!(parse_position("0x10"), Ok(Position { zxid: 16, index: None }));
        assert_eq!(parse_position("0x10.3"), Ok(Position { zxid: 16, index: Some(3) }));
        assert!(parse_position("0x10.").is_err() && parse_position("x").is_err());
    }
}
