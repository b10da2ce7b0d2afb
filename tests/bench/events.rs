//! Server-sent events: many subscribers on one gateway, each on a connection of its own.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quorate_tests::harness::{Rest, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Plan;
use super::load::payload;
use super::table::Table;

const SUBSCRIBERS: u64 = 10_000;

/// Each is told to all of them.
const CHANGES: u64 = 20;

/// Subscribers that begin at one time.
const TOGETHER: u64 = 100;

/// A subscriber's own end is in this process, and the servers' in theirs; either has more to open than these.
const DESCRIPTORS: u64 = 2 * SUBSCRIBERS;

/// Lines that are counted; what is longer than these is none of them.
const BEGUN: &[u8] = b"event: bookmark";
const CHANGED: &[u8] = b"event: changed";

/// One event stream, and what has been read of its present line.
struct Subscriber {
    stream: TcpStream,
    line: Vec<u8>,
}

impl Subscriber {
    /// Subscribes, and waits until the stream has begun.
    async fn begin(address: &str) -> Subscriber {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /v1/watch?path=/a HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut subscriber = Subscriber { stream, line: Vec::new() };
        subscriber.wait_for(1, BEGUN).await;
        subscriber
    }

    /// Waits until a line has come so many times.
    async fn wait_for(&mut self, mut count: u64, wanted: &[u8]) {
        let mut buffer = [0; 4096];
        while count > 0 {
            let bytes = self.stream.read(&mut buffer).await.unwrap();
            assert!(bytes > 0, "the stream has ended");
            for byte in &buffer[..bytes] {
                if *byte == b'\n' {
                    count -= u64::from(self.line == wanted);
                    self.line.clear();
                } else if self.line.len() <= CHANGED.len().max(BEGUN.len()) {
                    self.line.push(*byte);
                }
            }
        }
        self.line.shrink_to_fit();
    }
}

/// 10,000 subscribers: memory of each, and what an event costs that is told to all of them.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    allow_descriptors();
    let server = super::start(plan, "events", &[]);
    let rest = server.rest();
    set(&rest).await;
    let before = server.stats().resident_bytes;
    let subscribers = subscribe(&server).await;
    let each = (server.stats().resident_bytes - before) as f64 / SUBSCRIBERS as f64 / 1024.0;
    table.plain("10,000 event streams on one gateway", &format!("{each:.2} KiB resident each"), "");

    let (before, began) = (server.stats().cpu_micros, Instant::now());
    let mut readers = JoinSet::new();
    for mut subscriber in subscribers {
        readers.spawn(async move { subscriber.wait_for(CHANGES, CHANGED).await });
    }
    for _ in 0..CHANGES {
        set(&rest).await;
    }
    let all = readers.join_all();
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("every subscriber is told of every change");
    let events = (SUBSCRIBERS * CHANGES) as f64;
    let cpu = (server.stats().cpu_micros - before) as f64 / events;
    let note = format!("{:.0} k events/s", events / began.elapsed().as_secs_f64() / 1000.0);
    table.plain("the same: a change told to all of them", &format!("{cpu:.2} µs CPU/event"), &note);
}

async fn subscribe(server: &Server) -> Vec<Subscriber> {
    let mut subscribers = Vec::new();
    while (subscribers.len() as u64) < SUBSCRIBERS {
        subscribers.extend(join_all((0..TOGETHER).map(|_| Subscriber::begin(server.address("http")))).await);
    }
    subscribers
}

async fn set(rest: &Rest) {
    let answer = rest.put("/v1/znodes/a", payload()).await.unwrap();
    assert!(answer.status.is_success(), "{answer:?}");
}

/// Lets this process, and those that it starts, open enough connections.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= DESCRIPTORS) {
        return;
    }
    // Only root may raise the upper limit, too.
    let maximum = limit.maximum.map(|maximum| maximum.max(DESCRIPTORS));
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum }).expect("enough files may be open");
}
