//! A service registry: providers register what they offer as long as they live, consumers follow who there is.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example registry [HOST:PORT,..]`

use std::time::Duration;

use quorate_client::recipes::{Instances, PersistentEphemeral, Services};
use quorate_client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();
    let services = Services::new(&client, "/examples/services");

    // A consumer may come before there is anybody to be found.
    let searchers = services.follow("search");

    let first = offer(&services, "search", "host-7", "10.0.0.7:80").await?;
    let second = offer(&services, "search", "host-8", "10.0.0.8:80").await?;
    let other = offer(&services, "mail", "host-9", "10.0.0.9:25").await?;
    println!("offered are: {}", services.names().await?.join(", "));
    find(&searchers, "host-7 at 10.0.0.7:80, host-8 at 10.0.0.8:80").await;

    // A provider moves, and another one goes.
    second.set("10.0.1.8:80");
    find(&searchers, "host-7 at 10.0.0.7:80, host-8 at 10.0.1.8:80").await;
    first.close().await;
    find(&searchers, "host-8 at 10.0.1.8:80").await;
    second.close().await;
    other.close().await;
    Ok(())
}

/// It is offered as long as what is returned is not dropped, through lost connections and sessions.
async fn offer(services: &Services, name: &str, host: &str, address: &str) -> Result<PersistentEphemeral, Error> {
    let offered = services.register(name, host, address.to_owned(), Duration::from_secs(5));
    offered.present().await?;
    Ok(offered)
}

/// Waits until these are the instances.
async fn find(instances: &Instances, expected: &str) {
    let mut changes = instances.states();
    loop {
        let found: Vec<String> = instances
            .all()
            .iter()
            .map(|one| {
                let name = one.path.rsplit('/').next().unwrap_or_default();
                format!("{name} at {}", one.data.as_deref().map(String::from_utf8_lossy).unwrap_or_default())
            })
            .collect();
        if found.join(", ") == expected {
            return println!("to be found are: {expected}");
        }
        let _ = changes.changed().await;
    }
}
