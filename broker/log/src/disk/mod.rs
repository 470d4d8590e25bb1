//! The seam below the log: a disk, and files on it.

#[cfg(feature = "crash-disk")]
pub mod crash;
mod real;

use std::any::Any;
use std::io;
use std::io::IoSlice;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use real::RealDisk;

/// How a file is opened.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made if it is missing, kept as it is if not.
    Create,
}

/// Whether a read may wait for the device.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Wait {
    /// As long as it takes.
    Allowed,
    /// Only what the system has in memory is read.
    Never,
}

/// Space on the disk, in bytes.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Space {
    /// The size of the file system.
    pub total: u64,
    /// What may still be written.
    pub free: u64,
}

/// One name in a directory.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Entry {
    /// The name, without the directory.
    pub name: String,
    /// Whether it is a directory itself.
    pub directory: bool,
}

/// A file system. What it promises, and no more:
/// - bytes are on stable storage after [`File::sync_data`] returned without error;
/// - names (new, renamed, removed) are after [`Disk::sync_dir`] on their directory;
/// - a rename replaces its target as a whole.
///
/// Everything else may be lost, kept or torn by a crash, in any order.
pub trait Disk: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name in the same directory, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Makes a directory and those above it, unless they exist.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Total and free space of the file system that holds `dir`.
    fn space(&self, dir: &Path) -> io::Result<Space>;
    /// Takes the exclusive lock `path` until the answer is dropped or the process ends;
    /// [`io::ErrorKind::WouldBlock`] when another holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// An open file; usable from several threads at once.
pub trait File: Send + Sync {
    /// Reads at an offset; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads up to `bytes` bytes at an offset to the end of `buffer`; fewer only at the end of the
    /// file, or with [`Wait::Never`] where the next ones would have to be fetched.
    fn read_more(
        &self,
        buffer: &mut Vec<u8>,
        bytes: usize,
        offset: u64,
        _wait: Wait,
    ) -> io::Result<usize> {
        let before = buffer.len();
        buffer.resize(before + bytes, 0);
        let read = self.read_at(&mut buffer[before..], offset);
        buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        read
    }
    /// Writes all buffers one after the other from an offset on, or fails; after an error any
    /// part of them may have been written.
    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes the bytes, and what is needed to find them, durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Asks the system to begin writing dirty bytes; a hint without promise.
    fn start_writeback(&self);
    /// Has the system write the bytes of a range, and let go of its copies of them in memory. It
    /// makes nothing durable; but an error is as final as one of [`File::sync_data`], which may
    /// not tell it again.
    fn let_go(&self, range: Range<u64>) -> io::Result<()>;
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|bytes| bytes == 0)
    }
    /// Cuts or extends the file to a length.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Reserves space for, and extends the file to, a length; new bytes read as zero.
    fn preallocate(&self, bytes: u64) -> io::Result<()>;
}

/// A whole file, or `None` if there is none.
pub(crate) fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; file.len()? as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Replaces a file as a whole: after a crash either the old bytes are there or the new.
/// Durable when it returns.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path
        .parent()
        .expect("a replaced file is inside the data directory");
    let fresh = path.with_extension("new");
    let file = disk.open(&fresh, Open::Create)?;
    file.truncate(0)?;
    file.write_vectored_at(&[IoSlice::new(bytes)], 0)?;
    file.sync_data()?;
    disk.rename(&fresh, path)?;
    disk.sync_dir(dir)
}

/// Removes a name; that it is already gone is as good.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
