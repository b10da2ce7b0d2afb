//! The trace that a request belongs to: `traceparent` (W3C Trace Context), for the logs here and of the servers.

use http::header::{HeaderMap, HeaderName};
use quorate_client::TraceContext;

/// Names the caller's span, and the trace that it is part of.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What the header says, if it says something that makes sense; the standard has anything else ignored.
pub(crate) fn of(headers: &HeaderMap) -> Option<TraceContext> {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    let (text, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_makes_no_sense_is_ignored() {
        let line = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let mut headers = HeaderMap::from_iter([(TRACEPARENT, line.clone())]);
        assert!(of(&headers).is_some());
        headers.append(TRACEPARENT, line);
        assert_eq!(of(&headers), None, "two spans are none");
        assert_eq!(of(&HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static("mine"))])), None);
    }
}
