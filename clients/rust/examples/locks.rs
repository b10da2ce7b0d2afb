//! Locks: one at a time, or many who only read. Whoever holds one has a token that tells it from all who held it before.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example locks [HOST:PORT,..]`

use std::time::Duration;

use futures_util::future::try_join_all;
use quorate_client::recipes::{Guard, Lock, RwLock};
use quorate_client::{Client, Error, Session};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();
    // Each would be a process of its own. What a session holds goes back when its process dies.
    let sessions = try_join_all((0..3).map(|_| client.open_session(Duration::from_secs(10)))).await?;

    let account = "/examples/locks/account";
    client.create(account, "0").parents().await?;
    try_join_all(sessions.iter().map(|session| deposit(session, account))).await?;
    let sum = client.get(account).await?.data.unwrap_or_default();
    println!("three deposits of 10 make {}", String::from_utf8_lossy(&sum));
    client.delete(account).await?;

    // Those who read do so at once; who writes waits for them.
    let catalogue: Vec<RwLock> = sessions.iter().map(|at| RwLock::new(at, "/examples/locks/catalogue")).collect();
    let readers: Vec<Guard> = try_join_all(catalogue[..2].iter().map(RwLock::read)).await?;
    println!("{} read at the same time", readers.len());
    let waiting = tokio::time::timeout(Duration::from_millis(200), catalogue[2].write()).await;
    println!("a writer waits meanwhile: {}", waiting.is_err());
    try_join_all(readers.into_iter().map(Guard::release)).await?;
    let writing = catalogue[2].write().await?;
    println!("now it writes");
    writing.release().await
}

/// What would lose money if two did it at once: read, think, write.
async fn deposit(session: &Session, account: &str) -> Result<(), Error> {
    let guard = Lock::new(session, "/examples/locks/account-lock").acquire().await?;
    let before = session.get(account).await?.data.unwrap_or_default();
    let sum: i64 = String::from_utf8_lossy(&before).parse().unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(20)).await;
    // Written only if the lock is still held, however long this process has stood still in between.
    let write = session.multi().add(guard.fence().check()).add(session.set(account, (sum + 10).to_string()));
    write.await?.into_result()?;
    guard.release().await
}
