//! A disk in memory that crashes like a real one: what was not synced may be lost, kept or torn.
//!
//! Bytes are pending until [`File::sync_data`], names until [`Disk::sync_dir`]. [`CrashDisk::crash`]
//! keeps a random part of what is pending, sector by sector or byte by byte, name by name, and
//! nothing that was synced is ever touched. Faults can be planned: a crash or an error at the
//! n-th write or sync from now, a full disk.

mod state;

use std::any::Any;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, Entry, File, Open, Space};
use state::{Change, Directory, Inode, NameChange, Node, Random, SECTOR, State, split};

/// A planned fault.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The n-th write from now (0: the next), of bytes or of a name, and everything after it
    /// fails; its bytes count as not synced.
    CrashAtWrite(u64),
    /// The n-th sync from now, of bytes or of names, and everything after it fails; whether it
    /// was done is left to chance.
    CrashAtSync(u64),
    /// The n-th sync of bytes from now fails and leaves its bytes as not synced; the next ones
    /// succeed, as they do on a real system, without having written those bytes.
    ErrorAtSync(u64),
}

/// The disk; clones share it.
#[derive(Clone)]
pub struct CrashDisk(Arc<Mutex<State>>);

struct CrashFile {
    disk: CrashDisk,
    inode: usize,
    life: u64,
}

struct Lock {
    disk: CrashDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

impl Default for CrashDisk {
    fn default() -> CrashDisk {
        CrashDisk::new()
    }
}

impl CrashDisk {
    /// An empty disk with a root directory and 1 TiB of space.
    pub fn new() -> CrashDisk {
        let mut state = State {
            capacity: 1 << 40,
            ..State::default()
        };
        state
            .directories
            .insert(PathBuf::from("/"), Directory::default());
        CrashDisk(Arc::new(Mutex::new(state)))
    }

    /// A disk of its own with the same content, nothing open and nothing planned.
    pub fn fork(&self) -> CrashDisk {
        let state = self.0.lock();
        CrashDisk(Arc::new(Mutex::new(State {
            inodes: state.inodes.clone(),
            directories: state.directories.clone(),
            capacity: state.capacity,
            ..State::default()
        })))
    }

    /// Plans a fault; several may be planned.
    pub fn plan(&self, fault: Fault) {
        self.0.lock().faults.push(fault);
    }

    /// Sets the disk's size in bytes; what is on it already stays.
    pub fn set_capacity(&self, bytes: u64) {
        self.0.lock().capacity = bytes;
    }

    /// Bytes in files now.
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Writes and syncs so far, of bytes and names.
    pub fn operations(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.writes, state.syncs)
    }

    /// Whether a planned crash has happened.
    pub fn has_crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// The power goes and comes back: a part of what was pending, chosen by `seed`, is kept, open
    /// files are dead, locks are free, plans are forgotten.
    pub fn crash(&self, seed: u64) {
        let mut state = self.0.lock();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // All, none, or something between: each needs its share of the runs.
        let keep_percent = [0, 20, 50, 80, 100][random.below(5)];
        let unit = if random.below(4) == 0 { 1 } else { SECTOR };
        for inode in &mut state.inodes {
            inode.crash(&mut random, keep_percent, unit);
        }
        let mut paths: Vec<PathBuf> = state.directories.keys().cloned().collect();
        paths.sort();
        for path in &paths {
            let directory = state
                .directories
                .get_mut(path)
                .expect("its key was just listed");
            directory.crash(&mut random, keep_percent);
        }
        state.forget_unreachable();
        state.life += 1;
        state.crashed = false;
        state.faults.clear();
        state.locks.clear();
    }

    /// Flips one bit of a file behind everybody's back, in what is durable too. `bit` is taken
    /// modulo the file's size. False: there is no such file, or it is empty.
    pub fn flip(&self, path: &Path, bit: u64) -> bool {
        let mut state = self.0.lock();
        let Ok(inode) = state.find(path) else {
            return false;
        };
        let inode = &mut state.inodes[inode];
        if inode.current.is_empty() {
            return false;
        }
        let at = (bit / 8 % inode.current.len() as u64) as usize;
        inode.current[at] ^= 1 << (bit % 8);
        if let Some(byte) = inode.durable.get_mut(at) {
            *byte ^= 1 << (bit % 8);
        }
        true
    }

