//! What operators and tools ask a gateway: is it alive, is it ready, what has it counted, what can it do.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use prometheus_client::registry::Registry;
use quorate_client::{Reason, Role, Status};

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
    match status {
        Ok(status) if status.serving => Ok(plain("ready\n")),
        Ok(status) => {
            let (server, reason) = (status.header.server_id, why_unready(&status));
            Err(Problem::new(Reason::Unavailable, format!("server {server} serves no writes: {reason}")))
        }
        Err(error) => Err(Problem::new(Reason::Unavailable, format!("no server answers: {}", error.message()))),
    }
}

/// What a server waits for that serves no writes.
fn why_unready(status: &Status) -> String {
    let Status { header, awaited_ids, leader_id, disk_full, .. } = status;
    if !awaited_ids.is_empty() {
        return format!(
            "the ensemble has not begun, and begins when these servers, too, are there with empty disks: {awaited_ids:?}"
        );
    }
    match header.role {
        Role::Looking => "it is looking for a leader, and reaches no quorum that agrees on one".to_owned(),
        _ if *disk_full => "its disk is full; reads are answered, and writes are when there is room again".to_owned(),
        Role::Leading => "it is leading, once a quorum has caught up with it".to_owned(),
        Role::Unknown => "it does not say why".to_owned(),
        Role::Following | Role::Observing => {
            format!("it is {} server {leader_id}, once it has what it has missed", header.role.as_str())
        }
    }
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
    use quorate_client::Header;

    use super::*;

    #[test]
    fn a_server_that_is_not_ready_says_what_it_waits_for() {
        let check = |status: Status, reason: &str| assert!(why_unready(&status).contains(reason), "{status:?}");
        let of = |role| Status { header: Header { role, ..Header::default() }, leader_id: 3, ..Status::default() };
        check(Status { awaited_ids: vec![2, 3], ..of(Role::Looking) }, "[2, 3]");
        check(of(Role::Looking), "looking for a leader");
        // An old leader that nobody follows is not helped by room on its disk.
        check(Status { disk_full: true, ..of(Role::Looking) }, "looking for a leader");
        check(Status { disk_full: true, ..of(Role::Leading) }, "disk is full");
        check(Status { disk_full: true, ..of(Role::Following) }, "disk is full");
        check(of(Role::Leading), "leading, once a quorum");
        check(of(Role::Following), "following server 3");
        check(of(Role::Observing), "observing server 3");
        check(of(Role::Unknown), "not say why");
    }
}
