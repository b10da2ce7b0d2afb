//! Publish and subscribe: messages are children of a topic, and a subscriber's watch tells each of them once, in order,
//! also those that were published while it was away.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example publish_subscribe [HOST:PORT,..]`

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use quorate_client::{Client, CreateMode, Error, EventKind, WatchEvent, WatchKind};

const TOPIC: &str = "/examples/news";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();
    let began = client.sync().await?.zxid;

    publish(&client, "it rains").await?;
    publish(&client, "it pours").await?;
    let place = receive(&client, "anna", began, 2).await?;
    // She is away now. What she missed is told when she says up to where she knows.
    publish(&client, "the sun shines").await?;
    receive(&client, "anna", place, 1).await?;
    // Others have a place of their own.
    receive(&client, "berta", began, 3).await?;
    Ok(())
}

/// A message goes by itself after an hour.
async fn publish(client: &Client, text: &str) -> Result<(), Error> {
    let mode = CreateMode::TtlSequential(Duration::from_secs(3600));
    client.create(format!("{TOPIC}/message-"), text).mode(mode).parents().await.map(|_| ())
}

/// Reads so many messages after a place; returns the place behind them.
async fn receive(client: &Client, name: &str, place: u64, count: usize) -> Result<u64, Error> {
    let subscription = client.watch(TOPIC).kind(WatchKind::Recursive).from(place, None).with_data();
    let messages = subscription.exclude(EventKind::Deleted).start();
    let told = messages.try_filter_map(async |told| match told {
        WatchEvent::Events(events) => Ok(Some(stream::iter(events).map(Ok::<_, Error>))),
        _ => Ok(None),
    });
    let mut messages = pin!(told.try_flatten().try_filter(|event| ready(event.path != TOPIC)).take(count));
    let mut place = place;
    while let Some(message) = messages.try_next().await? {
        let text = message.data.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        println!("{name} reads: {text}");
        place = message.zxid;
    }
    Ok(place)
}
