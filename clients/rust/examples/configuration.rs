//! A configuration centre: one znode holds a setting, services follow it without ever asking, and a value that makes no
//! sense changes nothing.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example configuration [HOST:PORT,..]`

use quorate_client::recipes::{Atomic, Configuration};
use quorate_client::{Client, Error};

const LIMIT: &str = "/examples/configuration/limit";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();

    // The service: whatever it does, the limit is at hand.
    let limit = Configuration::<i64>::start(&client, LIMIT);
    let mut news = limit.settings();

    // The operator, who would be elsewhere.
    let operator = Atomic::<i64>::new(&client, LIMIT);
    operator.set(&100).await?;
    let _ = news.wait_for(|news| limit_in(news) == Some(100)).await;
    println!("the service's limit is {}", limit.get().unwrap_or_default());

    // Based on what it is, so that two operators do not undo each other's changes.
    operator.update(|limit| limit.unwrap_or(0) * 2).await?;
    let _ = news.wait_for(|news| limit_in(news) == Some(200)).await;
    println!("the service's limit is {}", limit.get().unwrap_or_default());

    // A slip: the service says so, and goes on with what made sense.
    client.set(LIMIT, "two hundred").await?;
    let refused = news.wait_for(|news| news.as_ref().is_some_and(|news| news.problem.is_some())).await;
    if let Some(problem) = refused.ok().and_then(|news| news.as_ref()?.problem.clone()) {
        println!("refused: {}", problem.message());
    }
    println!("the service's limit is still {}", limit.get().unwrap_or_default());
    Ok(())
}

fn limit_in(news: &Option<quorate_client::recipes::Setting<i64>>) -> Option<i64> {
    news.as_ref().and_then(|news| news.value.as_deref().copied())
}
