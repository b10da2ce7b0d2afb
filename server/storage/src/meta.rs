//! `MetaFile`: the promises of agreement that must outlive a crash, in one small record that is always whole.
//!
//! ```text
//! slot 0: record in sector 0, the same record in sector 1 | slot 1: the same in sectors 2 and 3
//! ```
//! Writes alternate between the slots, so one that is interrupted leaves the other slot as it was, and the interrupted
//! write was never reported. Both sectors of a slot say the same, so that damage to the newest record alone does not
//! bring back the promise before it: a server that forgot its accepted epoch could help to elect two leaders.

use quorate_types::mutation::mutated;
use quorate_types::{ClusterId, Epoch, ServerId};
use thiserror::Error;

use crate::bytes_le::{Put, Take, crc32c};
use crate::error::{During, IoError};
use crate::layout::{DataDir, META, META_TMP};
use crate::{Disk, DiskFile, Salt};

/// The version of everything in a data directory.
pub const FORMAT: u32 = 1;

const MAGIC: u64 = u64::from_le_bytes(*b"QRTEMETA");
const SECTOR_BYTES: usize = 4096;
const SECTORS_PER_SLOT: usize = 2;
const SLOTS: usize = 2;
const FILE_BYTES: usize = SLOTS * SECTORS_PER_SLOT * SECTOR_BYTES;
const RECORD_BYTES: usize = 64;

/// Whether what this server says may be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Its disk has kept everything it ever promised or acknowledged.
    Voter = 1,
    /// It lost, or may have lost, something: it follows, but counts in no quorum until readmitted.
    Amnesiac = 2,
    /// Its disk was empty: it is amnesiac, unless it has never promised or logged anything and everybody else with whom
    /// the ensemble is to begin has not, either.
    New = 3,
}

/// What a server must not forget besides its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The ensemble.
    pub cluster_id: ClusterId,
    /// This server within it.
    pub server_id: ServerId,
    /// The greatest epoch promised to a leader.
    pub accepted_epoch: Epoch,
    /// The leader to whom it was promised.
    pub accepted_leader: Option<ServerId>,
    /// Whether this server counts.
    pub standing: Standing,
    /// Which generation of log and snapshots is the current one.
    pub generation: u64,
    /// A batch of this generation's log that is known to be durable, as are all before it. Written lazily: it only
    /// helps a start to tell lost records from ones that were never acknowledged, as each later batch does too.
    pub durable_batch: u64,
    /// In every batch of the log. Drawn when the directory is initialized, and kept.
    pub salt: Salt,
}

/// Why the meta record could not be read or written.
#[derive(Debug, Error)]
pub enum MetaError {
    /// There is none: the directory was never initialized.
    #[error("the data directory is not initialized: it has no meta record")]
    Missing,
    /// Neither slot holds a whole record.
    #[error(
        "the meta record is damaged in both of its slots: what this server promised is lost. In an ensemble, let it \
         start over and copy the history from its peers; a standalone server has to be restored from a backup"
    )]
    Damaged,
    /// A whole record of a version that this one does not know.
    #[error("the data directory has format {0}, this version reads format {FORMAT}")]
    Format(u32),
    /// The file system failed. Of a write nothing may be assumed: the process has to end.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// The meta record and its file.
pub struct MetaFile<D: Disk> {
    file: D::File,
    meta: Meta,
    sequence: u64,
    failed: bool,
}

