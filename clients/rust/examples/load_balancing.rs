//! Load balancing: requests go to the servers that are there, in turn. One that dies is found out twice: by the request
//! that fails, which goes to the next one, and by its registration, which ends.
//!
//! Start a server with `quorate`, then: `cargo run -p quorate-client --example load_balancing [HOST:PORT,..]`

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::Duration;

use quorate_client::Client;
use quorate_client::recipes::{Instances, PersistentEphemeral, Services};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7181".to_owned());
    let client = Client::builder().addresses(servers.split(',')).build();
    let services = Services::new(&client, "/examples/balanced");
    let mut running = BTreeMap::new();
    for name in ["anna", "berta", "clara"] {
        running.insert(name, serve(&services, name).await?);
    }
    let greeters = services.follow("greeter");
    wait_for(&greeters, 3).await?;
    println!("{:?}", ask(&greeters, 9).await?);

    // One answers no more, though it is registered: its turns go to the next one.
    let (registration, listening) = running.remove("berta").ok_or("berta runs")?;
    listening.abort();
    let _ = listening.await;
    println!("{:?}", ask(&greeters, 10).await?);
    // Its session ends, and nobody tries it any more.
    registration.close().await;
    wait_for(&greeters, 2).await?;
    println!("{:?}", ask(&greeters, 8).await?);
    Ok(())
}

/// Until so many are registered.
async fn wait_for(greeters: &Instances, count: usize) -> Result<(), Box<dyn Error>> {
    let mut changes = greeters.states();
    while greeters.all().len() != count {
        changes.changed().await?;
    }
    Ok(())
}

/// A server that says its name to whoever connects, and is registered for that.
async fn serve(
    services: &Services,
    name: &'static str,
) -> Result<(PersistentEphemeral, JoinHandle<()>), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let listening = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever asked may have gone.
            let _ = stream.write_all(name.as_bytes()).await;
        }
    });
    let registration = services.register("greeter", name, address, Duration::from_secs(5));
    registration.present().await?;
    Ok((registration, listening))
}

/// Makes so many requests: how many of them whom answered.
async fn ask(greeters: &Instances, count: usize) -> io::Result<BTreeMap<String, usize>> {
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        *answers.entry(request(greeters).await?).or_insert(0) += 1;
    }
    Ok(answers)
}

/// Asks the next one in turn, and those after it if that one does not answer.
async fn request(greeters: &Instances) -> io::Result<String> {
    let mut failure = io::Error::other("nobody is there");
    for _ in 0..greeters.all().len() {
        let Some(next) = greeters.round_robin() else { break };
        let address = String::from_utf8_lossy(next.data.as_deref().unwrap_or_default()).into_owned();
        match greet(&address).await {
            Ok(answer) => return Ok(answer),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn greet(address: &str) -> io::Result<String> {
    let mut answer = String::new();
    TcpStream::connect(address).await?.read_to_string(&mut answer).await?;
    Ok(answer)
}
