//! The operating system's file system.

use std::any::Any;
use std::fs;
use std::io;
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};

use super::{Disk, Entry, File, Open, Space, Wait};

/// Vectors one `pwritev` takes (IOV_MAX on Linux).
const VECTORS_MAX: usize = 1024;

/// The file system of the operating system.
#[derive(Copy, Clone, Debug, Default)]
pub struct RealDisk;

struct RealFile(fs::File);

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(how != Open::Read)
            .create(how == Open::Create)
            .truncate(false)
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                Ok(Entry {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    directory: entry.file_type()?.is_dir(),
                })
            })
            .collect()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(Space {
            total: stat.f_blocks * stat.f_frsize,
            free: stat.f_bavail * stat.f_frsize,
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_more(
        &self,
        buffer: &mut Vec<u8>,
        bytes: usize,
        offset: u64,
        wait: Wait,
    ) -> io::Result<usize> {
        let flags = match wait {
            Wait::Allowed => 0,
            Wait::Never => libc::RWF_NOWAIT,
        };
        // Into fresh memory: what is zeroed first is written twice.
        buffer.reserve_exact(bytes);
        let mut done = 0;
        while done < bytes {
            let spare = &mut buffer.spare_capacity_mut()[..bytes - done];
            let slice = libc::iovec {
                iov_base: spare.as_mut_ptr().cast(),
                iov_len: spare.len(),
            };
            let at = (offset + done as u64) as libc::off64_t;
            // SAFETY: the descriptor is open as long as `self.0`; the vector is of memory that
            // `buffer` owns and nobody else sees, and lives through the call.
            let read = unsafe { libc::preadv2(self.0.as_raw_fd(), &slice, 1, at, flags) };
            if read < 0 {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    // Not in memory, or a file system that cannot tell.
                    _ if wait == Wait::Never => break,
                    _ => return Err(error),
                }
            }
            if read == 0 {
                break;
            }
            done += read as usize;
            // SAFETY: the system has written `read` bytes into the spare capacity, in order.
            unsafe { buffer.set_len(buffer.len() + read as usize) };
        }
        Ok(done)
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        let mut next = 0;
        while next < buffers.len() {
            let batch = &buffers[next..buffers.len().min(next + VECTORS_MAX)];
            let written = match rustix::io::pwritev(&self.0, batch, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            offset += written as u64;
            let mut left = written;
            while next < buffers.len() && left >= buffers[next].len() {
                left -= buffers[next].len();
                next += 1;
            }
            if left > 0 {
                self.0.write_all_at(&buffers[next][left..], offset)?;
                offset += (buffers[next].len() - left) as u64;
                next += 1;
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn start_writeback(&self) {
        // SAFETY: the descriptor is open as long as `self.0`, and no memory is handed over.
        // A refusal is no matter: the sync that follows does all of it and reports.
        unsafe {
            libc::sync_file_range(self.0.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE);
        }
    }

    fn let_go(&self, range: Range<u64>) -> io::Result<()> {
        let (start, bytes) = (range.start as libc::off64_t, range.end - range.start);
        let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
            | libc::SYNC_FILE_RANGE_WRITE
            | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        // SAFETY: the descriptor is open as long as `self.0`, and no memory is handed over.
        let written = unsafe {
            libc::sync_file_range(self.0.as_raw_fd(), start, bytes as libc::off64_t, flags)
        };
        if written < 0 {
            let error = io::Error::last_os_error();
            // File systems without it have nothing to report either.
            let known = matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EINVAL | libc::ESPIPE)
            );
            return if known { Ok(()) } else { Err(error) };
        }
        let length = std::num::NonZeroU64::new(bytes);
        // A hint only: bytes that stay cached cost memory.
        let _ = rustix::fs::fadvise(&self.0, range.start, length, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|meta| meta.len())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(bytes),
            other => Ok(other?),
        }
    }
}
