//! Measures what changes cost that watches may be told of: the watch history's memory, a write with and without it,
//! watches that resume from it, and the end of a session that owns many ephemerals. Times are CPU times.
//!
//! `cargo run --release -p quorate-replica --example watching [changes] [outboxes] [ephemerals]`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_replica::history::History;
use quorate_replica::{
    ClientInput, Config, Delivery, DiskInput, DiskOp, Effects, Found, Input, Order, Recovery, Replica, WatchItem,
};
use quorate_tree::Tree;
use quorate_types::{
    Acl, AclEntry, Caller, Change, ChangeKind, ClusterId, CreateMode, Epoch, Now, Op, OutboxId, Path, Perms,
    Precondition, Reply, Request, Resume, ServerId, SessionId, SessionSecret, Stat, StreamWatch, Tag, WatchId, WatchOp,
    WatchScope, WriteOp, Zxid,
};

/// The server's allocator: another one would tell another story.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DATA: Bytes = Bytes::from_static(&[b'x'; 100]);
const SECRET: SessionSecret = SessionSecret([7; 16]);

/// Znodes that are written to.
const ZNODES: usize = 10_000;

/// Writes that are on their way to the disk together.
const PIPELINE: usize = 512;

/// Room for everything.
const UNBOUNDED: usize = 1 << 32;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(default, |arg| arg.parse().expect("arguments are numbers"));
    let (changes, outboxes, ephemerals): (usize, usize, usize) = (number(100_000), number(100), number(100_000));
    for (name, previous) in [("creations", false), ("new data", true)] {
        push(changes, name, previous);
    }
    for (name, bytes) in [("no history", 0), ("the usual history", 16 << 20), ("all history", UNBOUNDED)] {
        let mut server = Server::new(bytes);
        server.load();
        let each_ns = server.writes(changes);
        println!("a write, {name:<20} {each_ns:>9} ns");
        if bytes == UNBOUNDED {
            server.catch_up(outboxes, changes);
        }
    }
    end_session(ephemerals);
}

/// The history by itself: what it takes for changes of ordinary znodes.
fn push(count: usize, name: &str, has_previous: bool) {
    let change = |at: usize| {
        let zxid = Zxid::new(Epoch(1), ZNODES as u32 + at as u32);
        let previous_data = has_previous.then(|| Bytes::from(format!("{at:>100}").into_bytes()));
        let time_ms = 1_700_000_000_000 + at as i64;
        let stat = Stat {
            czxid: if has_previous { Zxid::new(Epoch(1), at as u32) } else { zxid },
            mzxid: zxid,
            pzxid: if has_previous { Zxid::new(Epoch(1), at as u32) } else { zxid },
            ctime_ms: if has_previous { time_ms - 10_000 } else { time_ms },
            mtime_ms: time_ms,
            version: i32::from(has_previous),
            data_length: 100,
            ..Stat::default()
        };
        let (kind, path) = match has_previous {
            true => (ChangeKind::DataChanged, path(at % ZNODES).into_string()),
            false => (ChangeKind::Created, path(at).into_string()),
        };
        let data = Some(Bytes::from(format!("{at:0100}").into_bytes()));
        Change { kind, zxid, index: 0, path, stat, data, previous_data, acl: Acl::OPEN, parent_acl: Acl::OPEN }
    };
    for (window, bytes_max) in [("unbounded", UNBOUNDED), ("of 4 MiB", 4 << 20)] {
        let mut history = History::new(Zxid::ZERO, bytes_max);
        let (before_kib, mut passed) = (resident_kib(), Duration::ZERO);
        for first in (0..count).step_by(PIPELINE) {
            let batch: Vec<_> = (first..count.min(first + PIPELINE)).map(change).collect();
            let began = cpu_time();
            batch.into_iter().for_each(|change| history.push(change.zxid, vec![change]));
            passed += cpu_time() - began;
        }
        let resident = resident_kib().saturating_sub(before_kib) * 1024 / count;
        let (each_ns, each_bytes) = (passed.as_nanos() as usize / count, history.bytes() / count);
        let what = format!("{name}, window {window}");
        println!("{what:<30}{each_ns:>9} ns, {each_bytes} B of each counted, {resident} B resident");
        black_box(history);
    }
}

/// The end of a session with many ephemerals.
fn end_session(ephemerals: usize) {
    let mut server = Server::new(16 << 20);
    server.load();
    let opened = server.op(None, Op::OpenSession { timeout_ms: 300_000, secret: SECRET });
    let Some(Reply::Session { id, .. }) = opened else { panic!("{opened:?}") };
    for at in 0..ephemerals {
        let path = Path::new(format!("/dir-{:04}/ephemeral-{at:08}", at % 10)).expect("valid");
        server.send(Some(id), create(path, CreateMode::Ephemeral));
        if at % PIPELINE == 0 {
            server.sync();
        }
    }
    server.sync();
    let began = cpu_time();
    server.send(Some(id), Op::CloseSession);
    let decided = cpu_time();
    server.sync();
    let done = cpu_time();
    assert_eq!(server.replica.status().ephemerals, 0);
    let (decide, apply) = ((decided - began).as_micros() as f64 / 1e3, (done - decided).as_micros() as f64 / 1e3);
    println!("the end of {ephemerals} ephemerals   {decide:>9.1} ms to decide, {apply:.1} ms to apply");
}

struct Server {
    replica: Replica,
    now: Now,
    out: Effects,
    caller: Arc<Caller>,
}

