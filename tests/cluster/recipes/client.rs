//! A client in a process of its own, which can be made to stand still as no future can: it takes a lock again and again,
//! and says on its standard output what it would do to something that only the lock's holder may change.
//!
//! `recipes-client ADDRESSES PATH careful|careless`: the careless one does not look whether it still has the lock.

use std::error::Error;
use std::io::{self, Write as _};
use std::time::Duration;

use quorate_client::recipes::Lock;
use quorate_client::{Client, Session};

/// The shortest that can be waited for in a test.
const SESSION_TIMEOUT: Duration = Duration::from_secs(1);

/// Changes under one lock, and the time between them.
const CHANGES: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [addresses, path, manner] = &arguments[..] else { return Err("ADDRESSES PATH careful|careless".into()) };
    let client = Client::builder().addresses(addresses.split(',')).build();
    loop {
        let session = client.open_session(SESSION_TIMEOUT).await?;
        if let Err(error) = take_turns(&session, path, manner == "careful").await {
            say(&format!("lost {}", error.reason()))?;
        }
    }
}

/// Until the session is lost.
async fn take_turns(session: &Session, path: &str, is_careful: bool) -> Result<(), quorate_client::Error> {
    let lock = Lock::new(session, path);
    loop {
        let guard = lock.acquire().await?;
        for _ in 0..CHANGES {
            if is_careful && !guard.is_held() {
                return Err(guard.lost().await);
            }
            // Whoever started this process has gone if it cannot be told.
            if say(&format!("change {}", guard.token())).is_err() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        guard.release().await?;
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
