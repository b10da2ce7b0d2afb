//! `/v1/watch`.

use std::time::Duration;

use serde_json::json;
use v1::watch_item::Item;

use super::*;

fn created(zxid: u64) -> Item {
    Item::Created(v1::WatchCreated { zxid })
}

fn events(zxid: u64, changes: &[(u32, v1::EventType, &str)]) -> Item {
    let event = |(index, kind, path): &(u32, v1::EventType, &str)| v1::Event {
        zxid,
        index: *index,
        r#type: (*kind).into(),
        path: (*path).to_owned(),
        stat: Some(STAT),
        data: Some(Bytes::from_static(b"hello")),
        previous_data: None,
    };
    Item::Events(v1::WatchEvents { events: changes.iter().map(event).collect() })
}

fn synced(zxid: u64) -> Item {
    Item::Synced(v1::WatchSynced { zxid })
}

fn canceled(reason: v1::ErrorReason) -> Item {
    let error = v1::Error { reason: reason.into(), message: "refused".to_owned(), ..Default::default() };
    Item::Canceled(v1::WatchCanceled { error: Some(error), resume_zxid: 0, compacted_zxid: Some(9) })
}

/// A server whose history begins after 9.
fn server() -> Fake {
    use v1::EventType::{Changed, Created};
    Fake::telling(|asked| match asked.start_zxid {
        Some(from) if from < 9 => vec![canceled(v1::ErrorReason::Compacted)],
        Some(from) => vec![created(from), events(0x20, &[(0, Changed, &asked.path)])],
        None if asked.send_initial => {
            vec![
                created(0x10),
                events(0x10, &[(0, Created, &asked.path)]),
                synced(0x10),
                events(0x11, &[(2, Changed, &asked.path)]),
            ]
        }
        None => vec![created(0x10), events(0x11, &[(0, Changed, &asked.path)])],
    })
}

/// An event stream that is open.
struct Reader {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    text: String,
}

