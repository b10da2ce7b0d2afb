//! A client that never reads its watch costs the server a bounded amount of memory, and nobody else anything.

use std::time::{Duration, Instant};

use quorate_proto::v1;
use quorate_proto::v1::watch_item::Item;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::Server;
use quorate_tests::report;

use super::bad_input::still_serves;

/// Data that pass the watches: many times what the server may keep for one of them.
const WRITES: usize = 400;
const DATA_BYTES: usize = 500_000;

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
    let mut ignored_events = server.rest().events("/v1/watch?path=/slow&data=true", None).await.unwrap();
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
    let mut slowest = Duration::ZERO;
    for _ in 0..WRITES {
        let data = Some(vec![7; DATA_BYTES].into());
        let sent = Instant::now();
        znodes
            .set_data(v1::SetDataRequest { path: path.clone(), data, ..v1::SetDataRequest::default() })
            .await
            .unwrap();
        slowest = slowest.max(sent.elapsed());
    }
    let took = began.elapsed();
    let during = server.stats();
    attentive.await.unwrap();
    let grown = during.resident_bytes.saturating_sub(before.resident_bytes);
    assert!(grown <= GROWTH_BYTES_MAX, "{grown} bytes more for a client that does not read");

    let canceled = last_words(&mut ignored).await;
    // The gateway watches in its clients' place: it reads, or falls behind and resumes, or hangs up.
    let mut told = 0;
    while let Ok(Ok(Some(_))) = tokio::time::timeout(Duration::from_secs(2), ignored_events.next()).await {
        told += 1;
    }
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
