//! `RealDisk`: a directory of the operating system's file system.

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};

use crate::{Disk, DiskFile};

/// Parts of one vectored write that Linux accepts (`IOV_MAX`).
#[cfg(target_os = "linux")]
const PARTS_MAX: usize = 1024;

/// Readable by the server alone: the files hold the data and secrets of every tenant.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIR_MODE: Mode = Mode::RWXU;

/// A directory of the operating system's file system, held open: a rename of one of its parents does no harm.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: Arc<OwnedFd>,
}

impl RealDisk {
    /// Opens a data directory, creating it and its parents if need be, durably: what is acknowledged in a new directory
    /// must not go with it when the power fails.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<RealDisk> {
        let missing: Vec<&Path> = path.ancestors().take_while(|dir| is_missing(dir)).collect();
        std::fs::create_dir_all(path)?;
        // The name of a directory is in its parent: from the outermost one inwards.
        for dir in missing.into_iter().rev() {
            File::open(parent_of(dir))?.sync_all()?;
        }
        let root = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(RealDisk { root: Arc::new(root) })
    }

    fn open_at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        Ok(rustix::fs::openat(&self.root, path, flags | OFlags::CLOEXEC, FILE_MODE)?)
    }
}

impl Disk for RealDisk {
    type File = RealFile;
    type Lock = OwnedFd;

    fn lock(&self, path: &str) -> io::Result<OwnedFd> {
        let file = self.open_at(path, OFlags::RDWR | OFlags::CREATE)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    }

    fn create(&self, path: &str) -> io::Result<RealFile> {
        let file = self.open_at(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        Ok(RealFile { file: File::from(file) })
    }

    fn open(&self, path: &str) -> io::Result<RealFile> {
        Ok(RealFile { file: File::from(self.open_at(path, OFlags::RDWR)?) })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::new(self.open_at(dir, OFlags::DIRECTORY)?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(String::from_utf8_lossy(name).into_owned());
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.root, from, &self.root, to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, path, AtFlags::empty())?)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.root, dir, DIR_MODE)?)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, dir, AtFlags::REMOVEDIR)?)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_at(dir, OFlags::DIRECTORY)?)?)
    }
}

fn is_missing(dir: &Path) -> bool {
    !dir.as_os_str().is_empty() && matches!(dir.try_exists(), Ok(false))
}

/// The directory that holds the name of `dir`; that of a relative name without another is where the process is.
fn parent_of(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file of the operating system.
#[derive(Debug)]
pub struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    #[cfg(target_os = "linux")]
    fn write_at(&mut self, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match rustix::io::pwritev(&self.file, &rest[..rest.len().min(PARTS_MAX)], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn write_at(&mut self, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
        for part in parts {
            self.file.write_all_at(part, offset)?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.file.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[cfg(target_os = "linux")]
    fn allocate(&mut self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        // A signal may interrupt it on a file system in memory: an orderly stop must not look like a broken device.
        let reserved = rustix::io::retry_on_intr(|| fallocate(&self.file, FallocateFlags::empty(), 0, len));
        match reserved {
            // Some network and stacked file systems cannot reserve; then a full disk is noticed by a write instead.
            Err(rustix::io::Errno::OPNOTSUPP) => self.file.set_len(len),
            result => Ok(result?),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn drop_cache(&self) {
        #[cfg(target_os = "linux")]
        // Advice only: when it is refused, reads may come from memory, as they would have anyway.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_new_directories_are_in_their_parents() {
        let check = |dir: &str, parent: &str| assert_eq!(parent_of(Path::new(dir)), Path::new(parent));
        check("/data/a/b", "/data/a");
        check("/data", "/");
        check("a/b", "a");
        check("a", ".");
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a/b/c");
        let missing: Vec<_> = inner.ancestors().take_while(|dir| is_missing(dir)).collect();
        assert_eq!(missing, [&inner, &directory.path().join("a/b"), &directory.path().join("a")]);
        RealDisk::open(&inner).unwrap();
        assert!(!is_missing(&inner) && !is_missing(Path::new("")));
        RealDisk::open(&inner).unwrap();
    }
}
