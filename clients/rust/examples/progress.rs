//! Progress reports: everybody who works writes how far it is into a znode of its own, and whoever looks follows all of
//! them, without asking and without missing the end.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example progress [HOST:PORT,..]`

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use quorate_client::{Client, CreateMode, Error, EventKind, WatchEvent, WatchKind};

const JOB: &str = "/examples/progress";
const WORKERS: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();
    client.create(JOB, "").parents().await?;
    let working = try_join_all((1..=WORKERS).map(|number| work(&client, number)));
    tokio::try_join!(working, follow(&client))?;
    client.delete(JOB).await?;
    Ok(())
}

/// Does its part in four steps, and says so after each. Its report is ephemeral: nobody takes a dead one for a slow one.
async fn work(client: &Client, number: usize) -> Result<(), Error> {
    let session = client.open_session(Duration::from_secs(10)).await?;
    let report = format!("{JOB}/worker-{number}");
    session.create(&report, "0").mode(CreateMode::Ephemeral).await?;
    for percent in [25, 50, 75, 100] {
        tokio::time::sleep(Duration::from_millis(20)).await;
        session.set(&report, percent.to_string()).await?;
    }
    session.close().await
}

/// Shows every report, and ends when all are through.
async fn follow(client: &Client) -> Result<(), Error> {
    let mut reports = client.watch(JOB).kind(WatchKind::Recursive).send_initial().with_data().start();
    let mut done = BTreeMap::new();
    while done.len() < WORKERS || done.values().any(|percent| *percent < 100) {
        let Some(WatchEvent::Events(events)) = reports.next().await.transpose()? else { continue };
        for event in events.into_iter().filter(|event| event.path != JOB && event.kind != EventKind::Deleted) {
            let text = event.data.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let percent: usize = text.parse().unwrap_or_default();
            println!("{} [{:<20}] {percent} %", event.path, "#".repeat(percent / 5));
            done.insert(event.path, percent);
        }
    }
    println!("all are through");
    Ok(())
}
