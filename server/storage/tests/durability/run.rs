//! `Run`: one sequence of operations on a simulated disk beside the model of what it has to hold.

use quorate_storage::sim::{Crash, Faults, Rng};
use quorate_storage::{Disk, LogError, OpenError, Position, SimDisk, SnapshotError, SnapshotHeader, Space, Storage};
use quorate_types::{Epoch, ServerId, Zxid};

use super::model::{Model, hints, initialized, open, position, write_snapshot};

const STEPS: u64 = 120;

/// A start fails by a stop or an injected error; that often in a row, something else is wrong.
const STARTS_MAX: u32 = 100;

/// What happened in all schedules together: a test of what never happens is none.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    crashes: u64,
    crashes_in_open: u64,
    torn: u64,
    unreported_kept: u64,
    unreported_lost: u64,
    full: u64,
    low: u64,
    truncations: u64,
    purges: u64,
    snapshots: u64,
    installs: u64,
    clean: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, run: &Totals) {
        self.crashes += run.crashes;
        self.crashes_in_open += run.crashes_in_open;
        self.torn += run.torn;
        self.unreported_kept += run.unreported_kept;
        self.unreported_lost += run.unreported_lost;
        self.full += run.full;
        self.low += run.low;
        self.truncations += run.truncations;
        self.purges += run.purges;
        self.snapshots += run.snapshots;
        self.installs += run.installs;
        self.clean += run.clean;
    }

    pub(crate) fn check(&self) {
        eprintln!("{self:?}");
        let Totals { crashes, crashes_in_open, torn, unreported_kept, unreported_lost, .. } = *self;
        let Totals { full, low, truncations, purges, snapshots, installs, clean, .. } = *self;
        let all = [crashes, crashes_in_open, torn, unreported_kept, unreported_lost];
        let more = [full, low, truncations, purges, snapshots, installs, clean];
        assert!(all.iter().chain(&more).all(|count| *count > 0), "something never happened: {self:?}");
    }
}

/// One sequence of operations.
pub(crate) struct Run {
    rng: Rng,
    pub(crate) disk: SimDisk,
    storage: Option<Storage<SimDisk>>,
    pub(crate) model: Model,
    totals: Totals,
    /// This disk reports errors, so operations may fail without being stopped.
    fails: bool,
    capacity_bytes: u64,
}

/// An operation did not come to its end. The states in which the directory may be found, likeliest first.
pub(crate) struct Interrupted(pub(crate) Vec<Model>);

pub(crate) type Step = Result<(), Interrupted>;

impl Run {
    /// With faults and a size of the disk that the seed chooses.
    pub(crate) fn new(seed: u64) -> Run {
        let mut rng = Rng::new(seed);
        let fails = rng.chance(300_000);
        let capacity_bytes = if rng.chance(300_000) { 60_000 + rng.below(200_000) } else { u64::MAX };
        let faults = Faults {
            sector_bytes: if rng.coin() { 512 } else { 4096 },
            torn: rng.below(3) as u32 * 300_000,
            ..Faults::default()
        };
        let disk = SimDisk::new(rng.next_u64(), faults);
        let run = Run { fails, capacity_bytes, ..Run::on(disk, rng) };
        run.set_faults();
        run
    }

    /// On a disk without errors.
    pub(crate) fn on(disk: SimDisk, rng: Rng) -> Run {
        let storage = Some(initialized(&disk).0);
        let (model, totals) = (Model::new(), Totals::default());
        Run { rng, disk, storage, model, totals, fails: false, capacity_bytes: u64::MAX }
    }

    fn set_faults(&self) {
        let ppm = if self.fails { 10_000 } else { 0 };
        let capacity_bytes = self.capacity_bytes;
        self.disk.set_faults(Faults { sync_error: ppm, write_error: ppm, capacity_bytes, ..self.disk.faults() });
    }

    pub(crate) fn run(mut self) -> Totals {
        for _ in 0..STEPS {
            if self.rng.chance(60_000) {
                self.disk.stop_at(self.disk.operations() + 1 + self.rng.below(12));
            }
            if let Err(Interrupted(candidates)) = self.step() {
                self.crash_and_reopen(candidates);
            }
        }
        self.totals
    }

    fn storage(&mut self) -> &mut Storage<SimDisk> {
        self.storage.as_mut().expect("open between two crashes")
    }

    fn step(&mut self) -> Step {
        match self.rng.below(100) {
            0..55 => self.append(),
            55..68 => self.prepare_spare(),
            68..74 => self.snapshot(),
            74..78 => self.purge(),
            78..82 => self.truncate(),
            82..88 => self.write_meta(),
            88..91 => self.stop_in_order(),
            91..92 => self.install(),
            92..96 => self.read_somewhere(),
            _ => Err(Interrupted(vec![self.model.clone()])),
        }
    }

