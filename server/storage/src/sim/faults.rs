//! `Faults`: what a simulated disk does wrong, and how often.

use super::rng::Ppm;

/// What a [`super::SimDisk`] does wrong. The default is a disk that only forgets, at a loss of power, what was not
/// synced.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Bytes of a sector: what is kept, lost or torn as a whole. A power of two.
    pub sector_bytes: usize,
    /// Bytes that the files may occupy together.
    pub capacity_bytes: u64,
    /// How often a read fails.
    pub read_error: Ppm,
    /// How often a write fails, after an arbitrary part of it was done.
    pub write_error: Ppm,
    /// How often a sync fails. What it should have written then counts as clean and is never written: the next sync
    /// succeeds, reads in this process and the next one see the data, and a loss of power shows that it is gone.
    pub sync_error: Ppm,
    /// How often a write goes to another place of its file, and claims to have succeeded.
    pub misdirected_write: Ppm,
    /// How often, at a crash, one bit of a durable sector changes.
    pub rot: Ppm,
    /// How often a sector that was not synced is torn at a loss of power, instead of kept or lost as a whole.
    pub torn: Ppm,
    /// Torn sectors hold garbage instead of old and new bytes. No disk should do this; what was durable in the same
    /// sector is then lost too.
    pub torn_garbage: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            sector_bytes: 512,
            capacity_bytes: u64::MAX,
            read_error: 0,
            write_error: 0,
            sync_error: 0,
            misdirected_write: 0,
            rot: 0,
            torn: 200_000,
            torn_garbage: false,
        }
    }
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process alone: what it wrote is still there, synced or not.
    Process,
    /// The machine: of what was not synced, each sector, length and directory entry is kept or lost by itself.
    Power,
}
