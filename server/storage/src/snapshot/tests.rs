//! Snapshots are handed out whole or not at all, and never confused with one another.

use std::cell::Cell;

use bytes::Bytes;
use quorate_types::{ClusterId, Epoch, Zxid};

use super::*;
use crate::sim::{Crash, Faults, SimDisk};

const CLUSTER: ClusterId = ClusterId(3);

fn snapshots(disk: &SimDisk) -> Snapshots<SimDisk> {
    let dir = DataDir::lock(disk.clone()).unwrap();
    if dir.generations().unwrap().is_empty() {
        dir.create_generation(1).unwrap();
    }
    Snapshots::open(&dir, CLUSTER, 1, SnapshotOptions { kept_min: 2, flush_bytes: 100 }).unwrap()
}

fn header(zxid: u64) -> SnapshotHeader {
    SnapshotHeader {
        cluster_id: CLUSTER,
        position: Position { zxid: Zxid(zxid), chain: zxid * 7 },
        epochs: vec![(Epoch(1), 9), (Epoch(4), 2)],
        config: Bytes::from_static(b"config"),
    }
}

fn footer(zxid: u64) -> SnapshotFooter {
    SnapshotFooter { digest: u128::from(zxid) << 70, counts: [zxid, 0, u64::MAX, 1] }
}

fn chunk(zxid: u64, index: u64) -> Bytes {
    Bytes::from(format!("chunk {index} of {zxid}").repeat(20))
}

fn write(snapshots: &mut Snapshots<SimDisk>, zxid: u64) {
    let mut writer = snapshots.begin(&header(zxid)).unwrap();
    (0..3).for_each(|index| writer.chunk(&chunk(zxid, index)).unwrap());
    let info = writer.finish(&footer(zxid), || true).unwrap().unwrap();
    snapshots.add(info);
}

fn zxids(snapshots: &Snapshots<SimDisk>) -> Vec<u64> {
    snapshots.list().map(|info| info.position.zxid.0).collect()
}

#[test]
fn a_snapshot_is_read_as_it_was_written() {
    let mut snapshots = snapshots(&SimDisk::new(1, Faults::default()));
    write(&mut snapshots, 5);
    let mut reader = snapshots.read(Zxid(5)).unwrap();
    assert_eq!(reader.header(), &header(5));
    for index in 0..3 {
        assert_eq!(reader.next_chunk().unwrap(), Some(chunk(5, index)));
    }
    assert_eq!(reader.footer(), None);
    assert_eq!(reader.next_chunk().unwrap(), None);
    assert_eq!(reader.next_chunk().unwrap(), None);
    assert_eq!(reader.footer(), Some(&footer(5)));
    assert!(matches!(snapshots.read(Zxid(6)), Err(SnapshotError::NotFound(Zxid(6)))));
}

#[test]
fn a_snapshot_that_was_not_finished_never_was() {
    let disk = SimDisk::new(1, Faults::default());
    let mut snapshots = snapshots(&disk);
    write(&mut snapshots, 5);
    let paths = disk.paths();
    let mut writer = snapshots.begin(&header(9)).unwrap();
    writer.chunk(&chunk(9, 0)).unwrap();
    assert_ne!(disk.paths(), paths);
    drop(writer);
    assert_eq!(disk.paths(), paths, "a writer that is dropped gives the room back");
    let mut writer = snapshots.begin(&header(9)).unwrap();
    (0..9).for_each(|index| writer.chunk(&chunk(9, index)).unwrap());
    let asked = Cell::new(0);
    let is_wanted = || asked.replace(asked.get() + 1) < 3;
    assert_eq!(writer.finish(&footer(9), is_wanted).unwrap(), None);
    assert_eq!((asked.get(), disk.paths()), (4, paths.clone()), "nor is one finished that is not wanted any more");
    let mut writer = snapshots.begin(&header(9)).unwrap();
    writer.chunk(&chunk(9, 0)).unwrap();
    let disk = disk.crash(Crash::Process);
    drop(writer);
    assert_ne!(disk.paths(), paths);
    assert_eq!(zxids(&super::tests::snapshots(&disk)), [5]);
    assert_eq!(disk.paths(), paths, "the next start removes what is unfinished");
}

#[test]
fn chunks_of_another_snapshot_or_in_another_order_are_refused() {
    let disk = SimDisk::new(1, Faults::default());
    let mut snapshots = snapshots(&disk);
    write(&mut snapshots, 5);
    write(&mut snapshots, 6);
    let (five, six) = (layout::snapshot(1, Zxid(5)), layout::snapshot(1, Zxid(6)));
    let mut bytes = Vec::new();
    disk.tamper(&five, |content| bytes.clone_from(content));
    let starts: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, tag)| tag == b"CHNK").map(|(at, _)| at).collect();
    let chunk_range = |index: usize| starts[index]..starts[index] + (starts[1] - starts[0]);
    disk.tamper(&six, |content| content[chunk_range(1)].copy_from_slice(&bytes[chunk_range(1)]));
    disk.tamper(&five, |content| {
        content.copy_within(chunk_range(0), starts[1]);
    });
    for zxid in [5, 6] {
        assert!(matches!(snapshots.verify(Zxid(zxid)), Err(SnapshotError::Corrupt(_))));
    }
    assert_eq!(zxids(&snapshots), [0u64; 0]);
    assert_eq!(snapshots.damaged().len(), 2);
}

