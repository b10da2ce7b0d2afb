//! Pipelined operations: each client keeps a number of them outstanding on one Channel, and answers every message of
//! replies with a message of as many new operations.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use quorate_proto::v1;
use quorate_proto::v1::channel_item::Item;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Answer;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::Plan;
use super::load::{self, Done, Door, Shape, Workload};
use super::table::{Table, histogram};

/// An operation as the API has it.
pub(crate) fn operation(operation: load::Operation, data: &Bytes) -> Operation {
    match operation {
        load::Operation::Get(path) => Operation::Get(v1::GetRequest { path, options: None }),
        load::Operation::GetLinearizable(path) => {
            let consistency = v1::Consistency::Linearizable.into();
            let options = Some(v1::RequestOptions { consistency, ..v1::RequestOptions::default() });
            Operation::Get(v1::GetRequest { path, options })
        }
        load::Operation::Set(path) => set(path, data.clone()),
        load::Operation::Create(path) => create(path, data.clone()),
        load::Operation::Delete(path) => Operation::Delete(v1::DeleteRequest { path, ..v1::DeleteRequest::default() }),
    }
}

pub(crate) fn set(path: String, data: Bytes) -> Operation {
    Operation::SetData(v1::SetDataRequest { path, data: Some(data), ..v1::SetDataRequest::default() })
}

pub(crate) fn upsert(path: String, data: Bytes) -> Operation {
    let upsert = true;
    Operation::SetData(v1::SetDataRequest { path, data: Some(data), upsert, ..v1::SetDataRequest::default() })
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

/// Get, set and create over Channels, 16 clients x 32 outstanding.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    let server = [super::start(plan, "channel", &[])];
    let door = Door::Channel(&server);
    door.prepare().await;
    for (workload, target) in [(Workload::Get, 2.5), (Workload::Set, 5.0), (Workload::Create, 6.0)] {
        let turn = door.run(workload, Shape::PIPELINED, plan.seconds).await;
        let what = format!("Channel {}, {}", workload.describe(), Shape::PIPELINED.describe());
        table.at_most(&what, target, turn.cpu_per_operation(), "µs CPU/op", &turn.describe());
    }
}
