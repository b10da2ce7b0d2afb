//! Group membership: who is there at this moment. Whoever dies is not, a session timeout later.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example membership [HOST:PORT,..]`

use std::time::Duration;

use quorate_client::recipes::{CachedChildren, Membership};
use quorate_client::{Client, Error};

const GROUP: &str = "/examples/membership";
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();

    // Whoever only wants to know who is there need not belong to it.
    let group = CachedChildren::start(&client, GROUP);
    group.ready().await?;

    let anna = Membership::join(&client, GROUP, "anna", "10.0.0.7", TIMEOUT);
    anna.joined().await?;
    see(&group, "anna").await;
    let berta = Membership::join(&client, GROUP, "berta", "10.0.0.8", TIMEOUT);
    berta.joined().await?;
    see(&group, "anna, berta").await;

    // Members see each other, and may say something about themselves.
    println!("berta sees {} members", berta.members().len());
    berta.set("10.0.0.8, busy");
    anna.leave().await;
    see(&group, "berta").await;
    berta.leave().await;
    see(&group, "").await;
    Ok(())
}

/// Waits until the group is this.
async fn see(group: &CachedChildren, expected: &str) {
    let mut changes = group.states();
    loop {
        let all = group.all();
        let names: Vec<&str> = all.iter().filter_map(|member| member.path.rsplit('/').next()).collect();
        if names.join(", ") == expected {
            return println!("there are: {}", if names.is_empty() { "none" } else { expected });
        }
        // Every change of the group is one of this.
        let _ = changes.changed().await;
    }
}
