//! `Faults`: what a server's disk and clocks do to it, as a test orders.
//!
//! The server is started behind a small library of ours that stands in front of libc (`shim/faults.c`). Each server has
//! a file of its own with what is to go wrong; the library has it mapped, so an order takes effect at once.

use std::fs::File;
use std::ops::BitOr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// Where each order and each count is, in units of eight bytes: the layout of `struct orders`.
mod place {
    pub(super) const SYNC_DELAY_US: u64 = 0;
    pub(super) const WRITE_DELAY_US: u64 = 1;
    pub(super) const HUNG: u64 = 2;
    pub(super) const FULL: u64 = 3;
    pub(super) const SYNC_ERRORS: u64 = 4;
    pub(super) const WALL_MS: u64 = 5;
    pub(super) const MONOTONIC_MS: u64 = 6;
    pub(super) const DELAYED: u64 = 7;
    pub(super) const HELD_UP: u64 = 8;
    pub(super) const REFUSED: u64 = 9;
    pub(super) const FAILED: u64 = 10;
    pub(super) const COUNT: u64 = 11;
}

/// Some of the kinds of a server's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files(u64);

/// What can go wrong with one server's disk and clocks. Nothing does until it is ordered.
#[derive(Debug)]
pub struct Faults {
    orders: File,
    path: PathBuf,
}

/// How often what was ordered has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Syncs and writes that took longer.
    pub delayed: u64,
    /// Those that hung.
    pub held_up: u64,
    /// What found no room.
    pub refused: u64,
    /// Syncs that failed.
    pub failed: u64,
}

impl Files {
    /// The segments of the log.
    pub const LOG: Files = Files(1);
    /// Snapshots.
    pub const SNAPSHOTS: Files = Files(2);
    /// Everything that a server keeps.
    pub const ALL: Files = Files(7);
}

impl BitOr for Files {
    type Output = Files;

    fn bitor(self, other: Files) -> Files {
        Files(self.0 | other.0)
    }
}

impl Faults {
    /// For a server whose orders are to be in this file.
    ///
    /// # Panics
    /// If the file cannot be made.
    #[must_use]
    pub fn new(path: PathBuf) -> Faults {
        let orders = File::options().create_new(true).read(true).write(true).open(&path).expect("a file for orders");
        orders.set_len(place::COUNT * 8).expect("room for orders");
        Faults { orders, path }
    }

    /// What the server has to be given to be subject to them.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", shim()), ("FAULTS", &self.path)]
    }

    /// Each sync takes so much longer, and each write.
    pub fn slow_down(&self, sync: Duration, write: Duration) {
        self.order(place::SYNC_DELAY_US, sync.as_micros() as i64);
        self.order(place::WRITE_DELAY_US, write.as_micros() as i64);
    }

    /// Syncs and writes of these files do not come to an end, until [`Faults::mend_disk`].
    pub fn hang(&self, files: Files) {
        self.order(place::HUNG, files.0 as i64);
    }

    /// There is no room in these files for more than was reserved, until [`Faults::mend_disk`].
    pub fn fill(&self, files: Files) {
        self.order(place::FULL, files.0 as i64);
    }

    /// The next sync of one of these files fails.
    pub fn fail_next_sync(&self, files: Files) {
        self.order(place::SYNC_ERRORS, files.0 as i64);
    }

    /// The disk is as it should be again.
    pub fn mend_disk(&self) {
        (place::SYNC_DELAY_US..=place::SYNC_ERRORS).for_each(|place| self.order(place, 0));
    }

    /// The wall clock is wrong by so many milliseconds, from now on.
    pub fn set_wall_clock(&self, wrong_by_ms: i64) {
        self.order(place::WALL_MS, wrong_by_ms);
    }

    /// All clocks jump, as on a machine that was suspended and whose clocks went on.
    pub fn jump_ahead(&self, by: Duration) {
        for clock in [place::WALL_MS, place::MONOTONIC_MS] {
            let before = self.read(clock) as i64;
            self.order(clock, before + by.as_millis() as i64);
        }
    }

    /// What it has come to so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        FaultCounts {
            delayed: self.read(place::DELAYED),
            held_up: self.read(place::HELD_UP),
            refused: self.read(place::REFUSED),
            failed: self.read(place::FAILED),
        }
    }

    fn order(&self, place: u64, value: i64) {
        self.orders.write_all_at(&value.to_ne_bytes(), place * 8).expect("an order can be written");
    }

    fn read(&self, place: u64) -> u64 {
        let mut bytes = [0; 8];
        self.orders.read_exact_at(&mut bytes, place * 8).expect("an order can be read");
        u64::from_ne_bytes(bytes)
    }
}

/// The library, built by the system's C compiler the first time that a process of tests needs it.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/shim/faults.c");
        let ours = std::env::current_exe().expect("this program is a file");
        // Beside this program, in the target directory. Several processes may do the same at once.
        let built = ours.with_file_name("quorate-faults.so");
        let building = ours.with_file_name(format!("quorate-faults-{}.so", std::process::id()));
        let output = Command::new("cc")
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o"])
            .args([&building, &source])
            .output()
            .expect("`cc` runs: a C compiler is needed");
        assert!(output.status.success(), "{} does not build: {output:?}", source.display());
        std::fs::rename(&building, &built).expect("the library can be moved to its place");
        built
    })
}
