//! Durable storage: the log of txns, the snapshots, and the meta record, over a small [`Disk`] trait.
//!
//! It keeps bytes by zxid and knows nothing of znodes or of agreement. What it promises: once [`Log::append`],
//! [`Log::truncate_after`], [`MetaFile::write`] or [`SnapshotWriter::finish`] has returned, a loss of power at any
//! later moment cannot undo it; and [`Storage::open`] either yields all of that or fails with an error that says what
//! was damaged. It never silently returns less.
//!
//! Reading order: [`disk`] (what is asked of a file system), [`layout`] (which files there are), [`meta`] (the promises
//! of agreement), [`log`] (the history), [`snapshot`] (states), [`open`](storage) (how a start puts them together);
//! [`History`] is for whoever only looks.
//!
//! What is asked of the hardware: a write interrupted by a loss of power leaves in each byte of a sector either the old
//! or the new value, which is what NVMe promises for a logical block. With that, bytes of a finished batch which share
//! a sector with the next one cannot be hurt by it.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bytes_le;
pub mod disk;
pub mod error;
mod history;
pub mod layout;
pub mod log;
pub mod meta;
mod real;
mod salt;
pub mod sim;
pub mod snapshot;
mod storage;

pub use disk::{Disk, DiskFile};
pub use error::{Corruption, IoError};
pub use history::History;
pub use log::{Hints, Log, LogError, Position, Space};
pub use meta::{Meta, MetaError, MetaFile, Standing};
pub use real::RealDisk;
pub use salt::Salt;
pub use sim::SimDisk;
pub use snapshot::{
    Damage, SnapshotCopy, SnapshotDir, SnapshotError, SnapshotFooter, SnapshotHeader, SnapshotInfo, SnapshotParser,
    SnapshotPart, SnapshotReader, SnapshotWriter, Snapshots,
};
pub use storage::{InitializeError, OpenError, Options, Recovered, Storage, Truncated};
