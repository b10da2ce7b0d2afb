//! What can go wrong below: an operation of the file system ([`IoError`]), or bytes that are not what was written
//! ([`Corruption`]).

use std::{fmt, io};

use quorate_types::Zxid;
use thiserror::Error;

/// A failed operation of the file system.
#[derive(Debug, Error)]
#[error("cannot {operation} {path}: {source}")]
pub struct IoError {
    /// What was tried.
    pub operation: &'static str,
    /// The file or directory, relative to the data directory.
    pub path: String,
    /// What the system said.
    pub source: io::Error,
}

impl IoError {
    /// Whether there was no room on the device, or none left in a quota.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Adds to an [`io::Error`] what was being done to which file.
pub(crate) trait During<T> {
    fn during(self, operation: &'static str, path: &str) -> Result<T, IoError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, operation: &'static str, path: &str) -> Result<T, IoError> {
        self.map_err(|source| IoError { operation, path: path.to_owned(), source })
    }
}

/// Damage that a crash cannot explain: bytes that were once durable are not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The damaged file, relative to the data directory.
    pub file: String,
    /// Where in the file the damage was noticed.
    pub offset: u64,
    /// The sequence number of the damaged batch, if the file is a log segment.
    pub batch: Option<u64>,
    /// The last record before the damage.
    pub after: Zxid,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at offset {}", self.file, self.offset)?;
        if let Some(batch) = self.batch {
            write!(f, " (batch {batch})")?;
        }
        write!(f, ", after zxid {}: {}", self.after, self.reason)
    }
}

impl std::error::Error for Corruption {}
