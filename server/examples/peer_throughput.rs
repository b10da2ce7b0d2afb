//! How fast two servers can talk: a leader and a learner, each on a thread of its own as in production, over the loopback.
//!
//! `cargo run --release -p quorate --example peer_throughput`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quorate::peers::{Config, Identity, Peers, Received, Sink};
use quorate_storage::{Options, RealDisk, Salt, Storage};
use quorate_types::{ClusterId, Epoch, Frame, FrameKind, ServerId, Zxid};
use quorate_zab::{ConnectionId, Digest, Input, Message, PeerOutput, Position, Standing};
use tokio::net::TcpListener;
use tokio::sync::Notify;

const CLUSTER: ClusterId = ClusterId(1);
const LEARNER: ServerId = ServerId(1);
const LEADER: ServerId = ServerId(2);

/// What is reported, for a loop that takes it all at once as the driver does.
#[derive(Default)]
struct Inbox {
    inputs: Mutex<Vec<Input>>,
    pushed: Notify,
}

impl Sink for Inbox {
    fn push(&self, input: Input) {
        self.inputs.lock().push(input);
        self.pushed.notify_one();
    }

    fn received(&self, _: ConnectionId, _: Received) {}
}

impl Inbox {
    async fn drain(&self, into: &mut Vec<Input>) {
        loop {
            std::mem::swap(&mut *self.inputs.lock(), into);
            if !into.is_empty() {
                return;
            }
            self.pushed.notified().await;
        }
    }
}

/// One measurement.
struct Load {
    name: &'static str,
    /// Records in one append, and the bytes of each.
    records: usize,
    record_bytes: usize,
    /// Appends that are not acknowledged at most.
    in_flight: u64,
    appends: u64,
}

const LOADS: [Load; 5] = [
    Load { name: "1 MiB, one record", records: 1, record_bytes: 1 << 20, in_flight: 4, appends: 4_000 },
    Load { name: "1 MiB, 1 KiB records", records: 1_000, record_bytes: 1_024, in_flight: 4, appends: 2_000 },
    Load { name: "200 bytes, 1 in flight", records: 1, record_bytes: 200, in_flight: 1, appends: 20_000 },
    Load { name: "200 bytes, 64 in flight", records: 1, record_bytes: 200, in_flight: 64, appends: 300_000 },
    Load { name: "200 bytes, 1024 in flight", records: 1, record_bytes: 200, in_flight: 1_024, appends: 1_000_000 },
];

fn main() {
    let (tell_address, address) = mpsc::channel();
    let learner = std::thread::spawn(move || on_runtime(learn(&address)));
    on_runtime(lead(&tell_address));
    learner.join().expect("the learner ends in order");
}

fn on_runtime(task: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(task);
}

/// A transport, its inbox and the directory that it thinks it stores in.
async fn transport(server: ServerId, addresses: BTreeMap<ServerId, String>) -> (Peers, Arc<Inbox>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    let dir = std::env::temp_dir().join(format!("quorate-peers-{}-{server}", std::process::id()));
    let disk = RealDisk::open(&dir).expect("a directory can be made");
    Storage::initialize(disk.clone(), CLUSTER, server, quorate_storage::Standing::Voter, Salt(1)).expect("it is empty");
    let (Storage { snapshots, .. }, _) = Storage::open(disk, &Options::default()).expect("it was initialized");
    let (inbox, identity) = (Arc::new(Inbox::default()), Identity { cluster: CLUSTER, server });
    let config = Config::new(addresses, 0);
    let peers = Peers::start(config, identity, listener, snapshots.dir().clone(), Arc::clone(&inbox) as _);
    std::fs::remove_dir_all(&dir).expect("it is ours");
    (peers.expect("no certificates are asked for"), inbox, address)
}