    /// A file's bytes as they are now.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.lock();
        state
            .find(path)
            .ok()
            .map(|inode| state.inodes[inode].current.clone())
    }

    /// Every file there is, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.0.lock();
        let mut files = Vec::new();
        for (path, directory) in &state.directories {
            let names = directory.current.iter();
            let named = names.filter(|(_, node)| matches!(node, Node::File(_)));
            files.extend(named.map(|(name, _)| path.join(name)));
        }
        files.sort();
        files
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Disk for CrashDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        state.check()?;
        let inode = match state.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && how == Open::Create => {
                let (dir, name) = split(path);
                if !state.exists(dir) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let crashes = state.write();
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state
                    .directory(dir)?
                    .change(NameChange::Add(name.into(), Node::File(inode)));
                if crashes {
                    state.check()?;
                }
                inode
            }
            found => found?,
        };
        Ok(Arc::new(CrashFile {
            disk: self.clone(),
            inode,
            life: state.life,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check()?;
        let inode = state.find(from)?;
        let ((dir, from), (to_dir, to)) = (split(from), split(to));
        assert_eq!(dir, to_dir, "renames stay in their directory");
        state.write();
        let change = NameChange::Rename(from.into(), to.into(), Node::File(inode));
        state.directory(dir)?.change(change);
        state.check()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check()?;
        state.find(path)?;
        state.write();
        let (dir, name) = split(path);
        state
            .directory(dir)?
            .change(NameChange::Remove(name.into()));
        state.check()
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check()?;
        if !state.directory(path)?.current.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.write();
        let (dir, name) = split(path);
        state
            .directory(dir)?
            .change(NameChange::Remove(name.into()));
        state.check()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.0.lock();
        state.check()?;
        if !state.exists(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = state
            .directory(dir)?
            .current
            .iter()
            .map(|(name, node)| Entry {
                name: name.clone(),
                directory: *node == Node::Directory,
            });
        Ok(names.collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check()?;
        let mut above: Vec<&Path> = dir.ancestors().collect();
        above.pop();
        for path in above.into_iter().rev() {
            if state.exists(path) {
                continue;
            }
            let crashes = state.write();
            let (parent, name) = split(path);
            state
                .directory(parent)?
                .change(NameChange::Add(name.into(), Node::Directory));
            // A directory of that name that was removed may come back empty only.
            state
                .directories
                .insert(path.to_path_buf(), Directory::default());
            if crashes {
                return state.check();
            }
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check()?;
        if !state.exists(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.sync() {
            return state.check();
        }
        state.directory(dir)?.sync();
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        let state = self.0.lock();
        state.check()?;
        Ok(Space {
            total: state.capacity,
            free: state.capacity.saturating_sub(state.used()),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.0.lock();
        state.check()?;
        if !state.locks.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock {
            disk: self.clone(),
            path: path.to_path_buf(),
            life: state.life,
        }))
    }
}

impl CrashFile {
    fn with<T>(&self, work: impl FnOnce(&mut State, usize) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        state.check()?;
        if state.life != self.life {
            return Err(io::Error::other("opened before the crash"));
        }
        work(&mut state, self.inode)
    }
}

impl File for CrashFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state, inode| {
            let bytes = &state.inodes[inode].current;
            let from = bytes.len().min(offset as usize);
            let read = buffer.len().min(bytes.len() - from);
            buffer[..read].copy_from_slice(&bytes[from..from + read]);
            Ok(read)
        })
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.with(|state, inode| {
            let data: Vec<u8> = buffers
                .iter()
                .flat_map(|buffer| buffer.iter().copied())
                .collect();
            let end = offset as usize + data.len();
            let held = state.inodes[inode]
                .current
                .len()
                .max(state.inodes[inode].reserved);
            if state.used() + end.saturating_sub(held) as u64 > state.capacity {
                // Half of it gets through, as on a real disk.
                let half = data[..data.len() / 2].to_vec();
                if held >= offset as usize + half.len() {
                    state.inodes[inode].change(Change::Write(offset as usize, half));
                }
                return Err(full());
            }
            state.write();
            state.inodes[inode].change(Change::Write(offset as usize, data));
            state.check()
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state, inode| {
            let mut refused = false;
            for fault in &mut state.faults {
                if let Fault::ErrorAtSync(left) = fault {
                    refused |= *left == 0;
                    *left = left.wrapping_sub(1);
                }
            }
            if refused {
                // The kernel marks the pages clean: they read as written and are not.
                state.inodes[inode].pending.clear();
                return Err(io::Error::other("a sync was told to fail"));
            }
            if state.sync() {
                return state.check();
            }
            state.inodes[inode].sync();
            Ok(())
        })
    }

    fn start_writeback(&self) {}

    fn let_go(&self, _range: std::ops::Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state, inode| Ok(state.inodes[inode].current.len() as u64))
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.with(|state, inode| {
            state.write();
            state.inodes[inode].change(Change::Length(bytes as usize));
            state.check()
        })
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.with(|state, inode| {
            let held = state.inodes[inode].current.len();
            if state.used() + bytes.saturating_sub(held as u64) > state.capacity {
                return Err(full());
            }
            state.write();
            let length = held.max(bytes as usize);
            state.inodes[inode].reserved = length;
            state.inodes[inode].change(Change::Length(length));
            state.check()
        })
    }
}
