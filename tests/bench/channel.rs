//! Pipelined operations: each client keeps a number of them outstanding on one Channel, and answers every message of
//! replies with a message of as many new operations.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use quorate_proto::v1;
use quorate_proto::v1::channel_item::Item;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Answer;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_tests::harness::Server;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::Plan;
use super::table::{Table, describe, histogram};

/// Bytes of data in a znode.
pub(crate) const PAYLOAD: usize = 100;

/// Clients, and operations that each has outstanding.
const CLIENTS: u64 = 16;
const OUTSTANDING: u64 = 32;

/// Paths that reads and sets go to.
const PATHS: u64 = 1_000;

/// What a load has done.
pub(crate) struct Done {
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) latencies: Histogram<u64>,
}

pub(crate) fn payload() -> Bytes {
    Bytes::from(vec![b'x'; PAYLOAD])
}

pub(crate) fn get(path: String) -> Operation {
    Operation::Get(v1::GetRequest { path, options: None })
}

pub(crate) fn set(path: String, data: Bytes) -> Operation {
    Operation::SetData(v1::SetDataRequest { path, data: Some(data), ..v1::SetDataRequest::default() })
}

pub(crate) fn create(path: String, data: Bytes) -> Operation {
    Operation::Create(v1::CreateRequest {
        path,
        data: Some(data),
        create_parents: true,
        ..v1::CreateRequest::default()
    })
}

/// Runs `outstanding` operations at a time on one Channel until `until`, or until `next` has no more.
pub(crate) async fn pipelined(
    connection: Channel,
    outstanding: u64,
    until: Instant,
    mut next: impl FnMut(u64) -> Option<Operation>,
) -> Done {
    let (sender, receiver) = mpsc::channel(outstanding as usize + 1);
    let mut client = SessionServiceClient::new(connection).max_decoding_message_size(64 << 20);
    let began = Instant::now();
    let mut sent: VecDeque<Instant> = VecDeque::new();
    let mut id = 0;
    let mut batch = |count: u64, sent: &mut VecDeque<Instant>| {
        let now = Instant::now();
        let mut operations = Vec::with_capacity(count as usize);
        while operations.len() < count as usize && now < until {
            let Some(operation) = next(id) else { break };
            id += 1;
            operations.push(v1::ChannelOperation { id, timeout_ms: 0, operation: Some(operation) });
            sent.push_back(now);
        }
        v1::ChannelRequest { attach: None, operations }
    };
    sender.send(batch(outstanding, &mut sent)).await.unwrap();
    let mut responses = client.channel(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let (mut operations, mut latencies) = (0, histogram());
    while !sent.is_empty() {
        let response =
            responses.message().await.unwrap().expect("the stream stays open while operations are under way");
        let now = Instant::now();
        let mut answered = 0;
        for item in response.items {
            let Some(Item::Reply(reply)) = item.item else { panic!("{item:?}") };
            if let Some(Answer::Error(error)) = reply.result {
                panic!("{error:?}");
            }
            let began = sent.pop_front().expect("one reply for each operation");
            latencies.saturating_record((now - began).as_micros() as u64);
            answered += 1;
        }
        operations += answered;
        let message = batch(answered, &mut sent);
        if !message.operations.is_empty() {
            sender.send(message).await.unwrap();
        }
    }
    Done { operations, seconds: began.elapsed().as_secs_f64(), latencies }
}

/// Several clients at once.
async fn load(server: &Server, plan: &Plan, next: impl Fn(u64, u64) -> Operation + Copy) -> (Done, f64) {
    let connections = join_all((0..CLIENTS).map(|_| server.grpc())).await;
    let before = server.stats().cpu_micros;
    let until = Instant::now() + plan.seconds;
    let clients = connections
        .into_iter()
        .enumerate()
        .map(|(client, connection)| pipelined(connection, OUTSTANDING, until, move |id| Some(next(client as u64, id))));
    let mut all = Done { operations: 0, seconds: 0.0, latencies: histogram() };
    for done in join_all(clients).await {
        all.operations += done.operations;
        all.seconds = all.seconds.max(done.seconds);
        all.latencies.add(done.latencies).unwrap();
    }
    let cpu = (server.stats().cpu_micros - before) as f64 / all.operations as f64;
    (all, cpu)
}

/// Get, set and create over Channels, 16 clients x 32 outstanding.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    let server = super::start(plan, "channel", &[]);
    let data = payload();
    let prepare = pipelined(server.grpc().await, 100, Instant::now() + plan.seconds * 10, |id| {
        (id < PATHS).then(|| create(format!("/bench/{id}"), payload()))
    });
    prepare.await;
    let path = |client: u64, id: u64| format!("/bench/{}", (client * 7919 + id) % PATHS);
    let mut note = |what: &str, target: f64, (done, cpu): (Done, f64)| {
        let besides = describe(done.operations, done.seconds, &done.latencies);
        table.at_most(&format!("Channel {what}, 16 x 32"), target, cpu, "µs CPU/op", &besides);
    };
    note("get", 2.5, load(&server, plan, |client, id| get(path(client, id))).await);
    let data = &data;
    note("set", 5.0, load(&server, plan, |client, id| set(path(client, id), data.clone())).await);
    note("create", 6.0, load(&server, plan, |client, id| create(format!("/made/{client}-{id}"), data.clone())).await);
}