/// Acknowledges whatever comes, until the session ends.
async fn learn(address: &mpsc::Receiver<String>) {
    let address = address.recv().expect("the leader tells where it is");
    let (peers, inbox, _) = transport(LEARNER, BTreeMap::from([(LEADER, address)])).await;
    let (mut inputs, mut outputs) = (Vec::new(), vec![PeerOutput::Dial { to: LEADER }]);
    peers.carry_out(&mut outputs);
    loop {
        inbox.drain(&mut inputs).await;
        let mut durable = None;
        for input in inputs.drain(..) {
            match input {
                Input::Message { connection, message: Message::Append { commit, .. } } => {
                    durable = Some((connection, commit));
                }
                // The beginning and the end of a measurement.
                Input::Message { connection, message: Message::Ping { seq, .. } } => {
                    let message = Message::Pong { epoch: Epoch(1), seq, delivered: Zxid::ZERO, progress: cpu_ns() };
                    outputs.push(PeerOutput::Send { connection, message });
                }
                Input::Disconnected(_) => return peers.stop().await,
                _ => {}
            }
        }
        if let Some((connection, durable)) = durable {
            let message = Message::Ack { epoch: Epoch(1), durable, standing: Standing::Voter };
            outputs.push(PeerOutput::Send { connection, message });
        }
        peers.carry_out(&mut outputs);
    }
}

async fn lead(tell_address: &mpsc::Sender<String>) {
    let (peers, inbox, address) = transport(LEADER, BTreeMap::new()).await;
    tell_address.send(address).expect("the learner listens");
    let mut inputs = Vec::new();
    inbox.drain(&mut inputs).await;
    let Some(Input::Connected { connection, .. }) = inputs.pop() else { panic!("no session") };
    println!(
        "{:<26} {:>10} {:>8} {:>12} {:>12} {:>12}",
        "", "appends/s", "MiB/s", "us each", "us leader", "us learner"
    );
    for load in &LOADS {
        measure(load, &peers, &inbox, connection).await;
    }
    peers.carry_out(&mut vec![PeerOutput::Close { connection }]);
    peers.stop().await;
}

async fn measure(load: &Load, peers: &Peers, inbox: &Inbox, connection: ConnectionId) {
    let payload = vec![7; load.record_bytes];
    let frames = vec![Frame::encode(FrameKind::Txn, Zxid(1), 0, &payload); load.records];
    let learner_before = learner_cpu_ns(peers, inbox, connection).await;
    let (began, before) = (Instant::now(), cpu_ns());
    let (mut sent, mut acked) = (0, 0);
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    while acked < load.appends {
        while sent < load.appends && sent - acked < load.in_flight {
            sent += 1;
            let (prev, digest) = (Position::default(), Digest::default());
            let message = Message::Append { epoch: Epoch(1), prev, frames: frames.clone(), commit: Zxid(sent), digest };
            outputs.push(PeerOutput::Send { connection, message });
        }
        peers.carry_out(&mut outputs);
        inbox.drain(&mut inputs).await;
        for input in inputs.drain(..) {
            if let Input::Message { message: Message::Ack { durable, .. }, .. } = input {
                acked = durable.0;
            }
        }
    }
    let (took, leader_ns) = (began.elapsed(), cpu_ns() - before);
    let learner_ns = learner_cpu_ns(peers, inbox, connection).await - learner_before;
    report(load, took, leader_ns, learner_ns);
}

fn report(load: &Load, took: Duration, leader_ns: u64, learner_ns: u64) {
    let each = |ns: u64| ns as f64 / 1_000.0 / load.appends as f64;
    let mib = (load.records * load.record_bytes) as f64 * load.appends as f64 / 1_048_576.0;
    println!(
        "{:<26} {:>10.0} {:>8.0} {:>12.2} {:>12.2} {:>12.2}",
        load.name,
        load.appends as f64 / took.as_secs_f64(),
        mib / took.as_secs_f64(),
        each(took.as_nanos() as u64),
        each(leader_ns),
        each(learner_ns),
    );
}

async fn learner_cpu_ns(peers: &Peers, inbox: &Inbox, connection: ConnectionId) -> u64 {
    let message = Message::Ping { epoch: Epoch(1), seq: 1, commit: Zxid::ZERO, digest: Digest::default() };
    peers.carry_out(&mut vec![PeerOutput::Send { connection, message }]);
    let mut inputs = Vec::new();
    loop {
        inbox.drain(&mut inputs).await;
        for input in inputs.drain(..) {
            if let Input::Message { message: Message::Pong { progress, .. }, .. } = input {
                return progress;
            }
        }
    }
}

/// What this thread has used of a processor.
fn cpu_ns() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this runs on Linux");
    schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("it begins with nanoseconds")
}
