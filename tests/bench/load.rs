//! What servers are loaded with, whatever way it takes: clients, each with a number of operations outstanding.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use quorate_tests::harness::{ProcessStats, Server};
use tonic::transport::Channel;

use super::channel;
use super::table::{describe, histogram};
use super::zookeeper::{self, Connection, ZooKeeper};

/// Bytes of data in a znode.
pub(crate) const PAYLOAD: usize = 100;

/// Paths that reads and sets go to.
const PATHS: u64 = 1_000;

/// The parent of what creates make.
const MADE: &str = "/made";

/// How long what is not measured may take: preparing, and removing what was created.
const UNMEASURED_MAX: Duration = Duration::from_secs(3600);

/// How many clients, and how many operations each of them has outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) clients: u64,
    pub(crate) outstanding: u64,
}

/// What all clients do again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    Get,
    /// As of now, whoever leads.
    GetLinearizable,
    Set,
    Create,
}

/// One operation, on a path.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Get(String),
    GetLinearizable(String),
    Set(String),
    Create(String),
    Delete(String),
}

/// What a load has done.
pub(crate) struct Done {
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) latencies: Histogram<u64>,
}

/// What a load has done, and what that took of the server.
pub(crate) struct Turn {
    pub(crate) done: Done,
    cpu_micros: u64,
}

/// A server under load, and the way its clients take.
#[derive(Clone, Copy)]
pub(crate) enum Door<'a> {
    /// Ours, one `SessionService.Channel` to a client; with several servers, clients take them in turns.
    Channel(&'a [Server]),
    /// ZooKeeper's protocol, one session to a client.
    ZooKeeper { address: SocketAddr, pid: u32 },
}

/// One client's connection.
enum Line {
    Channel(Channel),
    ZooKeeper(Connection),
}

pub(crate) fn payload() -> Bytes {
    Bytes::from(vec![b'x'; PAYLOAD])
}

impl Shape {
    /// Few clients that pipeline.
    pub(crate) const PIPELINED: Shape = Shape { clients: 16, outstanding: 32 };

    /// Many clients that wait for each answer.
    pub(crate) const WAITING: Shape = Shape { clients: 64, outstanding: 1 };

    /// In words.
    pub(crate) fn describe(self) -> String {
        format!("{} x {}", self.clients, self.outstanding)
    }
}

impl Workload {
    /// What ZooKeeper can do as well.
    pub(crate) const COMMON: [Workload; 3] = [Workload::Get, Workload::Set, Workload::Create];

    /// In words.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Workload::Get => "get",
            Workload::GetLinearizable => "linearizable get",
            Workload::Set => "set",
            Workload::Create => "create",
        }
    }

    /// The operation with this number, of this client.
    fn operation(self, client: u64, id: u64) -> Operation {
        let existing = || format!("/bench/{}", (client * 7919 + id) % PATHS);
        match self {
            Workload::Get => Operation::Get(existing()),
            Workload::GetLinearizable => Operation::GetLinearizable(existing()),
            Workload::Set => Operation::Set(existing()),
            Workload::Create => Operation::Create(made(client, id)),
        }
    }
}

fn made(client: u64, id: u64) -> String {
    format!("{MADE}/{client}-{id}")
}

impl Done {
    /// What several clients have done at the same time.
    pub(crate) fn sum(all: impl IntoIterator<Item = Done>) -> Done {
        let mut sum = Done { operations: 0, seconds: 0.0, latencies: histogram() };
        for done in all {
            sum.operations += done.operations;
            sum.seconds = sum.seconds.max(done.seconds);
            sum.latencies.add(done.latencies).unwrap();
        }
        sum
    }

    /// Operations per second.
    pub(crate) fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds
    }
}

impl Turn {
    /// Runs a load and reads from the kernel what the servers' processes have used meanwhile.
    pub(crate) async fn measure(pids: &[u32], load: impl Future<Output = Done>) -> Turn {
        let used = || pids.iter().map(|pid| ProcessStats::of(*pid).cpu_micros).sum::<u64>();
        let before = used();
        let done = load.await;
        Turn { done, cpu_micros: used() - before }
    }

