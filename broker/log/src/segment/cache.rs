//! Open files and loaded indexes, both bounded and the least recently used out first.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::index::IndexEntry;
use crate::disk::{Disk, File, Open};

/// A segment: the number of its partition's state in this process, and its base offset. Not the
/// partition's name: a partition that was dropped and made again must not get old handles.
pub(crate) type SegmentKey = (u64, u64);

/// Bytes of indexes kept.
const INDEX_BYTES_MAX: usize = 16 << 20;

struct Lru<K, V> {
    entries: HashMap<K, (V, usize, u64)>,
    used: usize,
    max: usize,
    clock: u64,
}

impl<K: Copy + Eq + Hash, V: Clone> Lru<K, V> {
    fn new(max: usize) -> Lru<K, V> {
        Lru {
            entries: HashMap::new(),
            used: 0,
            max,
            clock: 0,
        }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.2 = self.clock;
        Some(entry.0.clone())
    }

    fn put(&mut self, key: K, value: V, cost: usize) {
        self.remove(&key);
        self.clock += 1;
        self.used += cost;
        self.entries.insert(key, (value, cost, self.clock));
        if self.used > self.max {
            self.shrink(key);
        }
    }

    /// Takes out an eighth more than needed, so that the sorting is rare.
    fn shrink(&mut self, spared: K) {
        let mut ages: Vec<(u64, K)> = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.2, *key))
            .collect();
        ages.sort_unstable_by_key(|(age, _)| *age);
        for (_, key) in ages {
            if self.used <= self.max - self.max / 8 {
                break;
            }
            if key != spared {
                self.remove(&key);
            }
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some((_, cost, _)) = self.entries.remove(key) {
            self.used -= cost;
        }
    }
}

/// Segment files that are open.
pub(crate) struct FileCache(Mutex<Lru<SegmentKey, Arc<dyn File>>>);

impl FileCache {
    pub fn new(files_max: usize) -> FileCache {
        FileCache(Mutex::new(Lru::new(files_max.max(8))))
    }

    /// The open file of a segment; it must exist unless `how` makes it.
    pub fn open(
        &self,
        disk: &dyn Disk,
        key: SegmentKey,
        path: &Path,
        how: Open,
    ) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.0.lock().get(&key) {
            return Ok(file);
        }
        let file = disk.open(path, if how == Open::Read { Open::Write } else { how })?;
        self.0.lock().put(key, file.clone(), 1);
        Ok(file)
    }

    /// The file if it is open.
    pub fn get(&self, key: SegmentKey) -> Option<Arc<dyn File>> {
        self.0.lock().get(&key)
    }

    pub fn forget(&self, key: SegmentKey) {
        self.0.lock().remove(&key);
    }

    pub fn len(&self) -> usize {
        self.0.lock().entries.len()
    }
}

/// Indexes that were loaded or built, with the bytes of the segment that each covers.
pub(crate) struct IndexCache(Mutex<Lru<SegmentKey, Arc<LoadedIndex>>>);

/// An index and how much of the segment it covers.
pub(crate) struct LoadedIndex {
    pub entries: Vec<IndexEntry>,
    pub bytes: u64,
}

impl IndexCache {
    pub fn new() -> IndexCache {
        IndexCache(Mutex::new(Lru::new(INDEX_BYTES_MAX)))
    }

    pub fn get(&self, key: SegmentKey) -> Option<Arc<LoadedIndex>> {
        self.0.lock().get(&key)
    }

    pub fn put(&self, key: SegmentKey, index: Arc<LoadedIndex>) {
        let cost = index.entries.len() * size_of::<IndexEntry>() + 128;
        self.0.lock().put(key, index, cost);
    }

    pub fn forget(&self, key: SegmentKey) {
        self.0.lock().remove(&key);
    }
}
