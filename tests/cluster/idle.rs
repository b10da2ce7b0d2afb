//! Ten thousand idle streams cost little, end with their connections, and disturb nobody.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quorate_proto::v1;
use quorate_proto::v1::watch_item::Item;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_tests::harness::{ProcessStats, Server};
use quorate_tests::report;

use super::bad_input::still_serves;

const STREAMS: usize = 10_000;
const CONNECTIONS: usize = 100;

/// Resident memory of the server for one idle stream with one watch.
const STREAM_BYTES_MAX: u64 = 32 * 1024;

#[tokio::test]
async fn ten_thousand_idle_streams_cost_little_and_are_told_at_once() {
    let server = Server::start();
    still_serves(&server).await;
    let before = server.stats();
    let mut streams = Vec::with_capacity(STREAMS);
    for _ in 0..CONNECTIONS {
        let client = WatchServiceClient::new(server.grpc().await);
        let opening = (0..STREAMS / CONNECTIONS).map(|_| open(client.clone()));
        streams.extend(join_all(opening).await);
    }
    let during = server.stats();
    let each = during.resident_bytes.saturating_sub(before.resident_bytes) / STREAMS as u64;
    assert!(each <= STREAM_BYTES_MAX, "{each} bytes for each idle stream");

    // All of them are told of a change.
    let changed = Instant::now();
    server.rest().put("/v1/znodes/idle", "now").await.unwrap();
    let told = join_all(streams.iter_mut().map(next_event)).await;
    let took = changed.elapsed();
    assert!(told.iter().all(|path| path == "/idle"));
    let cpu = (server.stats().cpu_micros - during.cpu_micros) / STREAMS as u64;
    drop(streams);
    let after = settled(&server, before).await;
    still_serves(&server).await;
    report::note(&format!(
        "idle: {STREAMS} watch streams on {CONNECTIONS} connections at {each} bytes each, all told within {} ms at \
         {cpu} µs CPU each; before: {before}; during: {during}; after: {after}",
        took.as_millis()
    ));
}

type Stream = tonic::Streaming<v1::SubscribeResponse>;

/// A stream whose watch has begun.
async fn open(mut client: WatchServiceClient<tonic::transport::Channel>) -> Stream {
    let watch = v1::WatchCreate { watch_id: 1, path: "/idle".to_owned(), ..v1::WatchCreate::default() };
    let mut stream = client.subscribe(v1::SubscribeRequest { watches: vec![watch] }).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().expect("a watch begins");
    assert!(matches!(first.items[0].item, Some(Item::Created(_))), "{first:?}");
    stream
}

async fn next_event(stream: &mut Stream) -> String {
    loop {
        let response = stream.message().await.unwrap().expect("an idle stream goes on");
        for item in response.items {
            if let Some(Item::Events(events)) = item.item {
                return events.events[0].path.clone();
            }
        }
    }
}

/// What the server uses once it has noticed that the connections are gone.
async fn settled(server: &Server, before: ProcessStats) -> ProcessStats {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = server.stats();
        if now.descriptors <= before.descriptors + 4 {
            return now;
        }
        assert!(Instant::now() < deadline, "{} descriptors are left of {}", now.descriptors, before.descriptors);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
