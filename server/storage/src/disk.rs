//! `Disk` and `DiskFile`: the few things that storage asks of a file system, so that a simulated one can stand in.
//!
//! Paths are relative to the data directory, with `/` between their parts; the empty path is the directory itself.

use std::io;

/// A directory tree on a file system. Clones name the same directory.
pub trait Disk: Clone + Send + 'static {
    /// An open file.
    type File: DiskFile;
    /// Held as long as no other process may use the directory.
    type Lock: Send + Sync + 'static;

    /// Takes the exclusive lock of the directory, in a file that is created if absent.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when somebody else holds it.
    fn lock(&self, path: &str) -> io::Result<Self::Lock>;

    /// Creates a file that must not exist, for reading and writing.
    fn create(&self, path: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// The names in a directory, in no particular order.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Renames a file within its directory, replacing what has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Creates a directory that must not exist.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes every creation, rename and removal in the directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// An open file of a [`Disk`].
#[allow(clippy::len_without_is_empty, reason = "a file's length is an operation that may fail, not a container's size")]
pub trait DiskFile: Send + 'static {
    /// Writes all the parts, one after the other, from `offset` on.
    fn write_at(&mut self, parts: &[&[u8]], offset: u64) -> io::Result<()>;

    /// Fills `buf` from `offset` on and returns how much there was: less than asked only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes the content, and the length if it changed, durable.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Reserves space for `len` bytes and makes the file that long; what was not written reads as zero.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no room; the file may then have any length.
    fn allocate(&mut self, len: u64) -> io::Result<()>;

    /// Cuts the file to `len` or extends it with zeros.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// The length of the file.
    fn len(&self) -> io::Result<u64>;

    /// Asks that later reads come from the device instead of the memory that was just written. Best effort.
    fn drop_cache(&self);
}