impl<D: Disk> MetaFile<D> {
    /// Creates the record as the last step of an initialization; until it is there, the directory counts as empty.
    pub(crate) fn create(dir: &DataDir<D>, meta: Meta) -> Result<MetaFile<D>, IoError> {
        match dir.disk.remove(META_TMP) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).during("remove", META_TMP)?,
            _ => {}
        }
        let mut file = dir.disk.create(META_TMP).during("create", META_TMP)?;
        let slot = encode_slot(&meta, 1);
        file.write_at(&[&slot, &slot], 0).during("write", META_TMP)?;
        file.sync_data().during("sync", META_TMP)?;
        dir.disk.rename(META_TMP, META).during("rename", META_TMP)?;
        dir.sync_dir("")?;
        Ok(MetaFile { file, meta, sequence: 1, failed: false })
    }

    pub(crate) fn open(dir: &DataDir<D>) -> Result<MetaFile<D>, MetaError> {
        let (file, sequence, meta) = read_newest(dir)?;
        let mut opened = MetaFile { file, meta, sequence, failed: false };
        // What was read may be in memory only, left there by a process that ended before its sync or because of it.
        // Until it is certain, the other slot may hold the only record that a loss of power leaves: so the same bytes
        // go to the same place, which can hurt neither.
        opened.write_slot(&encode_slot(&opened.meta, sequence), sequence)?;
        Ok(opened)
    }

    /// The record as it is on disk.
    #[must_use]
    pub fn get(&self) -> &Meta {
        &self.meta
    }

    /// Replaces the record, durably.
    ///
    /// # Errors
    /// The process has to end: the file system may have forgotten what it was given, and must not be asked again.
    ///
    /// # Panics
    /// If an earlier write failed, if the identity differs, or if a promise would be taken back.
    pub fn write(&mut self, meta: &Meta) -> Result<(), IoError> {
        assert!(!self.failed, "meta written after a failed write");
        let old = &self.meta;
        let identity = |meta: &Meta| (meta.cluster_id, meta.server_id, meta.salt);
        assert_eq!(identity(meta), identity(old), "identity of a data directory");
        assert!(meta.accepted_epoch >= old.accepted_epoch, "{meta:?} takes back a promise of {old:?}");
        assert!(meta.generation >= old.generation, "{meta:?} goes back from {old:?}");
        let sequence = self.sequence + 1;
        self.write_slot(&encode_slot(meta, sequence), sequence)?;
        self.sequence = sequence;
        self.meta = meta.clone();
        Ok(())
    }

    fn write_slot(&mut self, slot: &[u8], sequence: u64) -> Result<(), IoError> {
        self.failed = true;
        let offset = (sequence as usize % SLOTS * SECTORS_PER_SLOT * SECTOR_BYTES) as u64;
        self.file.write_at(&[slot], offset).during("write", META)?;
        if !mutated("meta-not-synced") {
            self.file.sync_data().during("sync", META)?;
        }
        self.failed = false;
        Ok(())
    }
}

fn encode_slot(meta: &Meta, sequence: u64) -> [u8; SECTORS_PER_SLOT * SECTOR_BYTES] {
    let mut slot = [0; SECTORS_PER_SLOT * SECTOR_BYTES];
    for sector in slot.chunks_exact_mut(SECTOR_BYTES) {
        let record = &mut sector[..RECORD_BYTES];
        Put::at(record, 12)
            .u32(FORMAT)
            .u64(sequence)
            .u64(meta.cluster_id.0)
            .u32(meta.accepted_epoch.0)
            .u8(meta.server_id.0)
            .u8(meta.accepted_leader.map_or(0, |leader| leader.0))
            .u8(meta.standing as u8)
            .u8(0)
            .u64(meta.generation)
            .u64(meta.durable_batch)
            .u64(meta.salt.0);
        let crc = crc32c(&record[12..]);
        Put::at(record, 0).u64(MAGIC).u32(crc);
    }
    slot
}

/// The record as it is now, for whoever only looks.
pub(crate) fn peek<D: Disk>(dir: &DataDir<D>) -> Result<Meta, MetaError> {
    read_newest(dir).map(|(_, _, meta)| meta)
}

/// The file, and the newest record in it.
fn read_newest<D: Disk>(dir: &DataDir<D>) -> Result<(D::File, u64, Meta), MetaError> {
    let file = match dir.disk.open(META) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(MetaError::Missing),
        opened => opened.during("open", META)?,
    };
    let mut bytes = vec![0; FILE_BYTES];
    let len = file.read_at(&mut bytes, 0).during("read", META)?;
    let (sequence, meta) = decode_newest(&bytes[..len])?;
    Ok((file, sequence, meta))
}

