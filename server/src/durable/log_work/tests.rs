//! What the log promises around a full disk: writes are accepted again as soon as there is room, and what found none
//! is written in its order, once.

use quorate_storage::sim::{Crash, Faults};
use quorate_storage::{Disk, DiskFile, Options, Position, Salt, SimDisk, Storage};
use quorate_types::{ClusterId, Epoch, FrameKind, Zxid};

use super::*;

const INCARNATION: u64 = 7;

/// Several times what one look fills.
const SEGMENT_BYTES: u64 = 1024 * 1024;

/// A log at work on a simulated disk, and what it was asked for.
struct Bench {
    disk: SimDisk,
    work: LogWork<SimDisk>,
    last: Position,
    token: u64,
    frames: Vec<Frame>,
}

impl Bench {
    fn new() -> Bench {
        let disk = SimDisk::new(1, Faults::default());
        Storage::initialize(disk.clone(), ClusterId(1), ServerId(1), quorate_storage::Standing::Voter, Salt(1))
            .unwrap();
        let (Storage { log, meta, .. }, _) = open(&disk);
        let work = LogWork::new(log, meta, INCARNATION);
        Bench { disk, work, last: Position::default(), token: 0, frames: Vec::new() }
    }

    /// Prepares all the room that is wanted. Nothing of that concerns the replica.
    fn prepare_room(&mut self) {
        while self.idle().unfinished {}
        assert!(self.work.log.has_spare());
    }

    fn fill_the_disk(&self) {
        self.limit(0);
    }

    fn make_room(&self) {
        self.limit(u64::MAX);
    }

    fn limit(&self, capacity_bytes: u64) {
        self.disk.set_faults(Faults { capacity_bytes, ..self.disk.faults() });
    }

    fn used_bytes(&self) -> u64 {
        self.disk.paths().iter().map(|path| self.disk.open(path).unwrap().len().unwrap()).sum()
    }

    /// A record of about so many bytes that continues the history.
    fn append(&mut self, bytes: usize) -> DiskOp {
        let Position { zxid, chain } = self.last;
        let (kind, zxid) = match zxid {
            Zxid::ZERO => (FrameKind::Marker, Zxid::new(Epoch(1), 0)),
            last => (FrameKind::Txn, last.next()),
        };
        let frame = Frame::encode(kind, zxid, chain, &vec![zxid.counter() as u8; bytes]);
        self.last = Position { zxid, chain: frame.chain() };
        self.frames.push(frame.clone());
        self.token += 1;
        DiskOp::Append { token: self.token, frame }
    }

    fn promise(&mut self, epoch: u32) -> DiskOp {
        self.token += 1;
        DiskOp::Promise { token: self.token, accepted_epoch: Epoch(epoch), accepted_leader: ServerId(1) }
    }

    /// What the replica is told of these operations.
    fn write(&mut self, mut ops: Vec<DiskOp>) -> Vec<DiskInput> {
        let done = self.work.write(&mut ops, Hint::default()).unwrap();
        assert!(ops.is_empty());
        done.inputs
    }

    fn idle(&mut self) -> LogDone {
        self.work.idle(Hint::default()).unwrap()
    }

    /// Writes until the disk is known to be full, and nothing is stuck.
    fn write_until_low(&mut self) {
        while !self.work.is_low() {
            let op = self.append(100_000);
            assert_eq!(self.write(vec![op]), [synced(self.token)]);
            self.idle();
        }
    }

    /// Looks until the replica is told that there is room; what it was told until then, look by look.
    fn looks_until_not_low(&mut self) -> Vec<Vec<DiskInput>> {
        let mut looks = Vec::new();
        while self.work.is_low() {
            looks.push(self.idle().inputs);
            assert!(looks.len() < 10, "there is room, and nobody is told: {looks:?}");
        }
        looks
    }

    /// What is there after a loss of power: all records in order, and this promise.
    fn check_after_power_loss(self, accepted_epoch: Epoch) {
        // A start needs some room of its own.
        self.make_room();
        let disk = self.disk.crash(Crash::Power);
        let (storage, found) = open(&disk);
        assert_eq!(storage.log.read(Zxid::ZERO, usize::MAX).unwrap(), self.frames);
        assert_eq!(found.meta.accepted_epoch, accepted_epoch);
    }
}

fn open(disk: &SimDisk) -> (Storage<SimDisk>, quorate_storage::Recovered) {
    Storage::open(disk.clone(), &Options { segment_bytes: SEGMENT_BYTES, ..Options::default() }).unwrap()
}

fn synced(token: u64) -> DiskInput {
    DiskInput::Synced { incarnation: INCARNATION, token }
}

const FULL: DiskInput = DiskInput::Space { low: true };
const ROOM: DiskInput = DiskInput::Space { low: false };

