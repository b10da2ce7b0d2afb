//! The meta record after a sync that failed: the next start sees what was never durable, and must not put at risk the
//! only record that is.

use quorate_storage::sim::{Crash, Faults};
use quorate_storage::{Meta, SimDisk};
use quorate_types::Epoch;

use super::model::{initialized, open};

const CERTAIN: u32 = 1_000_000;

#[test]
fn a_start_that_is_interrupted_does_not_hurt_the_promise_before_the_one_it_sees() {
    let disk = SimDisk::new(1, Faults { torn: CERTAIN, ..Faults::default() });
    let (mut storage, _) = initialized(&disk);
    let promise = |epoch| Meta { accepted_epoch: Epoch(epoch), ..storage.meta.get().clone() };
    let (durable, lost) = (promise(5), promise(6));
    storage.meta.write(&durable).unwrap();
    disk.set_faults(Faults { sync_error: CERTAIN, ..disk.faults() });
    storage.meta.write(&lost).unwrap_err();
    disk.set_faults(Faults { sync_error: 0, ..disk.faults() });
    let disk = disk.crash(Crash::Process);
    let mut found = [0; 2];
    for future in 0..100 {
        let disk = disk.fork();
        disk.reseed(future);
        // In the middle of the write with which the start makes certain what it sees, or of the sync after it.
        disk.stop_at(disk.operations() + 1 + future % 2);
        open(&disk).err().unwrap();
        let (storage, _) = open(&disk.crash(Crash::Power)).unwrap();
        let meta = storage.meta.get();
        assert!(*meta == durable || *meta == lost, "future {future}: {meta:?}");
        found[usize::from(*meta == lost)] += 1;
    }
    assert!(found.iter().all(|count| *count > 0), "both are possible: {found:?}");
}

#[test]
fn what_a_start_has_seen_does_not_go_away_again() {
    let disk = SimDisk::new(1, Faults { torn: CERTAIN, ..Faults::default() });
    let (mut storage, _) = initialized(&disk);
    let promise = Meta { accepted_epoch: Epoch(6), ..storage.meta.get().clone() };
    disk.set_faults(Faults { sync_error: CERTAIN, ..disk.faults() });
    storage.meta.write(&promise).unwrap_err();
    disk.set_faults(Faults { sync_error: 0, ..disk.faults() });
    let disk = disk.crash(Crash::Process);
    let (storage, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.meta, promise);
    drop(storage);
    let (_, recovered) = open(&disk.crash(Crash::Power)).unwrap();
    assert_eq!(recovered.meta, promise);
}
