//! Damaged files: what is found is the history or its beginning, or a typed error; never a panic, never an invention,
//! and nothing is lost in silence that anything on the disk proves to have been durable.

use std::sync::LazyLock;

use proptest::prelude::*;
use quorate_storage::sim::{Crash, Faults, Rng};
use quorate_storage::{
    Disk, InitializeError, LogError, OpenError, Position, Recovered, SimDisk, SnapshotError, Standing, Storage,
};
use quorate_types::{Epoch, ServerId, Zxid};

use super::model::{
    CLUSTER, Model, SALT, SERVER, content, hints, initialized, open, options, position, write_snapshot,
};

/// A directory with several segments and snapshots, and what it holds.
struct Sample {
    disk: SimDisk,
    model: Model,
    /// The last record that the meta record vouches for.
    watermark: Position,
    /// The record before the last batch.
    before_last_batch: Position,
}

/// The sample was not closed in order: nothing but a later batch vouches for a batch.
static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let disk = SimDisk::new(1, Faults::default());
    let (mut storage, _) = initialized(&disk);
    let mut model = Model::new();
    let mut rng = Rng::new(2);
    let mut watermark = Position::default();
    let mut before_last_batch = Position::default();
    for batch in 0..60 {
        let frames = if batch < 10 { vec![model.small_frame(&mut rng)] } else { model.new_frames(&mut rng, 5) };
        before_last_batch = model.last();
        storage.log.append(&frames, &hints(before_last_batch.zxid)).unwrap();
        model.frames.extend(frames);
        if batch % 16 == 15 {
            let header = model.snapshot_header(model.last().zxid);
            let info = write_snapshot(&storage, &header, false).unwrap();
            storage.snapshots.add(info);
            model.snapshots.insert(header.position.zxid);
        }
        if batch == 50 {
            model.meta.accepted_epoch = Epoch(99);
            model.meta.durable_batch = storage.log.durable_batch();
            storage.meta.write(&model.meta).unwrap();
            watermark = model.last();
        }
    }
    drop(storage);
    Sample { disk: disk.crash(Crash::Power), model, watermark, before_last_batch }
});

/// One way to damage a file.
#[derive(Clone, Debug)]
enum Damage {
    FlipBit { at: usize, bit: u8 },
    Fill { at: usize, len: usize, byte: u8 },
    Copy { from: usize, to: usize, len: usize },
    Shorten { to: usize },
    Extend { by: usize, byte: u8 },
}

impl Damage {
    fn apply(&self, content: &mut Vec<u8>) {
        let bytes = content.len();
        let range = |at: usize, len: usize| {
            let start = at % bytes.max(1);
            start.min(bytes)..(start + len).min(bytes)
        };
        match *self {
            Damage::FlipBit { at, bit } => content[range(at, 1)].iter_mut().for_each(|byte| *byte ^= 1 << (bit % 8)),
            Damage::Fill { at, len, byte } => content[range(at, len)].fill(byte),
            Damage::Copy { from, to, len } => {
                let source = content[range(from, len)].to_vec();
                let target = range(to, source.len());
                let len = target.len();
                content[target].copy_from_slice(&source[..len]);
            }
            Damage::Shorten { to } => content.truncate(to % bytes.max(1)),
            Damage::Extend { by, byte } => content.resize(content.len() + by, byte),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<usize>;
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, bit)| Damage::FlipBit { at, bit }),
        1 => (at(), 1..9000usize, prop_oneof![Just(0), any::<u8>()])
            .prop_map(|(at, len, byte)| Damage::Fill { at, len, byte }),
        1 => (at(), at(), 1..9000usize).prop_map(|(from, to, len)| Damage::Copy { from, to, len }),
        1 => at().prop_map(|to| Damage::Shorten { to }),
        1 => (1..9000usize, any::<u8>()).prop_map(|(by, byte)| Damage::Extend { by, byte }),
    ]
}

fn damaged(damages: &[(prop::sample::Index, Damage)]) -> SimDisk {
    let disk = SAMPLE.disk.fork();
    let paths = disk.paths();
    for (index, damage) in damages {
        disk.tamper(&paths[index.index(paths.len())], |content| damage.apply(content));
    }
    disk
}