fn decode_newest(bytes: &[u8]) -> Result<(u64, Meta), MetaError> {
    let mut newest: Option<(u64, Meta)> = None;
    for sector in bytes.chunks_exact(SECTOR_BYTES) {
        if let Some((sequence, meta)) = decode_sector(sector)?
            && newest.as_ref().is_none_or(|(known, _)| sequence > *known)
        {
            newest = Some((sequence, meta));
        }
    }
    newest.ok_or(MetaError::Damaged)
}

/// The record of a sector, `None` if it is torn or damaged.
fn decode_sector(sector: &[u8]) -> Result<Option<(u64, Meta)>, MetaError> {
    let record = &sector[..RECORD_BYTES];
    let mut take = Take::from(record);
    if take.u64() != MAGIC || take.u32() != crc32c(&record[12..]) {
        return Ok(None);
    }
    let format = take.u32();
    if format != FORMAT {
        return Err(MetaError::Format(format));
    }
    let sequence = take.u64();
    let cluster_id = ClusterId(take.u64());
    let accepted_epoch = Epoch(take.u32());
    let server_id = ServerId(take.u8());
    let leader = take.u8();
    let standing = match take.u8() {
        1 => Standing::Voter,
        2 => Standing::Amnesiac,
        3 => Standing::New,
        _ => return Ok(None),
    };
    take.u8();
    let meta = Meta {
        cluster_id,
        server_id,
        accepted_epoch,
        accepted_leader: (leader != 0).then_some(ServerId(leader)),
        standing,
        generation: take.u64(),
        durable_batch: take.u64(),
        salt: Salt(take.u64()),
    };
    let counts_on = sequence < u64::MAX / 2 && meta.generation < u64::MAX / 2;
    Ok(counts_on.then_some((sequence, meta)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(epoch: u32) -> Meta {
        Meta {
            cluster_id: ClusterId(7),
            server_id: ServerId(3),
            accepted_epoch: Epoch(epoch),
            accepted_leader: epoch.is_multiple_of(2).then_some(ServerId(2)),
            standing: [Standing::Amnesiac, Standing::Voter, Standing::New][epoch as usize % 3],
            generation: 4,
            durable_batch: 99,
            salt: Salt(u64::MAX - 1),
        }
    }

    fn file(older: u32, newer: u32) -> Vec<u8> {
        [encode_slot(&meta(older), 8), encode_slot(&meta(newer), 9)].concat()
    }

    #[test]
    fn the_newest_whole_record_is_found_whatever_single_sector_is_damaged() {
        assert_eq!(decode_newest(&file(5, 6)).unwrap(), (9, meta(6)));
        for damaged in 0..FILE_BYTES / SECTOR_BYTES {
            let mut bytes = file(5, 6);
            bytes[damaged * SECTOR_BYTES + 33] ^= 0x10;
            assert_eq!(decode_newest(&bytes).unwrap(), (9, meta(6)), "sector {damaged}");
        }
    }

    #[test]
    fn an_interrupted_write_leaves_the_record_before_it() {
        let mut bytes = file(5, 6);
        bytes[2 * SECTOR_BYTES..].fill(0xee);
        assert_eq!(decode_newest(&bytes).unwrap(), (8, meta(5)));
        assert_eq!(decode_newest(&bytes[..2 * SECTOR_BYTES]).unwrap(), (8, meta(5)));
    }

    #[test]
    fn a_file_without_a_whole_record_is_a_typed_error() {
        assert!(matches!(decode_newest(&[]), Err(MetaError::Damaged)));
        assert!(matches!(decode_newest(&vec![0; FILE_BYTES]), Err(MetaError::Damaged)));
        assert!(matches!(decode_newest(&file(5, 6)[..100]), Err(MetaError::Damaged)));
    }

    #[test]
    fn a_record_of_a_later_version_is_refused_and_not_overwritten() {
        let mut bytes = file(5, 6);
        bytes[12] = 9;
        let crc = crc32c(&bytes[12..RECORD_BYTES]);
        Put::at(&mut bytes, 8).u32(crc);
        assert!(matches!(decode_newest(&bytes), Err(MetaError::Format(9))));
    }
}