#[test]
fn a_snapshot_cut_anywhere_is_refused() {
    let disk = SimDisk::new(1, Faults::default());
    let mut snapshots = snapshots(&disk);
    write(&mut snapshots, 5);
    let path = layout::snapshot(1, Zxid(5));
    let mut bytes = Vec::new();
    disk.tamper(&path, |content| bytes.clone_from(content));
    for len in 0..bytes.len() {
        disk.tamper(&path, |content| *content = bytes[..len].to_vec());
        let read = snapshots.read(Zxid(5)).and_then(SnapshotReader::read_to_end);
        assert!(matches!(read, Err(SnapshotError::Corrupt(_))), "cut at {len}: {read:?}");
    }
    disk.tamper(&path, |content| *content = [&bytes[..], b"more"].concat());
    assert!(matches!(snapshots.verify(Zxid(5)), Err(SnapshotError::Corrupt(_))));
}

#[test]
fn a_purge_keeps_the_newest_verified_ones() {
    let disk = SimDisk::new(1, Faults::default());
    let mut snapshots = snapshots(&disk);
    write(&mut snapshots, 1);
    assert_eq!(snapshots.purge().unwrap(), None);
    (2..=5).for_each(|zxid| write(&mut snapshots, zxid));
    let disk = disk.crash(Crash::Process);
    disk.tamper(&layout::snapshot(1, Zxid(4)), |content| content[300] ^= 1);
    let mut snapshots = super::tests::snapshots(&disk);
    assert_eq!(snapshots.purge().unwrap(), Some(Zxid(3)), "5 and 3 are whole");
    assert_eq!(zxids(&snapshots), [3, 5]);
    assert_eq!(snapshots.purge().unwrap(), Some(Zxid(3)));
}

/// What a parser makes of bytes that come in pieces of `size`.
fn parse(bytes: &[u8], size: usize) -> Result<Vec<SnapshotPart>, Damage> {
    let (mut parser, mut parts) = (SnapshotParser::default(), Vec::new());
    for piece in bytes.chunks(size) {
        parser.push(piece);
        while let Some(part) = parser.next()? {
            parts.push(part);
        }
    }
    parser.finish().map(|()| parts)
}

#[test]
fn a_copy_is_the_file_and_is_parsed_however_it_arrives() {
    let mut snapshots = snapshots(&SimDisk::new(1, Faults::default()));
    write(&mut snapshots, 5);
    let mut copy = snapshots.dir().copy(Zxid(5)).unwrap();
    assert_eq!((copy.header(), copy.footer()), (&header(5), &footer(5)));
    let mut bytes = Vec::new();
    while let Some(piece) = copy.next_piece().unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!((bytes.len() as u64, copy.next_piece().unwrap()), (copy.file_bytes(), None));
    let expected: Vec<_> = [SnapshotPart::Header(header(5))]
        .into_iter()
        .chain((0..3).map(|index| SnapshotPart::Chunk(chunk(5, index))))
        .chain([SnapshotPart::Footer(footer(5))])
        .collect();
    for size in [1, 3, 50, 1000, usize::MAX] {
        assert_eq!(parse(&bytes, size), Ok(expected.clone()), "in pieces of {size}");
    }
}

#[test]
fn every_damage_is_noticed_wherever_it_is() {
    let disk = SimDisk::new(1, Faults::default());
    let mut snapshots = snapshots(&disk);
    write(&mut snapshots, 5);
    let path = layout::snapshot(1, Zxid(5));
    let mut bytes = Vec::new();
    disk.tamper(&path, |content| bytes.clone_from(content));
    let copied = || {
        let mut copy = snapshots.dir().copy(Zxid(5))?;
        while copy.next_piece()?.is_some() {}
        Ok::<_, SnapshotError>(())
    };
    for at in 0..bytes.len() {
        bytes[at] ^= 1;
        let damage = parse(&bytes, 100).expect_err("changed");
        // A length that is wrong shows when what follows has come, or nothing more does.
        let is_cut = damage.reason == "it ends there, before its end";
        assert!(damage.offset <= at as u64 || is_cut, "byte {at}: {damage}");
        disk.tamper(&path, |content| content.clone_from(&bytes));
        assert!(matches!(copied(), Err(SnapshotError::Corrupt(_))), "byte {at}");
        bytes[at] ^= 1;
    }
    for len in 0..bytes.len() {
        let damage = parse(&bytes[..len], 100).expect_err("cut");
        assert_eq!((damage.offset, damage.reason), (len as u64, "it ends there, before its end"));
    }
    bytes.push(0);
    assert_eq!(parse(&bytes, 100).map_err(|damage| damage.reason), Err("something follows the end"));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        edits in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 0..=255u8), 1..9),
        size in 1..500usize,
    ) {
        let disk = SimDisk::new(1, Faults::default());
        write(&mut snapshots(&disk), 5);
        let mut bytes = Vec::new();
        disk.tamper(&layout::snapshot(1, Zxid(5)), |content| bytes.clone_from(content));
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = parse(&bytes, size);
    }
}
