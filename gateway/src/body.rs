//! Reading a request's body: not too large, not too slowly, and not too many at one time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};
use http_body::Body as _;
use http_body_util::BodyExt;
use quorate_client::Reason;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time;

use crate::config::Config;
use crate::gateway::Gateway;
use crate::problem::{Limit, Problem, Refusal};

/// How much of a body that is too large is read and thrown away, and for how long.
const DISCARDED_BYTES_MAX: usize = 16 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// A whole body, and its share of what bodies may take up together.
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    /// Absent for one that arrived in one piece.
    _room: Option<OwnedSemaphorePermit>,
}

/// The whole body. One that arrives in one piece, as small ones do, is not copied.
pub(crate) async fn read(gateway: &Gateway, headers: &HeaderMap, body: Body) -> Result<Received, Problem> {
    let config = &gateway.config;
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > config.body_bytes_max as u64) {
        // Whoever waits to be told to go on has sent nothing yet, and now need not.
        if !headers.contains_key(EXPECT) {
            discard(body).await;
        }
        return Err(too_large(config));
    }
    match time::timeout(config.body_timeout, collect(gateway, body)).await {
        Ok(collected) => collected,
        Err(_elapsed) => {
            let detail = format!("the body did not arrive within {} s", config.body_timeout.as_secs());
            Err(Problem::refusal(Refusal::RequestTimeout, detail))
        }
    }
}

/// What a body says of `what`, in JSON.
pub(crate) async fn json<T: DeserializeOwned>(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
    what: &str,
) -> Result<T, Problem> {
    let described = json_if_any(gateway, headers, body, what).await?;
    described.ok_or_else(|| Problem::bad_arguments(format!("the body is to describe {what} in JSON")))
}

/// Likewise; a body that is empty or `null` says nothing.
pub(crate) async fn json_if_any<T: DeserializeOwned>(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
    what: &str,
) -> Result<Option<T>, Problem> {
    let bytes = read(gateway, headers, body).await?.bytes;
    if bytes.is_empty() {
        return Ok(None);
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.trim_start().to_ascii_lowercase().starts_with("application/json") {
        let detail = format!("describe {what} in JSON: Content-Type: application/json");
        return Err(Problem::refusal(Refusal::UnsupportedMediaType, detail));
    }
    let described = serde_json::from_slice(&bytes);
    described.map_err(|error| Problem::bad_arguments(format!("the body does not describe {what}: {error}")))
}

async fn collect(gateway: &Gateway, mut body: Body) -> Result<Received, Problem> {
    // The first piece is kept as it is until a second one comes; from then on everything is in `whole`.
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut room = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_arguments(format!("the body could not be read: {error}")))?;
        // Trailers say nothing that we would understand.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + whole.len() + data.len() > gateway.config.body_bytes_max {
            discard(body).await;
            return Err(too_large(&gateway.config));
        }
        let is_all = first.is_empty() && whole.is_empty() && body.is_end_stream();
        if !is_all && !data.is_empty() {
            reserve(gateway, &mut room, data.len())?;
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(Received { bytes: if whole.is_empty() { first } else { whole.freeze() }, _room: room })
}

/// Makes `room` larger by `bytes`.
fn reserve(gateway: &Gateway, room: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Problem> {
    let more =
        u32::try_from(bytes).ok().and_then(|bytes| gateway.body_bytes.clone().try_acquire_many_owned(bytes).ok());
    // Not waited for: whoever holds the room may be in no hurry to send the rest.
    let Some(more) = more else {
        let limit = Limit { name: "bodies", quota: gateway.config.bodies_bytes_max, unit: "content-bytes" };
        return Err(Problem::at_limit(limit, "too many bodies of requests are under way already"));
    };
    match room {
        Some(room) => room.merge(more),
        None => *room = Some(more),
    }
    Ok(())
}

/// Reads on for a while, since a connection that is closed with data unread is reset, and the caller, which reads when
/// it has sent all, would never see why.
async fn discard(mut body: Body) {
    let mut left = DISCARDED_BYTES_MAX;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            if length > left {
                return;
            }
            left -= length;
        }
    };
    // Those who are slower find the connection closed.
    let _ = time::timeout(DISCARD_TIMEOUT, reading).await;
}

fn too_large(config: &Config) -> Problem {
    Problem::new(
        Reason::TooLarge,
        format!("the body has more than the {} bytes that are accepted", config.body_bytes_max),
    )
}
