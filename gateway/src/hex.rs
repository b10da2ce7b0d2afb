//! `Hex`: how 64-bit ids are written in JSON, in headers and in the ids of events: `0x` and hexadecimal digits.
//!
//! A JSON number would lose bits in every language whose numbers are floating point.

use std::fmt;

use bytes::BufMut;
use serde::{Serialize, Serializer};

/// `0x` and the sixteen digits of the greatest number.
const TEXT_BYTES_MAX: usize = 18;

/// A zxid, a session id or a cluster id, as text `0x..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) u64);

impl Hex {
    /// Reads `0x` and 1 to 16 hexadecimal digits, of either case; nothing else.
    pub(crate) fn parse(text: &str) -> Option<Hex> {
        let digits = text.strip_prefix("0x")?;
        if digits.len() > 16 || digits.starts_with('+') {
            return None;
        }
        u64::from_str_radix(digits, 16).ok().map(Hex)
    }

    /// Appends the text to `out`.
    pub(crate) fn write(self, out: &mut impl BufMut) {
        let mut buffer = [0; TEXT_BYTES_MAX];
        out.put_slice(self.text(&mut buffer).as_bytes());
    }

    fn text(self, buffer: &mut [u8; TEXT_BYTES_MAX]) -> &str {
        let mut at = buffer.len();
        let mut rest = self.0;
        loop {
            at -= 1;
            buffer[at] = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        at -= 2;
        buffer[at..at + 2].copy_from_slice(b"0x");
        std::str::from_utf8(&buffer[at..]).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; TEXT_BYTES_MAX]))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; TEXT_BYTES_MAX]))
    }
}

/// Appends a decimal number to `out`.
pub(crate) fn write_decimal(number: u64, out: &mut impl BufMut) {
    let mut buffer = [0; 20];
    let mut at = buffer.len();
    let mut rest = number;
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(&buffer[at..]);
}

/// Appends a decimal number with its sign, if that is a minus, to `out`.
pub(crate) fn write_signed(number: i64, out: &mut impl BufMut) {
    if number < 0 {
        out.put_u8(b'-');
    }
    write_decimal(number.unsigned_abs(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back_as_the_same_number() {
        for number in [0, 1, 15, 16, 0x1_0000_0002, u64::MAX - 1, u64::MAX] {
            let text = Hex(number).to_string();
            assert_eq!(text, format!("{number:#x}"));
            assert_eq!(Hex::parse(&text), Some(Hex(number)));
            let mut written = Vec::new();
            Hex(number).write(&mut written);
            assert_eq!(written, text.as_bytes());
        }
        assert_eq!(Hex::parse("0xAbC"), Some(Hex(0xabc)));
    }

    #[test]
    fn what_is_not_such_text_is_refused() {
        for text in ["", "0x", "x1", "1", "0X1", "0x1g", "0x+1", "0x-1", " 0x1", "0x1 ", "0x10000000000000000"] {
            assert_eq!(Hex::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn decimal_numbers_are_written_with_their_sign() {
        for number in [0, 7, 10, -1, i64::MAX, i64::MIN] {
            let mut written = Vec::new();
            write_signed(number, &mut written);
            assert_eq!(written, number.to_string().as_bytes());
        }
    }
}