/// Whatever can be opened holds a beginning of the history and true snapshots. Returns its end.
fn check_truth(storage: &Storage<SimDisk>, recovered: &Recovered) -> Position {
    let model = &SAMPLE.model;
    assert_eq!(model.position(recovered.last.zxid), Some(recovered.last), "the history ends where it never was");
    let mut at = recovered.start.zxid;
    loop {
        let frames = match storage.log.read(at, 10_000) {
            Ok(frames) => frames,
            Err(LogError::Corrupt(_)) => break,
            Err(error) => panic!("{error}"),
        };
        let Some(last) = frames.last() else { break };
        at = last.zxid();
        frames.iter().for_each(|frame| assert_eq!(model.position(frame.zxid()), Some(position(frame))));
    }
    for info in storage.snapshots.list() {
        let zxid = info.position.zxid;
        let mut chunks = Vec::new();
        let end = storage.snapshots.read(zxid).and_then(|mut reader| {
            while let Some(chunk) = reader.next_chunk()? {
                chunks.push(chunk);
            }
            Ok(())
        });
        assert!(content(zxid).starts_with(&chunks), "an invented chunk in snapshot {zxid:?}");
        match end {
            Ok(()) => assert_eq!(content(zxid), chunks),
            Err(error) => assert!(matches!(error, SnapshotError::Corrupt(_)), "{error}"),
        }
    }
    recovered.last
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_changed_bit_is_an_error_or_costs_no_more_than_a_batch_that_nothing_vouches_for(
        index: prop::sample::Index, at: usize, bit: u8,
    ) {
        let disk = damaged(&[(index, Damage::FlipBit { at, bit })]);
        if let Ok((storage, recovered)) = open(&disk) {
            let last = check_truth(&storage, &recovered);
            prop_assert!(last == SAMPLE.model.last() || last == SAMPLE.before_last_batch, "lost: {recovered:?}");
            prop_assert_eq!(&recovered.meta, &SAMPLE.model.meta);
        }
    }

    #[test]
    fn whatever_the_damage_nothing_is_invented_and_nothing_vouched_for_is_lost_in_silence(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4),
    ) {
        let disk = damaged(&damages);
        if let Ok((storage, recovered)) = open(&disk) {
            let last = check_truth(&storage, &recovered);
            if recovered.meta == SAMPLE.model.meta {
                prop_assert!(last.zxid >= SAMPLE.watermark.zxid, "lost: {recovered:?}");
            }
        }
    }

    #[test]
    fn arbitrary_bytes_in_place_of_a_file_are_no_reason_to_panic(
        index: prop::sample::Index, bytes in prop::collection::vec(any::<u8>(), 0..10_000),
    ) {
        let disk = SAMPLE.disk.fork();
        let paths = disk.paths();
        disk.tamper(&paths[index.index(paths.len())], |content| *content = bytes);
        if let Ok((storage, recovered)) = open(&disk) {
            check_truth(&storage, &recovered);
        }
    }
}

#[test]
fn a_missing_file_is_noticed_unless_nothing_vouches_for_what_it_held() {
    for path in SAMPLE.disk.paths() {
        let disk = SAMPLE.disk.fork();
        disk.remove(&path).unwrap();
        let Ok((storage, recovered)) = open(&disk) else { continue };
        assert!(check_truth(&storage, &recovered).zxid >= SAMPLE.watermark.zxid, "{path}");
    }
}

