//! A queue of jobs: each is done by one worker, the urgent ones first; and one whose worker dies goes to another.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example queue [HOST:PORT,..]`

use std::time::Duration;

use quorate_client::recipes::LockingQueue;
use quorate_client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();
    // Each would be a process of its own.
    let [producer, careful, unlucky] = [
        client.open_session(Duration::from_secs(10)).await?,
        client.open_session(Duration::from_secs(10)).await?,
        client.open_session(Duration::from_secs(10)).await?,
    ];

    let jobs = LockingQueue::new(&producer, "/examples/jobs");
    jobs.put("paint the fence").await?;
    jobs.put("mow the lawn").await?;
    jobs.put_with_priority("put out the fire", 1).await?;

    let job = LockingQueue::new(&unlucky, "/examples/jobs").take().await?;
    println!("the unlucky one begins to {}", String::from_utf8_lossy(job.data()));
    unlucky.close().await?;
    println!("and is gone");

    let mine = LockingQueue::new(&careful, "/examples/jobs");
    for _ in 0..3 {
        let job = mine.take().await?;
        println!("the careful one does it: {}", String::from_utf8_lossy(job.data()));
        // Only now it leaves the queue, and only if it is still this worker's.
        job.complete().await?;
    }
    Ok(())
}
