use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// What a [`ColdReader`](super::ColdReader) has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColdStats {
    /// Blocks that were in the cache, or on their way, when they were wanted.
    pub hits: u64,
    /// Blocks that were not.
    pub misses: u64,
    /// GETs of data, indexes and producers; those that are tried again count once.
    pub gets: u64,
    /// Bytes that came from the store.
    pub fetched_bytes: u64,
    /// Bytes of batches that readers were given.
    pub served_bytes: u64,
    /// Bytes in the cache on the disk now.
    pub cached_bytes: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub gets: AtomicU64,
    fetched_bytes: AtomicU64,
    served_bytes: AtomicU64,
}

impl Counters {
    pub fn fetched(&self, bytes: usize) {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.fetched_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn served(&self, batches: &[Bytes]) {
        let bytes: usize = batches.iter().map(Bytes::len).sum();
        self.served_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn read(&self, cached_bytes: u64) -> ColdStats {
        ColdStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            gets: self.gets.load(Ordering::Relaxed),
            fetched_bytes: self.fetched_bytes.load(Ordering::Relaxed),
            served_bytes: self.served_bytes.load(Ordering::Relaxed),
            cached_bytes,
        }
    }
}
