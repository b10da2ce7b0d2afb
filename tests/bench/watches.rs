//! Streaming watches: many on few connections, few on many connections, and many that resume.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quorate_proto::v1;
use quorate_proto::v1::watch_item::Item;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_tests::harness::Server;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Plan;
use super::channel::{create, pipelined, set};
use super::load::payload;
use super::table::Table;

fn watch(id: u64, path: &str) -> v1::WatchRequest {
    let create = v1::WatchCreate { watch_id: id, path: path.into(), ..v1::WatchCreate::default() };
    v1::WatchRequest { action: Some(v1::watch_request::Action::Create(create)) }
}

/// Begins `count` watches on one stream; the sender keeps it open.
async fn begin(
    server: &Server,
    requests: impl IntoIterator<Item = v1::WatchRequest>,
) -> (mpsc::Sender<v1::WatchRequest>, Streaming<v1::WatchResponse>) {
    let requests: Vec<_> = requests.into_iter().collect();
    let (sender, receiver) = mpsc::channel(requests.len().max(1));
    for request in requests {
        sender.try_send(request).unwrap();
    }
    let mut client = WatchServiceClient::new(server.grpc().await).max_decoding_message_size(64 << 20);
    let stream = client.watch(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    (sender, stream)
}

/// Notifications and begun watches in a response.
fn tally(response: &v1::WatchResponse) -> (u64, u64) {
    let (mut notified, mut begun) = (0, 0);
    for item in &response.items {
        match &item.item {
            Some(Item::Events(events)) => notified += (item.watch_ids.len() * events.events.len()) as u64,
            Some(Item::Created(_)) => begun += item.watch_ids.len() as u64,
            Some(Item::Progress(_) | Item::Synced(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    (notified, begun)
}

async fn wait_for_begun(stream: &mut Streaming<v1::WatchResponse>, count: u64) {
    let mut begun = 0;
    while begun < count {
        begun += tally(&stream.message().await.unwrap().unwrap()).1;
    }
}

async fn make(server: &Server, path: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    pipelined(server.grpc().await, 1, until, |id| (id == 0).then(|| create(path.into(), payload()))).await;
}

/// Sets `path` so many times, `outstanding` at a time, and reads every stream until it was told of all of them.
/// Returns the server's CPU time per notification, in µs, and notifications per second.
async fn notify(
    server: &Server,
    path: &str,
    changes: u64,
    outstanding: u64,
    streams: Vec<(mpsc::Sender<v1::WatchRequest>, Streaming<v1::WatchResponse>)>,
    watches_each: u64,
) -> (f64, f64) {
    let (before, began) = (server.stats().cpu_micros, Instant::now());
    let mut readers = JoinSet::new();
    for (sender, mut stream) in streams {
        readers.spawn(async move {
            let mut notified = 0;
            while notified < changes * watches_each {
                notified += tally(&stream.message().await.unwrap().unwrap()).0;
            }
            drop(sender);
            notified
        });
    }
    let (far, data) = (Instant::now() + Duration::from_secs(3600), payload());
    pipelined(server.grpc().await, outstanding, far, |id| (id < changes).then(|| set(path.into(), data.clone()))).await;
    let total: u64 = readers.join_all().await.into_iter().sum();
    let cpu = (server.stats().cpu_micros - before) as f64 / total as f64;
    (cpu, total as f64 / began.elapsed().as_secs_f64())
}

/// 10,000 watches on 100 connections.
pub(crate) async fn measure_fan_out(plan: &Plan, table: &mut Table) {
    const CONNECTIONS: u64 = 100;
    const WATCHES: u64 = 100;
    let server = super::start(plan, "fanout", &[]);
    make(&server, "/a").await;
    let streams = join_all((0..CONNECTIONS).map(async |_| {
        let (sender, mut stream) = begin(&server, (1..=WATCHES).map(|id| watch(id, "/a"))).await;
        wait_for_begun(&mut stream, WATCHES).await;
        (sender, stream)
    }));
    let streams = streams.await;
    let (cpu, rate) = notify(&server, "/a", 500, 4, streams, WATCHES).await;
    let note = format!("{:.0} k notifications/s", rate / 1000.0);
    table.at_most("fan-out, 10,000 watches on 100 connections", 1.2, cpu, "µs CPU/notification", &note);
}

/// 10,000 connections with one watch each.
pub(crate) async fn measure_connections(plan: &Plan, table: &mut Table) {
    const CONNECTIONS: u64 = 10_000;
    let server = super::start(plan, "connections", &[]);
    make(&server, "/a").await;
    let before = server.stats().resident_bytes;
    let mut streams = Vec::new();
    while (streams.len() as u64) < CONNECTIONS {
        let more = join_all((0..100).map(async |_| {
            let (sender, mut stream) = begin(&server, [watch(1, "/a")]).await;
            wait_for_begun(&mut stream, 1).await;
            (sender, stream)
        }));
        streams.extend(more.await);
    }
    let each = (server.stats().resident_bytes - before) as f64 / CONNECTIONS as f64 / 1024.0;
    table.at_most("10,000 connections with one watch each", 32.0, each, "KiB resident each", "");
    let (cpu, rate) = notify(&server, "/a", 20, 1, streams, 1).await;
    let note = format!("{:.0} k notifications/s", rate / 1000.0);
    table.at_most("the same: a change told to all of them", 10.0, cpu, "µs CPU/notification", &note);
}

/// 1,000 watches that resume 100,000 changes back.
pub(crate) async fn measure_resumption(plan: &Plan, table: &mut Table) {
    const WATCHES: u64 = 1_000;
    const CHANGES: u64 = 100_000;
    let history = (128_u64 << 20).to_string();
    let server = super::start(plan, "resume", &["--history-bytes", &history]);
    make(&server, "/a").await;
    let (far, data) = (Instant::now() + Duration::from_secs(3600), payload());
    pipelined(server.grpc().await, 256, far, |id| (id < CHANGES).then(|| set("/a".into(), data.clone()))).await;
    let mut peek = WatchServiceClient::new(server.grpc().await);
    let create = v1::WatchCreate { watch_id: 1, path: "/a".into(), ..v1::WatchCreate::default() };
    let mut now = peek.subscribe(v1::SubscribeRequest { watches: vec![create] }).await.unwrap().into_inner();
    let Some(Item::Created(created)) = now.message().await.unwrap().unwrap().items.remove(0).item else { panic!() };
    let start = created.zxid - CHANGES;
    let (before, memory, began) = (server.stats().cpu_micros, server.stats().resident_bytes, Instant::now());
    let mut readers = JoinSet::new();
    let mut peak = memory;
    for _ in 0..WATCHES / 10 {
        let requests = (1..=10).map(|id| {
            let create = v1::WatchCreate {
                watch_id: id,
                path: "/a".into(),
                start_zxid: Some(start),
                ..v1::WatchCreate::default()
            };
            v1::WatchRequest { action: Some(v1::watch_request::Action::Create(create)) }
        });
        let (sender, mut stream) = begin(&server, requests).await;
        readers.spawn(async move {
            let mut notified = 0;
            while notified < CHANGES * 10 {
                notified += tally(&stream.message().await.unwrap().unwrap()).0;
            }
            drop(sender);
            notified
        });
    }
    let mut total = 0;
    while let Some(notified) = readers.join_next().await {
        peak = peak.max(server.stats().resident_bytes);
        total += notified.unwrap();
    }
    assert_eq!(total, WATCHES * CHANGES, "lost or told twice");
    let cpu = (server.stats().cpu_micros - before) as f64 / total as f64;
    let note = format!(
        "all {total} events told, {:.0} s, memory {:.0} -> {:.0} MiB at most",
        began.elapsed().as_secs_f64(),
        memory as f64 / (1 << 20) as f64,
        peak as f64 / (1 << 20) as f64
    );
    table.plain("1,000 watches resumed 100,000 changes back", &format!("{cpu:.2} µs CPU/event"), &note);
}
