//! The same storage on a directory of this machine.

use std::os::unix::fs::PermissionsExt;

use quorate_storage::sim::Rng;
use quorate_storage::{Hints, OpenError, RealDisk, Space, Storage};
use quorate_types::{Frame, FrameKind, Zxid};

use super::model::{Model, hints, initialized, open, position, write_snapshot};

#[test]
fn a_directory_of_the_operating_system_keeps_what_the_model_keeps() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(&directory.path().join("a/b")).unwrap();
    let (mut storage, _) = initialized(&disk);
    let mut model = Model::new();
    let mut rng = Rng::new(6);
    for round in 0..40 {
        let frames = model.new_frames(&mut rng, 4);
        storage.log.append(&frames, &hints(Zxid::ZERO)).unwrap();
        model.frames.extend(frames);
        if round % 7 == 6 {
            let header = model.snapshot_header(model.last().zxid);
            let info = write_snapshot(&storage, &header, false).unwrap();
            storage.snapshots.add(info);
            model.snapshots.insert(header.position.zxid);
        }
        storage.log.prepare_spare().unwrap();
    }
    let oldest = storage.snapshots.purge().unwrap().unwrap();
    model.snapshots = model.snapshots.split_off(&oldest);
    storage.log.purge(oldest).unwrap();
    assert!(storage.log.start().zxid > Zxid::ZERO);
    let last = *model.snapshots.last().unwrap();
    storage.log.truncate_after(last).unwrap();
    model = model.truncated_after(last);
    drop(storage);
    let (mut storage, recovered) = open(&disk).unwrap();
    model.check(&mut storage, &recovered).unwrap();
    let header = model.snapshot_header(last);
    let info = write_snapshot(&storage, &header, true).unwrap();
    storage.log.switch_generation(&mut storage.meta, &info).unwrap();
    storage.snapshots.adopt(info).unwrap();
    model = model.installed(&header);
    storage.log.close().unwrap();
    drop((storage.meta, storage.snapshots));
    let (mut storage, recovered) = open(&disk).unwrap();
    assert!(recovered.clean);
    model.check(&mut storage, &recovered).unwrap();
}

#[test]
fn only_one_process_uses_a_directory_and_only_its_user_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(directory.path()).unwrap();
    let (storage, _) = initialized(&disk);
    let again = RealDisk::open(directory.path()).unwrap();
    assert!(matches!(open(&again), Err(OpenError::Locked)));
    let Storage { log, meta, snapshots } = storage;
    drop((log, meta));
    assert!(matches!(open(&again), Err(OpenError::Locked)), "each part keeps the lock");
    drop(snapshots);
    drop(open(&again).unwrap());
    let mode = std::fs::metadata(directory.path().join("meta")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn batches_of_many_large_records_are_written_whole() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(directory.path()).unwrap();
    let (mut storage, _) = initialized(&disk);
    let mut last = storage.log.last();
    let mut frame = |len: usize| {
        let zxid = if last.zxid == Zxid::ZERO { Zxid(1 << 32) } else { last.zxid.next() };
        let kind = if zxid.counter() == 0 { FrameKind::Marker } else { FrameKind::Txn };
        let frame = Frame::encode(kind, zxid, last.chain, &vec![zxid.0 as u8; len]);
        last = position(&frame);
        frame
    };
    // More pieces than one system call takes, and more bytes than one batch holds.
    let mut frames: Vec<Frame> = (0..1500).map(|_| frame(5000)).collect();
    frames.extend((0..3).map(|_| frame(quorate_types::limits::TXN_BYTES_MAX)));
    storage.log.append(&frames, &Hints::default()).unwrap();
    assert_eq!(storage.log.read(Zxid::ZERO, usize::MAX).unwrap(), frames);
    while storage.log.prepare_spare().unwrap() != Space::Ready {}
    drop(storage);
    let (storage, _) = open(&disk).unwrap();
    assert_eq!(storage.log.read(Zxid::ZERO, usize::MAX).unwrap(), frames);
}
