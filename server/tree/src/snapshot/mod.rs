//! Snapshots: the whole state at one zxid as a stream of bytes, written and read in slices.
//!
//! ```text
//! stream  = record*                     cut into chunks anywhere, also within a record
//! record  = kind u8 | len u32 | body    little-endian
//! order   = Header, Session*, (Client, Result*)*, (Acl | Znode)*, End
//! ```
//! Znodes come depth first, siblings in the order of their names, each with its depth: a reader appends and never
//! searches. ACLs are numbered as they appear, before the first znode that has them; 0 is the open one. The digest in
//! the header covers every record but the header itself, so what decodes is what was encoded.

mod decoder;
mod encoder;
mod record;

use core::fmt;

pub use decoder::SnapshotDecoder;
pub use encoder::SnapshotEncoder;

/// Bytes of the largest chunk: what one disk write or one peer message carries.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Why bytes are not a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// They were written by a version that this one does not know.
    UnknownFormat(u32),
    /// They end before the last record.
    Incomplete,
    /// A record breaks a rule.
    Invalid(&'static str),
    /// They hold fewer or more things than they announce.
    WrongCount {
        /// Of what.
        what: &'static str,
        /// Announced.
        expected: u64,
        /// Held.
        found: u64,
    },
    /// The state that they describe is not the one that was written.
    WrongDigest {
        /// When it was written.
        expected: u128,
        /// As read.
        found: u128,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::UnknownFormat(format) => write!(f, "the snapshot has the unknown format {format}"),
            SnapshotError::Incomplete => f.write_str("the snapshot ends too early"),
            SnapshotError::Invalid(what) => write!(f, "the snapshot holds an invalid {what}"),
            SnapshotError::WrongCount { what, expected, found } => {
                write!(f, "the snapshot announces {expected} {what} and holds {found}")
            }
            SnapshotError::WrongDigest { expected, found } => {
                write!(f, "the snapshot has digest {expected:032x} and describes a state with {found:032x}")
            }
        }
    }
}

impl core::error::Error for SnapshotError {}

#[cfg(test)]
mod tests;
