//! Results for people.

use std::fmt::Write as _;

use bytes::Bytes;
use quorate_client::{Event, Stat};

use crate::document::hex;
use crate::time::rfc3339;

/// The block of lines that zkCli prints for a stat, with times that sort.
pub(crate) fn stat_block(stat: &Stat) -> String {
    let lines = [
        ("cZxid", hex(stat.czxid)),
        ("ctime", rfc3339(stat.ctime_ms)),
        ("mZxid", hex(stat.mzxid)),
        ("mtime", rfc3339(stat.mtime_ms)),
        ("pZxid", hex(stat.pzxid)),
        ("cversion", stat.cversion.to_string()),
        ("dataVersion", stat.version.to_string()),
        ("aclVersion", stat.aversion.to_string()),
        ("ephemeralOwner", hex(stat.ephemeral_owner)),
        ("dataLength", stat.data_length.to_string()),
        ("numChildren", stat.num_children.to_string()),
    ];
    lines.iter().fold(String::new(), |mut block, (name, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(block, "{name} = {value}");
        block
    })
}

/// Bytes as a table: offset, hexadecimal, characters.
pub(crate) fn hex_dump(data: &[u8]) -> String {
    let mut table = String::new();
    for (at, row) in data.chunks(16).enumerate() {
        let digits: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let characters: String = row.iter().map(shown).collect();
        let _ = writeln!(table, "{:08x}  {:<47}  |{characters}|", at * 16, digits.join(" "));
    }
    table
}

/// One change on one line. Data is shown as far as it is text, with its line breaks escaped.
pub(crate) fn event_line(event: &Event, with_data: bool) -> String {
    let Event { kind, path, zxid, stat, data, .. } = event;
    let mut line = format!("{:<7} {path} zxid={} version={}", kind.as_str(), hex(*zxid), stat.version);
    if with_data {
        let _ = write!(line, " data={}", data.as_ref().map_or("null".to_owned(), data_on_a_line));
    }
    line
}

fn data_on_a_line(data: &Bytes) -> String {
    match std::str::from_utf8(data) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("({} bytes)", data.len()),
    }
}

/// The last component of a path; the root's is `/`.
pub(crate) fn name_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name,
        _ => path,
    }
}

/// How many components a path has.
pub(crate) fn depth_of(path: &str) -> usize {
    if path == "/" { 0 } else { path.matches('/').count() }
}

#[cfg(test)]
mod tests {
    use quorate_client::EventKind;

    use super::*;

    #[test]
    fn a_stat_is_shown_as_zkcli_shows_it() {
        let stat = Stat { czxid: 16, version: 3, num_children: 2, ..Stat::default() };
        let block = stat_block(&stat);
        let lines: Vec<_> = block.lines().collect();
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[0], "cZxid = 0x10");
        assert_eq!(lines[6], "dataVersion = 3");
        assert_eq!(lines[8], "ephemeralOwner = 0x0");
    }

    #[test]
    fn bytes_are_dumped_in_rows() {
        let dump = hex_dump(b"0123456789abcdef\n");
        let expected = "\
00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|
00000010  0a                                               |.|\n";
        assert_eq!(dump, expected);
    }

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            zxid: 16,
            index: 0,
            kind: EventKind::Changed,
            path: "/a".into(),
            stat: Stat { version: 2, ..Stat::default() },
            data: Some(Bytes::from_static(b"x\ny")),
            previous_data: None,
        };
        assert_eq!(event_line(&event, false), "changed /a zxid=0x10 version=2");
        assert_eq!(event_line(&event, true), r#"changed /a zxid=0x10 version=2 data="x\ny""#);
    }

    #[test]
    fn paths_have_names_and_depths() {
        assert_eq!((name_of("/"), depth_of("/")), ("/", 0));
        assert_eq!((name_of("/a/b"), depth_of("/a/b")), ("b", 2));
    }
}