    pub(crate) fn append(&mut self) -> Step {
        let count = 1 + self.rng.below(12);
        let frames = self.model.new_frames(&mut self.rng, count);
        // A follower may hear of commits beyond what it appends.
        let commit = Zxid(self.model.last().zxid.0 + self.rng.below(20));
        let before = self.model.clone();
        let result = self.storage().log.append(&frames, &hints(commit));
        match result {
            Ok(()) => self.model.frames.extend(frames),
            Err(LogError::Full(_)) => {
                self.totals.full += 1;
                assert_eq!(self.storage().log.last(), before.last(), "a full disk leaves the log as it was");
                self.give_room();
            }
            Err(error) => {
                assert!(error.is_fatal(), "{error}");
                let mut after = before.clone();
                after.frames.extend(frames);
                return Err(Interrupted(vec![after, before]));
            }
        }
        Ok(())
    }

    pub(crate) fn prepare_spare(&mut self) -> Step {
        for _ in 0..1 + self.rng.below(4) {
            match self.storage().log.prepare_spare() {
                Ok(Space::Ready) => break,
                Ok(Space::Unfinished) => {}
                Ok(Space::Low) => {
                    self.totals.low += 1;
                    if self.rng.coin() {
                        self.give_room();
                    }
                }
                Err(_) => return Err(Interrupted(vec![self.model.clone()])),
            }
        }
        Ok(())
    }

    fn give_room(&mut self) {
        self.capacity_bytes = self.capacity_bytes.saturating_mul(2);
        self.set_faults();
    }

    pub(crate) fn snapshot(&mut self) -> Step {
        let zxid = self.model.last().zxid;
        if zxid == self.model.base.zxid || self.model.snapshots.contains(&zxid) {
            return Ok(());
        }
        let header = self.model.snapshot_header(zxid);
        let mut after = self.model.clone();
        after.snapshots.insert(zxid);
        match write_snapshot(self.storage(), &header, false) {
            Ok(info) => {
                self.storage().snapshots.add(info);
                self.totals.snapshots += 1;
                self.model = after;
                Ok(())
            }
            Err(SnapshotError::Full(_)) => Ok(()),
            Err(_) => Err(Interrupted(vec![after, self.model.clone()])),
        }
    }

    pub(crate) fn purge(&mut self) -> Step {
        let kept = self.model.snapshots.iter().rev().take(2).copied().last();
        let before = self.model.clone();
        if let Some(oldest) = kept
            && self.model.snapshots.len() >= 2
        {
            let removed = self.model.snapshots.clone().into_iter().filter(|zxid| *zxid < oldest);
            self.model.removed.extend(removed);
            self.model.snapshots = self.model.snapshots.split_off(&oldest);
        }
        let interrupted = Interrupted(vec![self.model.clone(), before]);
        let Ok(oldest) = self.storage().snapshots.purge() else { return Err(interrupted) };
        let Some(oldest) = oldest else { return Ok(()) };
        if self.storage().log.purge(oldest).is_err() {
            return Err(interrupted);
        }
        assert!(self.storage().log.start().zxid <= oldest, "purged too much");
        self.totals.purges += 1;
        Ok(())
    }

    /// Never below a snapshot: those hold committed state only.
    pub(crate) fn truncate(&mut self) -> Step {
        let first = self.model.snapshots.last().copied().unwrap_or(self.model.base.zxid);
        let kept = self.model.frames.iter().filter(|frame| frame.zxid() <= first).count() as u64;
        let choices = self.model.frames.len() as u64 - kept + 1;
        let index = kept + self.rng.below(choices);
        let zxid = match index {
            0 => self.model.base.zxid,
            _ => self.model.frames[index as usize - 1].zxid(),
        };
        let after = self.model.truncated_after(zxid);
        match self.storage().log.truncate_after(zxid) {
            Ok(()) => {
                assert_eq!(self.storage().log.last(), after.last());
                self.model = after;
                self.totals.truncations += 1;
                Ok(())
            }
            Err(LogError::Full(_)) => {
                self.give_room();
                Ok(())
            }
            Err(_) => Err(Interrupted(vec![after, self.model.clone()])),
        }
    }

    pub(crate) fn write_meta(&mut self) -> Step {
        let mut after = self.model.clone();
        after.meta.accepted_epoch = Epoch(after.meta.accepted_epoch.0 + self.rng.below(2) as u32);
        after.meta.accepted_leader = Some(ServerId(1 + self.rng.below(5) as u8));
        after.meta.durable_batch = self.storage().log.durable_batch();
        let meta = after.meta.clone();
        if self.storage().meta.write(&meta).is_err() {
            return Err(Interrupted(vec![after, self.model.clone()]));
        }
        self.model = after;
        Ok(())
    }

