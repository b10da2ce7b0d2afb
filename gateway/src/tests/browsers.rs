//! What browsers ask for: whether a page may call, and compression.

use std::io::Read;

use flate2::read::GzDecoder;

use super::*;

const PAGE: &str = "https://app.example";

fn open_to_a_page(fake: &Fake) -> Router {
    router(fake.client(), Config { cors_origins: vec![PAGE.to_owned()], ..Config::default() })
}

fn preflight(origin: &str) -> Builder {
    let asked = request("OPTIONS", "/v1/znodes/a").header("host", "localhost").header("origin", origin);
    asked.header("access-control-request-method", "PUT").header("access-control-request-headers", "if-match")
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_ask_and_call() {
    let fake = tree();
    let gateway = open_to_a_page(&fake);
    let allowed = send(&gateway, preflight(PAGE), "").await;
    assert_eq!((allowed.status, allowed.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(allowed.header("access-control-allow-origin"), PAGE);
    assert_eq!(allowed.header("access-control-allow-methods"), "GET, HEAD, PUT, POST, DELETE");
    let headers: Vec<&str> = allowed.header("access-control-allow-headers").split(", ").collect();
    for header in ["if-match", "content-type", "quorate-session-secret", "last-event-id", "idempotency-key"] {
        assert!(headers.contains(&header), "{header} is not allowed: {headers:?}");
    }
    assert_eq!(fake.asked(), []);
    let called = request("GET", "/v1/znodes/a").header("host", "localhost").header("origin", PAGE);
    let called = send(&gateway, called, "").await;
    assert_eq!((called.status, called.header("access-control-allow-origin")), (StatusCode::OK, PAGE));
    let exposed: Vec<&str> = called.header("access-control-expose-headers").split(", ").collect();
    for header in called.headers.keys().map(|name| name.as_str()) {
        let is_for_all = ["content-type", "cache-control", "vary", "content-length"].contains(&header);
        let is_ours = !is_for_all && !header.starts_with("access-control") && header != "x-content-type-options";
        assert!(!is_ours || exposed.contains(&header), "{header} cannot be seen: {exposed:?}");
    }
    let vary: Vec<_> = called.headers.get_all("vary").iter().map(|line| line.to_str().unwrap()).collect();
    assert!(vary.contains(&"origin"), "{vary:?}");
    // What fails can be read as well.
    let missing = request("GET", "/v1/nothing").header("host", "localhost").header("origin", PAGE);
    let missing = send(&gateway, missing, "").await;
    assert_eq!((missing.verdict().0, missing.header("access-control-allow-origin")), (404, PAGE));
}

#[tokio::test]
async fn pages_of_other_origins_may_not() {
    let refused = (403, "ORIGIN_REFUSED".to_owned());
    for gateway in [open_to_a_page(&tree()), gateway(&tree())] {
        for answered in [
            send(&gateway, preflight("https://evil.example"), "").await,
            send(&gateway, request("GET", "/v1/znodes/a").header("origin", "https://evil.example"), "").await,
        ] {
            assert_eq!(answered.verdict(), refused);
            assert_eq!(answered.header("access-control-allow-origin"), "");
        }
    }
    // Without a list, nothing is said of origins at all.
    let plain = get(&gateway(&tree()), "/v1/znodes/a").await;
    assert_eq!((plain.header("vary"), plain.header("access-control-expose-headers")), ("accept", ""));
}

/// A tree whose znodes hold `bytes`.
fn holding(bytes: usize) -> Fake {
    Fake::answering(move |operation| match operation {
        Operation::Get(_) => {
            let data = Some(Bytes::from(vec![b'x'; bytes]));
            Reply::Get(v1::GetResponse { data, stat: Some(STAT), header: None })
        }
        _ => fake::refusal(v1::ErrorReason::Unimplemented),
    })
}

async fn get_gzip(gateway: &Router, uri: &str, accept: &str) -> Answered {
    send(gateway, request("GET", uri).header("accept", accept).header("accept-encoding", "br, gzip"), "").await
}

fn unzipped(answered: &Answered) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(&answered.body[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn what_is_long_is_compressed_for_those_who_ask() {
    const ENVELOPE: &str = "application/vnd.quorate+json";
    let gateway = gateway(&holding(5_000));
    let whole = send(&gateway, request("GET", "/v1/znodes/a").header("accept", ENVELOPE), "").await;
    assert_eq!((whole.header("content-encoding"), whole.body.len() > 5_000), ("", true));
    let compressed = get_gzip(&gateway, "/v1/znodes/a", ENVELOPE).await;
    assert_eq!(compressed.header("content-encoding"), "gzip");
    assert!(compressed.body.len() < 1_000, "{}", compressed.body.len());
    assert_eq!(unzipped(&compressed), whole.body);
    assert_ne!(compressed.header("etag"), whole.header("etag"));
    for answered in [&whole, &compressed] {
        let vary: Vec<_> = answered.headers.get_all("vary").iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(vary, ["accept", "accept-encoding"]);
        // Either tag is known as that of the same representation.
        let again = request("GET", "/v1/znodes/a").header("accept", ENVELOPE);
        let again = send(&gateway, again.header("if-none-match", answered.header("etag")), "").await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn data_and_what_is_short_and_streams_are_sent_as_they_are() {
    let raw = get_gzip(&gateway(&holding(5_000)), "/v1/znodes/a", "*/*").await;
    assert_eq!((raw.header("content-encoding"), raw.body.len()), ("", 5_000));
    let short = get_gzip(&gateway(&holding(5)), "/v1/znodes/a", "application/vnd.quorate+json").await;
    assert_eq!(short.header("content-encoding"), "");
    let fake = Fake::telling(|_| vec![v1::watch_item::Item::Created(v1::WatchCreated { zxid: 0x10 })]);
    let polled = get_gzip(&gateway(&fake), "/v1/watch?path=/a&wait=1ms", "*/*").await;
    assert_eq!((polled.status, polled.header("content-encoding")), (StatusCode::OK, ""));
    let off = router(holding(5_000).client(), Config { compression: false, ..Config::default() });
    assert_eq!(get_gzip(&off, "/v1/znodes/a", "application/vnd.quorate+json").await.header("content-encoding"), "");
}

#[tokio::test]
async fn a_streamed_tree_is_compressed_as_it_comes() {
    let gateway = gateway(&tree());
    for accept in ["application/json", "application/x-ndjson"] {
        let whole = send(&gateway, request("GET", "/v1/tree/t").header("accept", accept), "").await;
        let compressed = get_gzip(&gateway, "/v1/tree/t", accept).await;
        assert_eq!(compressed.header("content-encoding"), "gzip");
        assert_eq!(unzipped(&compressed), whole.body);
    }
    // What breaks off does not end as if it were whole.
    let broken = request("GET", "/v1/tree/broken").header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    let response = gateway.clone().oneshot(broken).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    response.into_body().collect().await.expect_err("the body must break");
}
