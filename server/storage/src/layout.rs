//! The data directory: which files there are and what their names say.
//!
//! ```text
//! LOCK                              held by the one process that uses the directory
//! meta                              promises of agreement, and which generation is the current one
//! gen-<n>/log-<segment id>.qlog     the history
//! gen-<n>/snap-<zxid>.qsnap         states
//! gen-<n>/snap-<zxid>.tmp           a snapshot being written; removed at the next start
//! damaged-<n>/                      a generation that was given up; nobody reads it, an operator may remove it
//! ```
//! A generation is one log and the snapshots that connect to it. A server that receives a snapshot from the leader
//! builds the next generation aside; one write of `meta` then switches to it, so a crash finds the old one or the new
//! one and never a mixture.

use std::sync::Arc;

use quorate_types::Zxid;

use crate::Disk;
use crate::error::{During, IoError};

/// The file whose lock makes the data directory ours.
pub const LOCK: &str = "LOCK";
/// The meta record.
pub const META: &str = "meta";
/// The meta record before it exists.
pub const META_TMP: &str = "meta.tmp";

/// The greatest number of a generation or a segment that is believed: none gets there, and the next one still fits.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// The directory of a generation.
#[must_use]
pub fn generation_dir(generation: u64) -> String {
    format!("gen-{generation:010}")
}

/// The directory that keeps a generation which was given up as damaged.
#[must_use]
pub fn damaged_dir(generation: u64) -> String {
    format!("damaged-{generation:010}")
}

/// The path of a log segment.
#[must_use]
pub fn segment(generation: u64, id: u64) -> String {
    format!("{}/log-{id:016x}.qlog", generation_dir(generation))
}

/// The path of a snapshot.
#[must_use]
pub fn snapshot(generation: u64, zxid: Zxid) -> String {
    format!("{}/snap-{:016x}.qsnap", generation_dir(generation), zxid.0)
}

/// The path of a snapshot that is being written.
#[must_use]
pub fn snapshot_tmp(generation: u64, zxid: Zxid) -> String {
    format!("{}/snap-{:016x}.tmp", generation_dir(generation), zxid.0)
}

/// What a name inside the data directory or a generation stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The directory of a generation.
    Generation(u64),
    /// The directory of a generation that was given up.
    Damaged(u64),
    /// A log segment, by its id.
    Segment(u64),
    /// A finished snapshot.
    Snapshot(Zxid),
    /// Something that was being written when a process ended.
    Unfinished,
    /// Not ours: left alone.
    Other,
}

impl Name {
    /// Reads a name, accepting exactly the ones that this module makes.
    #[must_use]
    pub fn parse(name: &str) -> Name {
        let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let known = if let Some(digits) = name.strip_prefix("gen-") {
            digits.parse().ok().map(Name::Generation)
        } else if let Some(digits) = name.strip_prefix("damaged-") {
            digits.parse().ok().map(Name::Damaged)
        } else if let Some(stem) = name.strip_suffix(".qlog") {
            stem.strip_prefix("log-").and_then(hex).map(Name::Segment)
        } else if let Some(stem) = name.strip_suffix(".qsnap") {
            stem.strip_prefix("snap-").and_then(hex).map(|zxid| Name::Snapshot(Zxid(zxid)))
        } else if name.ends_with(".tmp") {
            Some(Name::Unfinished)
        } else {
            None
        };
        known.filter(|known| known.is_called(name)).unwrap_or(Name::Other)
    }

    fn is_called(self, name: &str) -> bool {
        let file = |path: String| path.rsplit('/').next() == Some(name);
        match self {
            Name::Generation(number) | Name::Damaged(number) | Name::Segment(number) if number > NUMBER_MAX => false,
            Name::Generation(generation) => generation_dir(generation) == name,
            Name::Damaged(generation) => damaged_dir(generation) == name,
            Name::Segment(id) => file(segment(0, id)),
            Name::Snapshot(zxid) => file(snapshot(0, zxid)),
            Name::Unfinished | Name::Other => true,
        }
    }
}

/// A data directory, locked unless it is only read. The lock is released with the last clone.
pub(crate) struct DataDir<D: Disk> {
    pub(crate) disk: D,
    _lock: Option<Arc<D::Lock>>,
}

impl<D: Disk> Clone for DataDir<D> {
    fn clone(&self) -> Self {
        DataDir { disk: self.disk.clone(), _lock: self._lock.clone() }
    }
}

impl<D: Disk> DataDir<D> {
    pub(crate) fn lock(disk: D) -> Result<DataDir<D>, IoError> {
        let lock = disk.lock(LOCK).during("lock", LOCK)?;
        Ok(DataDir { disk, _lock: Some(Arc::new(lock)) })
    }

    /// For whoever only reads, and can bear that a server goes on writing.
    pub(crate) fn unlocked(disk: D) -> DataDir<D> {
        DataDir { disk, _lock: None }
    }

    pub(crate) fn names(&self, dir: &str) -> Result<Vec<Name>, IoError> {
        Ok(self.disk.list(dir).during("list", dir)?.iter().map(|name| Name::parse(name)).collect())
    }

    pub(crate) fn sync_dir(&self, dir: &str) -> Result<(), IoError> {
        self.disk.sync_dir(dir).during("sync directory", dir)
    }

    pub(crate) fn remove(&self, path: &str) -> Result<(), IoError> {
        self.disk.remove(path).during("remove", path)
    }

    /// The generations that have a directory.
    pub(crate) fn generations(&self) -> Result<Vec<u64>, IoError> {
        let generation = |name| if let Name::Generation(generation) = name { Some(generation) } else { None };
        Ok(self.names("")?.into_iter().filter_map(generation).collect())
    }

    /// Creates the directory of a generation, durably.
    pub(crate) fn create_generation(&self, generation: u64) -> Result<(), IoError> {
        let dir = generation_dir(generation);
        self.disk.create_dir(&dir).during("create directory", &dir)?;
        self.sync_dir("")
    }

    /// Removes every generation besides `current`: a later one was never switched to, an earlier one is replaced.
    pub(crate) fn remove_other_generations(&self, current: u64) -> Result<(), IoError> {
        for generation in self.generations()? {
            if generation != current {
                self.remove_generation(generation)?;
            }
        }
        self.sync_dir("")
    }

    /// Removes a generation and all that is in it.
    pub(crate) fn remove_generation(&self, generation: u64) -> Result<(), IoError> {
        let dir = generation_dir(generation);
        for name in self.disk.list(&dir).during("list", &dir)? {
            self.remove(&format!("{dir}/{name}"))?;
        }
        self.disk.remove_dir(&dir).during("remove directory", &dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognized_exactly_as_they_are_made() {
        let file = |path: String| path.rsplit('/').next().unwrap().to_owned();
        let check = |name: &str, expected| assert_eq!(Name::parse(name), expected, "{name}");
        check(&generation_dir(7), Name::Generation(7));
        check(&file(segment(7, 0xab)), Name::Segment(0xab));
        check(&file(snapshot(7, Zxid(u64::MAX))), Name::Snapshot(Zxid(u64::MAX)));
        check(&file(snapshot_tmp(7, Zxid(1))), Name::Unfinished);
        check("log-00.qlog", Name::Other);
        check("log-00000000000000AB.qlog", Name::Other);
        check("log-+0000000000000ab.qlog", Name::Other);
        check(&file(segment(7, u64::MAX)), Name::Other);
        check("gen-18446744073709551615", Name::Other);
        check("gen-7", Name::Other);
        check("lost+found", Name::Other);
    }
}
