//! `Problem`: every error that the gateway answers, as RFC 9457 has it (`application/problem+json`).
//!
//! Invariant: no response that has passed the door with a status of 400 or more is anything else, but for browsers,
//! which get the same as a page. Handlers return a problem; the door alone turns it into a body, since it knows the
//! request's id and the newest zxid. What hyper cannot read as a request reaches no door and is answered by a status.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use quorate_client::Reason;
use serde::Serialize;
use utoipa::ToSchema;

use crate::hex::Hex;
use crate::html::Escaped;
use crate::path::PathFault;

/// The media type of problems.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The limit that a request has run into (draft-ietf-httpapi-ratelimit-headers).
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// All there is of it.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What a caller is told to wait where the server has not said how long.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// Why the gateway itself refuses a request, where no reason of a server's fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No resource has this URL.
    NoRoute,
    /// The resource has no such method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body's type or encoding is not understood.
    UnsupportedMediaType,
    /// The URL is too long.
    UriTooLong,
    /// The header is too large.
    HeaderTooLarge,
    /// The gateway has no such name.
    HostRefused,
    /// The page that sent the request may not.
    OriginRefused,
}

/// What there may be so much of at one time, in the whole gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// What it is called.
    pub(crate) name: &'static str,
    /// How much there may be.
    pub(crate) quota: usize,
    /// Of what, in the words of the draft for `RateLimit`.
    pub(crate) unit: &'static str,
}

/// What kind of problem: the same code always has the same title, and the same status but for conditional requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    code: &'static str,
    status: u16,
    title: &'static str,
}

const fn kind(code: &'static str, status: u16, title: &'static str) -> Kind {
    Kind { code, status, title }
}

impl From<Refusal> for Kind {
    fn from(refusal: Refusal) -> Kind {
        match refusal {
            Refusal::NoRoute => kind("NO_ROUTE", 404, "No such resource"),
            Refusal::MethodNotAllowed => kind("METHOD_NOT_ALLOWED", 405, "The resource has no such method"),
            Refusal::RequestTimeout => kind("REQUEST_TIMEOUT", 408, "The request did not arrive in time"),
            Refusal::UnsupportedMediaType => kind("UNSUPPORTED_MEDIA_TYPE", 415, "The body's type is not understood"),
            Refusal::UriTooLong => kind("URI_TOO_LONG", 414, "The URL is too long"),
            Refusal::HeaderTooLarge => kind("HEADER_TOO_LARGE", 431, "The request's header is too large"),
            Refusal::HostRefused => kind("HOST_REFUSED", 421, "This gateway is not called so"),
            Refusal::OriginRefused => kind("ORIGIN_REFUSED", 403, "Pages of that origin may not call this gateway"),
        }
    }
}

impl From<Reason> for Kind {
    fn from(reason: Reason) -> Kind {
        match reason {
            Reason::InvalidPath => kind("INVALID_PATH", 400, "The path is not valid"),
            Reason::BadArguments => kind("BAD_ARGUMENTS", 400, "An argument is not valid"),
            Reason::InvalidAcl => kind("INVALID_ACL", 400, "The ACL is not valid"),
            Reason::NoNode => kind("NO_NODE", 404, "The znode does not exist"),
            Reason::NoParent => kind("NO_PARENT", 409, "The znode's parent does not exist"),
            Reason::NodeExists => kind("NODE_EXISTS", 409, "The znode exists already"),
            Reason::BadVersion => kind("BAD_VERSION", 412, "The condition does not hold"),
            Reason::NotEmpty => kind("NOT_EMPTY", 409, "The znode has children"),
            Reason::NoChildrenForEphemerals => {
                kind("NO_CHILDREN_FOR_EPHEMERALS", 409, "Ephemeral znodes have no children")
            }
            Reason::NoAuth => kind("NO_AUTH", 403, "The ACL does not grant this"),
            Reason::AuthFailed => kind("AUTH_FAILED", 401, "The credentials were refused"),
            Reason::SessionExpired => kind("SESSION_EXPIRED", 409, "The session has ended"),
            Reason::SessionMoved => kind("SESSION_MOVED", 409, "Another connection holds the session"),
            Reason::SessionRequired => kind("SESSION_REQUIRED", 409, "The request needs a session"),
            Reason::TooLarge => kind("TOO_LARGE", 413, "The request is too large"),
            Reason::QuotaExceeded => kind("QUOTA_EXCEEDED", 507, "A quota is used up"),
            Reason::Throttled => kind("THROTTLED", 429, "Too busy to take the request now"),
            Reason::DiskFull => kind("DISK_FULL", 507, "The disk is full"),
            Reason::Unavailable => kind("UNAVAILABLE", 503, "No server can answer now"),
            Reason::DeadlineExceeded => kind("DEADLINE_EXCEEDED", 504, "The deadline passed"),
            Reason::Compacted => kind("COMPACTED", 410, "The watch history does not reach back so far"),
            Reason::Lagged => kind("LAGGED", 503, "Events were read too slowly"),
            Reason::NoWatcher => kind("NO_WATCHER", 404, "No such watch"),
            Reason::TooMany => kind("TOO_MANY", 409, "Too many znodes are concerned"),
            Reason::RequestIdReused => {
                kind("REQUEST_ID_REUSED", 422, "The idempotency key was used for another request")
            }
            Reason::RequestIdForgotten => {
                kind("REQUEST_ID_FORGOTTEN", 409, "The idempotency key is older than what is remembered")
            }
            Reason::ZxidUnknown => kind("ZXID_UNKNOWN", 409, "This ensemble has no such zxid"),
            Reason::NotApplied => kind("NOT_APPLIED", 409, "Not applied, since another operation failed"),
            Reason::Unimplemented => kind("UNIMPLEMENTED", 501, "The server knows no such operation"),
            Reason::DigestMismatch => kind("DIGEST_MISMATCH", 500, "The server's state differs from the ensemble's"),
            Reason::Internal => kind("INTERNAL", 500, "The server broke its own rule"),
            Reason::ReconfigInProgress => kind("RECONFIG_IN_PROGRESS", 409, "The ensemble is being changed already"),
            Reason::ServersNotReady => kind("SERVERS_NOT_READY", 409, "A server is not connected or not up to date"),
            Reason::NoServer => kind("NO_SERVER", 404, "The ensemble has no such server"),
            Reason::RestoreInProgress => kind("RESTORE_IN_PROGRESS", 409, "A backup is being restored already"),
            // What the gateway finds out about its own way to the servers is no concern of the caller's: these become
            // the reasons of the table that mean the same to it.
            Reason::Unreachable | Reason::ConnectionLost | Reason::Closed => Reason::Unavailable.into(),
            Reason::Timeout => Reason::DeadlineExceeded.into(),
            Reason::Protocol => Reason::Internal.into(),
        }
    }
}

