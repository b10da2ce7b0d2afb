//! Heartbeats: a session is one. As long as it is heard of, what it has created stays; when its heart stands still for
//! its timeout, everybody who watches is told.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example heartbeat [HOST:PORT,..]`

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use quorate_client::{Client, CreateMode, Error, EventKind, WatchEvent, WatchKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();
    let mut monitor = client.watch("/examples/heartbeat").kind(WatchKind::Children).start();
    while !matches!(monitor.next().await.transpose()?, Some(WatchEvent::Created { .. })) {}

    // `open_session` beats by itself. This heart beats by hand, so that it can be stopped.
    let heart = client.open_raw(Duration::from_secs(1)).await?;
    let alive = client.create("/examples/heartbeat/worker", "").mode(CreateMode::Ephemeral).parents();
    alive.session(heart.credential.clone()).await?;
    for beat in 1..=5 {
        tokio::time::sleep(heart.timeout / 3).await;
        client.keep_alive_once(&heart.credential).await?;
        println!("beat {beat}");
    }
    let last = Instant::now();

    while let Some(told) = monitor.next().await {
        let WatchEvent::Events(events) = told? else { continue };
        for event in events.iter().filter(|event| event.path.ends_with("/worker")) {
            match event.kind {
                EventKind::Created => println!("the monitor sees {} come", event.path),
                EventKind::Deleted => {
                    println!("the monitor sees {} go", event.path);
                    println!("that was about a timeout after its last beat: {}", last.elapsed() < 3 * heart.timeout);
                    return Ok(());
                }
                EventKind::Changed | EventKind::Unknown => {}
            }
        }
    }
    Ok(())
}
