//! From a data directory to a replica that can begin: what is there is recovered, an empty directory is prepared, and a
//! damaged one gives way to a copy of what the other servers have.

use std::path::Path;
use std::time::Instant;

use quorate_storage::{InitializeError, MetaError, OpenError, Options, RealDisk, Salt, Standing, Storage};
use quorate_types::{ClusterId, ServerId, Zxid};

use super::{PROGRESS_INTERVAL, StartError};
use crate::config::{Config, Ensemble};
use crate::durable::{self, RecoverError, Recovered};

/// The id of a server that stands alone.
const STANDALONE: ServerId = ServerId(1);

/// Opens the data directory and replays it. A directory that holds nothing is prepared first.
pub(super) fn recover(config: &Config, incarnation: u64) -> Result<Recovered<RealDisk>, StartError> {
    let path = &config.data_dir;
    let disk = RealDisk::open(path).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
    let began = Instant::now();
    let recovered = match (open(config, disk.clone(), incarnation), &config.ensemble) {
        (Err(RecoverError::Open(OpenError::Meta(MetaError::Missing))), _) => {
            initialize(config, disk.clone())?;
            open(config, disk, incarnation)
        }
        (Err(error), Some(ensemble)) if error.is_damage() && ensemble.has_others() => {
            tracing::error!(
                error = %error,
                "the data of this server cannot be used: it is set aside, and copied anew from the other servers"
            );
            start_over(config, ensemble)?;
            open(config, disk, incarnation)
        }
        (recovered, _) => recovered,
    };
    finish(recovered, config, began)
}

/// Gives up what the data directory holds: the next start copies the history from the other servers, and this server
/// counts in no quorum until it has it. The old files stay beside it.
pub(super) fn start_over(config: &Config, ensemble: &Ensemble) -> Result<(), StartError> {
    let path = &config.data_dir;
    let disk = RealDisk::open(path).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
    let (storage, _) = Storage::start_over(disk, &options(config), ensemble.cluster, ensemble.server, random_salt()?)
        .map_err(|error| StartError::Recover { path: path.clone(), source: error.into() })?;
    drop(storage);
    Ok(())
}

fn initialize(config: &Config, disk: RealDisk) -> Result<(), StartError> {
    let path = &config.data_dir;
    let failed = |source| StartError::Initialize { path: path.clone(), source };
    match &config.ensemble {
        None => {
            let cluster = ClusterId(getrandom::u64().map_err(StartError::Random)?);
            Storage::initialize(disk, cluster, STANDALONE, Standing::Voter, random_salt()?).map_err(failed)?;
            tracing::info!(data_dir = %path.display(), cluster = %cluster, "a new data directory is initialized");
        }
        Some(ensemble) => {
            let standing = if ensemble.initialize { Standing::Voter } else { Standing::New };
            match Storage::initialize(disk, ensemble.cluster, ensemble.server, standing, random_salt()?) {
                Ok(()) if ensemble.initialize => {
                    tracing::info!(data_dir = %path.display(), cluster = %ensemble.cluster, "the data directory of a new ensemble");
                }
                Ok(()) => tracing::info!(
                    data_dir = %path.display(),
                    cluster = %ensemble.cluster,
                    "the data directory is empty: this server copies the history from the others, and counts when it has \
                     it; if none of them has any, the ensemble is a new one, and begins"
                ),
                // Whatever made the meta record disappear, what is there was once acknowledged.
                Err(InitializeError::NotEmpty(file)) if !ensemble.initialize && ensemble.has_others() => {
                    tracing::error!(file, "the meta record is lost: what is there is set aside, and copied anew");
                    start_over(config, ensemble)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(())
}

fn random_salt() -> Result<Salt, StartError> {
    getrandom::u64().map(Salt).map_err(StartError::Random)
}

fn options(config: &Config) -> Options {
    Options { segment_bytes: config.segment_bytes, ..Options::default() }
}

fn open(config: &Config, disk: RealDisk, incarnation: u64) -> Result<Recovered<RealDisk>, RecoverError> {
    let replica_config = |server, cluster| {
        let defaults = quorate_replica::Config::new(server, cluster, incarnation);
        let ensemble = config.ensemble.as_ref();
        quorate_replica::Config {
            founding: ensemble.map_or(defaults.founding, |ensemble| ensemble.founding.clone()),
            timing: ensemble.map_or(defaults.timing, |ensemble| ensemble.timing),
            history_bytes: config.history_bytes,
            snapshot_records: config.snapshot_records,
            snapshot_bytes: config.snapshot_bytes,
            ..defaults
        }
    };
    let mut told = Instant::now();
    durable::recover(disk, &options(config), replica_config, |reached: Zxid, last: Zxid| {
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            tracing::info!(zxid = %reached, last = %last, "replaying the log");
        }
    })
}

fn finish(
    recovered: Result<Recovered<RealDisk>, RecoverError>,
    config: &Config,
    began: Instant,
) -> Result<Recovered<RealDisk>, StartError> {
    let path = &config.data_dir;
    let recovered = recovered.map_err(|source| StartError::Recover { path: path.to_owned(), source })?;
    let found = &recovered.found;
    check_owner(path, (found.meta.server_id, found.meta.cluster_id), config.ensemble.as_ref())?;
    for damage in &found.damaged_snapshots {
        tracing::error!(damage = %damage, "a snapshot is damaged; it is not needed, but look at the disk");
    }
    if let Some(torn) = &found.truncated {
        tracing::warn!(file = torn.file, offset = torn.offset, reason = torn.reason, "an unfinished write was removed");
    }
    tracing::info!(
        cluster = %found.meta.cluster_id,
        server = %found.meta.server_id,
        snapshot = %found.snapshot.as_ref().map_or(Zxid::ZERO, |(info, ..)| info.position.zxid),
        last = %found.last.zxid,
        clean = found.clean,
        took_ms = began.elapsed().as_millis() as u64,
        "recovered"
    );
    Ok(recovered)
}

/// Two servers with one identity would be the end of all agreement.
fn check_owner(path: &Path, found: (ServerId, ClusterId), ensemble: Option<&Ensemble>) -> Result<(), StartError> {
    match ensemble.map(|ensemble| (ensemble.server, ensemble.cluster)) {
        Some(wanted) if wanted != found => Err(StartError::Owner { path: path.to_owned(), found, wanted }),
        _ => Ok(()),
    }
}
