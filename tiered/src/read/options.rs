use std::path::PathBuf;

/// How a [`ColdReader`](super::ColdReader) is bounded.
#[derive(Debug, Clone)]
pub struct ColdReaderOptions {
    /// Directory of the cache, made if it is not there.
    pub cache_dir: PathBuf,
    /// Bytes of the cache on the disk.
    pub cache_bytes_max: u64,
    /// Bytes of indexes in memory.
    pub index_bytes_max: usize,
    /// Bytes that are being fetched or written to the cache, over all readers; at least 8 MiB. Half as
    /// much again stays in memory of what came last.
    pub in_flight_bytes_max: usize,
    /// Furthest that is read ahead for one reader; never more than half of what stays in memory, or a
    /// quarter of the cache if that is more.
    pub read_ahead_bytes_max: u64,
    /// Most bytes that a compressed batch may inflate to, where a record is looked for by time.
    pub decoded_bytes_max: usize,
}

impl ColdReaderOptions {
    /// Bytes of what came last that stay in memory.
    pub(super) fn recent_bytes_max(&self) -> usize {
        self.in_flight_bytes_max / 2
    }

    /// A cache of so many bytes in `cache_dir`, and some tens of MiB of memory.
    pub fn new(cache_dir: impl Into<PathBuf>, cache_bytes_max: u64) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            cache_bytes_max,
            index_bytes_max: 16 << 20,
            in_flight_bytes_max: 64 << 20,
            read_ahead_bytes_max: 16 << 20,
            decoded_bytes_max: 128 << 20,
        }
    }
}