impl Reader {
    async fn open(gateway: &Router, builder: Builder) -> Reader {
        let response = gateway.clone().oneshot(builder.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        Reader { status: parts.status, headers: parts.headers, body, text: String::new() }
    }

    /// The next `count` events as `<name> <id>`, with `-` for no id.
    async fn next(&mut self, count: usize) -> Vec<String> {
        while self.text.matches("\ndata: ").count() < count {
            assert!(self.read().await, "the stream ended after {:?}", self.text);
        }
        let text = std::mem::take(&mut self.text);
        let blocks = text.split("\n\n").filter(|block| block.contains("event: "));
        let line = |block: &str, name: &str| block.lines().find_map(|line| Some(line.strip_prefix(name)?.to_owned()));
        blocks
            .map(|block| {
                format!("{} {}", line(block, "event: ").unwrap(), line(block, "id: ").unwrap_or("-".to_owned()))
            })
            .collect()
    }

    /// Reads one piece; false at the end.
    async fn read(&mut self) -> bool {
        match self.body.frame().await {
            Some(frame) => {
                self.text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
                true
            }
            None => false,
        }
    }
}

#[tokio::test]
async fn a_watch_tells_what_happens_from_now_on() {
    let fake = server();
    let mut reader = Reader::open(&gateway(&fake), request("GET", "/v1/watch?path=/a")).await;
    assert_eq!(reader.status, StatusCode::OK);
    assert_eq!(reader.headers["content-type"], "text/event-stream");
    assert_eq!(reader.headers["cache-control"], "no-store, no-transform");
    assert_eq!(reader.headers["quorate-zxid"], "0x5eed:0x10");
    assert_eq!(reader.next(2).await, ["bookmark 0x10", "changed 0x11.0"]);
    let asked = fake.watched().remove(0);
    assert_eq!((asked.path.as_str(), asked.kind()), ("/a", v1::WatchKind::Node));
    assert_eq!((asked.send_initial, asked.with_data, asked.start_zxid), (false, false, None));
}

#[tokio::test]
async fn parameters_of_a_watch_reach_the_server() {
    let fake = server();
    let gateway = gateway(&fake);
    let check =
        async |query: &str, kind: v1::WatchKind, initial: bool, data: bool, start: (Option<u64>, Option<u32>)| {
            let reader = Reader::open(&gateway, request("GET", &format!("/v1/watch?{query}"))).await;
            assert_eq!(reader.status, StatusCode::OK, "{query}");
            let asked = fake.watched().remove(0);
            assert_eq!((asked.kind(), asked.send_initial, asked.with_data), (kind, initial, data), "{query}");
            assert_eq!((asked.start_zxid, asked.start_index), start, "{query}");
        };
    let none = (None, None);
    check("path=/a&recursive=true", v1::WatchKind::Recursive, false, false, none).await;
    check("path=/&children=true&initial=true", v1::WatchKind::Children, true, false, none).await;
    check("path=/a%20b&data=true", v1::WatchKind::Node, false, true, none).await;
    check("path=/a&from=0x11.3", v1::WatchKind::Node, false, false, (Some(0x11), Some(3))).await;
    check("path=/a&from=0x11", v1::WatchKind::Node, false, false, (Some(0x11), None)).await;
}

#[tokio::test]
async fn an_initial_state_comes_first_and_a_bookmark_ends_it() {
    let mut reader =
        Reader::open(&gateway(&server()), request("GET", "/v1/watch?path=/a&initial=true&data=true")).await;
    while !reader.text.contains("0x11.2") {
        assert!(reader.read().await);
    }
    assert!(reader.text.starts_with("retry: 1000\n\n"));
    let first = reader.text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let first: Value = serde_json::from_str(first).unwrap();
    assert_eq!(
        (&first["initial"], &first["data"], &first["encoding"]),
        (&json!(true), &json!("hello"), &json!("utf8"))
    );
    assert_eq!(reader.next(3).await, ["created -", "bookmark 0x10", "changed 0x11.2"]);
}

#[tokio::test]
async fn a_stream_goes_on_strictly_after_the_last_event() {
    let fake = server();
    let resumed = request("GET", "/v1/watch?path=/a&initial=true&from=0x1").header("last-event-id", "0x11.2");
    let mut reader = Reader::open(&gateway(&fake), resumed).await;
    assert_eq!(reader.next(2).await, ["bookmark 0x11.2", "changed 0x20.0"]);
    let asked = fake.watched().remove(0);
    assert_eq!((asked.start_zxid, asked.start_index, asked.send_initial), (Some(0x11), Some(2), false));
}

#[tokio::test]
async fn where_the_history_is_gone_programs_are_told_and_browsers_begin_anew() {
    let gateway = gateway(&server());
    let told = get(&gateway, "/v1/watch?path=/a&from=0x1").await;
    assert_eq!(told.verdict(), (410, "COMPACTED".to_owned()));
    assert_eq!(told.json()["zxid"], "0x9");
    let mut reader = Reader::open(&gateway, request("GET", "/v1/watch?path=/a").header("last-event-id", "0x1.0")).await;
    assert_eq!(reader.status, StatusCode::OK);
    assert_eq!(reader.next(4).await, ["reset -", "created -", "bookmark 0x10", "changed 0x11.2"]);
}

#[tokio::test]
async fn several_watches_share_a_stream_and_resume_each_for_itself() {
    let fake = server();
    let gateway = gateway(&fake);
    let mut reader = Reader::open(&gateway, request("GET", "/v1/watch?path=/a&path=/b")).await;
    let mut told = reader.next(3).await;
    let last = told.pop().unwrap();
    assert_eq!(last, "changed 0x11.0,0x11.0");
    let resumed = request("GET", "/v1/watch?path=/a&path=/b").header("last-event-id", "0x11.0,0x12");
    fake.watched();
    let mut reader = Reader::open(&gateway, resumed).await;
    reader.next(3).await;
    let asked = fake.watched();
    let starts: Vec<_> = asked.iter().map(|asked| (asked.path.as_str(), asked.start_zxid, asked.start_index)).collect();
    assert_eq!(starts, [("/a", Some(0x11), Some(0)), ("/b", Some(0x12), None)]);
    let many = "path=/a&".repeat(33);
    assert_eq!(get(&gateway, &format!("/v1/watch?{many}")).await.verdict(), (400, "BAD_ARGUMENTS".to_owned()));
}

#[tokio::test]
async fn what_prevents_a_watch_is_the_status_of_its_stream() {
    let fake = Fake::telling(|_| vec![canceled(v1::ErrorReason::NoAuth)]);
    let answered = get(&gateway(&fake), "/v1/watch?path=/a").await;
    assert_eq!(answered.verdict(), (403, "NO_AUTH".to_owned()));
    assert_eq!(answered.json()["path"], "/a");
}

#[tokio::test]
async fn what_ends_a_watch_ends_its_stream() {
    let fake = Fake::telling(|_| vec![created(0x10), canceled(v1::ErrorReason::NoAuth)]);
    let answered = get(&gateway(&fake), "/v1/watch?path=/a").await;
    assert_eq!(answered.status, StatusCode::OK);
    let text = String::from_utf8(answered.body.to_vec()).unwrap();
    assert!(text.ends_with("\n\n: NO_AUTH\n\n"), "{text}");
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives() {
    let config = Config { keep_alive: Duration::from_millis(10), ..Config::default() };
    let gateway = router(Fake::telling(|_| vec![created(0x10)]).client(), config);
    let mut reader = Reader::open(&gateway, request("GET", "/v1/watch?path=/a")).await;
    while reader.text.matches(": keep-alive\n\n").count() < 2 {
        assert!(reader.read().await);
    }
    assert!(reader.text.starts_with("retry: 1000\n\nevent: bookmark\nid: 0x10\n"), "{}", reader.text);
}

#[tokio::test]
async fn streams_end_when_the_gateway_does() {
    let config = Config::default();
    let shutdown = config.shutdown.clone();
    let gateway = router(server().client(), config);
    let mut reader = Reader::open(&gateway, request("GET", "/v1/watch?path=/a")).await;
    reader.next(2).await;
    shutdown.cancel();
    assert!(!reader.read().await, "{}", reader.text);
}

/// How many event streams the gateway counts.
async fn open_streams(gateway: &Router) -> String {
    let text = String::from_utf8(get(gateway, "/metrics").await.body.to_vec()).unwrap();
    text.lines().find_map(|line| Some(line.strip_prefix("quorate_gateway_event_streams ")?.to_owned())).unwrap()
}

#[tokio::test]
async fn a_stream_that_is_not_read_loses_its_watches_alone() {
    let fake = server();
    let config = Config { write_timeout: Duration::from_millis(300), ..Config::default() };
    let gateway = router(fake.client(), config);
    let mut attentive = Reader::open(&gateway, request("GET", "/v1/watch?path=/a")).await;
    let mut never = Reader::open(&gateway, request("GET", "/v1/watch?path=/b")).await;
    let mut no_more = Reader::open(&gateway, request("GET", "/v1/watch?path=/c")).await;
    no_more.next(2).await;
    assert_eq!(open_streams(&gateway).await, "3");
    // The servers hear of it, too.
    let given_up =
        async { while (open_streams(&gateway).await != "1" || fake.listening() != 1) && attentive.read().await {} };
    tokio::time::timeout(Duration::from_secs(10), given_up).await.expect("their watches are given up");
    // For much longer than the others had.
    while attentive.text.matches(": keep-alive\n\n").count() < 8 {
        assert!(attentive.read().await, "{}", attentive.text);
    }
    for late in [&mut never, &mut no_more] {
        while late.read().await {}
        assert!(late.text.ends_with(": LAGGED\n\n"), "{}", late.text);
    }
}

#[tokio::test]
async fn open_streams_are_limited_and_counted() {
    let config = Config { event_streams_max: 1, ..Config::default() };
    let gateway = router(server().client(), config);
    let reader = Reader::open(&gateway, request("GET", "/v1/watch?path=/a")).await;
    assert_eq!(get(&gateway, "/v1/watch?path=/a").await.verdict(), (429, "THROTTLED".to_owned()));
    assert_eq!(open_streams(&gateway).await, "1");
    drop(reader);
    assert_eq!(open_streams(&gateway).await, "0");
    let reader = Reader::open(&gateway, request("GET", "/v1/watch?path=/a")).await;
    assert_eq!(reader.status, StatusCode::OK);
}

#[tokio::test]
async fn lines_of_json_tell_the_same() {
    let gateway = gateway(&server());
    let asked = request("GET", "/v1/watch?path=/a&initial=true").header("accept", "application/x-ndjson");
    let mut reader = Reader::open(&gateway, asked).await;
    assert_eq!(reader.headers["content-type"], "application/x-ndjson");
    while reader.text.lines().count() < 3 {
        assert!(reader.read().await);
    }
    let lines: Vec<Value> = reader.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<Value> = lines.iter().map(|line| json!([line["type"], line["id"], line["zxid"]])).collect();
    assert_eq!(
        shown,
        [json!(["created", null, "0x10"]), json!(["bookmark", "0x10", "0x10"]), json!(["changed", "0x11.2", "0x11"])]
    );
}

#[tokio::test]
async fn a_long_poll_answers_as_soon_as_there_is_anything() {
    let fake = server();
    let gateway = gateway(&fake);
    let first = get(&gateway, "/v1/watch?path=/a&wait=1m").await;
    assert_eq!((first.status, first.header("content-type")), (StatusCode::OK, "application/json"));
    let document = first.json();
    assert_eq!((&document["next"], &document["events"][0]["id"]), (&json!("0x11.0"), &json!("0x11.0")));
    assert_eq!(document["events"].as_array().unwrap().len(), 1);
    fake.watched();
    let next = request("GET", "/v1/watch?path=/a&from=0x11.0").header("accept", "application/json");
    assert_eq!(send(&gateway, next, "").await.json()["next"], "0x20.0");
    assert_eq!((fake.watched()[0].start_zxid, open_streams(&gateway).await), (Some(0x11), "0".to_owned()));
    // What was told before is gone: as everywhere.
    assert_eq!(get(&gateway, "/v1/watch?path=/a&from=0x1&wait=1s").await.verdict(), (410, "COMPACTED".to_owned()));
    let resumed = request("GET", "/v1/watch?path=/a&wait=1s").header("last-event-id", "0x1.0");
    let document = send(&gateway, resumed, "").await.json();
    let kinds: Vec<&Value> = document["events"].as_array().unwrap().iter().map(|told| &told["type"]).collect();
    assert_eq!((&kinds[..2], &document["next"]), (&[&json!("reset"), &json!("created")][..], &json!("0x11.2")));
}

#[tokio::test]
async fn a_long_poll_ends_when_its_time_is_up() {
    let fake = Fake::telling(|asked| {
        let begun = [created(0x10)].into_iter();
        begun.chain(asked.send_initial.then(|| synced(0x12))).collect()
    });
    let config = Config { keep_alive: Duration::from_millis(10), ..Config::default() };
    let gateway = router(fake.client(), config);
    let waited = get(&gateway, "/v1/watch?path=/a&wait=50ms").await;
    assert_eq!(waited.json(), json!({"events": [], "next": "0x10"}));
    // Meanwhile it shows that it lives.
    assert!(waited.body.starts_with(b"{\"events\":[ "), "{waited:?}");
    // The present state of nothing is an answer, too.
    assert_eq!(
        get(&gateway, "/v1/watch?path=/a&initial=true&wait=1m").await.json(),
        json!({"events": [], "next": "0x12"})
    );
    for wait in ["1", "s", "1h", "-1s", "1.5s", "61s", "2m", "18446744073709551615m"] {
        let refused = get(&gateway, &format!("/v1/watch?path=/a&wait={wait}")).await;
        assert_eq!(refused.verdict(), (400, "BAD_ARGUMENTS".to_owned()), "{wait}");
    }
}

#[tokio::test]
async fn a_long_poll_ends_when_the_gateway_does() {
    let config = Config::default();
    let shutdown = config.shutdown.clone();
    let gateway = router(Fake::telling(|_| vec![created(0x10)]).client(), config);
    let mut reader = Reader::open(&gateway, request("GET", "/v1/watch?path=/a&wait=1m")).await;
    assert!(reader.read().await);
    shutdown.cancel();
    while reader.read().await {}
    assert_eq!(serde_json::from_str::<Value>(&reader.text).unwrap(), json!({"events": [], "next": "0x10"}));
}

#[tokio::test]
async fn the_form_of_a_watch_is_what_the_caller_accepts() {
    let gateway = gateway(&server());
    let check = async |accept: &str, expected: &str| {
        let reader = Reader::open(&gateway, request("GET", "/v1/watch?path=/a").header("accept", accept)).await;
        assert_eq!(reader.headers["content-type"], expected, "{accept}");
    };
    check("", "text/event-stream").await;
    check("*/*", "text/event-stream").await;
    check("text/html, */*;q=0.8", "text/event-stream").await;
    check("application/json", "application/json").await;
    check("application/x-ndjson, application/json;q=0.5", "application/x-ndjson").await;
    check("text/event-stream, application/json", "text/event-stream").await;
}
