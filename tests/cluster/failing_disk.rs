//! A disk that fails, is slow, or has no room for snapshots: a server that cannot keep its promises ends and says why,
//! any other one goes on.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use quorate_client::{Client, Consistency, CreateMode, SessionState};
use quorate_tests::harness::{Files, Server, ServerOptions};
use quorate_tests::report;

/// What a process ends with because of its storage device (`EX_IOERR`).
const EXIT_IO_ERROR: i32 = 74;

/// For a call that may never be answered.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a sync takes on a disk that is slow.
const SLOW_SYNC: Duration = Duration::from_millis(200);

/// Of which a slow disk may not cost its owner one.
const SESSION_TIMEOUT: Duration = Duration::from_secs(1);

fn server(arguments: &[&str]) -> Server {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    Server::start_with(ServerOptions { arguments, has_faults: true, ..ServerOptions::default() })
}

fn client(server: &Server) -> Client {
    Client::builder().addresses([server.address("grpc")]).build()
}

async fn write(client: &Client, count: u32) {
    try_join_all((0..count).map(|number| client.set(format!("/{}", number % 50), number.to_string()).upsert().send()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_sync_of_the_log_that_fails_ends_the_server_and_acknowledges_nothing() {
    let mut server = server(&[]);
    for round in 0..3 {
        let writer = client(&server);
        let written = writer.set("/value", format!("written {round}")).upsert().await.unwrap();
        server.faults().fail_next_sync(Files::LOG);
        let lost = writer.set("/value", "lost").timeout(IMPATIENCE).await.unwrap_err();
        assert!(lost.maybe_applied(), "nobody knows what is on the disk: {lost:?}");
        let status = server.wait_for_end();
        assert_eq!(status.code(), Some(EXIT_IO_ERROR), "{}", server.log());
        assert_eq!(server.faults().counts().failed, round + 1);
        let log = server.log();
        let said = log.lines().rfind(|line| line.contains("the storage device has failed")).unwrap();
        assert!(said.contains("ERROR") && said.contains("log-"), "it does not say which file: {said}");
        server.restart();
        // It was written, though it is not known to be durable: whoever reads it now makes it so.
        let found = client(&server).get("/value").await.unwrap();
        assert!(found.stat.mzxid >= written.stat.mzxid, "what was acknowledged is gone: {found:?}");
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_costs_nothing_but_the_snapshot() {
    let server = server(&["--snapshot-records", "1000"]);
    let writer = client(&server);
    type Order = fn(&Server);
    let orders: [Order; 2] =
        [|server| server.faults().fill(Files::SNAPSHOTS), |server| server.faults().fail_next_sync(Files::SNAPSHOTS)];
    for (round, order) in orders.into_iter().enumerate() {
        let written = server.log().matches("a snapshot is written and verified").count();
        order(&server);
        let began = Instant::now();
        while server.log().matches("a snapshot could not be written").count() <= round {
            assert!(began.elapsed() < PATIENCE, "no snapshot fails: {}", server.log());
            write(&writer, 1_000).await;
        }
        server.faults().mend_disk();
        while server.log().matches("a snapshot is written and verified").count() <= written {
            assert!(began.elapsed() < PATIENCE, "no snapshot is tried again: {}", server.log());
            write(&writer, 1_000).await;
        }
    }
    let counts = server.faults().counts();
    assert!(counts.refused > 0 && counts.failed == 1, "{counts:?}");
}

#[tokio::test]
async fn a_slow_disk_slows_down_writes_and_nothing_else() {
    const WRITES: u32 = 200;
    let server = server(&[]);
    let writer = client(&server);
    writer.create("/value", "before").await.unwrap();
    let session = writer.open_session(SESSION_TIMEOUT).await.unwrap();
    session.create("/alive", "").mode(CreateMode::Ephemeral).await.unwrap();
    server.faults().slow_down(SLOW_SYNC, Duration::from_millis(1));
    let began = Instant::now();
    let writing = tokio::spawn(async move { write(&writer, WRITES).await });
    let (reader, mut slowest, mut reads) = (client(&server), Duration::ZERO, 0);
    while !writing.is_finished() || began.elapsed() < 2 * SESSION_TIMEOUT {
        let asked = Instant::now();
        let found = reader.get("/value").consistency(Consistency::Local).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        assert_eq!(found.data.unwrap(), "before");
        reads += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    writing.await.unwrap();
    let took = began.elapsed();
    assert!(took < SLOW_SYNC * WRITES / 4, "writes wait for each other: {took:?}");
    assert!(reads > 3 * took.as_millis() / SLOW_SYNC.as_millis(), "{reads} reads in {took:?}: they wait for the disk");
    assert!(server.faults().counts().delayed > 2);
    assert_eq!(session.state(), SessionState::Connected);
    assert!(reader.exists("/alive").await.unwrap().stat.is_some());
    report::note(&format!(
        "slow disk: {WRITES} writes, {reads} reads, {} syncs and writes of files; the slowest read {} ms",
        server.faults().counts().delayed,
        slowest.as_millis()
    ));
}
