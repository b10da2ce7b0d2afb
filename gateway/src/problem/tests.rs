//! The table of errors, and the documents that problems become.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;

/// Every reason that a server has, with the HTTP status that the table of errors gives it.
const TABLE: [(Reason, u16); 31] = [
    (Reason::InvalidPath, 400),
    (Reason::BadArguments, 400),
    (Reason::InvalidAcl, 400),
    (Reason::NoNode, 404),
    (Reason::NoParent, 409),
    (Reason::NodeExists, 409),
    (Reason::BadVersion, 412),
    (Reason::NotEmpty, 409),
    (Reason::NoChildrenForEphemerals, 409),
    (Reason::NoAuth, 403),
    (Reason::AuthFailed, 401),
    (Reason::SessionExpired, 409),
    (Reason::SessionMoved, 409),
    (Reason::SessionRequired, 409),
    (Reason::TooLarge, 413),
    (Reason::QuotaExceeded, 507),
    (Reason::Throttled, 429),
    (Reason::DiskFull, 507),
    (Reason::Unavailable, 503),
    (Reason::DeadlineExceeded, 504),
    (Reason::Compacted, 410),
    (Reason::Lagged, 503),
    (Reason::NoWatcher, 404),
    (Reason::TooMany, 409),
    (Reason::RequestIdReused, 422),
    (Reason::RequestIdForgotten, 409),
    (Reason::ZxidUnknown, 409),
    (Reason::NotApplied, 409),
    (Reason::Unimplemented, 501),
    (Reason::DigestMismatch, 500),
    (Reason::Internal, 500),
];

const REFUSALS: [Refusal; 8] = [
    Refusal::NoRoute,
    Refusal::MethodNotAllowed,
    Refusal::RequestTimeout,
    Refusal::UnsupportedMediaType,
    Refusal::UriTooLong,
    Refusal::HeaderTooLarge,
    Refusal::HostRefused,
    Refusal::OriginRefused,
];

async fn render(problem: &Problem, method: Method, html: bool) -> (Response<()>, Vec<u8>) {
    let context = Context { method: &method, instance: "/v1/znodes/a", request_id: "r-1", zxid: Some(Hex(0x10)), html };
    let mut response = problem.clone().into_response();
    problem.render(&context, &mut response);
    let (parts, body) = response.into_parts();
    (Response::from_parts(parts, ()), body.collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test(flavor = "current_thread")]
async fn every_reason_has_its_status_and_its_code() {
    for (reason, status) in TABLE {
        assert_eq!(http_status(reason), status, "{reason}");
        let problem = Problem::new(reason, "why");
        let (response, body) = render(&problem, Method::GET, false).await;
        assert_eq!(response.status().as_u16(), status);
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["code"], reason.as_str());
        assert_eq!(document["status"], status);
        assert_eq!(
            document["type"],
            format!("urn:quorate:problem:{}", reason.as_str().to_lowercase().replace('_', "-"))
        );
        assert_eq!(response.headers().contains_key(RETRY_AFTER), matches!(status, 429 | 503), "{reason}");
        assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), status == 401, "{reason}");
    }
}

#[test]
fn reasons_of_the_way_to_the_servers_become_reasons_of_the_table() {
    let code = |reason| Problem::new(reason, "").code();
    assert_eq!(code(Reason::Unreachable), "UNAVAILABLE");
    assert_eq!(code(Reason::ConnectionLost), "UNAVAILABLE");
    assert_eq!(code(Reason::Closed), "UNAVAILABLE");
    assert_eq!(code(Reason::Timeout), "DEADLINE_EXCEEDED");
    assert_eq!(code(Reason::Protocol), "INTERNAL");
}

#[test]
fn codes_are_distinct() {
    let codes = TABLE.iter().map(|(reason, _)| Kind::from(*reason)).chain(REFUSALS.map(Kind::from));
    let mut codes: Vec<_> = codes.map(|kind| (kind.code, kind.title)).collect();
    assert!(codes.iter().all(|(_, title)| !title.is_empty()));
    codes.sort_unstable();
    codes.dedup_by_key(|(code, _)| *code);
    assert_eq!(codes.len(), TABLE.len() + REFUSALS.len());
}

#[tokio::test(flavor = "current_thread")]
async fn a_document_says_what_is_known_and_nothing_else() {
    let problem = Problem::new(Reason::NoNode, "there is no such znode").at("/a").at("/b");
    let (response, body) = render(&problem, Method::GET, false).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let expected = json!({
        "type": "urn:quorate:problem:no-node",
        "title": "The znode does not exist",
        "status": 404,
        "detail": "there is no such znode",
        "instance": "/v1/znodes/a",
        "code": "NO_NODE",
        "path": "/a",
        "zxid": "0x10",
        "request_id": "r-1",
    });
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
}

#[tokio::test(flavor = "current_thread")]
async fn a_wait_is_told_in_seconds_and_milliseconds() {
    let check = async |wait_ms: u64, seconds: &str| {
        let mut problem = Problem::new(Reason::Throttled, "");
        problem.0.retry_after = Some(Duration::from_millis(wait_ms));
        let (response, body) = render(&problem, Method::GET, false).await;
        assert_eq!(response.headers()[RETRY_AFTER], seconds);
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["retry_after_ms"], wait_ms);
    };
    check(0, "1").await;
    check(1, "1").await;
    check(1_000, "1").await;
    check(1_001, "2").await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_condition_changes_the_status_alone() {
    let problem = Problem::new(Reason::NodeExists, "").conditional();
    let (response, body) = render(&problem, Method::GET, false).await;
    assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED);
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&document["code"], &document["status"]), (&json!("NODE_EXISTS"), &json!(412)));
}

#[tokio::test(flavor = "current_thread")]
async fn a_head_has_no_body() {
    let (response, body) = render(&Problem::new(Reason::NoNode, ""), Method::HEAD, false).await;
    assert_eq!((response.status().as_u16(), body.len()), (404, 0));
}

#[tokio::test(flavor = "current_thread")]
async fn a_page_shows_text_and_runs_nothing() {
    let problem = Problem::bad_arguments("<script>alert('x')</script> & \"y\"").at("/<b>");
    let (response, body) = render(&problem, Method::GET, true).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    let page = String::from_utf8(body).unwrap();
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;"), "{page}");
    assert!(page.contains("<code>/&lt;b&gt;</code>") && !page.contains("<script>"), "{page}");
}

#[test]
fn what_the_client_knows_of_a_failure_is_kept() {
    let problem = Problem::from(quorate_client::Error::new(Reason::BadVersion, "it has changed"));
    assert_eq!((problem.code(), problem.detail()), ("BAD_VERSION", "it has changed"));
    assert_eq!(problem.reason(), Some(Reason::BadVersion));
}
