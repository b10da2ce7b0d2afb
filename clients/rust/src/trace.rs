//! `TraceContext`: the span that a call belongs to, as W3C Trace Context writes it.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Reason};

/// Bytes of `00-<trace>-<span>-<flags>`, the first version of the text; later ones only append to it.
const TEXT_BYTES: usize = 55;

/// The caller's span, and the trace that it is part of; in the servers' logs a call is found by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Of the trace; not 0.
    pub trace_id: u128,
    /// Of the caller's span; not 0.
    pub span_id: u64,
    /// Whether the trace is recorded, among others.
    pub flags: u8,
}

/// As `traceparent` has it, in the first version.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// From what `traceparent` says, in any version.
impl FromStr for TraceContext {
    type Err = Error;

    fn from_str(text: &str) -> Result<TraceContext, Error> {
        parse(text).ok_or_else(|| Error::new(Reason::BadArguments, format!("{text:?} is no traceparent")))
    }
}

fn parse(text: &str) -> Option<TraceContext> {
    let (known, rest) = text.split_at_checked(TEXT_BYTES)?;
    let mut parts = known.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32)?;
    let span_id = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    let is_whole = rest.is_empty() || (version != 0 && rest.starts_with('-'));
    let is_valid = version != 0xff && is_whole && trace_id != 0 && span_id != 0;
    is_valid.then_some(TraceContext { trace_id, span_id: span_id as u64, flags: flags as u8 })
}

/// So many digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_as_the_standard_says() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        let read = |text: &str| text.parse::<TraceContext>().ok().map(|context| context.to_string());
        for (text, flags) in [
            (format!("00-{ids}-01"), "01"),
            (format!("00-{ids}-00"), "00"),
            (format!("cc-{ids}-01"), "01"),
            (format!("cc-{ids}-01-what-the-future-brings"), "01"),
        ] {
            assert_eq!(read(&text), Some(format!("00-{ids}-{flags}")), "{text}");
        }
        for text in [
            String::new(),
            format!("ff-{ids}-01"),
            format!("00-{ids}-01-more"),
            format!("cc-{ids}-01.more"),
            format!("00-{ids}-0"),
            format!("00-{ids}-0x"),
            format!("00-{}-01", ids.to_uppercase()),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01".to_owned(),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
