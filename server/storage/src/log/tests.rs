//! Segments whose checksums are right and whose content is not: written by a hostile hand, or by a version with an
//! error. None of them may end a start with anything but a result.

use proptest::prelude::*;
use quorate_types::{ClusterId, Epoch, Frame, FrameKind, Zxid};

use super::batch::{self, BatchHeader, HEADER_BYTES};
use super::segment::{DATA_OFFSET, SegmentHeader};
use super::{Hints, Log, LogIdentity, Position};
use crate::bytes_le::crc32c;
use crate::layout::{self, DataDir};
use crate::salt::Mark;
use crate::sim::{Faults, SimDisk};
use crate::{Disk, DiskFile, Salt};

const IDENTITY: LogIdentity =
    LogIdentity { cluster_id: ClusterId(1), generation: 1, salt: Salt(0x5a17_7a57_e5a1_7ee5) };

/// Numbers at the edges as often as small and arbitrary ones.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..4u64, Just(u64::MAX), Just(u64::MAX / 2), Just(1 << 32), Just((1 << 32) + 1), any::<u64>()]
}

fn position() -> impl Strategy<Value = Position> {
    (number(), number()).prop_map(|(zxid, chain)| Position { zxid: Zxid(zxid), chain })
}

/// A true history of a few records, or arbitrary bytes.
fn payload() -> impl Strategy<Value = (Vec<u8>, Option<Position>, u32)> {
    let honest = (0..5u32).prop_map(|count| {
        let (mut bytes, mut last) = (Vec::new(), Position::default());
        for counter in 0..count {
            let kind = if counter == 0 { FrameKind::Marker } else { FrameKind::Txn };
            let frame = Frame::encode(kind, Zxid::new(Epoch(1), counter), last.chain, b"content");
            bytes.extend_from_slice(frame.bytes());
            last = Position { zxid: frame.zxid(), chain: frame.chain() };
        }
        (bytes, Some(last), count)
    });
    prop_oneof![honest, prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| (bytes, None, 1))]
}

fn batch() -> impl Strategy<Value = Vec<u8>> {
    let numbers = (prop_oneof![1..4u64, number()], number(), position(), position());
    (numbers, payload(), prop_oneof![Just(None), number().prop_map(Some)], any::<bool>()).prop_map(
        |((sequence, durable_sequence, prev, last), (payload, end, count), other_count, honest)| {
            let honest = honest && end.is_some();
            let header = BatchHeader {
                mark: IDENTITY.salt.mark(1),
                sequence,
                durable_sequence: if honest { sequence.saturating_sub(1) } else { durable_sequence },
                prev: if honest { Position::default() } else { prev },
                last: end.filter(|_| honest).unwrap_or(last),
                hints: Hints { commit: last.zxid, digest_zxid: prev.zxid, digest: 7 },
                clean: other_count.is_some(),
                count: other_count.map_or(count, |count| count as u32),
                payload_bytes: payload.len() as u32,
                payload_crc: crc32c(&payload),
            };
            let mut bytes = [&header.encode()[..], &payload].concat();
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_segment_with_right_checksums_and_any_content_is_opened_or_refused(
        first_sequence in number(), start in prop_oneof![Just(Position::default()), position()],
        batches in prop::collection::vec(batch(), 0..4), watermark in number(),
    ) {
        let disk = SimDisk::new(1, Faults::default());
        let dir = DataDir::lock(disk.clone()).unwrap();
        dir.create_generation(1).unwrap();
        let header = SegmentHeader { cluster_id: IDENTITY.cluster_id, segment_id: 1, first_sequence, start };
        let mut file = disk.create(&layout::segment(1, 1)).unwrap();
        file.write_at(&[&header.encode()], 0).unwrap();
        file.write_at(&[&batches.concat()], DATA_OFFSET).unwrap();
        if let Ok((log, found)) = Log::open(&dir, IDENTITY, 8192, watermark) {
            let frames = log.read(log.start().zxid, usize::MAX).unwrap();
            let end = frames.last().map_or(log.start(), |frame| Position { zxid: frame.zxid(), chain: frame.chain() });
            prop_assert_eq!(end, log.last());
            prop_assert!(found.epochs.is_sorted());
        }
    }
}

/// The header of a batch that says of a later one that it is durable.
fn forged(mark: Mark) -> [u8; HEADER_BYTES] {
    let (prev, last) = (Position::default(), Position { zxid: Zxid(1), chain: 1 });
    let (sequence, durable_sequence) = (1_000_001, 1_000_000);
    let (count, payload_bytes, payload_crc) = (1, 100, 0);
    let hints = Hints::default();
    BatchHeader { mark, sequence, durable_sequence, prev, last, hints, clean: false, count, payload_bytes, payload_crc }
        .encode()
}

#[test]
fn what_a_client_stored_in_a_torn_batch_proves_nothing() {
    let check = |mark: fn(u64) -> Mark, is_believed: bool| {
        let disk = SimDisk::new(1, Faults::default());
        let dir = DataDir::lock(disk.clone()).unwrap();
        dir.create_generation(1).unwrap();
        Log::create(&dir, IDENTITY, Position::default()).unwrap();
        let (mut log, _) = Log::open(&dir, IDENTITY, 1 << 20, 0).unwrap();
        let marker = Frame::encode(FrameKind::Marker, Zxid::new(Epoch(1), 0), 0, b"");
        log.append(std::slice::from_ref(&marker), &Hints::default()).unwrap();
        // Some copies stand where headers are looked for, whatever precedes them.
        let forged = (1..10).flat_map(|id| forged(mark(id))).collect::<Vec<u8>>();
        let data = [0; 8].iter().scan(Vec::new(), |data, _| {
            data.extend_from_slice(&forged);
            data.push(0);
            Some(data.clone())
        });
        let data = data.last().unwrap();
        let frame = Frame::encode(FrameKind::Txn, Zxid::new(Epoch(1), 1), marker.chain(), &data);
        log.append(std::slice::from_ref(&frame), &Hints::default()).unwrap();
        let newest = log.segments.last().unwrap();
        let batch_offset = newest.end as usize - batch::batch_bytes(frame.bytes().len()) as usize;
        let path = newest.path.clone();
        drop(log);
        disk.tamper(&path, |content| content[batch_offset..batch_offset + HEADER_BYTES].fill(0xee));
        match Log::open(&dir, IDENTITY, 1 << 20, 0) {
            Ok((log, found)) => {
                assert!(!is_believed && found.torn.is_some());
                assert_eq!(log.last().zxid, marker.zxid());
            }
            Err(error) => assert!(is_believed, "{error}"),
        }
    };
    check(|id| Salt(0).mark(id), false);
    check(|id| Salt(u64::MAX).mark(id), false);
    // Whoever knew the salt could do it.
    check(|id| IDENTITY.salt.mark(id), true);
}
