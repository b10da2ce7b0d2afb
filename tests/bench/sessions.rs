//! Sessions: what an idle one takes, and how fast they come and go.

use std::time::Instant;

use futures_util::future::join_all;
use quorate_proto::v1;
use quorate_proto::v1::channel_item::Item;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Answer;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::Plan;
use super::table::Table;

/// One Channel and its sending end.
struct Line {
    sender: mpsc::Sender<v1::ChannelRequest>,
    responses: Streaming<v1::ChannelResponse>,
}

impl Line {
    async fn open(client: &mut SessionServiceClient<Channel>, first: v1::ChannelRequest) -> Line {
        let (sender, receiver) = mpsc::channel(4);
        sender.send(first).await.unwrap();
        let responses = client.channel(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Line { sender, responses }
    }

    async fn reply(&mut self) -> Answer {
        loop {
            for item in self.responses.message().await.unwrap().unwrap().items {
                if let Some(Item::Reply(reply)) = item.item {
                    return reply.result.unwrap();
                }
            }
        }
    }

    async fn call(&mut self, operation: Operation) -> Answer {
        let operations = vec![v1::ChannelOperation { id: 1, timeout_ms: 0, operation: Some(operation) }];
        self.sender.send(v1::ChannelRequest { attach: None, operations }).await.unwrap();
        self.reply().await
    }
}

/// 10,000 sessions, each attached to a Channel of its own, 100 Channels to a connection.
pub(crate) async fn measure_idle(plan: &Plan, table: &mut Table) {
    const CONNECTIONS: u64 = 100;
    const SESSIONS: u64 = 100;
    let server = super::start(plan, "sessions", &[]);
    let before = server.stats().resident_bytes;
    let mut lines = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = SessionServiceClient::new(server.grpc().await);
        let opened = join_all((0..SESSIONS).map(async |_| {
            let mut client = client.clone();
            let session = client.open(v1::OpenRequest { timeout_ms: 300_000 }).await.unwrap().into_inner();
            let credential = v1::SessionCredential { session_id: session.session_id, secret: session.secret };
            let touch = Operation::KeepAlive(v1::KeepAliveRequest { session: None });
            let operations = vec![v1::ChannelOperation { id: 1, timeout_ms: 0, operation: Some(touch) }];
            let first = v1::ChannelRequest { attach: Some(credential), operations };
            let mut line = Line::open(&mut client, first).await;
            assert!(matches!(line.reply().await, Answer::KeepAlive(_)));
            line
        }));
        lines.extend(opened.await);
    }
    let each = (server.stats().resident_bytes - before) as f64 / (CONNECTIONS * SESSIONS) as f64 / 1024.0;
    table.at_most("10,000 idle sessions on 100 connections", 8.0, each, "KiB resident each", "");
}

/// Open a session, create an ephemeral in it, close it: 16 clients.
pub(crate) async fn measure_churn(plan: &Plan, table: &mut Table) {
    const CLIENTS: usize = 16;
    let server = super::start(plan, "churn", &[]);
    let connections = join_all((0..CLIENTS).map(|_| server.grpc())).await;
    let (before, began) = (server.stats().cpu_micros, Instant::now());
    let until = Instant::now() + plan.seconds;
    let clients = connections.into_iter().enumerate().map(async |(client, connection)| {
        let mut line = Line::open(&mut SessionServiceClient::new(connection), v1::ChannelRequest::default()).await;
        let mut rounds = 0_u64;
        while Instant::now() < until {
            let opened = line.call(Operation::Open(v1::OpenRequest { timeout_ms: 10_000 })).await;
            let Answer::Open(session) = opened else { panic!("{opened:?}") };
            let session = Some(v1::SessionCredential { session_id: session.session_id, secret: session.secret });
            let create = v1::CreateRequest {
                path: format!("/e-{client}"),
                mode: v1::CreateMode::Ephemeral.into(),
                options: Some(v1::RequestOptions { session: session.clone(), ..v1::RequestOptions::default() }),
                ..v1::CreateRequest::default()
            };
            let created = line.call(Operation::Create(create)).await;
            assert!(matches!(created, Answer::Create(_)), "{created:?}");
            let closed = line.call(Operation::Close(v1::CloseRequest { session })).await;
            assert!(matches!(closed, Answer::Close(_)), "{closed:?}");
            rounds += 1;
        }
        rounds
    });
    let rounds: u64 = join_all(clients).await.into_iter().sum();
    let rate = rounds as f64 / began.elapsed().as_secs_f64();
    let cpu = (server.stats().cpu_micros - before) as f64 / rounds as f64;
    table.plain("ephemeral churn, 16 clients", &format!("{rate:.0} /s"), &format!("{cpu:.0} µs CPU a round"));
}
