//! A full disk stops what grows, in time, and hurts nothing.

use quorate_storage::sim::{Crash, Faults, Rng};
use quorate_storage::{LogError, OpenError, SimDisk, SnapshotError, Space, Storage};
use quorate_types::Zxid;

use super::model::{Model, hints, initialized, open, write_snapshot};

fn prepare(storage: &mut Storage<SimDisk>) -> Space {
    loop {
        match storage.log.prepare_spare().unwrap() {
            Space::Unfinished => {}
            space => return space,
        }
    }
}

fn disk(capacity_bytes: u64) -> SimDisk {
    SimDisk::new(4, Faults { capacity_bytes, ..Faults::default() })
}

fn resize(disk: &SimDisk, capacity_bytes: u64) {
    disk.set_faults(Faults { capacity_bytes, ..disk.faults() });
}

/// Appends single records until the log says that it is full.
fn append_until_full(storage: &mut Storage<SimDisk>, model: &mut Model) -> usize {
    let mut rng = Rng::new(9);
    for count in 0.. {
        let frame = model.small_frame(&mut rng);
        match storage.log.append(std::slice::from_ref(&frame), &hints(Zxid::ZERO)) {
            Ok(()) => model.frames.push(frame),
            Err(LogError::Full(_)) => return count,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the disk is finite")
}

#[test]
fn once_the_spare_is_in_use_another_one_is_wanted() {
    let (mut storage, _) = initialized(&disk(1_000_000));
    let mut model = Model::new();
    let mut rng = Rng::new(9);
    for _ in 0..3 {
        assert_eq!(prepare(&mut storage), Space::Ready);
        let mut appended = 0;
        while storage.log.space() == Space::Ready {
            let frame = model.small_frame(&mut rng);
            storage.log.append(std::slice::from_ref(&frame), &hints(Zxid::ZERO)).unwrap();
            model.frames.push(frame);
            appended += 1;
            assert!(appended < 1_000, "more than a segment was appended");
        }
        assert_eq!(storage.log.space(), Space::Unfinished);
    }
}

#[test]
fn room_is_called_low_while_a_whole_segment_is_left_for_what_is_in_flight() {
    let disk = disk(60_000);
    let (mut storage, _) = initialized(&disk);
    let mut model = Model::new();
    assert_eq!(prepare(&mut storage), Space::Ready);
    let mut low_at = None;
    let mut rng = Rng::new(9);
    for count in 0.. {
        let frame = model.small_frame(&mut rng);
        if storage.log.append(std::slice::from_ref(&frame), &hints(Zxid::ZERO)).is_err() {
            break;
        }
        model.frames.push(frame);
        if prepare(&mut storage) == Space::Low && low_at.is_none() {
            low_at = Some(count);
        }
    }
    let after_low: usize = model.frames[low_at.unwrap()..].iter().map(|frame| frame.bytes().len()).sum();
    // A segment of 16 KiB, less its header and what surrounds each of these small records.
    assert!(after_low > 7_000, "only {after_low} bytes between the warning and the end");
    assert_eq!(storage.log.space(), Space::Low);
    resize(&disk, 200_000);
    assert_eq!(prepare(&mut storage), Space::Ready, "room that comes back is noticed");
}

#[test]
fn a_full_log_is_as_it_was_and_goes_on_when_there_is_room() {
    let disk = disk(70_000);
    let (mut storage, _) = initialized(&disk);
    let mut model = Model::new();
    assert!(append_until_full(&mut storage, &mut model) > 10);
    assert_eq!(storage.log.last(), model.last());
    resize(&disk, 140_000);
    assert!(append_until_full(&mut storage, &mut model) > 10);
    let disk = disk.crash(Crash::Power);
    resize(&disk, 0);
    assert!(matches!(open(&disk), Err(OpenError::Full(_))));
    resize(&disk, 200_000);
    let (mut storage, recovered) = open(&disk).unwrap();
    model.check(&mut storage, &recovered).unwrap();
}

#[test]
fn a_server_that_stopped_when_room_was_low_starts_again() {
    let mut disk = disk(60_000);
    let (mut storage, _) = initialized(&disk);
    let mut model = Model::new();
    let mut rng = Rng::new(9);
    while prepare(&mut storage) != Space::Low {
        let frame = model.small_frame(&mut rng);
        storage.log.append(std::slice::from_ref(&frame), &hints(Zxid::ZERO)).unwrap();
        model.frames.push(frame);
    }
    for crash in [Crash::Process, Crash::Power, Crash::Power] {
        disk = disk.crash(crash);
        let (mut storage, recovered) = open(&disk).unwrap();
        model.check(&mut storage, &recovered).unwrap();
    }
}

#[test]
fn a_snapshot_that_finds_no_room_leaves_nothing_behind() {
    let disk = disk(u64::MAX);
    let (mut storage, _) = initialized(&disk);
    let mut model = Model::new();
    let frames = model.new_frames(&mut Rng::new(1), 30);
    storage.log.append(&frames, &hints(Zxid::ZERO)).unwrap();
    model.frames = frames;
    let paths = disk.paths();
    let sizes = |disk: &SimDisk| {
        let mut bytes = 0;
        disk.paths().iter().for_each(|path| disk.tamper(path, |content| bytes += content.len() as u64));
        bytes
    };
    resize(&disk, sizes(&disk) + 150);
    // Not every state is large: the first record whose snapshot does not fit.
    let refused = model
        .frames
        .iter()
        .map(|frame| frame.zxid())
        .find_map(|zxid| write_snapshot(&storage, &model.snapshot_header(zxid), false).err());
    assert!(matches!(refused, Some(SnapshotError::Full(_))), "{refused:?}");
    assert_eq!(disk.paths(), paths);
    resize(&disk, u64::MAX);
    let header = model.snapshot_header(model.last().zxid);
    write_snapshot(&storage, &header, false).unwrap();
}
