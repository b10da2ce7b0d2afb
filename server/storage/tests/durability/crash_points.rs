//! Every crash point: a short sequence of all operations is stopped in the middle of its first change to the disk, of
//! its second, and so on, and each time several losses of power and a crash of the process alone are tried.

use quorate_storage::sim::{Crash, Faults, Rng};
use quorate_storage::{SimDisk, Storage};

use super::model::{CLUSTER, Model, SALT, SERVER, hints, open};
use super::run::{Interrupted, Run, Step};

const FUTURES: u64 = 8;

const SEQUENCE: [fn(&mut Run) -> Step; 20] = [
    Run::append,
    Run::prepare_spare,
    Run::append,
    Run::snapshot,
    Run::append,
    Run::write_meta,
    Run::append,
    Run::snapshot,
    Run::append,
    Run::truncate,
    Run::append,
    Run::purge,
    Run::append,
    Run::snapshot,
    Run::purge,
    Run::truncate,
    Run::install,
    Run::append,
    Run::snapshot,
    Run::stop_in_order,
];

/// The sequence up to a stop: the disk, and what it may hold. `None` if the stop is behind the end.
fn run(stop_at: u64) -> Option<(SimDisk, Vec<Model>)> {
    let mut run = Run::on(SimDisk::new(5, Faults::default()), Rng::new(17));
    run.disk.stop_at(run.disk.operations() + stop_at);
    for operation in SEQUENCE {
        if let Err(Interrupted(candidates)) = operation(&mut run) {
            return Some((run.disk, candidates));
        }
    }
    None
}

#[test]
fn every_change_to_the_disk_may_be_the_last() {
    let mut points = 0;
    for stop_at in 1.. {
        let Some((disk, candidates)) = run(stop_at) else { break };
        points += 1;
        for future in 0..FUTURES {
            let disk = disk.fork();
            disk.reseed(stop_at * FUTURES + future);
            let disk = disk.crash(if future == 0 { Crash::Process } else { Crash::Power });
            check_and_continue(&disk, &candidates, &format!("stopped at {stop_at}, future {future}"));
        }
    }
    assert!(points > 100, "only {points} changes");
}

/// What is found is one of the candidates, survives another loss of power, and can be continued.
fn check_and_continue(disk: &SimDisk, candidates: &[Model], context: &str) {
    let (mut storage, recovered) = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let found = candidates.iter().find(|model| model.check(&mut storage, &recovered).is_ok());
    let mut model = found.unwrap_or_else(|| panic!("{context}: {recovered:?}")).clone();
    drop(storage);
    let disk = disk.crash(Crash::Power);
    let (mut storage, recovered) = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    model.check(&mut storage, &recovered).unwrap_or_else(|complaint| panic!("{context}: {complaint}"));
    let frames = model.new_frames(&mut Rng::new(3), 5);
    storage.log.append(&frames, &hints(model.base.zxid)).unwrap();
    model.frames.extend(frames);
    let disk = disk.crash(Crash::Power);
    let (mut storage, recovered) = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    model.check(&mut storage, &recovered).unwrap_or_else(|complaint| panic!("{context}: {complaint}"));
}

#[test]
fn a_crash_during_initialization_leaves_an_empty_or_an_initialized_directory() {
    for stop_at in 1..20 {
        for future in 0..FUTURES {
            let disk = SimDisk::new(stop_at * FUTURES + future, Faults::default());
            disk.stop_at(stop_at);
            let result = Storage::initialize(disk.clone(), CLUSTER, SERVER, quorate_storage::Standing::Voter, SALT);
            let disk = disk.crash(if future == 0 { Crash::Process } else { Crash::Power });
            if open(&disk).is_err() {
                assert!(result.is_err(), "an initialization that was reported is gone");
                Storage::initialize(disk.clone(), CLUSTER, SERVER, quorate_storage::Standing::Voter, SALT).unwrap();
            }
            let (mut storage, recovered) = open(&disk).unwrap();
            Model::new().check(&mut storage, &recovered).unwrap();
        }
    }
}
