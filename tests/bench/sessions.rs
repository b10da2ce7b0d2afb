//! Sessions that are idle: what one takes.

use futures_util::future::join_all;
use quorate_proto::v1;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Answer;
use quorate_proto::v1::session_service_client::SessionServiceClient;

use super::Plan;
use super::line::Line;
use super::table::Table;

/// 10,000 sessions, each attached to a Channel of its own, 100 Channels to a connection.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
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
