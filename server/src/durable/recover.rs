//! A start: from what the data directory holds to a replica that can begin.

use quorate_replica::{Config, Found, Recovery};
use quorate_storage::{Disk, LogError, MetaError, OpenError, Options, SnapshotError, Storage};
use quorate_tree::{SnapshotDecoder, Tree};
use quorate_types::{ClusterId, Epoch, ServerId, Zxid};
use quorate_zab::{Position, Promise, SnapshotBase, Standing};
use thiserror::Error;

use crate::durable::{LogWork, SnapshotWork};

/// Bytes of records that are read at a time.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Everything that a server begins with.
pub struct Recovered<D: Disk> {
    /// The replica, about to begin.
    pub recovery: Recovery,
    /// For the log thread.
    pub log: LogWork<D>,
    /// For the snapshot thread.
    pub snapshots: SnapshotWork<D>,
    /// What the storage has to say about the start.
    pub found: quorate_storage::Recovered,
}

/// Why a start failed. Nothing was changed.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The storage cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read any more.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The snapshot cannot be read any more.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The snapshot is whole, as far as the disk is concerned, but its content makes no sense.
    #[error("the snapshot at zxid {zxid} holds no state: {reason}; restore the data directory from a backup")]
    State {
        /// Which snapshot.
        zxid: Zxid,
        /// What is wrong with it.
        reason: String,
    },
    /// The meta record is of an earlier time than the log: both copies of the newest one are damaged.
    #[error(
        "the log goes on to zxid {last}, but the meta record has promised nothing beyond epoch {epoch}: it is older than \
         the log, and what this server promised since is lost. In an ensemble, let it start over and copy the history from \
         its peers; a standalone server has to be restored from a backup",
        epoch = promised.0
    )]
    Promise {
        /// What the meta record says.
        promised: Epoch,
        /// The last record of the log.
        last: Zxid,
    },
    /// What the log leads to is not what its writer had.
    #[error(
        "after replaying the log up to zxid {zxid} the state differs from the one that was recorded there; this server \
         must not serve it: restore the data directory from a backup and report this as a bug"
    )]
    Digest {
        /// Where the digests differ.
        zxid: Zxid,
    },
}

impl RecoverError {
    /// Whether the data are damaged, or of an earlier time, so that a copy of what the other servers have would help.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            RecoverError::Open(OpenError::Corrupt(_) | OpenError::Meta(MetaError::Damaged))
            | RecoverError::State { .. }
            | RecoverError::Promise { .. }
            | RecoverError::Digest { .. } => true,
            RecoverError::Open(_) | RecoverError::Log(_) | RecoverError::Snapshot(_) => false,
        }
    }
}

/// Opens the storage and replays it. `progress` is called now and then with the zxid that was reached and the last.
///
/// # Errors
/// [`RecoverError`]
pub fn recover<D: Disk>(
    disk: D,
    options: &Options,
    config: impl FnOnce(ServerId, ClusterId) -> Config,
    mut progress: impl FnMut(Zxid, Zxid),
) -> Result<Recovered<D>, RecoverError> {
    let (storage, found) = Storage::open(disk, options)?;
    let Storage { log, meta, snapshots } = storage;
    let config = config(found.meta.server_id, found.meta.cluster_id);
    let (tree, base) = match &found.snapshot {
        None => (Tree::new(config.hash_seed), Found::nothing().base),
        Some((info, header, _)) => {
            let zxid = info.position.zxid;
            let mut decoder = SnapshotDecoder::new(config.hash_seed);
            let mut reader = snapshots.read(zxid)?;
            let broken = |error: &dyn std::fmt::Display| RecoverError::State { zxid, reason: error.to_string() };
            while let Some(chunk) = reader.next_chunk()? {
                decoder.push(&chunk).map_err(|error| broken(&error))?;
            }
            let tree = decoder.finish().map_err(|error| broken(&error))?;
            let position = Position { zxid, chain: info.position.chain };
            (tree, SnapshotBase { position, epochs: header.epochs.clone(), configs: header.config.clone() })
        }
    };
    if found.meta.accepted_epoch < found.last.zxid.epoch() {
        return Err(RecoverError::Promise { promised: found.meta.accepted_epoch, last: found.last.zxid });
    }
    let promise = Promise { epoch: found.meta.accepted_epoch, leader: found.meta.accepted_leader };
    let (standing, may_found) = match found.meta.standing {
        quorate_storage::Standing::Voter => (Standing::Voter, false),
        quorate_storage::Standing::Amnesiac => (Standing::Amnesiac, false),
        quorate_storage::Standing::New => (Standing::Amnesiac, true),
    };
    let (incarnation, cluster, at_snapshot) = (config.incarnation, config.cluster, base.position.zxid);
    let mut after = log.start_before(at_snapshot, config.history_bytes as u64).zxid;
    let log_start = log.start().zxid;
    let found_there = Found { promise, standing, may_found, base, commit: found.commit, log_start };
    let mut recovery = Recovery::new(config, found_there, tree);
    let (digest_zxid, digest) = found.digest;
    loop {
        let frames = log.read(after, READ_BYTES)?;
        let Some(last) = frames.last() else { break };
        after = last.zxid();
        for frame in frames {
            recovery.push(frame);
            if digest_zxid != Zxid::ZERO
                && recovery.tree().applied() == digest_zxid
                && recovery.tree().digest() != digest
            {
                return Err(RecoverError::Digest { zxid: digest_zxid });
            }
        }
        progress(after, found.last.zxid);
    }
    let log = LogWork::new(log, meta, incarnation);
    Ok(Recovered { recovery, log, snapshots: SnapshotWork::new(snapshots, cluster), found })
}

#[cfg(test)]
mod tests {
    use quorate_storage::sim::Faults;
    use quorate_storage::{Hints, Salt, SimDisk};
    use quorate_types::{Frame, FrameKind};

    use super::*;

    #[test]
    fn a_log_that_is_newer_than_what_was_promised_is_refused() {
        let disk = SimDisk::new(1, Faults::default());
        Storage::initialize(disk.clone(), ClusterId(1), ServerId(1), quorate_storage::Standing::Voter, Salt(1))
            .unwrap();
        let (mut storage, _) = Storage::open(disk.clone(), &Options::default()).unwrap();
        let marker = Frame::encode(FrameKind::Marker, Zxid::new(Epoch(1), 0), 0, b"");
        storage.log.append(&[marker], &Hints::default()).unwrap();
        drop(storage);
        let config = |server, cluster| Config::new(server, cluster, 1);
        match recover(disk, &Options::default(), config, |_, _| {}).map(|recovered| recovered.found) {
            Err(RecoverError::Promise { promised: Epoch(0), last }) => assert_eq!(last, Zxid::new(Epoch(1), 0)),
            other => panic!("{other:?}"),
        }
    }
}
