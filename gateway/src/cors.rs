//! Pages of other origins that may call this gateway from a browser (the Fetch standard's CORS protocol).
//!
//! Nobody's may, unless the configuration names the origin. No cookie proves anything here, so credentials are never
//! allowed: whoever owns a session says so in headers of its own.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION, ORIGIN, RETRY_AFTER, VARY,
};
use http::{Method, StatusCode};

use axum::body::Body;
use axum::response::Response;

use crate::header;
use crate::trace;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE");
/// How long a browser may remember what it was allowed, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// What a response depends on, where some origins are allowed.
const VARIES: HeaderValue = HeaderValue::from_static("origin");

/// What a page may send, besides what any may.
const REQUEST_HEADERS: [HeaderName; 12] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    IF_MATCH,
    IF_NONE_MATCH,
    header::IDEMPOTENCY_KEY,
    header::LAST_EVENT_ID,
    header::MIN_ZXID,
    header::PREFER,
    header::REQUEST_ID,
    header::SESSION,
    header::SESSION_SECRET,
    trace::TRACEPARENT,
];

/// What a page may see of a response, besides what any may.
const RESPONSE_HEADERS: [HeaderName; 8] = [
    ETAG,
    LOCATION,
    RETRY_AFTER,
    header::DATA_NULL,
    header::DELETED,
    header::PREFERENCE_APPLIED,
    header::REQUEST_ID,
    header::ZXID,
];

/// The origins that may call, and what their pages are told.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
    request_headers: HeaderValue,
    response_headers: HeaderValue,
}

impl Cors {
    /// With these origins, each `scheme://host` or `scheme://host:port`.
    pub(crate) fn new(origins: Vec<String>) -> Cors {
        let stat = header::STAT.into_iter().map(|(name, _)| name);
        Cors {
            origins,
            request_headers: list(REQUEST_HEADERS),
            response_headers: list(RESPONSE_HEADERS.into_iter().chain(stat)),
        }
    }

    /// The request's origin, if pages of it may call.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let is_named = |allowed: &String| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes());
        self.origins.iter().any(is_named).then(|| origin.clone())
    }

    /// The answer to the question whether a page may send a request, if this is one.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let is_question = *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        self.allowed(headers).filter(|_| is_question)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let told = response.headers_mut();
        told.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        told.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.request_headers.clone());
        told.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(response)
    }

    /// Says in the header of a response that pages of `origin` may read it.
    pub(crate) fn mark(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        // To caches: what was answered to one origin is not for another.
        headers.append(VARY, VARIES);
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.response_headers.clone());
        }
    }
}

fn list(names: impl IntoIterator<Item = HeaderName>) -> HeaderValue {
    let names: Vec<String> = names.into_iter().map(|name| name.as_str().to_owned()).collect();
    HeaderValue::try_from(names.join(", ")).expect("names of headers are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_origins_that_are_named_may_call() {
        let cors = Cors::new(vec!["https://app.example".to_owned(), "http://localhost:3000".to_owned()]);
        for origin in ["https://app.example", "HTTPS://App.Example", "http://localhost:3000"] {
            assert!(cors.allowed(&headers(&[(ORIGIN, origin)])).is_some(), "{origin}");
        }
        for origin in ["https://app.example:8443", "http://app.example", "https://app.example.evil", "null", "", "*"] {
            assert!(cors.allowed(&headers(&[(ORIGIN, origin)])).is_none(), "{origin}");
        }
        assert!(cors.allowed(&HeaderMap::new()).is_none());
        assert!(Cors::new(Vec::new()).allowed(&headers(&[(ORIGIN, "https://app.example")])).is_none());
    }

    #[test]
    fn where_no_origin_is_allowed_nothing_is_said() {
        let mut told = HeaderMap::new();
        Cors::new(Vec::new()).mark(None, &mut told);
        assert!(told.is_empty());
    }
}
