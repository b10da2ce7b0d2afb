//! `Position`: where a reader of changes stands, as `<zxid>.<index>`; one for each watch of a stream, as its event ids.
//!
//! Watches of one stream advance independently of each other while they catch up, so a single position could not
//! say what each has delivered. An id therefore lists one position for each watch, in the order of the watches: with
//! the id, and nothing else, any gateway resumes every watch strictly after the last event that it delivered.

use std::fmt::{self, Write};

use crate::hex::Hex;

/// After one change, or (without an index) after everything that one txn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The txn.
    pub(crate) zxid: u64,
    /// The last change of it that was delivered; all of them, if absent.
    pub(crate) index: Option<u32>,
}

impl Position {
    /// After everything that `zxid` and all txns before it did.
    pub(crate) fn after(zxid: u64) -> Position {
        Position { zxid, index: None }
    }

    /// Reads `0x10` or `0x10.3`.
    pub(crate) fn parse(text: &str) -> Option<Position> {
        let (zxid, index) = match text.split_once('.') {
            Some((zxid, index)) => (zxid, Some(parse_index(index)?)),
            None => (text, None),
        };
        Some(Position { zxid: Hex::parse(zxid)?.0, index })
    }

    /// Reads a list with one position for each of `watches` watches, or a single one that counts for all.
    pub(crate) fn parse_list(text: &str, watches: usize) -> Option<Vec<Position>> {
        let positions = text.split(',').map(Position::parse).collect::<Option<Vec<_>>>()?;
        match positions.as_slice() {
            [one] => Some(vec![*one; watches]),
            several => (several.len() == watches).then_some(positions),
        }
    }

    /// Appends the list of `positions` to `out`.
    pub(crate) fn write_list(positions: impl IntoIterator<Item = Position>, out: &mut String) {
        for (at, position) in positions.into_iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write!(out, "{position}").expect("a string takes any text");
        }
    }
}

fn parse_index(text: &str) -> Option<u32> {
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.zxid).fmt(f)?;
        match self.index {
            Some(index) => write!(f, ".{index}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_written() {
        for position in [
            Position::after(0),
            Position { zxid: 0x1_0000_0002, index: Some(0) },
            Position { zxid: u64::MAX, index: Some(u32::MAX) },
        ] {
            assert_eq!(Position::parse(&position.to_string()), Some(position));
        }
    }

    #[test]
    fn text_of_another_form_is_no_position() {
        for text in
            ["", ".", "1", "16.2", "0x", "0x1.", "0x1.x", "0x1.-1", "0x1.+1", "0x1.4294967296", "0x1.0.0", "0x1 "]
        {
            assert_eq!(Position::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_list_has_one_position_for_each_watch_or_one_for_all() {
        let one = Position { zxid: 1, index: Some(2) };
        assert_eq!(Position::parse_list("0x1.2", 3), Some(vec![one; 3]));
        assert_eq!(Position::parse_list("0x1.2,0x5", 2), Some(vec![one, Position::after(5)]));
        assert_eq!(Position::parse_list("0x1.2,0x5", 3), None);
        assert_eq!(Position::parse_list("0x1.2,", 2), None);
        let mut text = String::new();
        Position::write_list([one, Position::after(5)], &mut text);
        assert_eq!(text, "0x1.2,0x5");
    }
}
