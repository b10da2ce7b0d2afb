//! Master election: one of several candidates leads, and when it is gone, the next one does.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example election [HOST:PORT,..]`

use std::time::Duration;

use quorate_client::recipes::LeaderLatch;
use quorate_client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();

    // Three processes, each with a session and a candidature of its own.
    let mut candidates = Vec::new();
    for name in ["anna", "berta", "clara"] {
        let session = client.open_session(Duration::from_secs(10)).await?;
        let latch = LeaderLatch::start(&session, "/examples/election", name);
        // Candidates lead in the order in which they came; this one shall have come before the next does.
        while !latch.candidates().await?.iter().any(|one| one.data.as_deref() == Some(name.as_bytes())) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        candidates.push((name, session, latch));
    }

    let mut last_token = 0;
    for (name, session, latch) in candidates {
        let fence = latch.wait().await?;
        println!("{name} leads; its token is greater than the last one: {}", fence.token() > last_token);
        last_token = fence.token();
        // It dies: its session ends, with all that it held. Of a process that is killed, so it does after its timeout.
        session.close().await?;
    }
    println!("nobody is left");
    Ok(())
}
