//! The simulated disk forgets what it may forget and nothing else.

use super::*;

fn read(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(path).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    Some(bytes)
}

/// What the seeds make of the same actions: every outcome, by how often it occurs.
fn outcomes(crash: Crash, actions: impl Fn(&SimDisk)) -> std::collections::BTreeMap<Option<Vec<u8>>, usize> {
    let mut outcomes = std::collections::BTreeMap::new();
    for seed in 0..200 {
        let disk = SimDisk::new(seed, Faults { sector_bytes: 4, torn: 0, ..Faults::default() });
        actions(&disk);
        *outcomes.entry(read(&disk.crash(crash), "f")).or_default() += 1;
    }
    outcomes
}

#[test]
fn what_was_synced_survives_a_loss_of_power() {
    let outcomes = outcomes(Crash::Power, |disk| {
        let mut file = disk.create("f").unwrap();
        file.write_at(&[b"dura", b"ble!"], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir("").unwrap();
    });
    assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), [Some(b"durable!".to_vec())]);
}

#[test]
fn without_a_sync_each_sector_is_kept_or_lost_by_itself() {
    let outcomes = outcomes(Crash::Power, |disk| {
        let mut file = disk.create("f").unwrap();
        file.allocate(8).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(&[b"aaaabbbb"], 0).unwrap();
    });
    let expected =
        [b"\0\0\0\0\0\0\0\0", b"\0\0\0\0bbbb", b"aaaa\0\0\0\0", b"aaaabbbb"].map(|bytes| Some(bytes.to_vec()));
    assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn a_crash_of_the_process_alone_loses_nothing() {
    let outcomes = outcomes(Crash::Process, |disk| {
        disk.create("f").unwrap().write_at(&[b"aaaabbbb"], 0).unwrap();
    });
    assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), [Some(b"aaaabbbb".to_vec())]);
}

#[test]
fn names_may_come_and_go_until_the_directory_is_synced() {
    let outcomes = outcomes(Crash::Power, |disk| {
        let mut file = disk.create("old").unwrap();
        file.write_at(&[b"1234"], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir("").unwrap();
        disk.rename("old", "f").unwrap();
    });
    assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), [None, Some(b"1234".to_vec())]);
}

#[test]
fn a_shortened_file_may_be_long_again_with_its_old_content() {
    let outcomes = outcomes(Crash::Power, |disk| {
        let mut file = disk.create("f").unwrap();
        file.write_at(&[b"12345678"], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir("").unwrap();
        file.set_len(2).unwrap();
    });
    assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), [Some(b"12".to_vec()), Some(b"12345678".to_vec())]);
}

#[test]
fn after_a_failed_sync_the_data_is_seen_until_the_power_goes() {
    let disk = SimDisk::new(1, Faults::default());
    let mut file = disk.create("f").unwrap();
    disk.sync_dir("").unwrap();
    file.allocate(4).unwrap();
    file.sync_data().unwrap();
    file.write_at(&[b"gone"], 0).unwrap();
    disk.set_faults(Faults { sync_error: 1_000_000, ..Faults::default() });
    file.sync_data().unwrap_err();
    disk.set_faults(Faults::default());
    file.sync_data().unwrap();
    let disk = disk.crash(Crash::Process);
    assert_eq!(read(&disk, "f").unwrap(), b"gone");
    assert_eq!(read(&disk.crash(Crash::Power), "f").unwrap(), [0; 4]);
}

#[test]
fn a_full_disk_refuses_to_grow_and_recovers_when_something_is_removed() {
    let disk = SimDisk::new(1, Faults { capacity_bytes: 100, ..Faults::default() });
    disk.create("a").unwrap().allocate(60).unwrap();
    let mut file = disk.create("b").unwrap();
    assert_eq!(file.allocate(60).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.set_len(0).unwrap();
    disk.remove("a").unwrap();
    file.allocate(60).unwrap();
}

#[test]
fn handles_from_before_a_crash_are_dead_and_the_lock_is_free() {
    let disk = SimDisk::new(1, Faults::default());
    let mut file = disk.create("f").unwrap();
    let _lock = disk.lock("LOCK").unwrap();
    assert_eq!(disk.lock("LOCK").err().unwrap().kind(), io::ErrorKind::WouldBlock);
    let next = disk.crash(Crash::Process);
    let _next_lock = next.lock("LOCK").unwrap();
    file.write_at(&[b"late"], 0).unwrap_err();
    disk.remove("f").unwrap_err();
    assert_eq!(read(&next, "f").unwrap(), b"");
}

#[test]
fn the_machine_stops_at_the_operation_asked_for() {
    let disk = SimDisk::new(1, Faults::default());
    disk.stop_at(2);
    let mut file = disk.create("f").unwrap();
    file.write_at(&[b"perhaps"], 0).unwrap_err();
    assert_eq!(disk.operations(), 2);
    disk.open("f").err().unwrap();
    disk.crash(Crash::Process).open("f").unwrap();
}
