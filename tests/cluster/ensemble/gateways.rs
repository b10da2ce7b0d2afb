//! Gateways keep nothing: whoever loses one goes on through another, with the same session, the same place in a stream
//! of events, and no state that is older than what was seen.

use std::time::Duration;

use http::{Method, StatusCode};
use quorate_tests::harness::{Answer, Ensemble, Gateway, Rest, Server, SseEvent, SseReader};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session, as headers of requests have it.
struct Session {
    id: String,
    secret: String,
}

impl Session {
    async fn open(rest: &Rest) -> Session {
        let wish = json!({"timeout_ms": 30_000}).to_string();
        let opened =
            rest.send(Method::POST, "/v1/sessions", &[("content-type", "application/json")], wish).await.unwrap();
        assert_eq!(opened.status, StatusCode::CREATED, "{opened:?}");
        let text = |name: &str| opened.json()[name].as_str().unwrap().to_owned();
        Session { id: text("session_id"), secret: text("secret") }
    }

    fn headers(&self) -> [(&'static str, &str); 2] {
        [("quorate-session", &self.id), ("quorate-session-secret", &self.secret)]
    }

    async fn send(&self, rest: &Rest, method: Method, target: &str) -> Answer {
        rest.send(method, target, &self.headers(), "").await.unwrap()
    }
}

/// Begins to watch everything below `/app`, after an event that was told before.
async fn watch(rest: &Rest, after: Option<&str>) -> SseReader {
    rest.events("/v1/watch?path=/app&recursive=true&data=true", after).await.unwrap()
}

/// The next events of changes, up to the one that sets `data`; with the id of the last one.
async fn changes(reader: &mut SseReader, last: &str) -> (Vec<String>, String) {
    let mut told = Vec::new();
    let reading = async {
        loop {
            let event: SseEvent = reader.next().await.unwrap().expect("the stream goes on");
            if !matches!(event.event.as_str(), "created" | "changed" | "deleted") {
                continue;
            }
            let document = event.json();
            let text = |name: &str| document[name].as_str().unwrap_or("-").to_owned();
            told.push(format!("{} {} {}", event.event, text("path"), text("data")));
            if document["data"] == last {
                return event.id;
            }
        }
    };
    let id = tokio::time::timeout(PATIENCE, reading).await.expect("the events come");
    (told, id)
}

async fn put(rest: &Rest, path: &str, data: &str) -> Answer {
    let answer = rest.put(&format!("/v1/znodes{path}"), data.to_owned()).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer
}

#[tokio::test]
async fn whoever_loses_a_gateway_goes_on_through_another() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    let servers: Vec<String> = [1, 2, 3].map(|id| ensemble.server(id).address("grpc").to_owned()).to_vec();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let (mut first, mut second) = (Gateway::start(&servers, &[]), Gateway::start(&servers, &[]));
    let (one, two) = (first.rest(), second.rest());

    put(&one, "/app", "begin").await;
    let session = Session::open(&one).await;
    let mut reader = watch(&one, None).await;
    let created = session.send(&one, Method::POST, "/v1/znodes/app/lease?mode=ephemeral").await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    put(&two, "/app", "seen").await;
    let (told, last_id) = changes(&mut reader, "seen").await;
    assert_eq!(told, ["created /app/lease ", "changed /app seen"]);

    first.kill();
    // What happens now is told to nobody, until the reader comes back.
    let missed = put(&two, "/app/config", "missed").await;
    let zxid = missed.header("quorate-zxid").to_owned();
    let read = two.send(Method::GET, "/v1/znodes/app/config", &[("quorate-min-zxid", &zxid)], "").await.unwrap();
    assert_eq!(&read.body[..], b"missed");
    let kept = session.send(&two, Method::POST, &format!("/v1/sessions/{}/keepalive", session.id)).await;
    assert_eq!(kept.status, StatusCode::OK, "{kept:?}");
    let lease = two.get("/v1/stats/app/lease").await.unwrap().json();
    assert_eq!(lease["stat"]["ephemeral_owner"], session.id);
    let mut reader = watch(&two, Some(&last_id)).await;
    assert_eq!(changes(&mut reader, "missed").await.0, ["created /app/config missed"]);

    // The gateway goes on without the server that it spoke to, whichever it was; so does the stream.
    ensemble.kill(leader);
    put(&two, "/app", "and on").await;
    assert_eq!(changes(&mut reader, "and on").await.0, ["changed /app and on"]);
    let closed = session.send(&two, Method::DELETE, &format!("/v1/sessions/{}", session.id)).await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT, "{closed:?}");
    assert_eq!(two.get("/v1/stats/app/lease").await.unwrap().reason(), "NO_NODE");
    second.stop();
}

/// Hands every connection on to `server`.
async fn hand_on(listener: TcpListener, server: String) {
    while let Ok((mut here, _)) = listener.accept().await {
        let mut there = TcpStream::connect(&server).await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
    }
}

#[tokio::test]
async fn a_gateway_without_servers_says_so_and_finds_them_when_they_come() {
    // Whoever connects there is not heard yet.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(&[&listener.local_addr().unwrap().to_string()], &["--timeout", "300ms"]);
    let rest = gateway.rest();
    assert_eq!(rest.get("/livez").await.unwrap().status, StatusCode::OK);
    assert_eq!(rest.get("/readyz").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    let refused = rest.get("/v1/znodes/app").await.unwrap();
    assert!(matches!(refused.status.as_u16(), 503 | 504), "{refused:?}");
    let server = Server::start();
    tokio::spawn(hand_on(listener, server.address("grpc").to_owned()));
    let ready = async {
        while rest.get("/readyz").await.unwrap().status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the gateway finds the server");
    put(&rest, "/app", "found").await;
}
