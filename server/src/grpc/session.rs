//! `SessionService`: sessions, and the Channel.

use http::Response;
use quorate_proto::v1;
use quorate_replica::Order;
use quorate_types::{Code, Op, SessionSecret};
use tonic::body::Body;

use super::channel::Channel;
use super::convert::{Asked, Refusal, answer};
use super::keep_alive::KeepAlive;
use super::route::Incall;

/// The timeout of a session that asks for none.
const TIMEOUT_MS_DEFAULT: u32 = 30_000;

/// Answers a call, if there is such a method.
pub(super) async fn answer(method: &str, call: Incall<'_>) -> Option<Response<Body>> {
    Some(match method {
        "Open" => call.request(open, answer::open).await,
        "Close" => call.request(close, answer::close).await,
        "KeepAlive" => call.exchange(Order::Fifo, KeepAlive::new),
        "Channel" => call.exchange(Order::Fifo, Channel::new),
        _ => return None,
    })
}

/// See `SessionService.Open`.
pub(super) fn open(request: v1::OpenRequest) -> Result<Asked, Refusal> {
    let timeout_ms = if request.timeout_ms == 0 { TIMEOUT_MS_DEFAULT } else { request.timeout_ms };
    let mut secret = SessionSecret::default();
    getrandom::fill(&mut secret.0).map_err(|failed| {
        Refusal::new("secret", Code::Unavailable, format!("the server has no randomness to draw it from: {failed}"))
    })?;
    Ok(Asked { op: Op::OpenSession { timeout_ms, secret }, options: None })
}

/// See `SessionService.Close`.
pub(super) fn close(request: v1::CloseRequest) -> Result<Asked, Refusal> {
    Ok(Asked { op: Op::CloseSession, options: named(request.session) })
}

/// See `SessionService.KeepAlive`.
pub(super) fn touch(request: v1::KeepAliveRequest) -> Result<Asked, Refusal> {
    Ok(Asked { op: Op::Touch, options: named(request.session) })
}

/// The options of a request that only names a session.
fn named(session: Option<v1::SessionCredential>) -> Option<v1::RequestOptions> {
    session.map(|session| v1::RequestOptions { session: Some(session), ..v1::RequestOptions::default() })
}
