//! The trace that a request belongs to: `traceparent` (W3C Trace Context), for the log.

use std::fmt;

use http::header::{HeaderMap, HeaderName};

/// Names the caller's span, and the trace that it is part of.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Bytes of `00-<trace>-<span>-<flags>`, the first version of the header; later ones only append to it.
const BYTES: usize = 55;

/// The caller's span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    trace_id: String,
    span_id: String,
}

impl Span {
    /// What the header says, if it says something that makes sense; the standard has anything else ignored.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Span> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let (text, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
        let (known, rest) = text.split_at_checked(BYTES)?;
        let parts: Vec<&str> = known.split('-').collect();
        let [version, trace_id, span_id, flags] = parts[..] else { return None };
        let is_whole = if version == "00" { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
        let is_id = |text: &str, digits| is_hex(text, digits) && text.bytes().any(|digit| digit != b'0');
        let is_valid = is_hex(version, 2) && version != "ff" && is_hex(flags, 2) && is_whole;
        (is_valid && is_id(trace_id, 32) && is_id(span_id, 16))
            .then(|| Span { trace_id: trace_id.to_owned(), span_id: span_id.to_owned() })
    }
}

/// `<trace>-<span>`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.trace_id, self.span_id)
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(text: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_str(text).unwrap())]);
        Span::of(&headers).map(|span| span.to_string())
    }

    #[test]
    fn a_span_is_read_as_the_standard_says() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        assert_eq!(read(&format!("00-{ids}-01")).as_deref(), Some(ids));
        assert_eq!(read(&format!("00-{ids}-00")).as_deref(), Some(ids));
        assert_eq!(read(&format!("cc-{ids}-01")).as_deref(), Some(ids));
        assert_eq!(read(&format!("cc-{ids}-01-what-the-future-brings")).as_deref(), Some(ids));
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

    #[test]
    fn two_spans_are_none() {
        let line = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let mut headers = HeaderMap::from_iter([(TRACEPARENT, line.clone())]);
        headers.append(TRACEPARENT, line);
        assert_eq!(Span::of(&headers), None);
    }
}
