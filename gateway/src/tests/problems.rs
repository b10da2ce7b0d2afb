//! Every way to fail answers a problem.

use std::time::Duration;

use super::*;

/// A problem has all that RFC 9457 and callers ask for, and it is what the response says.
fn check_problem(answered: &Answered, uri: &str) {
    assert_eq!(answered.header("content-type"), "application/problem+json", "{uri}: {answered:?}");
    let document = answered.json();
    assert_eq!(document["status"], answered.status.as_u16(), "{uri}");
    assert_eq!(document["request_id"], answered.header("x-request-id"), "{uri}");
    assert_eq!(document["instance"], uri.split('?').next().unwrap(), "{uri}");
    for field in ["type", "title", "detail", "code"] {
        assert!(document[field].as_str().is_some_and(|text| !text.is_empty()), "{uri}: {field}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_request_is_a_problem() {
    let fake = tree();
    let gateway = gateway(&fake);
    get(&gateway, "/v1/znodes/a").await;
    fake.asked();
    let envelope = ("content-type", "application/vnd.quorate+json");
    let none = ("x-none", "");
    for (method, uri, header, body, status, code) in [
        ("GET", "/", none, "", 404, "NO_ROUTE"),
        ("GET", "/v1/znodes", none, "", 404, "NO_ROUTE"),
        ("GET", "/v2/znodes/a", none, "", 404, "NO_ROUTE"),
        ("GET", "//v1/znodes/a", none, "", 404, "NO_ROUTE"),
        ("GET", "/v1/sessions/", none, "", 404, "NO_ROUTE"),
        ("PATCH", "/v1/znodes/a", none, "", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/v1/znodes/", none, "", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/children/a", none, "", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/v1/stats/", none, "", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/sessions", none, "", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/livez", none, "", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/znodes/a/../b", none, "", 400, "INVALID_PATH"),
        ("GET", "/v1/znodes/%2e%2e/b", none, "", 400, "INVALID_PATH"),
        ("GET", "/v1/znodes//a", none, "", 400, "INVALID_PATH"),
        ("GET", "/v1/znodes/%ff", none, "", 400, "INVALID_PATH"),
        ("PUT", "/v1/znodes/a%00", none, "", 400, "INVALID_PATH"),
        ("GET", "/v1/children/a//b", none, "", 400, "INVALID_PATH"),
        ("GET", "/v1/stats/%zz", none, "", 400, "INVALID_PATH"),
        ("GET", "/v1/watch?path=a", none, "", 400, "INVALID_PATH"),
        ("GET", "/v1/watch?path=/a/..", none, "", 400, "INVALID_PATH"),
        ("GET", "/v1/watch", none, "", 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/watch?path=/a&recursive=true&children=true", none, "", 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/watch?path=/a&initial=true&from=0x1", none, "", 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/watch?path=/a&from=1", none, "", 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/watch?path=/a&from=0x1,0x2", none, "", 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/watch?path=/a", ("last-event-id", "7"), "", 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/znodes/a?consistency=strong", none, "", 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/znodes/a?x=1", none, "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a?version=", none, "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a?version", none, "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a?version=%31%", none, "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a?version=1.5", none, "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a?version=9999999999", none, "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a?version=1", ("if-match", "\"0x1\""), "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a", ("if-none-match", "\"0x1\""), "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a", ("if-match", "0x1"), "", 400, "BAD_ARGUMENTS"),
        ("POST", "/v1/znodes/a", ("if-match", "\"0x1\""), "", 400, "BAD_ARGUMENTS"),
        ("DELETE", "/v1/znodes/a", ("if-none-match", "*"), "", 400, "BAD_ARGUMENTS"),
        ("DELETE", "/v1/znodes/a?max=1", none, "", 400, "BAD_ARGUMENTS"),
        ("DELETE", "/v1/znodes/a?recursive=true&max=0", none, "", 400, "BAD_ARGUMENTS"),
        ("DELETE", "/v1/znodes/a?recursive=true&max=10001", none, "", 400, "BAD_ARGUMENTS"),
        ("DELETE", "/v1/znodes/a?recursive=true&version=3", none, "", 400, "BAD_ARGUMENTS"),
        ("DELETE", "/v1/znodes/a?recursive=true", ("if-match", "\"0x10\""), "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a", envelope, "{}", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a", envelope, "not json", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a", envelope, r#"{"data":"x","path":"/b"}"#, 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/znodes/a", ("quorate-min-zxid", "7"), "", 400, "BAD_ARGUMENTS"),
        ("GET", "/v1/znodes/a", ("quorate-session", "0x1f"), "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a", ("idempotency-key", ""), "", 400, "BAD_ARGUMENTS"),
        ("PUT", "/v1/znodes/a", ("content-encoding", "gzip"), "", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("GET", "/v1/znodes/a", ("host", "evil.example"), "", 421, "HOST_REFUSED"),
        ("PUT", "/v1/znodes/a", ("origin", "https://evil.example"), "", 403, "ORIGIN_REFUSED"),
        ("GET", "/readyz", ("origin", "null"), "", 403, "ORIGIN_REFUSED"),
    ] {
        let answered = send(&gateway, request(method, uri).header(header.0, header.1), body).await;
        assert_eq!(answered.verdict(), (status, code.to_owned()), "{method} {uri} {header:?}");
        check_problem(&answered, uri);
        assert!(answered.header("quorate-zxid").starts_with("0x5eed:0x"), "{method} {uri}");
        assert_eq!(status == 405, !answered.header("allow").is_empty(), "{method} {uri}");
    }
    assert_eq!(fake.asked().len(), 0, "nothing of that is the server's business");
}

#[tokio::test]
async fn every_reason_of_a_server_has_its_status() {
    for number in 1.. {
        let Ok(reason) = v1::ErrorReason::try_from(number) else {
            assert_eq!(number, 36, "a reason was added: see the table in `problem`");
            return;
        };
        // What can be tried again is, until the time is up.
        let is_tried_again = matches!(reason, v1::ErrorReason::Throttled | v1::ErrorReason::Unavailable);
        let request_timeout = Duration::from_millis(if is_tried_again { 300 } else { 10_000 });
        let config = Config { request_timeout, ..Config::default() };
        let gateway = router(Fake::refusing(reason).client(), config);
        let answered = get(&gateway, "/v1/znodes/a").await;
        check_problem(&answered, "/v1/znodes/a");
        let document = answered.json();
        let code = reason.as_str_name().trim_start_matches("ERROR_REASON_");
        assert_eq!((&document["code"], &document["path"]), (&Value::from(code), &Value::from("/a")));
        assert!(document["detail"].as_str().unwrap().contains(code), "{document}");
    }
}

#[tokio::test]
async fn no_server_is_a_problem_too() {
    let client = quorate_client::Client::builder()
        .connector(|_| async { Err::<tokio::io::DuplexStream, _>(std::io::Error::other("nobody there")) })
        .build();
    let config = Config { request_timeout: Duration::from_millis(50), ..Config::default() };
    let config = Config { ready_timeout: Duration::from_millis(50), ..config };
    let gateway = router(client, config);
    for uri in ["/v1/znodes/a", "/v1/watch?path=/a", "/readyz"] {
        let answered = get(&gateway, uri).await;
        check_problem(&answered, uri);
        assert_eq!(answered.verdict(), (503, "UNAVAILABLE".to_owned()), "{uri}");
        assert_eq!((answered.header("retry-after"), answered.header("quorate-zxid")), ("1", ""), "{uri}");
    }
}

#[tokio::test]
async fn a_person_gets_a_page() {
    let gateway = gateway(&Fake::refusing(v1::ErrorReason::NoNode));
    let answered = send(&gateway, request("GET", "/v1/znodes/a").header("accept", "text/html,*/*;q=0.8"), "").await;
    assert_eq!((answered.status.as_u16(), answered.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(answered.body.starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn a_request_keeps_its_name_if_it_is_one() {
    let gateway = gateway(&tree());
    let named = async |name: &str| {
        let answered = send(&gateway, request("GET", "/livez").header("x-request-id", name), "").await;
        answered.header("x-request-id").to_owned()
    };
    assert_eq!(named("checkout-7/a.b").await, "checkout-7/a.b");
    let (first, second) = (named("").await, named("").await);
    assert!(!first.is_empty() && first != second);
    for hostile in ["a b", "a\"b", "<b>", &"x".repeat(129), "a\tb"] {
        assert_ne!(named(hostile).await, hostile);
    }
}
