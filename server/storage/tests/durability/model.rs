//! `Model`: what a data directory has to hold, kept in plain vectors.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate_storage::sim::Rng;
use quorate_storage::{
    Disk, Hints, Meta, OpenError, Options, Position, Recovered, Salt, SnapshotError, SnapshotFooter, SnapshotHeader,
    SnapshotInfo, Standing, Storage,
};
use quorate_types::{ClusterId, Epoch, Frame, FrameKind, ServerId, Zxid};

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1a5_7e12);
pub(crate) const SERVER: ServerId = ServerId(2);
pub(crate) const SALT: Salt = Salt(0x5a17);

/// Segments small enough that a schedule fills many.
pub(crate) fn options() -> Options {
    Options { segment_bytes: 16 * 1024, snapshots_kept: 2, snapshot_flush_bytes: 2000 }
}

/// What one data directory has to hold.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) meta: Meta,
    /// Where the log of this generation begins.
    pub(crate) base: Position,
    base_epochs: Vec<(Epoch, u32)>,
    /// Every record since, whether purged or not.
    pub(crate) frames: Vec<Frame>,
    /// Snapshots that must be there.
    pub(crate) snapshots: BTreeSet<Zxid>,
    /// Snapshots that may still be there: their removal was not reported, or can be undone.
    pub(crate) removed: BTreeSet<Zxid>,
}

impl Model {
    pub(crate) fn new() -> Model {
        let meta = Meta {
            cluster_id: CLUSTER,
            server_id: SERVER,
            accepted_epoch: Epoch(0),
            accepted_leader: None,
            standing: Standing::Voter,
            generation: 1,
            durable_batch: 0,
            salt: SALT,
        };
        Model {
            meta,
            base: Position::default(),
            base_epochs: Vec::new(),
            frames: Vec::new(),
            snapshots: BTreeSet::new(),
            removed: BTreeSet::new(),
        }
    }

    pub(crate) fn last(&self) -> Position {
        self.frames.last().map_or(self.base, position)
    }

    /// The place after a record.
    pub(crate) fn position(&self, zxid: Zxid) -> Option<Position> {
        let all = std::iter::once(self.base).chain(self.frames.iter().map(position));
        all.into_iter().find(|position| position.zxid == zxid)
    }

    pub(crate) fn epochs_up_to(&self, zxid: Zxid) -> Vec<(Epoch, u32)> {
        let mut epochs: BTreeMap<Epoch, u32> = self.base_epochs.iter().copied().collect();
        for zxid in self.frames.iter().map(Frame::zxid).filter(|known| *known <= zxid) {
            epochs.insert(zxid.epoch(), zxid.counter());
        }
        epochs.into_iter().collect()
    }

    /// Records that continue the history.
    pub(crate) fn new_frames(&self, rng: &mut Rng, count: u64) -> Vec<Frame> {
        let mut last = self.last();
        let frame = |_| {
            let len = match rng.below(40) {
                0 => 20_000,
                1..=3 => rng.below(9_000),
                _ => rng.below(300),
            };
            new_frame(rng, &mut last, len)
        };
        (0..count).map(frame).collect()
    }

    /// One record that continues the history, of an ordinary size.
    pub(crate) fn small_frame(&self, rng: &mut Rng) -> Frame {
        new_frame(rng, &mut self.last(), 200)
    }

    /// The history without what follows a record.
    pub(crate) fn truncated_after(&self, zxid: Zxid) -> Model {
        let mut model = self.clone();
        model.frames.retain(|frame| frame.zxid() <= zxid);
        model
    }

    /// The generation that begins with an installed snapshot.
    pub(crate) fn installed(&self, header: &SnapshotHeader) -> Model {
        let meta = Meta { generation: self.meta.generation + 1, durable_batch: 0, ..self.meta.clone() };
        Model {
            meta,
            base: header.position,
            base_epochs: header.epochs.clone(),
            frames: Vec::new(),
            snapshots: BTreeSet::from([header.position.zxid]),
            removed: BTreeSet::new(),
        }
    }

    pub(crate) fn snapshot_header(&self, zxid: Zxid) -> SnapshotHeader {
        SnapshotHeader {
            cluster_id: CLUSTER,
            position: self.position(zxid).expect("a snapshot is taken of the history"),
            epochs: self.epochs_up_to(zxid),
            config: config(zxid),
        }
    }

