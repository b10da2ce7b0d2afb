//! Measures the tree with a million znodes of 100 bytes: memory, nanoseconds per operation, snapshot and restore.
//! Times are CPU times, those of operations medians over batches, so that a busy machine spoils them little.
//!
//! `cargo run --release -p quorate-tree --example million [znodes] [directories]`

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use quorate_tree::{Pending, Prepare, Prepared, SnapshotDecoder, SnapshotEncoder, Tree};
use quorate_types::txn::Route;
use quorate_types::{
    AclEntry, Caller, CreateMode, Epoch, Op, Path, Perms, Precondition, ReadOp, SessionId, Txn, WriteOp, Zxid,
};

const DATA: Bytes = Bytes::from_static(&[b'x'; 100]);

/// Operations of each kind that are timed, on znodes in random order.
const SAMPLE: usize = 200_000;

/// Txns that are pending while others are prepared.
const PIPELINE: usize = 512;

struct Bench {
    tree: Tree,
    pending: Pending,
    caller: Caller,
    zxid: Zxid,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(default, |arg| arg.parse().expect("arguments are numbers"));
    let (znodes, directories): (usize, usize) = (number(1_000_000), number(1000));
    let mut bench = Bench {
        tree: Tree::new(7),
        pending: Pending::new(7),
        caller: Caller::anonymous(),
        zxid: Zxid::new(Epoch(1), 0),
    };
    let empty_kib = resident_kib();
    bench.load(znodes, directories);
    println!("resident after load           {:>9.1} MiB", (resident_kib() - empty_kib) as f64 / 1024.0);
    println!("  as estimated                {:>9.1?} MiB", mebibytes(&bench.tree));
    let paths = shuffled_paths(znodes, directories);
    bench.reads(&paths);
    bench.sets(&paths, "set");
    bench.creates_and_deletes(&paths);

    let view = bench.tree.open_view();
    bench.sets(&paths, "set under a view");
    println!("kept for the view             {:>9.1} MiB", bench.tree.view_bytes(view) as f64 / 1048576.0);
    bench.tree.close_view(view);

    let chunks = bench.snapshot();
    restore(&bench.tree, &chunks);
}

impl Bench {
    fn prepare(&mut self, op: WriteOp) -> (Zxid, Txn) {
        self.zxid = self.zxid.next();
        let request = Prepare {
            op: &Op::Write(op),
            caller: &self.caller,
            session: SessionId::NONE,
            request_id: None,
            route: Route::default(),
            zxid: self.zxid,
            wall_ms: 1,
            new_session: SessionId::NONE,
        };
        match self.pending.prepare(&self.tree, &request) {
            Prepared::Txn(txn) => (self.zxid, txn),
            other => panic!("{other:?}"),
        }
    }

    fn apply(&mut self, (zxid, txn): (Zxid, Txn)) {
        black_box(self.tree.apply(zxid, &txn));
        self.pending.applied(zxid);
    }

    fn load(&mut self, znodes: usize, directories: usize) {
        let started = cpu_time();
        for directory in 0..directories {
            let txn = self.prepare(create(directory_path(directory)));
            self.apply(txn);
        }
        for at in 0..znodes {
            let txn = self.prepare(create(path(at, directories)));
            self.apply(txn);
        }
        let each_ns = ((cpu_time() - started).as_nanos() as u64) / znodes as u64;
        println!("load: prepare and apply       {each_ns:>9} ns");
    }

    fn reads(&mut self, paths: &[Path]) {
        let ops: Vec<_> = paths.iter().map(|path| ReadOp::Get { path: path.clone() }).collect();
        let mut batches = Vec::new();
        for batch in ops.chunks_exact(PIPELINE) {
            let began = cpu_time();
            for op in batch {
                black_box(self.tree.read(op, &self.caller, SessionId::NONE)).expect("it exists");
            }
            batches.push(cpu_time() - began);
        }
        report("get", batches);
    }

    fn sets(&mut self, paths: &[Path], name: &str) {
        let ops = paths.iter().map(|path| WriteOp::SetData {
            path: path.clone(),
            data: Some(DATA),
            precondition: Precondition::None,
            create: None,
        });
        self.writes(ops.collect(), name);
    }

