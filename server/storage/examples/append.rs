//! Measures this machine's disk under the log: `cargo run --release -p quorate-storage --example append -- <directory>`.
//!
//! Prints the latency of a sync of growing, reserved and zeroed files, of whole appends to a log, the processor time of
//! an append per batch size, and how long a start takes to read a million records.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quorate_storage::{Hints, Log, Options, Position, RealDisk, Salt, Space, Storage};
use quorate_types::{ClusterId, Epoch, Frame, FrameKind, ServerId, Zxid};
use rustix::fs::{FallocateFlags, fallocate};

type Failure = Box<dyn std::error::Error>;

const SYNCS: usize = 2_000;
const FILE_BYTES: u64 = 16 * 1024 * 1024;
const RECORD_BYTES: usize = 250;
const RECORDS: usize = 1_000_000;

fn main() -> Result<(), Failure> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).ok_or("the directory to measure in is missing")?;
    std::fs::create_dir_all(&directory)?;
    syncs(&directory)?;
    appends(&directory)?;
    start(&directory)
}

/// How a file is prepared before it is written to.
#[derive(Clone, Copy, Debug)]
enum Prepared {
    Growing,
    Reserved,
    Zeroed,
}

fn syncs(directory: &Path) -> io::Result<()> {
    println!("write of one record and fdatasync, {SYNCS} times, in µs:");
    for step_bytes in [RECORD_BYTES as u64, 4096] {
        for prepared in [Prepared::Growing, Prepared::Reserved, Prepared::Zeroed] {
            let path = directory.join("sync.tmp");
            let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
            prepare(&file, prepared)?;
            let mut latencies = Vec::with_capacity(SYNCS);
            for number in 0..SYNCS as u64 {
                let begin = Instant::now();
                file.write_all_at(&[1; RECORD_BYTES], number * step_bytes)?;
                file.sync_data()?;
                latencies.push(begin.elapsed());
            }
            print_latencies(&format!("{prepared:?}, every {step_bytes} bytes"), latencies);
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn prepare(file: &File, prepared: Prepared) -> io::Result<()> {
    match prepared {
        Prepared::Growing => {}
        Prepared::Reserved => fallocate(file, FallocateFlags::empty(), 0, FILE_BYTES)?,
        Prepared::Zeroed => {
            fallocate(file, FallocateFlags::empty(), 0, FILE_BYTES)?;
            file.write_all_at(&vec![0; FILE_BYTES as usize], 0)?;
        }
    }
    file.sync_all()
}

fn appends(directory: &Path) -> Result<(), Failure> {
    let root = directory.join("append.tmp");
    let mut storage = fresh(&root)?;
    let mut last = Position::default();
    let mut steps = Vec::new();
    loop {
        let begin = Instant::now();
        let space = storage.log.prepare_spare()?;
        steps.push(begin.elapsed());
        if space != Space::Unfinished {
            break;
        }
    }
    println!("steps of preparing the log, in µs:");
    print_latencies(&format!("{} steps", steps.len()), steps);
    println!("append to a prepared log, in µs:");
    for count in [1, 10, 100, 1000] {
        let batches: Vec<Vec<Frame>> = (0..200).map(|_| frames(&mut last, count)).collect();
        let mut latencies = Vec::new();
        let cpu = processor_time();
        for batch in &batches {
            let begin = Instant::now();
            storage.log.append(batch, &Hints::default())?;
            latencies.push(begin.elapsed());
        }
        let cpu = (processor_time() - cpu).as_secs_f64() * 1e6 / batches.len() as f64;
        print_latencies(&format!("{count} records; {cpu:.1} µs of processor time"), latencies);
    }
    drop(storage);
    std::fs::remove_dir_all(root)?;
    Ok(())
}

fn start(directory: &Path) -> Result<(), Failure> {
    let root = directory.join("start.tmp");
    let mut storage = fresh(&root)?;
    let mut last = Position::default();
    for _ in 0..RECORDS / 1000 {
        storage.log.append(&frames(&mut last, 1000), &Hints::default())?;
    }
    drop(storage);
    let begin = Instant::now();
    let (storage, recovered) = Storage::open(RealDisk::open(&root)?, &Options::default())?;
    println!("start with {RECORDS} records up to {}: {} ms", recovered.last.zxid, begin.elapsed().as_millis());
    let begin = Instant::now();
    let records = read_all(&storage.log)?;
    println!("reading {records} records again: {} ms", begin.elapsed().as_millis());
    drop(storage);
    std::fs::remove_dir_all(root)?;
    Ok(())
}

fn read_all(log: &Log<RealDisk>) -> Result<usize, Failure> {
    let (mut at, mut records) = (log.start().zxid, 0);
    loop {
        let frames = log.read(at, 1024 * 1024)?;
        let Some(last) = frames.last() else { return Ok(records) };
        at = last.zxid();
        records += frames.len();
    }
}

fn fresh(root: &Path) -> Result<Storage<RealDisk>, Failure> {
    let disk = RealDisk::open(root)?;
    Storage::initialize(disk.clone(), ClusterId(1), ServerId(1), quorate_storage::Standing::Voter, Salt(1))?;
    Ok(Storage::open(disk, &Options::default())?.0)
}

fn frames(last: &mut Position, count: usize) -> Vec<Frame> {
    let next = |_| {
        let first = last.zxid == Zxid::ZERO;
        let (kind, zxid) =
            if first { (FrameKind::Marker, Zxid::new(Epoch(1), 0)) } else { (FrameKind::Txn, last.zxid.next()) };
        let frame = Frame::encode(kind, zxid, last.chain, &[7; RECORD_BYTES - quorate_types::frame::HEADER_BYTES]);
        *last = Position { zxid, chain: frame.chain() };
        frame
    };
    (0..count).map(next).collect()
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn print_latencies(what: &str, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_micros();
    println!("  p50 {:>5}  p90 {:>5}  p99 {:>5}  max {:>5}  {what}", at(50), at(90), at(99), at(100));
}
