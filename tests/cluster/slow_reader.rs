//! A client that never reads its watch costs the server a bounded amount of memory, and nobody else anything.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_proto::v1;
use quorate_proto::v1::watch_item::Item;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::{Rest, Server, ServerOptions, SseEvent, SseReader};
use quorate_tests::report;

use super::bad_input::still_serves;

/// Data that pass the watches: many times what the server may keep for one of them.
const WRITES: usize = 400;
const DATA_BYTES: usize = 500_000;

/// The watch of which the readers are slow.
const EVENTS: &str = "/v1/watch?path=/slow&data=true";

/// What the server may keep for its history, an outbox, a watch, and what is under way, with room to spare.
const GROWTH_BYTES_MAX: u64 = 192 * 1024 * 1024;

#[tokio::test]
async fn a_watch_that_nobody_reads_is_canceled_alone() {
    let server = Server::start();
    let mut znodes = ZnodeServiceClient::new(server.grpc().await);
    let path = "/slow".to_owned();
    znodes.create(v1::CreateRequest { path: path.clone(), ..v1::CreateRequest::default() }).await.unwrap();
    let before = server.stats();

    let watch = v1::WatchCreate { watch_id: 1, path: path.clone(), with_data: true, ..v1::WatchCreate::default() };
    let request = v1::SubscribeRequest { watches: vec![watch] };
    let mut ignored =
        WatchServiceClient::new(server.grpc().await).subscribe(request.clone()).await.unwrap().into_inner();
    let ignored_events = server.rest().events(EVENTS, None).await.unwrap();
    let mut attentive = WatchServiceClient::new(server.grpc().await).subscribe(request).await.unwrap().into_inner();
    let attentive = tokio::spawn(async move {
        let mut told = 0;
        while told < WRITES {
            let response = attentive.message().await.unwrap().expect("the attentive watch goes on");
            for item in response.items {
                match item.item.unwrap() {
                    Item::Events(events) => told += events.events.len(),
                    Item::Canceled(canceled) => panic!("the attentive watch is canceled: {canceled:?}"),
                    Item::Created(_) | Item::Synced(_) | Item::Progress(_) => {}
                }
            }
        }
    });

    let began = Instant::now();
    let (mut slowest, mut newest) = (Duration::ZERO, 0);
    for _ in 0..WRITES {
        let data = Some(vec![7; DATA_BYTES].into());
        let sent = Instant::now();
        let request = v1::SetDataRequest { path: path.clone(), data, ..v1::SetDataRequest::default() };
        newest = znodes.set_data(request).await.unwrap().into_inner().stat.unwrap().mzxid;
        slowest = slowest.max(sent.elapsed());
    }
    let took = began.elapsed();
    let during = server.stats();
    attentive.await.unwrap();
    let grown = during.resident_bytes.saturating_sub(before.resident_bytes);
    assert!(grown <= GROWTH_BYTES_MAX, "{grown} bytes more for a client that does not read");

    let canceled = last_words(&mut ignored).await;
    let told = catch_up(&server, ignored_events, newest).await;
    still_serves(&server).await;
    report::note(&format!(
        "slow reader: {} MB past a watch that nobody reads ({canceled}), {told} of its events by HTTP, in {} ms, \
         slowest write {} ms; before: {before}; during: {during}; after: {}",
        WRITES * DATA_BYTES / 1_000_000,
        took.as_millis(),
        slowest.as_millis(),
        server.stats()
    ));
}

/// Reads what an event stream has to tell until it has told of the change `newest`, and connects again if it ends, as a
/// browser does. What it was too late for may be skipped, but nothing comes twice or out of order.
async fn catch_up(server: &Server, mut stream: SseReader, newest: u64) -> usize {
    let (mut told, mut last, mut id) = (0, 0, String::new());
    while last < newest {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        let Ok(Some(event)) = next.expect("a reader that comes late is told nothing") else {
            stream = server.rest().events(EVENTS, Some(&id)).await.unwrap();
            continue;
        };
        if !event.id.is_empty() {
            id.clone_from(&event.id);
        }
        let zxid = || zxid_of(&event);
        match &*event.event {
            "changed" => assert!(zxid() > last, "{event:?} after {last:#x}"),
            // Of a state that is told anew, or of how far everything has been told.
            "created" | "bookmark" => assert!(zxid() >= last, "{event:?} after {last:#x}"),
            "reset" => continue,
            _ => panic!("{event:?}"),
        }
        last = zxid();
        told += 1;
    }
    told
}