#[test]
fn the_error_says_where_the_damage_is() {
    let disk = SAMPLE.disk.fork();
    let path = disk.paths().into_iter().find(|path| path.ends_with(".qlog")).unwrap();
    let mut offset = 0;
    disk.tamper(&path, |content| {
        // The second batch of the segment: the first one is followed by zeros only up to the next multiple of 8.
        let second = content[4096 + 8..].windows(4).position(|bytes| bytes == b"QBAT").unwrap();
        offset = 4096 + 8 + second;
        content[offset + 130] ^= 1;
    });
    match open(&disk).err().unwrap() {
        OpenError::Corrupt(corruption) => {
            assert_eq!((corruption.file, corruption.offset), (path, offset as u64));
            assert_eq!(corruption.after, SAMPLE.model.frames[0].zxid());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn at_rest_damage_to_the_last_record_is_no_unfinished_write() {
    for rests in [false, true] {
        let disk = SimDisk::new(3, Faults::default());
        let (mut storage, _) = initialized(&disk);
        let frames = Model::new().new_frames(&mut Rng::new(4), 3);
        storage.log.append(&frames, &hints(Zxid::ZERO)).unwrap();
        assert!(!storage.log.is_at_rest());
        if rests {
            storage.log.rest(&hints(Zxid::ZERO)).unwrap();
            assert!(storage.log.is_at_rest());
        }
        drop(storage);
        let disk = disk.crash(Crash::Process);
        let path = disk.paths().into_iter().rfind(|path| path.ends_with(".qlog")).unwrap();
        disk.tamper(&path, |content| content[4096 + 130] ^= 1);
        match open(&disk) {
            Ok((_, recovered)) => assert!(!rests && recovered.truncated.is_some(), "records were lost in silence"),
            Err(error) => assert!(rests && matches!(error, OpenError::Corrupt(_)), "{error}"),
        }
    }
}

#[test]
fn a_damaged_newest_snapshot_is_replaced_by_the_one_before_it() {
    let disk = SAMPLE.disk.fork();
    let newest = disk.paths().into_iter().rfind(|path| path.ends_with(".qsnap")).unwrap();
    disk.tamper(&newest, |content| *content.last_mut().unwrap() ^= 1);
    let (mut storage, recovered) = open(&disk).unwrap();
    let expected: Vec<Zxid> = SAMPLE.model.snapshots.iter().rev().copied().collect();
    assert_eq!(recovered.snapshot.unwrap().0.position.zxid, expected[1]);
    assert_eq!(recovered.damaged_snapshots.len(), 1);
    assert_eq!(storage.snapshots.purge().unwrap(), Some(expected[2]), "the damaged one does not count as kept");
}

#[test]
fn damage_that_appears_while_the_server_runs_is_reported_by_the_read() {
    let disk = SAMPLE.disk.fork();
    let (storage, recovered) = open(&disk).unwrap();
    let path = disk.paths().into_iter().find(|path| path.ends_with(".qlog")).unwrap();
    disk.tamper(&path, |content| content[5000] ^= 1);
    assert!(matches!(storage.log.read(recovered.start.zxid, usize::MAX), Err(LogError::Corrupt(_))));
}

#[test]
fn a_server_that_starts_over_keeps_its_promises_and_counts_no_more() {
    let check = |disk: SimDisk, epoch| {
        let (mut storage, recovered) = Storage::start_over(disk.clone(), &options(), CLUSTER, SERVER, SALT).unwrap();
        assert_eq!(recovered.meta.standing, Standing::Amnesiac);
        assert_eq!(recovered.meta.accepted_epoch, epoch);
        assert_eq!((recovered.last, recovered.snapshot), (Position::default(), None));
        let mut model = Model::new();
        model.meta = recovered.meta;
        let frames = model.new_frames(&mut Rng::new(1), 10);
        storage.log.append(&frames, &hints(Zxid::ZERO)).unwrap();
        model.frames = frames;
        let (mut storage, recovered) = open(&disk.crash(Crash::Power)).unwrap();
        model.check(&mut storage, &recovered).unwrap();
    };
    check(damaged_segment(), Epoch(99));
    let disk = damaged_segment();
    disk.tamper("meta", |content| content.fill(0));
    check(disk, Epoch(0));
    let disk = damaged_segment();
    disk.remove("meta").unwrap();
    check(disk, Epoch(0));
}

fn damaged_segment() -> SimDisk {
    let disk = SAMPLE.disk.fork();
    let path = disk.paths().into_iter().find(|path| path.ends_with(".qlog")).unwrap();
    disk.tamper(&path, |content| content[5000] ^= 1);
    assert!(matches!(open(&disk), Err(OpenError::Corrupt(_))));
    disk
}

#[test]
fn data_without_a_meta_record_is_neither_opened_nor_initialized_over() {
    let disk = SAMPLE.disk.fork();
    disk.remove("meta").unwrap();
    assert!(matches!(open(&disk), Err(OpenError::Meta(_))));
    let result = Storage::initialize(disk.clone(), CLUSTER, ServerId(1), Standing::Voter, SALT);
    assert!(matches!(result, Err(InitializeError::NotEmpty(_))), "{result:?}");
    let result = Storage::initialize(SAMPLE.disk.fork(), CLUSTER, ServerId(1), Standing::Voter, SALT);
    assert!(matches!(result, Err(InitializeError::NotEmpty(_))), "{result:?}");
}
