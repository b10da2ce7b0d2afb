//! `SimDisk`: a disk in memory that fails as real ones do, deterministically from a seed.
//!
//! A handle belongs to one run of a process. [`SimDisk::crash`] ends that run, decides what is left, and returns the
//! handle for the next one; the old handles, and the files opened with them, answer every call with an error.

mod faults;
mod file;
mod machine;
mod rng;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::faults::{Crash, Faults};
use self::machine::Machine;
pub use self::rng::{Ppm, Rng};
use crate::{Disk, DiskFile};

/// A handle to a simulated disk.
#[derive(Clone)]
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
    boot: u64,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> SimDisk {
        SimDisk { machine: Arc::new(Mutex::new(Machine::new(seed, faults))), boot: 0 }
    }

    /// Ends the process, and with [`Crash::Power`] the machine. Returns the handle for the next process.
    #[must_use = "the handles from before the crash are dead"]
    pub fn crash(&self, crash: Crash) -> SimDisk {
        let mut machine = self.machine();
        machine.crash(crash);
        SimDisk { machine: Arc::clone(&self.machine), boot: machine.boot }
    }

    /// A disk of its own with the same content, to try several futures.
    #[must_use]
    pub fn fork(&self) -> SimDisk {
        SimDisk { machine: Arc::new(Mutex::new(self.machine().clone())), boot: self.boot }
    }

    /// Draws what happens from now on from another seed.
    pub fn reseed(&self, seed: u64) {
        self.machine().rng = Rng::new(seed);
    }

    /// From now on, these faults. The size of a sector must stay.
    pub fn set_faults(&self, faults: Faults) {
        let mut machine = self.machine();
        assert_eq!(faults.sector_bytes, machine.faults.sector_bytes, "sectors of a disk in use");
        machine.faults = faults;
    }

    /// The faults as they are.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.machine().faults.clone()
    }

    /// How many operations have changed something since the beginning.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.machine().operations
    }

    /// Stops the machine in the middle of that operation, counted as [`SimDisk::operations`] does: it and all after it
    /// fail until [`SimDisk::crash`] is called.
    pub fn stop_at(&self, operation: u64) {
        self.machine().crash_at = Some(operation);
    }

    /// The paths of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.machine().paths()
    }

    /// Replaces the content of a file behind everybody's back.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn tamper(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut machine = self.machine();
        let sector_bytes = machine.faults.sector_bytes;
        let id = machine.find(path).unwrap_or_else(|error| panic!("cannot tamper with {path}: {error}"));
        let file = machine.file(id);
        let mut content = vec![0; file.len() as usize];
        file.read(&mut content, 0, sector_bytes);
        change(&mut content);
        file.replace(&content, sector_bytes);
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        // A test that panicked while it held the lock has left nothing half done that matters to another.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a change of the directories; if the machine stops in the middle, only perhaps.
    fn change<T>(&self, change: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        let mut machine = self.machine();
        if machine.begin(self.boot)? {
            return change(&mut machine);
        }
        if machine.rng.coin() {
            change(&mut machine)?;
        }
        Err(stopped())
    }

    fn handle(&self, id: u64) -> SimHandle {
        SimHandle { disk: self.clone(), id }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated machine stops")
}

/// The lock of a simulated directory.
pub struct SimLock {
    disk: SimDisk,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut machine = self.disk.machine();
        if machine.boot == self.disk.boot {
            machine.locked = false;
        }
    }
}

impl Disk for SimDisk {
    type File = SimHandle;
    type Lock = SimLock;

    fn lock(&self, _path: &str) -> io::Result<SimLock> {
        let mut machine = self.machine();
        machine.check_alive(self.boot)?;
        if std::mem::replace(&mut machine.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        drop(machine);
        Ok(SimLock { disk: self.clone() })
    }

    fn create(&self, path: &str) -> io::Result<SimHandle> {
        self.change(|machine| machine.create(path)).map(|id| self.handle(id))
    }

    fn open(&self, path: &str) -> io::Result<SimHandle> {
        let machine = self.machine();
        machine.check_alive(self.boot)?;
        machine.find(path).map(|id| self.handle(id))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let machine = self.machine();
        machine.check_alive(self.boot)?;
        machine.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|machine| machine.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change(|machine| machine.remove(path))
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.change(|machine| machine.create_dir(dir))
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.change(|machine| machine.remove_dir(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.change(|machine| {
            if machine.rng.chance(machine.faults.sync_error) {
                return Err(io::Error::other("simulated sync error"));
            }
            machine.sync_dir(dir)
        })
    }
}

/// An open file of a simulated disk.
pub struct SimHandle {
    disk: SimDisk,
    id: u64,
}

impl SimHandle {
    /// Makes the file `len` bytes long if there is room for that, and as long as there is room otherwise.
    fn grow(&self, machine: &mut Machine, len: u64) -> io::Result<()> {
        let sector_bytes = machine.faults.sector_bytes;
        let room = machine.room();
        let file = machine.file(self.id);
        let old = file.len();
        if len <= old {
            return Ok(());
        }
        file.set_len(len.min(old.saturating_add(room)), sector_bytes);
        if len - old > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn write(&self, machine: &mut Machine, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let len = parts.iter().map(|part| part.len() as u64).sum::<u64>();
        self.grow(machine, offset + len)?;
        let (file, rng, faults) = machine.file_and_rng(self.id);
        let mut offset = offset;
        if rng.chance(faults.misdirected_write) {
            let size = faults.sector_bytes as u64;
            let elsewhere = rng.below((file.len() - len) / size + 1) * size;
            offset = (elsewhere + offset % size).min(file.len() - len);
        }
        let fails = rng.chance(faults.write_error);
        let mut left = if fails { rng.below(len + 1) as usize } else { len as usize };
        for part in parts {
            let part = &part[..left.min(part.len())];
            file.write(part, offset, faults.sector_bytes);
            offset += part.len() as u64;
            left -= part.len();
        }
        if fails { Err(io::Error::other("simulated write error")) } else { Ok(()) }
    }
}

impl DiskFile for SimHandle {
    fn write_at(&mut self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.disk.change(|machine| self.write(machine, parts, offset))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut machine = self.disk.machine();
        machine.check_alive(self.disk.boot)?;
        let (file, rng, faults) = machine.file_and_rng(self.id);
        if rng.chance(faults.read_error) {
            return Err(io::Error::other("simulated read error"));
        }
        Ok(file.read(buf, offset, faults.sector_bytes))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.disk.change(|machine| {
            let (file, rng, faults) = machine.file_and_rng(self.id);
            if rng.chance(faults.sync_error) {
                file.fail_to_sync();
                return Err(io::Error::other("simulated sync error"));
            }
            file.sync(faults.sector_bytes);
            Ok(())
        })
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.disk.change(|machine| self.grow(machine, len))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.disk.change(|machine| {
            let sector_bytes = machine.faults.sector_bytes;
            if len > machine.file(self.id).len() {
                return self.grow(machine, len);
            }
            machine.file(self.id).set_len(len, sector_bytes);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        let mut machine = self.disk.machine();
        machine.check_alive(self.disk.boot)?;
        Ok(machine.file(self.id).len())
    }

    fn drop_cache(&self) {}
}

#[cfg(test)]
mod tests;