    pub(crate) fn stop_in_order(&mut self) -> Step {
        let Storage { log, meta, snapshots } = self.storage.take().expect("open between two crashes");
        drop((meta, snapshots));
        if log.close().is_err() {
            return Err(Interrupted(vec![self.model.clone()]));
        }
        let crash = if self.rng.coin() { Crash::Process } else { Crash::Power };
        self.disk = self.disk.crash(crash);
        self.give_room();
        self.disk.set_faults(Faults { sync_error: 0, write_error: 0, ..self.disk.faults() });
        let (mut storage, recovered) = open(&self.disk).unwrap();
        assert!(recovered.clean && recovered.truncated.is_none(), "{recovered:?}");
        self.totals.clean += 1;
        self.model.check(&mut storage, &recovered).unwrap();
        self.storage = Some(storage);
        self.set_faults();
        Ok(())
    }

    pub(crate) fn install(&mut self) -> Step {
        let last = self.model.last().zxid;
        let zxid = Zxid::new(Epoch(last.epoch().0 + 2), self.rng.below(1000) as u32);
        let mut epochs = self.model.epochs_up_to(last);
        epochs.push((zxid.epoch(), zxid.counter()));
        let position = Position { zxid, chain: self.rng.next_u64() };
        let config = self.model.snapshot_header(last).config;
        let mut header = SnapshotHeader { config, position, epochs, ..self.model.snapshot_header(last) };
        header.config = format!("configuration at {zxid}").into();
        let after = self.model.installed(&header);
        let info = match write_snapshot(self.storage(), &header, true) {
            Ok(info) => info,
            Err(SnapshotError::Full(_)) => return Ok(()),
            Err(_) => return Err(Interrupted(vec![self.model.clone()])),
        };
        let Storage { log, meta, .. } = self.storage();
        match log.switch_generation(meta, &info) {
            Ok(()) => {}
            Err(LogError::Full(_)) => return Ok(()),
            Err(_) => return Err(Interrupted(vec![after, self.model.clone()])),
        }
        self.model = after;
        if self.storage().snapshots.adopt(info).is_err() {
            return Err(Interrupted(vec![self.model.clone()]));
        }
        self.totals.installs += 1;
        Ok(())
    }

    pub(crate) fn read_somewhere(&mut self) -> Step {
        let start = self.storage().log.start();
        let available: Vec<_> = self.model.frames.iter().filter(|frame| frame.zxid() > start.zxid).cloned().collect();
        let skip = self.rng.below(available.len() as u64 + 1) as usize;
        let after = skip.checked_sub(1).map_or(start, |index| position(&available[index]));
        let bytes_max = self.rng.below(20_000) as usize;
        let frames = self.storage().log.read(after.zxid, bytes_max);
        let found = self.storage().log.position(after.zxid);
        let (Ok(frames), Ok(found)) = (frames, found) else { return Err(Interrupted(vec![self.model.clone()])) };
        assert_eq!(found, Some(after));
        assert!(available[skip..].starts_with(&frames), "read after {after:?}");
        assert_eq!(frames.is_empty(), skip == available.len());
        let bytes: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
        assert!(frames.len() <= 1 || bytes <= bytes_max, "{bytes} bytes instead of {bytes_max}");
        Ok(())
    }

    pub(crate) fn crash_and_reopen(&mut self, candidates: Vec<Model>) {
        self.totals.crashes += 1;
        let crash = if self.rng.coin() { Crash::Process } else { Crash::Power };
        self.disk = self.disk.crash(crash);
        self.storage = None;
        for _ in 0..STARTS_MAX {
            if self.rng.chance(150_000) {
                self.disk.stop_at(self.disk.operations() + 1 + self.rng.below(8));
            }
            match open(&self.disk) {
                Ok((mut storage, recovered)) => {
                    self.totals.torn += u64::from(recovered.truncated.is_some());
                    let mut complaints = Vec::new();
                    for (index, model) in candidates.iter().enumerate() {
                        match model.check(&mut storage, &recovered) {
                            Ok(()) => {
                                if candidates.len() > 1 {
                                    self.totals.unreported_kept += u64::from(index == 0);
                                    self.totals.unreported_lost += u64::from(index > 0);
                                }
                                self.model = model.clone();
                                self.storage = Some(storage);
                                return;
                            }
                            Err(complaint) => complaints.push(complaint),
                        }
                    }
                    // A check that was stopped halfway says nothing about the content.
                    assert!(self.disk.open("meta").is_err(), "{complaints:?}, recovered {recovered:?}");
                }
                Err(OpenError::Full(_)) => self.give_room(),
                Err(OpenError::Io(error)) => {
                    let stopped = self.disk.open("meta").is_err();
                    assert!(stopped || self.fails, "a start fails on a healthy disk: {error}");
                }
                Err(error) => panic!("{error}"),
            }
            self.totals.crashes_in_open += 1;
            self.disk = self.disk.crash(if self.rng.coin() { Crash::Process } else { Crash::Power });
        }
        panic!("{STARTS_MAX} starts failed one after the other");
    }
}