impl Server {
    fn new(history_bytes: usize) -> Server {
        let config = Config { hash_seed: 1, history_bytes, ..Config::new(ServerId(1), ClusterId(9), 1) };
        let recovery = Recovery::new(config, Found::nothing(), Tree::new(1));
        let (now, mut out) = (Now { monotonic_ms: 1_000, wall_ms: 1_700_000_000_000 }, Effects::default());
        let replica = recovery.finish(now, &mut out);
        let mut server = Server { replica, now, out, caller: Arc::new(Caller::anonymous()) };
        server.sync();
        server.step(ClientInput::Open { outbox: OutboxId(0), order: Order::None });
        server
    }

    fn step(&mut self, input: ClientInput) {
        self.replica.step(Input::Client(input), self.now, &mut self.out);
    }

    fn send(&mut self, session: Option<SessionId>, op: Op) {
        let request = Request { session: session.map(|id| (id, SECRET)), ..Request::new(op, Arc::clone(&self.caller)) };
        self.step(ClientInput::Request { outbox: OutboxId(0), tag: Tag(0), request });
    }

    /// The disk reports everything; what was emitted goes nowhere.
    fn sync(&mut self) {
        loop {
            self.replica.flush(self.now, &mut self.out);
            let token = self.out.disk.iter().rev().find_map(DiskOp::token);
            self.out.clear();
            let Some(token) = token else { return };
            self.replica.step(Input::Disk(DiskInput::Synced { incarnation: 1, token }), self.now, &mut self.out);
            if self.out.disk.is_empty() {
                return;
            }
        }
    }

    /// Carries one operation out and returns its reply.
    fn op(&mut self, session: Option<SessionId>, op: Op) -> Option<Reply> {
        self.sync();
        self.out.clear();
        self.send(session, op);
        self.sync();
        self.out.outbox.drain(..).find_map(|(_, delivery)| match delivery {
            Delivery::Reply { response, .. } => response.ok(),
            _ => None,
        })
    }

    fn load(&mut self) {
        (0..100).for_each(|at| {
            self.send(None, create(Path::new(format!("/dir-{at:04}")).expect("valid"), CreateMode::Persistent));
        });
        for at in 0..ZNODES {
            self.send(None, create(path(at), CreateMode::Persistent));
            if at % PIPELINE == 0 {
                self.sync();
            }
        }
        self.sync();
        self.out.clear();
    }

    /// New data for znode after znode: nanoseconds for each.
    fn writes(&mut self, count: usize) -> u64 {
        let mut batches = Vec::new();
        for first in (0..count).step_by(PIPELINE) {
            let last = count.min(first + PIPELINE);
            let ops: Vec<_> = (first..last).map(|at| set(path(at * 7 % ZNODES))).collect();
            let began = cpu_time();
            ops.into_iter().for_each(|op| self.send(None, op));
            self.sync();
            batches.push((cpu_time() - began).as_nanos() as u64 / (last - first) as u64);
            self.out.clear();
        }
        batches.sort_unstable();
        batches[batches.len() / 2]
    }

    /// Outboxes with a watch each that resume from the beginning.
    fn catch_up(&mut self, outboxes: usize, changes: usize) {
        let end = self.replica.status().applied;
        let start = Some(Resume { zxid: Zxid(end.0 - changes as u64), index: u32::MAX });
        let everything = StreamWatch {
            id: WatchId(1),
            path: Path::root(),
            scope: WatchScope::Recursive,
            start,
            send_initial: false,
            with_data: false,
            with_previous_data: false,
            exclude: Default::default(),
            progress_ms: 0,
        };
        let one = StreamWatch { path: path(7), scope: WatchScope::Node, ..everything.clone() };
        let all = StreamWatch { with_data: true, with_previous_data: true, ..everything.clone() };
        for (name, watch) in [("everything", everything), ("with all data", all), ("one znode", one)] {
            let first = self.replica.status().outboxes;
            for outbox in (first..).take(outboxes).map(OutboxId) {
                self.step(ClientInput::Open { outbox, order: Order::None });
                let request = Request::new(Op::Watch(WatchOp::Create(watch.clone())), Arc::clone(&self.caller));
                self.step(ClientInput::Request { outbox, tag: Tag(0), request });
            }
            self.out.clear();
            let began = cpu_time();
            let told = self.read_all();
            let each_ns = (cpu_time() - began).as_nanos() as usize / (outboxes * changes);
            println!("{outboxes} outboxes resume: {name:<14}{each_ns:>9} ns for each change looked at, {told} events");
        }
    }

    /// Reads whatever is streamed until there is no more; how many events that was.
    fn read_all(&mut self) -> usize {
        let mut told = 0;
        loop {
            self.replica.flush(self.now, &mut self.out);
            let mut read = Vec::new();
            for (outbox, delivery) in self.out.outbox.drain(..) {
                if let Delivery::Watch { watches, item: WatchItem::Events(events) } = delivery {
                    told += watches.len() * events.len();
                    read.push(outbox);
                }
            }
            read.dedup();
            if read.is_empty() && !self.replica.has_work() {
                return told;
            }
            read.into_iter().for_each(|outbox| self.step(ClientInput::Ready { outbox }));
        }
    }
}

fn create(path: Path, mode: CreateMode) -> Op {
    let acl = vec![AclEntry { perms: Perms::ALL, scheme: "world".into(), id: "anyone".into() }];
    Op::Write(WriteOp::Create { path, data: Some(DATA), acl, mode, parents: false })
}

fn set(path: Path) -> Op {
    Op::Write(WriteOp::SetData { path, data: Some(DATA), precondition: Precondition::None, create: None })
}

fn path(at: usize) -> Path {
    Path::new(format!("/dir-{:04}/key-{at:08}", at % 100)).expect("valid")
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
