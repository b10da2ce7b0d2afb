//! `/metrics`: what this process counts, for Prometheus.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use quorate_types::{Caller, Op, Reply, Request};
use std::sync::Arc;
use std::time::Duration;

use crate::inbox::Inbox;

/// The text format of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long the replica may take to say what it holds.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// The routes of administration.
pub fn routes(inbox: Inbox) -> Router {
    Router::new().route("/metrics", routing::get(move || metrics(inbox.clone())))
}

async fn metrics(inbox: Inbox) -> Response {
    let deadline_ms = inbox.deadline_ms(STATUS_TIMEOUT);
    let request = Request { deadline_ms, ..Request::new(Op::Status, Arc::new(Caller::anonymous())) };
    // Without an answer, from a server that has more to do, the counters still tell what goes wrong.
    let status = match inbox.call(request).await.response {
        Ok(Reply::Status(status)) => Some(status),
        Ok(_) | Err(_) => None,
    };
    let shared = inbox.shared();
    let mut text = String::with_capacity(16 * 1024);
    match shared.metrics.encode(status.as_deref(), shared.queues(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS), (CACHE_CONTROL, "no-store")], text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
