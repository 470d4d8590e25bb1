//! What a [`super::CrashDisk`] holds: bytes and names, current and durable, and what lies between.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::Fault;

pub(super) const SECTOR: usize = 512;

#[derive(Clone)]
pub(super) enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Default)]
pub(super) struct Inode {
    pub(super) current: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
    /// Bytes of space set aside for it.
    pub(super) reserved: usize,
}

#[derive(Copy, Clone, Eq, PartialEq)]
pub(super) enum Node {
    File(usize),
    Directory,
}

#[derive(Clone)]
pub(super) enum NameChange {
    Add(String, Node),
    Remove(String),
    Rename(String, String, Node),
}

#[derive(Clone, Default)]
pub(super) struct Directory {
    pub(super) current: BTreeMap<String, Node>,
    pub(super) durable: BTreeMap<String, Node>,
    pub(super) pending: Vec<NameChange>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) inodes: Vec<Inode>,
    pub(super) directories: HashMap<PathBuf, Directory>,
    pub(super) locks: BTreeSet<PathBuf>,
    /// Grows with each crash: handles from before are dead.
    pub(super) life: u64,
    pub(super) crashed: bool,
    pub(super) faults: Vec<Fault>,
    pub(super) capacity: u64,
    pub(super) writes: u64,
    pub(super) syncs: u64,
}

impl Inode {
    pub(super) fn apply(bytes: &mut Vec<u8>, change: &Change) {
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

    pub(super) fn change(&mut self, change: Change) {
        Self::apply(&mut self.current, &change);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            Self::apply(&mut self.durable, &change);
        }
    }

    pub(super) fn crash(&mut self, random: &mut Random, keep_percent: usize, unit: usize) {
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

    pub(super) fn keep_parts(
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
    pub(super) fn apply(names: &mut BTreeMap<String, Node>, change: NameChange) {
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

    pub(super) fn change(&mut self, change: NameChange) {
        Self::apply(&mut self.current, change.clone());
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            Self::apply(&mut self.durable, change);
        }
    }

    pub(super) fn crash(&mut self, random: &mut Random, keep_percent: usize) {
        for change in std::mem::take(&mut self.pending) {
            if random.below(100) < keep_percent {
                Self::apply(&mut self.durable, change);
            }
        }
        self.current = self.durable.clone();
    }
}

impl State {
    pub(super) fn used(&self) -> u64 {
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

    pub(super) fn check(&self) -> io::Result<()> {
        if self.crashed {
            Err(io::Error::other("the disk has crashed"))
        } else {
            Ok(())
        }
    }

    /// Counts a write; true if the disk crashes with it.
    pub(super) fn write(&mut self) -> bool {
        self.writes += 1;
        self.strike(|fault| match fault {
            Fault::CrashAtWrite(left) => Some(left),
            _ => None,
        })
    }

    /// Counts a sync; true if the disk crashes with it.
    pub(super) fn sync(&mut self) -> bool {
        self.syncs += 1;
        self.strike(|fault| match fault {
            Fault::CrashAtSync(left) => Some(left),
            _ => None,
        })
    }

    pub(super) fn strike(&mut self, counted: impl Fn(&mut Fault) -> Option<&mut u64>) -> bool {
        let mut struck = false;
        for left in self.faults.iter_mut().filter_map(&counted) {
            struck |= *left == 0;
            *left = left.wrapping_sub(1);
        }
        self.crashed |= struck;
        struck
    }

    pub(super) fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories
            .get_mut(path)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<usize> {
        let (dir, name) = split(path);
        let directory = self.directories.get(dir).ok_or(io::ErrorKind::NotFound)?;
        match directory.current.get(name) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// After a crash: directories whose name was lost are gone with all that is in them.
    pub(super) fn forget_unreachable(&mut self) {
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

impl State {
    pub(super) fn exists(&self, dir: &Path) -> bool {
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

pub(super) fn split(path: &Path) -> (&Path, &str) {
    let dir = path.parent().expect("a path on this disk has a directory");
    let name = path.file_name().and_then(|name| name.to_str());
    (dir, name.expect("a path on this disk has a name"))
}

/// xorshift64*: enough to choose what survives.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
