//! Sessions that come and go: each round opens one, creates an ephemeral znode in it and closes it, one step after the
//! other. Three writes, of which each waits for the disk.
//!
//! A client of ours keeps one connection for all its sessions; a ZooKeeper session is a TCP connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use quorate_client::{Client, CreateMode};
use quorate_proto::v1;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Answer;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_tests::harness::Server;

use super::Plan;
use super::comparison::Comparison;
use super::line::Line;
use super::load::{Turn, repeat};
use super::table::Table;
use super::zookeeper::{Connection, Installation, Request, ZooKeeper};

const CLIENTS: usize = 16;

/// How many times ZooKeeper's rounds per second we aim at.
const TARGET: f64 = 3.0;

/// Asked for; no round takes nearly so long.
const TIMEOUT: Duration = Duration::from_secs(10);

fn path(client: usize) -> String {
    format!("/e-{client}")
}

/// Rounds over Channels, one to a client: what the API itself costs.
async fn channels(server: &Server, seconds: Duration) -> Turn {
    let lines = join_all((0..CLIENTS).map(async |client| {
        let mut service = SessionServiceClient::new(server.grpc().await);
        (Line::open(&mut service, v1::ChannelRequest::default()).await, path(client))
    }));
    let rounds = repeat(seconds, lines.await, async |(line, path), _| {
        let open = v1::OpenRequest { timeout_ms: TIMEOUT.as_millis() as u32 };
        let opened = line.call(Operation::Open(open)).await;
        let Answer::Open(session) = opened else { panic!("{opened:?}") };
        let session = Some(v1::SessionCredential { session_id: session.session_id, secret: session.secret });
        let create = v1::CreateRequest {
            path: path.clone(),
            mode: v1::CreateMode::Ephemeral.into(),
            options: Some(v1::RequestOptions { session: session.clone(), ..v1::RequestOptions::default() }),
            ..v1::CreateRequest::default()
        };
        let created = line.call(Operation::Create(create)).await;
        assert!(matches!(created, Answer::Create(_)), "{created:?}");
        let closed = line.call(Operation::Close(v1::CloseRequest { session })).await;
        assert!(matches!(closed, Answer::Close(_)), "{closed:?}");
    });
    Turn::measure(&[server.pid()], rounds).await
}

/// Rounds with the Rust client: each session attaches a Channel of its own on the client's connection, and is kept
/// alive on it.
async fn rust_clients(server: &Server, seconds: Duration) -> Turn {
    let clients = (0..CLIENTS).map(|client| {
        let connection = Client::builder().addresses([server.address("grpc")]).build();
        (connection, path(client))
    });
    let rounds = repeat(seconds, clients.collect(), async |(client, path), _| {
        let session = client.open_session(TIMEOUT).await.unwrap();
        session.create(path.as_str(), Bytes::new()).mode(CreateMode::Ephemeral).await.unwrap();
        session.close().await.unwrap();
    });
    Turn::measure(&[server.pid()], rounds).await
}

/// Rounds with ZooKeeper's protocol.
async fn zookeeper(address: SocketAddr, pid: u32, seconds: Duration) -> Turn {
    let rounds = repeat(seconds, (0..CLIENTS).map(path).collect(), async |path, _| {
        let mut connection = Connection::open(address).await.unwrap();
        let create = Request::Create { path: path.clone(), data: Bytes::new(), ephemeral: true };
        connection.call(&create).await.unwrap();
        connection.call(&Request::Close).await.unwrap();
    });
    Turn::measure(&[pid], rounds).await
}

/// 16 clients, beside ZooKeeper if it can be had.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    let server = super::start(plan, "churn", &[]);
    let installation = match Installation::prepare() {
        Ok(installation) => installation,
        Err(missing) => {
            let turn = channels(&server, plan.seconds).await;
            let besides = format!("{:.0} µs CPU a round; no ZooKeeper beside it: {missing}", turn.cpu_per_operation());
            return table.plain("ephemeral churn, 16 clients", &format!("{:.0} /s", turn.done.rate()), &besides);
        }
    };
    let rival = ZooKeeper::start(&installation, &plan.dir.join("churn-zookeeper")).await;
    println!("beside {}:", installation.describe());
    let theirs = async |seconds| zookeeper(rival.address(), rival.pid(), seconds).await;
    let ours = async |seconds| channels(&server, seconds).await;
    let comparison = Comparison::measure("churn, Channel", plan, ours, theirs).await;
    note("ephemeral churn, 16 clients", &comparison, &installation, table);
    let ours = async |seconds| rust_clients(&server, seconds).await;
    let comparison = Comparison::measure("churn, Rust client", plan, ours, theirs).await;
    note("ephemeral churn with the Rust client, 16 clients", &comparison, &installation, table);
}

fn note(what: &str, comparison: &Comparison, installation: &Installation, table: &mut Table) {
    let what = format!("{what}, beside {}", installation.describe());
    let besides = format!("{:.1} x less CPU: {}", comparison.cpu_ratio(), comparison.describe());
    table.at_least(&what, TARGET, comparison.rate_ratio(), "x its rate", &besides);
}
