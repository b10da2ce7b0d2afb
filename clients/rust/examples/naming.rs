//! Names and unique ids: the tree is a directory of names that nobody can take twice, and it counts for everybody.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example naming [HOST:PORT,..]`

use quorate_client::recipes::Counter;
use quorate_client::{Client, CreateMode, Error, Reason};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();

    // A name is a path, and what it stands for is its data. Whoever comes second is told.
    let printer = "/examples/naming/printers/lobby";
    client.create(printer, "10.0.0.7:631").parents().await?;
    match client.create(printer, "10.0.0.9:631").await {
        Err(error) if error.reason() == Reason::NodeExists => println!("the name is taken"),
        other => println!("this should not be: {other:?}"),
    }
    let address = client.get(printer).await?.data.unwrap_or_default();
    println!("the printer in the lobby is at {}", String::from_utf8_lossy(&address));
    client.delete(printer).await?;

    // Ids by names: the ensemble appends a number that it has never appended there before.
    for item in ["screws", "nails"] {
        let order = client.create("/examples/naming/orders/order-", item).mode(CreateMode::PersistentSequential);
        println!("{item} are {}", order.parents().await?.path);
    }

    // Ids in blocks: one write for a thousand of them, which are then given out without asking anybody.
    let ids = Counter::new(&client, "/examples/naming/ids");
    let end = ids.add(1000).await?;
    println!("ids {} to {} are ours", end - 999, end);
    let end = ids.add(1000).await?;
    println!("ids {} to {} are ours", end - 999, end);
    Ok(())
}
