//! What operators and tools ask a gateway: is it alive, is it ready, what has it counted, what can it do.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use prometheus_client::registry::Registry;
use quorate_client::{Reason, Status};

use crate::docs;
use crate::gateway::Gateway;
use crate::problem::{Problem, ProblemDocument};
use crate::representation::JSON_TYPE;

/// The text format of OpenMetrics.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Ask whether the gateway runs.
///
/// It says nothing about the servers behind it: restarting a gateway does not mend them.
#[utoipa::path(
    get, path = "/livez", tag = "operations", operation_id = "livez",
    responses((status = 200, description = "It runs", body = String, content_type = "text/plain", example = "ok\n")),
)]
pub(crate) async fn livez() -> Response {
    plain("ok\n")
}

/// Ask whether requests can be served.
///
/// They can if the server behind the gateway serves writes: it knows a leader that has a quorum, has caught up with it,
/// and has room on its disk.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses(
        (status = 200, description = "They can", body = String, content_type = "text/plain", example = "ready\n"),
        (status = 503, description = "They cannot", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn readyz(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let status = gateway.client.status().timeout(gateway.config.ready_timeout).send().await;
    let unready = |detail: String| Problem::new(Reason::Unavailable, detail);
    match status {
        Ok(status) if status.serving => Ok(plain("ready\n")),
        Ok(status) => Err(unready(why_not(&status))),
        Err(error) => Err(unready(format!("no server answers: {}", error.message()))),
    }
}

/// What keeps a server from serving.
fn why_not(status: &Status) -> String {
    let (server, role) = (status.header.server_id, status.header.role.as_str());
    let why = match status {
        Status { awaited_ids, .. } if !awaited_ids.is_empty() => format!(
            "the ensemble has not begun, and begins when these servers, too, are there with empty disks: {awaited_ids:?}"
        ),
        Status { disk_full: true, .. } => "its disk is full".to_owned(),
        Status { leader_id: 1.., .. } => "it has yet to catch up with its leader".to_owned(),
        _ => "it knows no leader that has a quorum".to_owned(),
    };
    format!("server {server} is {role} and serves no writes: {why}")
}

/// Read the gateway's metrics.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, description = "Text in OpenMetrics' format", body = String, content_type = "application/openmetrics-text")),
)]
pub(crate) async fn metrics(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let mut registry = Registry::with_prefix("quorate");
    gateway.config.metrics.register(&mut registry);
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => Ok(([(CONTENT_TYPE, OPEN_METRICS), (CACHE_CONTROL, NO_STORE)], text).into_response()),
        Err(error) => Err(Problem::new(Reason::Internal, format!("metrics could not be written: {error}"))),
    }
}

/// Read this description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "openapi",
    responses((status = 200, description = "This API in OpenAPI's terms", body = Object)),
)]
pub(crate) async fn openapi(State(gateway): State<Gateway>) -> Response {
    ([(CONTENT_TYPE, JSON_TYPE)], gateway.openapi.clone()).into_response()
}

/// Read this description as a page.
#[utoipa::path(
    get, path = "/docs", tag = "operations", operation_id = "docs",
    responses((status = 200, description = "This API for people", body = String, content_type = "text/html")),
)]
pub(crate) async fn docs(State(gateway): State<Gateway>) -> Response {
    let headers = [(CONTENT_TYPE, HTML), (CONTENT_SECURITY_POLICY, HeaderValue::from_static(docs::POLICY))];
    (headers, gateway.docs()).into_response()
}

fn plain(text: &'static str) -> Response {
    ([(CONTENT_TYPE, PLAIN), (CACHE_CONTROL, NO_STORE)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_learns_what_is_missing() {
        let status = Status::default;
        for (status, what) in [
            (status(), "knows no leader"),
            (Status { leader_id: 2, ..status() }, "catch up"),
            (Status { leader_id: 2, disk_full: true, ..status() }, "disk is full"),
            (Status { awaited_ids: [3, 4].to_vec(), ..status() }, "[3, 4]"),
        ] {
            assert!(why_not(&status).contains(what), "{}", why_not(&status));
        }
    }
}