#[test]
fn writes_are_accepted_as_soon_as_a_spare_is_reserved_and_before_it_is_filled() {
    let mut bench = Bench::new();
    bench.prepare_room();
    bench.fill_the_disk();
    bench.write_until_low();
    assert_eq!(bench.idle(), LogDone { inputs: vec![], unfinished: true }, "a full disk is told of once");

    bench.make_room();
    assert_eq!(bench.idle(), LogDone { inputs: vec![ROOM], unfinished: true });
    assert!(!bench.work.is_low());
    let mut steps = 0;
    while bench.idle().unfinished {
        steps += 1;
    }
    assert!(steps > 2, "the spare was filled within {steps} looks: this test shows nothing");
}

#[test]
fn a_full_disk_is_noticed_while_there_is_room_for_what_is_under_way() {
    let mut bench = Bench::new();
    bench.prepare_room();
    bench.fill_the_disk();
    bench.write_until_low();
    // It was refused to the replica's clients, and what they had sent before is written all the same.
    let ops = (0..5).map(|_| bench.append(100_000)).collect();
    assert_eq!(bench.write(ops), [synced(bench.token)]);
    bench.check_after_power_loss(Epoch(0));
}

#[test]
fn what_is_stuck_is_written_in_order_and_before_more_is_accepted() {
    let mut bench = Bench::new();
    bench.fill_the_disk();
    let too_large = 2 * SEGMENT_BYTES as usize;
    let ops = vec![bench.promise(1), bench.append(too_large), bench.promise(2), bench.append(10)];
    assert_eq!(bench.write(ops), [synced(1), FULL], "what comes before the record that finds no room is done");
    let op = bench.append(20);
    assert_eq!(bench.write(vec![op]), [], "nothing overtakes it");
    assert_eq!(bench.idle(), LogDone { inputs: vec![], unfinished: true });

    bench.make_room();
    let looks = bench.looks_until_not_low();
    assert_eq!(looks.concat(), [synced(bench.token), ROOM]);
    assert!(looks.len() <= 2, "one look writes what is stuck, one reserves the next spare: {looks:?}");
    bench.check_after_power_loss(Epoch(2));
}

#[test]
fn what_a_full_disk_took_of_a_run_is_not_written_twice() {
    let mut bench = Bench::new();
    // Two such records fill a batch. There is room for one batch and not for two.
    let large = 4_000_000;
    bench.limit(bench.used_bytes() + 2 * large as u64 + SEGMENT_BYTES);
    let ops = vec![bench.append(10), bench.append(large), bench.append(large), bench.append(large)];
    assert_eq!(bench.write(ops), [FULL], "a run is acknowledged as a whole");
    assert_ne!(
        bench.work.log.last(),
        Position::default(),
        "a part of it was written: this test shows nothing otherwise"
    );

    bench.make_room();
    assert_eq!(bench.looks_until_not_low().concat(), [synced(bench.token), ROOM]);
    bench.check_after_power_loss(Epoch(0));
}

#[test]
fn room_is_noticed_although_there_is_no_idle_moment() {
    let mut bench = Bench::new();
    bench.prepare_room();
    bench.fill_the_disk();
    bench.write_until_low();
    bench.make_room();
    // Sessions may still be closed, one after the other without a pause.
    let mut told = Vec::new();
    for _ in 0..STEP_EVERY_BATCHES {
        let mut ops = vec![bench.append(100)];
        told.extend(bench.work.carry_out(&mut ops, Hint::default()).unwrap().inputs);
    }
    assert!(told.contains(&ROOM), "{told:?}");
    assert!(!bench.work.is_low());
}

#[test]
fn a_snapshot_that_finds_no_room_for_its_log_is_installed_when_there_is_some() {
    let mut bench = Bench::new();
    let (zxid, chain) = (Zxid::new(Epoch(3), 7), 77);
    let base = quorate_zab::Position { zxid, chain };
    // Where a snapshot is that was received.
    bench.disk.create_dir("gen-0000000002").unwrap();
    bench.work.received(SnapshotInfo {
        position: Position { zxid, chain },
        generation: 2,
        file_bytes: 0,
        verified: true,
    });
    bench.fill_the_disk();
    bench.token += 1;
    assert_eq!(bench.write(vec![DiskOp::Install { token: bench.token, base }]), [FULL]);
    assert_eq!(bench.idle(), LogDone { inputs: vec![], unfinished: true });

    bench.make_room();
    assert_eq!(bench.looks_until_not_low().concat(), [synced(bench.token), ROOM]);
    bench.last = Position { zxid, chain };
    let op = bench.append(10);
    assert_eq!(bench.write(vec![op]), [synced(bench.token)], "the log goes on behind the snapshot");
}