    fn creates_and_deletes(&mut self, paths: &[Path]) {
        let new: Vec<_> = paths.iter().map(|path| Path::new(format!("{path}-new")).expect("valid")).collect();
        self.writes(new.iter().map(|path| create(path.clone())).collect(), "create");
        let delete = |path| WriteOp::Delete { path, precondition: Precondition::None };
        self.writes(new.into_iter().map(delete).collect(), "delete");
    }

    /// Prepares and applies with a pipeline between them, each timed for itself.
    fn writes(&mut self, ops: Vec<WriteOp>, name: &str) {
        let (mut preparing, mut applying) = (Vec::new(), Vec::new());
        for batch in ops.chunks_exact(PIPELINE) {
            let batch = batch.to_vec();
            let began = cpu_time();
            let txns: Vec<_> = batch.into_iter().map(|op| self.prepare(op)).collect();
            preparing.push(cpu_time() - began);
            let began = cpu_time();
            txns.into_iter().for_each(|txn| self.apply(txn));
            applying.push(cpu_time() - began);
        }
        report(&format!("{name}: prepare"), preparing);
        report(&format!("{name}: apply"), applying);
    }

    fn snapshot(&mut self) -> Vec<Bytes> {
        let began = cpu_time();
        let mut encoder = SnapshotEncoder::new(&mut self.tree);
        let (mut chunks, mut longest_us) = (Vec::new(), ((cpu_time() - began).as_nanos() as u64) / 1000);
        loop {
            let slice = cpu_time();
            let Some(chunk) = encoder.next_chunk(&self.tree, 256 * 1024) else { break };
            longest_us = longest_us.max(((cpu_time() - slice).as_nanos() as u64) / 1000);
            chunks.push(chunk);
        }
        encoder.close(&mut self.tree);
        let mib = chunks.iter().map(Bytes::len).sum::<usize>() as f64 / 1048576.0;
        let ms = ((cpu_time() - began).as_nanos() as u64) / 1_000_000;
        println!("snapshot                      {ms:>9} ms, {mib:.1} MiB, longest slice {longest_us} us");
        chunks
    }
}

fn restore(tree: &Tree, chunks: &[Bytes]) {
    let before_kib = resident_kib();
    let began = cpu_time();
    let mut decoder = SnapshotDecoder::new(8);
    for chunk in chunks {
        decoder.push(chunk).expect("what was encoded decodes");
    }
    let restored = decoder.finish().expect("what was encoded decodes");
    println!("restore                       {:>9} ms", ((cpu_time() - began).as_nanos() as u64) / 1_000_000);
    println!("resident for the restored     {:>9.1} MiB", (resident_kib() - before_kib) as f64 / 1024.0);
    assert_eq!(restored.digest(), tree.digest());
}

/// The median of what a batch took, for each operation in it.
fn report(name: &str, mut batches: Vec<Duration>) {
    batches.sort_unstable();
    let median = batches.get(batches.len() / 2).map_or(0, Duration::as_nanos);
    println!("{name:<30}{:>9} ns", median / PIPELINE as u128);
}

fn create(path: Path) -> WriteOp {
    let acl = vec![AclEntry { perms: Perms::ALL, scheme: "world".into(), id: "anyone".into() }];
    WriteOp::Create { path, data: Some(DATA), acl, mode: CreateMode::Persistent, parents: false }
}

fn directory_path(directory: usize) -> Path {
    Path::new(format!("/dir-{directory:04}")).expect("valid")
}

fn path(at: usize, directories: usize) -> Path {
    Path::new(format!("/dir-{:04}/key-{at:08}", at % directories)).expect("valid")
}

/// A sample of the paths in an order that caches cannot guess.
fn shuffled_paths(znodes: usize, directories: usize) -> Vec<Path> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % znodes
    };
    let mut seen = vec![false; znodes];
    let mut paths = Vec::with_capacity(SAMPLE);
    while paths.len() < SAMPLE.min(znodes) {
        let at = next();
        if !std::mem::replace(&mut seen[at], true) {
            paths.push(path(at, directories));
        }
    }
    paths
}

fn mebibytes(tree: &Tree) -> [f64; 4] {
    let memory = tree.memory();
    [memory.znodes, memory.index, memory.requests, memory.views].map(|bytes| bytes as f64 / 1048576.0)
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