/// The HTTP status of a server's reason, for requests without a condition.
#[must_use]
pub fn http_status(reason: Reason) -> u16 {
    Kind::from(reason).status
}

/// An error on its way to the caller.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    kind: Kind,
    reason: Option<Reason>,
    detail: Cow<'static, str>,
    path: Option<String>,
    retry_after: Option<Duration>,
    zxid: Option<u64>,
    maybe_applied: bool,
    operation: Option<usize>,
    limit: Option<Limit>,
}

impl Problem {
    /// A request that the gateway refuses.
    pub(crate) fn refusal(refusal: Refusal, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::of(refusal.into(), None, detail.into())
    }

    /// A failure that has the same meaning as a server's `reason`.
    pub(crate) fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::of(reason.into(), Some(reason), detail.into())
    }

    /// There is too much under way already.
    pub(crate) fn at_limit(limit: Limit, detail: impl Into<Cow<'static, str>>) -> Problem {
        let mut problem = Problem::new(Reason::Throttled, detail);
        problem.0.limit = Some(limit);
        problem
    }

    /// A missing, malformed or contradictory argument.
    pub(crate) fn bad_arguments(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(Reason::BadArguments, detail)
    }

    fn of(kind: Kind, reason: Option<Reason>, detail: Cow<'static, str>) -> Problem {
        Problem(Box::new(Parts {
            kind,
            reason,
            detail,
            path: None,
            retry_after: None,
            zxid: None,
            maybe_applied: false,
            operation: None,
            limit: None,
        }))
    }

    /// The same problem, about the znode at `path` unless it is about another already.
    pub(crate) fn at(mut self, path: &str) -> Problem {
        self.0.path.get_or_insert_with(|| path.to_owned());
        self
    }

    /// The same problem, of the operation at this position of a multi, which is named so if that is known.
    pub(crate) fn in_operation(mut self, at: usize, op: Option<&str>) -> Problem {
        let detail = match op {
            Some(op) => format!("operation {at} ({op}): {}", self.0.detail),
            None => format!("operation {at}: {}", self.0.detail),
        };
        self.0.detail = detail.into();
        self.0.operation = Some(at);
        self
    }

    /// The same problem, of a request whose condition made it fail.
    pub(crate) fn conditional(mut self) -> Problem {
        self.0.kind.status = StatusCode::PRECONDITION_FAILED.as_u16();
        self
    }

    /// The server's reason, if it is one.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.0.reason
    }

    /// What it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.status).expect("the table holds valid statuses")
    }

    /// What happened, in words.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The code, for programs.
    pub(crate) fn code(&self) -> &'static str {
        self.0.kind.code
    }

    /// What a result says of it that stands among others.
    pub(crate) fn in_short(&self) -> FailureDocument {
        let Kind { code, status, title } = self.0.kind;
        FailureDocument { code, title, status, detail: self.0.detail.clone().into_owned() }
    }

    /// Writes the document as `context` needs it into `response`.
    pub(crate) fn render(&self, context: &Context<'_>, response: &mut Response) {
        let parts = &*self.0;
        let retry_after = parts.retry_after.or(matches!(parts.kind.status, 429 | 503).then_some(RETRY_AFTER_DEFAULT));
        let document = ProblemDocument {
            kind: format!("urn:quorate:problem:{}", parts.kind.code.to_ascii_lowercase().replace('_', "-")),
            title: parts.kind.title,
            status: parts.kind.status,
            detail: &parts.detail,
            instance: context.instance,
            code: parts.kind.code,
            path: parts.path.as_deref(),
            zxid: parts.zxid.map(Hex).or(context.zxid),
            request_id: context.request_id,
            retry_after_ms: retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            maybe_applied: parts.maybe_applied,
            operation: parts.operation,
        };
        let (content_type, body) = if context.html { (HTML, document.html()) } else { (PROBLEM_JSON, document.json()) };
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000).max(1) as u64));
        }
        if let Some(Limit { name, quota, unit }) = parts.limit {
            let ascii = "names and numbers are visible ASCII";
            let policy = format!("\"{name}\";q={quota};qu=\"{unit}\"");
            headers.insert(RATE_LIMIT_POLICY, HeaderValue::try_from(policy).expect(ascii));
            headers.insert(RATE_LIMIT, HeaderValue::try_from(format!("\"{name}\";r=0")).expect(ascii));
        }
        if parts.kind.status == 401 {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"quorate\""));
        }
        *response.body_mut() = if *context.method == Method::HEAD { Body::empty() } else { Body::from(body) };
    }
}

