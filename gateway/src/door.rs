//! `Door`: what happens to every request before its route and to every response after it.
//!
//! Before: limits, `Host` and `Origin`, a name for the request, a place among those under way. After: problems become
//! documents, what is long is compressed, and every response gets the request's name and the newest zxid.

use std::convert::Infallible;
use std::task::{self, Poll};
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use quorate_client::TraceContext;
use tokio::sync::OwnedSemaphorePermit;
use tower::{Layer, Service};

use crate::gateway::Gateway;
use crate::header::{self, Block};
use crate::hex::Hex;
use crate::metrics::{Active, Resource};
use crate::problem::{self, Limit, Problem, Refusal};
use crate::{compression, guard, trace};

/// Longer names of requests are replaced by our own.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// What a header field costs besides its name and value, as HTTP/2 counts it (RFC 9113, section 6.5.2).
const FIELD_BYTES: usize = 32;

const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Puts the door before routes.
#[derive(Clone)]
pub(crate) struct DoorLayer(pub(crate) Gateway);

impl<S> Layer<S> for DoorLayer {
    type Service = Door<S>;

    fn layer(&self, routes: S) -> Door<S> {
        Door { gateway: self.0.clone(), routes }
    }
}

/// Routes behind the door.
#[derive(Clone)]
pub(crate) struct Door<S> {
    gateway: Gateway,
    routes: S,
}

impl<S> Service<Request> for Door<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        self.routes.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let visit = Visit::begin(&self.gateway, &request);
        match visit.admit(request) {
            Ok(Admitted::Answered(response)) => Box::pin(std::future::ready(Ok(visit.end(response)))),
            Ok(Admitted::Request(request, place)) => {
                // There is no timer here: whatever a route waits for, a body or an answer, has a limit of its own.
                let answer = self.routes.call(request);
                Box::pin(async move {
                    let response = answer.await?;
                    drop(place);
                    Ok(visit.end(response))
                })
            }
            Err(problem) => Box::pin(std::future::ready(Ok(visit.end(problem.into_response())))),
        }
    }
}

/// A request that has come to the door.
enum Admitted {
    /// It may come in, and has a place among those under way.
    Request(Request, OwnedSemaphorePermit),
    /// It asks the door itself.
    Answered(Response),
}

/// One request from its header to its answer's.
struct Visit {
    gateway: Gateway,
    method: Method,
    uri: Uri,
    request_id: HeaderValue,
    html: bool,
    gzip: bool,
    /// Of a page that may call.
    origin: Option<HeaderValue>,
    trace: Option<TraceContext>,
    since: Instant,
    _active: Active,
}

impl Visit {
    fn begin(gateway: &Gateway, request: &Request) -> Visit {
        Visit {
            method: request.method().clone(),
            uri: request.uri().clone(),
            request_id: request_id(request.headers()).unwrap_or_else(|| gateway.next_request_id()),
            html: wants_html(request.headers()),
            gzip: gateway.config.compression && compression::accepts_gzip(request.headers()),
            origin: gateway.cors.allowed(request.headers()),
            trace: trace::of(request.headers()),
            since: Instant::now(),
            _active: gateway.config.metrics.request_begins(),
            gateway: gateway.clone(),
        }
    }

    /// Whether the request may come in.
    fn admit(&self, request: Request) -> Result<Admitted, Problem> {
        let config = &self.gateway.config;
        let uri_bytes = request.uri().path().len() + request.uri().query().map_or(0, str::len);
        if uri_bytes > config.uri_bytes_max {
            let detail = format!("the URL has {uri_bytes} bytes; at most {} are accepted", config.uri_bytes_max);
            return Err(Problem::refusal(Refusal::UriTooLong, detail));
        }
        let header_bytes: usize =
            request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
        if header_bytes > config.header_bytes_max {
            let detail =
                format!("the header has {header_bytes} bytes; at most {} are accepted", config.header_bytes_max);
            return Err(Problem::refusal(Refusal::HeaderTooLarge, detail));
        }
        let (parts, body) = request.into_parts();
        guard::check(&config.origins, &self.gateway.cors, &parts)?;
        if let Some(answer) = self.gateway.cors.preflight(&parts.method, &parts.headers) {
            return Ok(Admitted::Answered(answer));
        }
        let place = self.gateway.requests.clone().try_acquire_owned().map_err(|_| {
            let limit = Limit { name: "requests", quota: config.requests_max, unit: "concurrent-requests" };
            Problem::at_limit(limit, format!("{} requests are under way already", config.requests_max))
        })?;
        Ok(Admitted::Request(Request::from_parts(parts, body), place))
    }

    /// The response as it leaves.
    fn end(self, mut response: Response) -> Response {
        if !response.headers().contains_key(header::ZXID)
            && let Some(newest) = self.gateway.client.last_header()
        {
            let mut block = Block::new();
            block.zxid(newest.cluster_id, newest.zxid);
            block.finish(response.headers_mut());
        }
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            self.log(&problem);
            let context = problem::Context {
                method: &self.method,
                instance: self.uri.path(),
                request_id: self.request_id.to_str().expect("a request's name is visible ASCII"),
                zxid: self.gateway.client.last_header().map(|header| Hex(header.zxid)),
                html: self.html,
            };
            problem.render(&context, &mut response);
        }
        let resource = Resource::of(self.uri.path());
        let (status, took) = (response.status(), self.since.elapsed());
        self.gateway.config.metrics.request_answered(resource, status, took);
        let (method, url, request_id) = (&self.method, self.uri.path(), &self.request_id);
        let traceparent = self.trace.as_ref().map(tracing::field::display);
        if took >= self.gateway.config.slow_request && resource != Resource::Watch {
            // As at the other doors, not the path: who reads logs may not be meant to know it.
            let (resource, path_bytes) = (resource.label(), url.len());
            tracing::warn!(
                door = "http", %method, resource, path_bytes, status = status.as_u16(), ?took, ?request_id, traceparent,
                "a slow request"
            );
        } else {
            tracing::debug!(%method, url, status = status.as_u16(), ?took, ?request_id, traceparent, "request answered");
        }
        let mut response =
            if self.gateway.config.compression { compression::compress(self.gzip, response) } else { response };
        let headers = response.headers_mut();
        self.gateway.cors.mark(self.origin, headers);
        headers.insert(header::REQUEST_ID, self.request_id);
        headers.insert(CONTENT_TYPE_OPTIONS, NOSNIFF);
        response
    }

    /// Failures are the callers' business, except those that are ours.
    fn log(&self, problem: &Problem) {
        let (status, code, detail) = (problem.status().as_u16(), problem.code(), problem.detail());
        let (method, url, request_id) = (&self.method, self.uri.path(), &self.request_id);
        let traceparent = self.trace.as_ref().map(tracing::field::display);
        if problem.status() == http::StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%method, url, status, code, detail, ?request_id, traceparent, "request failed");
        } else {
            tracing::debug!(%method, url, status, code, detail, ?request_id, traceparent, "request failed");
        }
    }
}

/// The name that the caller gave the request, if it may stand in a header and in a log.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(header::REQUEST_ID)?;
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\');
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()).then_some(())?;
    id.as_bytes().iter().all(is_plain).then(|| id.clone())
}

/// Whether a browser asks in order to show the answer to a person.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"))
}
