//! Disks that lie: writes that go elsewhere, bits that change, sectors torn to garbage, reads that fail. Not everything
//! can be survived; nothing may be invented, and nothing that the meta record vouches for may be lost in silence.

use quorate_storage::sim::{Crash, Faults, Rng};
use quorate_storage::{OpenError, SimDisk};
use quorate_types::Zxid;

use super::model::{Model, hints, initialized, open, position, write_snapshot};

const SEEDS: u64 = 40;

#[derive(Debug, Default)]
struct Outcomes {
    whole: u32,
    shorter: u32,
    refused: u32,
}

/// Writes to a disk with these faults, and looks at what is left after a loss of power.
fn try_seed(seed: u64, faults: &Faults, outcomes: &mut Outcomes) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(rng.next_u64(), Faults { torn: 1_000_000, ..Faults::default() });
    let (mut storage, _) = initialized(&disk);
    let mut model = Model::new();
    let mut watermark = Zxid::ZERO;
    disk.set_faults(Faults { torn: 1_000_000, ..faults.clone() });
    for _ in 0..30 {
        let frames = model.new_frames(&mut rng, 4);
        storage.log.append(&frames, &hints(Zxid::ZERO)).unwrap();
        model.frames.extend(frames);
        match rng.below(10) {
            0 => {
                let header = model.snapshot_header(model.last().zxid);
                // Reading it back finds out if it is not what was written.
                if let Ok(info) = write_snapshot(&storage, &header, false) {
                    storage.snapshots.add(info);
                }
            }
            1 => {
                model.meta.durable_batch = storage.log.durable_batch();
                storage.meta.write(&model.meta).unwrap();
                watermark = model.last().zxid;
            }
            _ => {}
        }
    }
    disk.stop_at(disk.operations() + 2);
    let unreported = model.new_frames(&mut rng, 4);
    storage.log.append(&unreported, &hints(Zxid::ZERO)).unwrap_err();
    drop(storage);
    let reported = model.last().zxid;
    model.frames.extend(unreported);
    let disk = disk.crash(Crash::Power);
    disk.set_faults(Faults::default());
    match open(&disk) {
        Err(error) => {
            assert!(matches!(error, OpenError::Corrupt(_) | OpenError::Meta(_)), "{error}");
            outcomes.refused += 1;
        }
        Ok((storage, recovered)) => {
            let last = recovered.last;
            assert_eq!(model.position(last.zxid), Some(last), "seed {seed}: the history ends where it never was");
            // The meta record may have been hit as well; then an older one vouches for less.
            if storage.meta.get() == &model.meta {
                assert!(last.zxid >= watermark, "seed {seed}: {last:?} lost what was vouched for: {watermark:?}");
            }
            let frames = storage.log.read(recovered.start.zxid, usize::MAX).unwrap();
            assert!(frames.iter().all(|frame| model.position(frame.zxid()) == Some(position(frame))), "seed {seed}");
            outcomes.whole += u32::from(last.zxid >= reported);
            outcomes.shorter += u32::from(last.zxid < reported);
        }
    }
}

fn outcomes(faults: &Faults) -> Outcomes {
    let mut outcomes = Outcomes::default();
    (0..SEEDS).for_each(|seed| try_seed(seed, faults, &mut outcomes));
    outcomes
}

#[test]
fn a_disk_that_only_forgets_what_was_not_synced_loses_nothing() {
    let Outcomes { whole, shorter, refused } = outcomes(&Faults::default());
    assert_eq!((u64::from(whole), shorter, refused), (SEEDS, 0, 0));
}

#[test]
fn writes_that_go_elsewhere_are_noticed_when_anything_shows_them() {
    let Outcomes { whole, refused, .. } = outcomes(&Faults { misdirected_write: 20_000, ..Faults::default() });
    assert!(whole > 0 && refused > 0);
}

#[test]
fn bits_that_change_are_noticed_when_anything_vouches_for_them() {
    let Outcomes { whole, refused, .. } = outcomes(&Faults { rot: 200_000, ..Faults::default() });
    assert!(whole > 0 && refused > 0);
}

#[test]
fn sectors_torn_to_garbage_cost_the_batch_that_shared_them_unless_it_is_vouched_for() {
    let Outcomes { whole, shorter, refused } = outcomes(&Faults { torn_garbage: true, ..Faults::default() });
    assert!(whole > 0 && shorter + refused > 0);
}

#[test]
fn reads_that_fail_are_errors_and_not_the_end_of_the_log() {
    let disk = SimDisk::new(3, Faults::default());
    let (mut storage, _) = initialized(&disk);
    let mut model = Model::new();
    model.frames = model.new_frames(&mut Rng::new(3), 40);
    storage.log.append(&model.frames, &hints(Zxid::ZERO)).unwrap();
    let disk = disk.crash(Crash::Power);
    let mut failed = 0;
    loop {
        disk.set_faults(Faults { read_error: 700_000, ..disk.faults() });
        match open(&disk) {
            Ok((mut storage, recovered)) => {
                disk.set_faults(Faults::default());
                model.check(&mut storage, &recovered).unwrap();
                break;
            }
            Err(error) => assert!(matches!(error, OpenError::Io(_)), "{error}"),
        }
        failed += 1;
    }
    assert!(failed > 0);
}
