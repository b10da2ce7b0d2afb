//! The deadline of a call, in one place: whoever asks with a `grpc-timeout` is told DEADLINE_EXCEEDED when it is over,
//! whether the answer has begun or not.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{self, Either};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use quorate_types::{Code, Error};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

use super::convert::Refusal;
use super::error;

/// What `grpc-timeout` says, if it is there.
pub(super) fn timeout_of(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    headers.get("grpc-timeout").map(parse).transpose()
}

/// At most eight digits and a unit (gRPC over HTTP/2, "Timeout").
fn parse(value: &HeaderValue) -> Result<Duration, Refusal> {
    let refusal = || Refusal::bad("grpc-timeout", "1 to 8 digits and a unit of H, M, S, m, u or n");
    let text = value.to_str().map_err(|_| refusal())?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(refusal)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(refusal());
    }
    let count: u64 = digits.parse().map_err(|_| refusal())?;
    match unit {
        "H" => Ok(Duration::from_secs(count * 3_600)),
        "M" => Ok(Duration::from_secs(count * 60)),
        "S" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_millis(count)),
        "u" => Ok(Duration::from_micros(count)),
        "n" => Ok(Duration::from_nanos(count)),
        _ => Err(refusal()),
    }
}

/// Answers `call`, but not later than after `timeout`.
pub(super) async fn within(
    timeout: Duration,
    call: impl Future<Output = http::Response<Body>>,
) -> http::Response<Body> {
    let sleep = Box::pin(tokio::time::sleep(timeout));
    match future::select(pin!(call), sleep).await {
        Either::Left((response, sleep)) => response.map(|body| {
            if http_body::Body::is_end_stream(&body) { body } else { Body::new(Bounded { body: Some(body), sleep }) }
        }),
        Either::Right(((), _)) => expired().into_http(),
    }
}

fn expired() -> Status {
    error::plain(&Error::new(
        Code::DeadlineExceeded,
        "the deadline passed; whether a write that was under way took effect is unknown",
    ))
}

/// A response that ends with DEADLINE_EXCEEDED if it has not ended by itself.
struct Bounded {
    /// `None` once it has ended.
    body: Option<Body>,
    sleep: Pin<Box<Sleep>>,
}

impl http_body::Body for Bounded {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        match self.sleep.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                // Whatever the response was waiting for is no longer waited for.
                self.body = None;
                let mut trailers = HeaderMap::new();
                Poll::Ready(Some(expired().add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        let check = |text: &str, expected: Option<Duration>| {
            assert_eq!(parse(&HeaderValue::from_str(text).unwrap()).ok(), expected, "{text:?}");
        };
        check("1H", Some(Duration::from_secs(3_600)));
        check("2M", Some(Duration::from_secs(120)));
        check("99999999S", Some(Duration::from_secs(99_999_999)));
        check("250m", Some(Duration::from_millis(250)));
        check("0m", Some(Duration::ZERO));
        check("7u", Some(Duration::from_micros(7)));
        check("7n", Some(Duration::from_nanos(7)));
        check("100000000m", None);
        check("1s", None);
        check("m", None);
        check("", None);
        check("+1m", None);
        check("1", None);
    }
}