    /// The servers' CPU time for one operation, in µs.
    pub(crate) fn cpu_per_operation(&self) -> f64 {
        self.cpu_micros as f64 / self.done.operations as f64
    }

    /// Throughput and latency in words.
    pub(crate) fn describe(&self) -> String {
        describe(self.done.operations, self.done.seconds, &self.done.latencies)
    }
}

impl<'a> Door<'a> {
    pub(crate) fn zookeeper(server: &ZooKeeper) -> Door<'a> {
        Door::ZooKeeper { address: server.address(), pid: server.pid() }
    }

    fn pids(self) -> Vec<u32> {
        match self {
            Door::Channel(servers) => servers.iter().map(Server::pid).collect(),
            Door::ZooKeeper { pid, .. } => vec![pid],
        }
    }

    /// Creates what the workloads need.
    pub(crate) async fn prepare(self) {
        let roots = ["/bench".to_owned(), MADE.to_owned()].into_iter();
        let mut paths = roots.chain((0..PATHS).map(|id| format!("/bench/{id}")));
        self.connect(0).await.run(1, far(), move |_| paths.next().map(Operation::Create)).await;
    }

    /// Loads the server for so long, with connections that are made before that. What is created is removed
    /// afterwards, so that every turn finds the same tree.
    pub(crate) async fn run(self, workload: Workload, shape: Shape, seconds: Duration) -> Turn {
        let lines = join_all((0..shape.clients).map(|client| self.connect(client))).await;
        let mut operations = Vec::new();
        let load = async {
            let until = Instant::now() + seconds;
            let clients = (0..).zip(lines).map(|(client, line)| {
                line.run(shape.outstanding, until, move |id| Some(workload.operation(client, id)))
            });
            let all = join_all(clients).await;
            operations.extend(all.iter().map(|done| done.operations));
            Done::sum(all)
        };
        let turn = Turn::measure(&self.pids(), load).await;
        if workload == Workload::Create {
            self.remove(&operations).await;
        }
        turn
    }

    /// Deletes what the clients have made, each so many.
    async fn remove(self, operations: &[u64]) {
        let Shape { outstanding, .. } = Shape::PIPELINED;
        let clients = (0..).zip(operations).map(async |(client, count)| {
            let next = move |id| (id < *count).then(|| Operation::Delete(made(client, id)));
            self.connect(client).await.run(outstanding, far(), next).await
        });
        join_all(clients).await;
    }

    async fn connect(self, client: u64) -> Line {
        match self {
            Door::Channel(servers) => Line::Channel(servers[client as usize % servers.len()].grpc().await),
            Door::ZooKeeper { address, .. } => Line::ZooKeeper(Connection::open(address).await.unwrap()),
        }
    }
}

impl Line {
    /// Runs `outstanding` operations at a time until `until`, or until `next` has no more.
    async fn run(self, outstanding: u64, until: Instant, mut next: impl FnMut(u64) -> Option<Operation>) -> Done {
        let data = payload();
        match self {
            Line::Channel(connection) => {
                let next = |id| next(id).map(|operation| channel::operation(operation, &data));
                channel::pipelined(connection, outstanding, until, next).await
            }
            Line::ZooKeeper(connection) => {
                let next = |id| next(id).map(|operation| zookeeper::Request::new(operation, &data));
                zookeeper::pipelined(connection, outstanding, until, next).await
            }
        }
    }
}

/// Runs `call` again and again in each of `clients`, one at a time, for so long.
pub(crate) async fn repeat<C>(seconds: Duration, clients: Vec<C>, call: impl AsyncFn(&mut C, u64)) -> Done {
    let until = Instant::now() + seconds;
    let runs = clients.into_iter().map(async |mut client| {
        let mut done = Done { operations: 0, seconds: 0.0, latencies: histogram() };
        let start = Instant::now();
        while Instant::now() < until {
            let began = Instant::now();
            call(&mut client, done.operations).await;
            done.latencies.saturating_record(began.elapsed().as_micros() as u64);
            done.operations += 1;
        }
        done.seconds = start.elapsed().as_secs_f64();
        done
    });
    Done::sum(join_all(runs).await)
}

fn far() -> Instant {
    Instant::now() + UNMEASURED_MAX
}