fn zxid_of(event: &SseEvent) -> u64 {
    let document = event.json();
    let text = document["zxid"].as_str().unwrap_or_else(|| panic!("{event:?} has no zxid"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

/// How long a client may read nothing, so short that the test sees what happens then.
const READ_TIMEOUT: Duration = Duration::from_secs(6);

/// The gateway has the watches of many event streams on one connection to the server, which cuts a connection that is
/// not read for so long.
#[tokio::test]
async fn event_streams_that_nobody_reads_are_given_up_alone() {
    let arguments = vec!["--read-timeout-ms".to_owned(), READ_TIMEOUT.as_millis().to_string()];
    let server = Server::start_with(ServerOptions { arguments, ..ServerOptions::default() });
    let rest = server.rest();
    assert_eq!(rest.put("/v1/znodes/slow", "").await.unwrap().status, 201);
    let mut attentive = rest.events("/v1/watch?path=/slow", None).await.unwrap();
    // By HTTP/1, a reader lets its connection fill up; by HTTP/2, it can hold back one stream of one that flows.
    let ignored = rest.events(EVENTS, None).await.unwrap();
    let _held_back = hold_back(&server, EVENTS).await;
    assert_eq!(metric(&rest, "quorate_gateway_event_streams").await, 3);

    let began = Instant::now();
    let mut newest = 0;
    while began.elapsed() < 2 * READ_TIMEOUT {
        let written = rest.put("/v1/znodes/slow", vec![7; DATA_BYTES]).await.unwrap();
        assert_eq!(written.status, 200);
        newest = u64::from_str_radix(written.header("quorate-stat-mzxid").trim_start_matches("0x"), 16).unwrap();
        // Each of them is told at once: nothing has interrupted the stream.
        loop {
            let event = tokio::time::timeout(READ_TIMEOUT / 2, attentive.next()).await.expect("a change is told");
            let event = event.unwrap().expect("the stream of the attentive reader goes on");
            if event.event == "changed" {
                assert_eq!(zxid_of(&event), newest);
                break;
            }
        }
        tokio::time::sleep(READ_TIMEOUT / 60).await;
    }
    assert_eq!(metric(&rest, "quorate_outboxes_lost_total").await, 0, "the server has cut a connection of the gateway");
    assert_eq!(metric(&rest, "quorate_gateway_event_streams").await, 1, "the attentive one");
    catch_up(&server, ignored, newest).await;
    still_serves(&server).await;
}

/// Asks by HTTP/2 for an event stream, of which nothing may be sent. It is open as long as what is returned.
async fn hold_back(server: &Server, target: &str) -> (h2::client::SendRequest<Bytes>, h2::RecvStream) {
    let socket = tokio::net::TcpStream::connect(server.address("http")).await.unwrap();
    let (mut client, connection) = h2::client::Builder::new().initial_window_size(0).handshake(socket).await.unwrap();
    // It answers pings.
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}{target}", server.address("http"))).body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    (client, response.into_body())
}

/// A number that the server counts.
async fn metric(rest: &Rest, name: &str) -> u64 {
    let text = String::from_utf8(rest.get("/metrics").await.unwrap().body.to_vec()).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// What a client finds that reads at last: what was on its way, and then why there is no more.
async fn last_words(stream: &mut tonic::Streaming<v1::SubscribeResponse>) -> String {
    let (mut events, mut last) = (0, 0);
    loop {
        let response = match tokio::time::timeout(Duration::from_secs(10), stream.message()).await {
            Ok(Ok(Some(response))) => response,
            Ok(end) => {
                assert!(events < WRITES, "everything was kept for a client that did not read");
                return format!("dropped after {events} events: {end:?}");
            }
            Err(_) => panic!("a watch that was too slow is told nothing after {events} events"),
        };
        for item in response.items {
            match item.item.unwrap() {
                Item::Events(told) => {
                    assert!(told.events[0].zxid > last, "told twice or out of order");
                    last = told.events[0].zxid;
                    events += told.events.len();
                }
                Item::Canceled(canceled) => {
                    let reason = canceled.error.as_ref().map(|error| error.reason());
                    assert_eq!(reason, Some(v1::ErrorReason::Lagged), "{canceled:?}");
                    assert!(canceled.resume_zxid >= last, "{canceled:?} after {last}");
                    return format!("canceled as LAGGED after {events} events");
                }
                Item::Created(_) | Item::Synced(_) | Item::Progress(_) => {}
            }
        }
    }
}
