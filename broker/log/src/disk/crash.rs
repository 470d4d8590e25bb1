//! A disk in memory that crashes like a real one: what was not synced may be lost, kept or torn.
//!
//! Bytes are pending until [`File::sync_data`], names until [`Disk::sync_dir`]. [`CrashDisk::crash`]
//! keeps a random part of what is pending, sector by sector or byte by byte, name by name, and
//! nothing that was synced is ever touched. Faults can be planned: a crash or an error at the
//! n-th write or sync from now, a full disk.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, Entry, File, Open, Space};

const SECTOR: usize = 512;

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

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Bytes of space set aside for it.
    reserved: usize,
}

#[derive(Copy, Clone, Eq, PartialEq)]
enum Node {
    File(usize),
    Directory,
}

#[derive(Clone)]
enum NameChange {
    Add(String, Node),
    Remove(String),
    Rename(String, String, Node),
}

#[derive(Clone, Default)]
struct Directory {
    current: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<NameChange>,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    directories: HashMap<PathBuf, Directory>,
    locks: BTreeSet<PathBuf>,
    /// Grows with each crash: handles from before are dead.
    life: u64,
    crashed: bool,
    faults: Vec<Fault>,
    capacity: u64,
    writes: u64,
    syncs: u64,
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

impl Inode {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Length(length) => bytes.resize(*length, 0),
            Change::Write(offset, data) => {
                if bytes.len() < offset + data.len() {
                    bytes.resize(offset + data.len(), 0);
                }
                bytes[*offset..offset + data.len()].copy_from_slice(data);
            }
        }
    }

    fn change(&mut self, change: Change) {
        Self::apply(&mut self.current, &change);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            Self::apply(&mut self.durable, &change);
        }
    }

    fn crash(&mut self, random: &mut Random, keep_percent: usize, unit: usize) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Length(_) => {
                    if random.below(100) < keep_percent {
                        Self::apply(&mut self.durable, &change);
                    }
                }
                Change::Write(offset, data) => {
                    self.keep_parts(random, keep_percent, unit, offset, &data)
                }
            }
        }
        self.current = self.durable.clone();
    }

    fn keep_parts(
        &mut self,
        random: &mut Random,
        keep_percent: usize,
        unit: usize,
        offset: usize,
        data: &[u8],
    ) {
        // Byte by byte would be slow on large writes and no different: runs of odd lengths.
        let mut at = 0;
        while at < data.len() {
            let length = match unit {
                1 => 1 + random.below(3 * SECTOR),
                sector => sector - (offset + at) % sector,
            };
            let end = data.len().min(at + length);
            if random.below(100) < keep_percent {
                let part = Change::Write(offset + at, data[at..end].to_vec());
                Self::apply(&mut self.durable, &part);
            }
            at = end;
        }
    }
}

impl Directory {
    fn apply(names: &mut BTreeMap<String, Node>, change: NameChange) {
        match change {
            NameChange::Add(name, node) => {
                names.insert(name, node);
            }
            NameChange::Remove(name) => {
                names.remove(&name);
            }
            NameChange::Rename(from, to, node) => {
                names.remove(&from);
                names.insert(to, node);
            }
        }
    }

    fn change(&mut self, change: NameChange) {
        Self::apply(&mut self.current, change.clone());
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            Self::apply(&mut self.durable, change);
        }
    }

    fn crash(&mut self, random: &mut Random, keep_percent: usize) {
        for change in std::mem::take(&mut self.pending) {
            if random.below(100) < keep_percent {
                Self::apply(&mut self.durable, change);
            }
        }
        self.current = self.durable.clone();
    }
}

impl State {
    fn used(&self) -> u64 {
        let mut used = 0;
        for directory in self.directories.values() {
            for node in directory.current.values() {
                if let Node::File(inode) = node {
                    let inode = &self.inodes[*inode];
                    used += inode.current.len().max(inode.reserved) as u64;
                }
            }
        }
        used
    }

    fn check(&self) -> io::Result<()> {
        if self.crashed {
            Err(io::Error::other("the disk has crashed"))
        } else {
            Ok(())
        }
    }

    /// Counts a write; true if the disk crashes with it.
    fn write(&mut self) -> bool {
        self.writes += 1;
        self.strike(|fault| match fault {
            Fault::CrashAtWrite(left) => Some(left),
            _ => None,
        })
    }

    /// Counts a sync; true if the disk crashes with it.
    fn sync(&mut self) -> bool {
        self.syncs += 1;
        self.strike(|fault| match fault {
            Fault::CrashAtSync(left) => Some(left),
            _ => None,
        })
    }

    fn strike(&mut self, counted: impl Fn(&mut Fault) -> Option<&mut u64>) -> bool {
        let mut struck = false;
        for left in self.faults.iter_mut().filter_map(&counted) {
            struck |= *left == 0;
            *left = left.wrapping_sub(1);
        }
        self.crashed |= struck;
        struck
    }

    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories
            .get_mut(path)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let (dir, name) = split(path);
        let directory = self.directories.get(dir).ok_or(io::ErrorKind::NotFound)?;
        match directory.current.get(name) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// After a crash: directories whose name was lost are gone with all that is in them.
    fn forget_unreachable(&mut self) {
        let mut reached = BTreeSet::from([PathBuf::from("/")]);
        let mut left = vec![PathBuf::from("/")];
        while let Some(path) = left.pop() {
            let directory = self.directories.entry(path.clone()).or_default();
            for (name, node) in &directory.current {
                if *node == Node::Directory {
                    reached.insert(path.join(name));
                    left.push(path.join(name));
                }
            }
        }
        self.directories.retain(|path, _| reached.contains(path));
    }
}

fn split(path: &Path) -> (&Path, &str) {
    let dir = path.parent().expect("a path on this disk has a directory");
    let name = path.file_name().and_then(|name| name.to_str());
    (dir, name.expect("a path on this disk has a name"))
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

impl State {
    fn exists(&self, dir: &Path) -> bool {
        dir.parent().is_none_or(|parent| {
            let name = dir
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            self.exists(parent)
                && self
                    .directories
                    .get(parent)
                    .is_some_and(|above| above.current.get(name) == Some(&Node::Directory))
        })
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

/// xorshift64*: enough to choose what survives.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