    /// Why what was opened is not what this model holds.
    pub(crate) fn check<D: Disk>(&self, storage: &mut Storage<D>, recovered: &Recovered) -> Result<(), String> {
        let expect = |holds: bool, what: String| if holds { Ok(()) } else { Err(what) };
        let last = self.last();
        expect(storage.meta.get() == &self.meta, format!("meta {:?}", storage.meta.get()))?;
        expect(recovered.last == last, format!("log ends at {:?} instead of {last:?}", recovered.last))?;
        expect(recovered.epochs == self.epochs_up_to(last.zxid), format!("epochs {:?}", recovered.epochs))?;
        expect(recovered.commit <= last.zxid, format!("commit {} beyond the end", recovered.commit))?;
        let start = storage.log.start();
        expect(self.position(start.zxid) == Some(start), format!("log begins at {start:?}"))?;
        let newest = recovered.snapshot.as_ref().map(|(info, ..)| info.position.zxid);
        let oldest_needed = self.snapshots.first().copied().unwrap_or(self.base.zxid);
        expect(start.zxid <= oldest_needed, format!("log begins at {start:?}, after {oldest_needed:?}"))?;
        expect(newest == self.snapshots.last().copied(), format!("newest snapshot {newest:?}"))?;
        self.check_records(storage, start)?;
        self.check_snapshots(storage)
    }

    fn check_records<D: Disk>(&self, storage: &Storage<D>, start: Position) -> Result<(), String> {
        let mut expected = self.frames.iter().filter(|frame| frame.zxid() > start.zxid);
        let mut at = start.zxid;
        loop {
            let frames = storage.log.read(at, 3000).map_err(|error| format!("read after {at:?}: {error}"))?;
            let Some(last) = frames.last() else { break };
            at = last.zxid();
            for frame in frames {
                if expected.next() != Some(&frame) {
                    return Err(format!("another record at {:?}", frame.zxid()));
                }
            }
        }
        expected.next().map_or(Ok(()), |frame| Err(format!("no record {:?}", frame.zxid())))
    }

    fn check_snapshots<D: Disk>(&self, storage: &mut Storage<D>) -> Result<(), String> {
        let listed: BTreeSet<Zxid> = storage.snapshots.list().map(|info| info.position.zxid).collect();
        if let Some(missing) = self.snapshots.difference(&listed).next() {
            return Err(format!("no snapshot {missing:?}"));
        }
        for zxid in listed {
            if !self.snapshots.contains(&zxid) && !self.removed.contains(&zxid) {
                return Err(format!("a snapshot {zxid:?} from nowhere"));
            }
            let mut reader = storage.snapshots.read(zxid).map_err(|error| error.to_string())?;
            let mut chunks = Vec::new();
            while let Some(chunk) = reader.next_chunk().map_err(|error| error.to_string())? {
                chunks.push(chunk);
            }
            if chunks != content(zxid) || reader.header().config != config(zxid) {
                return Err(format!("snapshot {zxid:?} has another content"));
            }
        }
        Ok(())
    }
}

fn new_frame(rng: &mut Rng, last: &mut Position, len: u64) -> Frame {
    let marker = last.zxid == Zxid::ZERO || rng.chance(50_000);
    let (kind, zxid) = if marker {
        let epoch = Epoch(last.zxid.epoch().0 + 1 + rng.below(2) as u32);
        (FrameKind::Marker, Zxid::new(epoch, 0))
    } else {
        (FrameKind::Txn, last.zxid.next())
    };
    let payload: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
    let frame = Frame::encode(kind, zxid, last.chain, &payload);
    *last = position(&frame);
    frame
}

pub(crate) fn position(frame: &Frame) -> Position {
    Position { zxid: frame.zxid(), chain: frame.chain() }
}

pub(crate) fn hints(commit: Zxid) -> Hints {
    Hints { commit, digest_zxid: commit, digest: u128::from(commit.0) * 3 }
}

fn config(zxid: Zxid) -> Bytes {
    Bytes::from(format!("configuration at {zxid}"))
}

/// The content of the snapshot at a zxid.
pub(crate) fn content(zxid: Zxid) -> Vec<Bytes> {
    let mut rng = Rng::new(zxid.0);
    (0..rng.below(6)).map(|_| (0..rng.below(1500)).map(|_| rng.next_u64() as u8).collect()).collect()
}

pub(crate) fn footer(zxid: Zxid) -> SnapshotFooter {
    SnapshotFooter { digest: u128::from(zxid.0) << 40, counts: [zxid.0, 1, 2, 3] }
}

/// Writes the snapshot of `header`, into the next generation if it is to be installed.
pub(crate) fn write_snapshot<D: Disk>(
    storage: &Storage<D>,
    header: &SnapshotHeader,
    install: bool,
) -> Result<SnapshotInfo, SnapshotError> {
    let snapshots = &storage.snapshots;
    let mut writer = if install { snapshots.begin_install(header)? } else { snapshots.begin(header)? };
    for chunk in content(header.position.zxid) {
        writer.chunk(&chunk)?;
    }
    Ok(writer.finish(&footer(header.position.zxid), || true)?.expect("it was wanted"))
}

/// A fresh directory, opened.
pub(crate) fn initialized<D: Disk>(disk: &D) -> (Storage<D>, Recovered) {
    Storage::initialize(disk.clone(), CLUSTER, SERVER, Standing::Voter, SALT).unwrap();
    open(disk).unwrap()
}

pub(crate) fn open<D: Disk>(disk: &D) -> Result<(Storage<D>, Recovered), OpenError> {
    Storage::open(disk.clone(), &options())
}
