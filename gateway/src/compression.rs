//! Compression of what the gateway writes itself, for callers that ask for it.
//!
//! Not of znodes' raw data: it may be compressed already, and is handed on as it is. Not of streams of events, either:
//! each would hold a compressor's 300 KiB for as long as it is open; they say `no-transform`.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::buf::Writer;
use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY,
};
use http_body::{Body as _, Frame};

use crate::etag;

/// Smaller bodies would hardly become smaller.
const BODY_BYTES_MIN: u64 = 1024;

/// What is compressed: text of ours.
const TYPES: [&str; 6] = [
    "application/json",
    "application/vnd.quorate+json",
    "application/x-ndjson",
    "application/openmetrics-text",
    "application/problem+json",
    "text/html",
];

const VARIES: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Whether the caller takes gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|line| line.to_str().ok());
    let mut any = false;
    for coding in lines.flat_map(|line| line.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_wanted = !parts.any(|parameter| {
            let quality = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
            quality.and_then(|quality| quality.parse::<f32>().ok()).is_some_and(|quality| quality <= 0.0)
        });
        if name.eq_ignore_ascii_case("gzip") {
            return is_wanted;
        }
        any |= name == "*" && is_wanted;
    }
    any
}

/// The response as it leaves: compressed, if it is worth it and `wanted`.
pub(crate) fn compress(wanted: bool, mut response: Response) -> Response {
    if !is_worth_it(&response) {
        return response;
    }
    response.headers_mut().append(VARY, VARIES);
    if !wanted {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(CONTENT_LENGTH);
    // Other bytes are another representation.
    if let Some(tag) = parts.headers.get(ETAG).and_then(etag::of_gzip) {
        parts.headers.insert(ETAG, tag);
    }
    Response::from_parts(parts, Body::new(Gzip::new(body)))
}

fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let media_type = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    let is_small = response.body().size_hint().upper().is_some_and(|bytes| bytes < BODY_BYTES_MIN);
    TYPES.contains(&media_type)
        && !is_small
        && !headers.contains_key(CONTENT_ENCODING)
        && !text(CACHE_CONTROL).contains("no-transform")
}

/// A body that is compressed as it leaves.
struct Gzip {
    body: Body,
    /// Absent at the end.
    encoder: Option<GzEncoder<Writer<BytesMut>>>,
}

impl Gzip {
    fn new(body: Body) -> Gzip {
        // One thread may do everything that a server does: the least effort has most of the gain.
        Gzip { body, encoder: Some(GzEncoder::new(BytesMut::new().writer(), Compression::fast())) }
    }

    /// What becomes of one more piece. It leaves whole: a reader shall not wait for the next one to understand it.
    fn piece(&mut self, data: &[u8]) -> std::io::Result<Bytes> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(Bytes::new()) };
        encoder.write_all(data)?;
        if self.body.is_end_stream() {
            return Ok(encoder.finish()?.into_inner().freeze());
        }
        encoder.flush()?;
        let written = encoder.get_mut().get_mut().split().freeze();
        self.encoder = Some(encoder);
        Ok(written)
    }
}

impl http_body::Body for Gzip {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.encoder.is_none() {
            return Poll::Ready(None);
        }
        let piece = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.piece(&data),
                // None of our bodies has trailers.
                Err(_) => return Poll::Ready(None),
            },
            // A body that is not whole must not end as if it were.
            Some(Err(error)) => {
                self.encoder = None;
                return Poll::Ready(Some(Err(error)));
            }
            None => match self.encoder.take() {
                Some(encoder) => encoder.finish().map(|written| written.into_inner().freeze()),
                None => return Poll::Ready(None),
            },
        };
        Poll::Ready(Some(piece.map(Frame::data).map_err(axum::Error::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        let check = |text: &str, expected| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(accepts_gzip(&headers), expected, "{text}");
        };
        assert!(!accepts_gzip(&HeaderMap::new()));
        check("gzip", true);
        check("GZip;q=0.5, br", true);
        check("br, deflate", false);
        check("gzip;q=0", false);
        check("*", true);
        check("*;q=0", false);
        check("gzip;q=0, *", false);
        check("identity, *;q=0.1", true);
    }
}
