//! gRPC-Web: gRPC for pages in browsers, which cannot read trailers and, where nothing is encrypted, speak HTTP/1.
//!
//! Here comes what is no plain gRPC. tonic-web turns a call into one that the route knows, and its answer back. A page may
//! call only if the configuration names its origin. Browsers send an `Origin` with every `POST`, so a request without one is
//! no page's; this also keeps out a page that has made the name of its own host lead here.

use std::convert::Infallible;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt};

use super::route::{Arriving, Route};

/// How calls of gRPC-Web come: in binary, or in base64 for those who can only receive text.
const CONTENT_TYPES: [&[u8]; 4] = [
    b"application/grpc-web",
    b"application/grpc-web+proto",
    b"application/grpc-web-text",
    b"application/grpc-web-text+proto",
];

/// What a page may send besides what any may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, grpc-timeout, quorate-session-id, quorate-session-secret-bin, traceparent, \
     x-grpc-web, x-user-agent",
);
/// What a page may see of an answer that is nothing but a status.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("grpc-message, grpc-status, grpc-status-details-bin");
/// How long a browser may remember what it was allowed, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Answers what is no plain gRPC.
pub(super) async fn answer(route: &Route, request: Request<Incoming>) -> Response<Body> {
    let origin = match request.headers().get(ORIGIN) {
        None => None,
        Some(origin) if is_named(&route.config.web_origins, origin) => Some(origin.clone()),
        Some(_) => return status(StatusCode::FORBIDDEN),
    };
    let mut response = if is_preflight(&request) {
        let mut response = status(StatusCode::NO_CONTENT);
        let told = response.headers_mut();
        told.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        told.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        told.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        response
    } else if request.method() != Method::POST {
        status(StatusCode::METHOD_NOT_ALLOWED)
    } else if !is_web(request.headers()) {
        status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    } else {
        translate(route.clone(), request).await
    };
    let told = response.headers_mut();
    told.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        told.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        told.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
    response
}

/// Answers a call of gRPC-Web.
async fn translate(route: Route, request: Request<Incoming>) -> Response<Body> {
    let call = move |request: Request<Body>| {
        let route = route.clone();
        async move { Ok::<_, Infallible>(route.call(request.map(Arriving::Translated)).await) }
    };
    match GrpcWebLayer::new().layer(tower::util::service_fn(call)).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Whether a browser asks what a page may send.
fn is_preflight(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn is_web(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|sent| CONTENT_TYPES.contains(&sent.as_bytes()))
}

fn is_named(origins: &[String], origin: &HeaderValue) -> bool {
    origins.iter().any(|named| named.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