/// What a problem's document says of the request.
pub(crate) struct Context<'a> {
    /// The request's method.
    pub(crate) method: &'a Method,
    /// The request's URL, without its query.
    pub(crate) instance: &'a str,
    /// The request's id.
    pub(crate) request_id: &'a str,
    /// The newest state that this gateway has heard of.
    pub(crate) zxid: Option<Hex>,
    /// A person looks at it in a browser.
    pub(crate) html: bool,
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// Names the kind of problem, one for each `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:quorate:problem:no-node")]
    kind: String,
    /// The kind of problem in words.
    #[schema(example = "The znode does not exist")]
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 404, minimum = 400, maximum = 599)]
    status: u16,
    /// What happened and what to do, for humans.
    #[schema(example = "there is no znode /app/config")]
    detail: &'a str,
    /// The URL of the request, without its query.
    #[schema(example = "/v1/znodes/app/config")]
    instance: &'a str,
    /// What happened, for programs: a reason of the gRPC API, or one of the gateway's own.
    #[schema(example = "NO_NODE")]
    code: &'a str,
    /// The znode that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/app/config")]
    path: Option<&'a str>,
    /// The state in which the server found out; else the newest that the gateway has heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "0x100000002")]
    zxid: Option<Hex>,
    /// The request's id, for questions about it.
    #[schema(example = "5f1d8c1e09a3b7c2-1a")]
    request_id: &'a str,
    /// When it is worth trying again, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1000)]
    retry_after_ms: Option<u64>,
    /// The write may have taken effect nevertheless. Sent again with the same `Idempotency-Key`, it does so only once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, example = false)]
    maybe_applied: bool,
    /// Of a multi: the position of the operation that failed; the first one's is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0)]
    operation: Option<usize>,
}

/// Why one of several reads failed.
#[derive(Serialize, ToSchema)]
#[schema(as = Failure)]
pub(crate) struct FailureDocument {
    /// What happened, for programs.
    #[schema(example = "NO_NODE")]
    code: &'static str,
    /// The kind of problem in words.
    #[schema(example = "The znode does not exist")]
    title: &'static str,
    /// The HTTP status that the same request by itself would have.
    #[schema(example = 404, minimum = 400, maximum = 599)]
    status: u16,
    /// What happened and what to do, for humans.
    #[schema(example = "there is no such znode")]
    detail: String,
}

impl ProblemDocument<'_> {
    fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers become JSON")
    }

    /// The same for a person who followed a link: a browser shows JSON of this type as a download.
    fn html(&self) -> String {
        let mut page = String::from("<!doctype html><html lang=en><meta charset=utf-8><title>");
        write!(page, "{} {}", self.status, Escaped(self.title)).expect("a string takes any text");
        page.push_str(
            "</title><style>body{font:16px/1.5 system-ui;margin:4em auto;max-width:40em;padding:0 1em}</style>",
        );
        write!(page, "<h1>{}</h1><p>{}<dl>", Escaped(self.title), Escaped(self.detail))
            .expect("a string takes any text");
        let path = self.path.unwrap_or_default();
        for (name, value) in [("code", self.code), ("path", path), ("request", self.request_id)] {
            if !value.is_empty() {
                write!(page, "<dt>{name}<dd><code>{}</code>", Escaped(value)).expect("a string takes any text");
            }
        }
        page.push_str("</dl></html>\n");
        page
    }
}

/// Leaves the problem for the door to render.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<PathFault> for Problem {
    fn from(fault: PathFault) -> Problem {
        Problem::new(Reason::InvalidPath, fault.to_string())
    }
}

impl From<quorate_client::Error> for Problem {
    fn from(error: quorate_client::Error) -> Problem {
        let mut problem = Problem::new(error.reason(), error.message().to_owned());
        problem.0.path = error.path().map(str::to_owned);
        problem.0.retry_after = error.retry_after();
        problem.0.zxid = error.zxid();
        problem.0.maybe_applied = error.maybe_applied();
        problem
    }
}

#[cfg(test)]
mod tests;
