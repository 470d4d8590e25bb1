//! Counters and gauges, for whoever exports metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A look at a log. Counters count from the opening.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct LogStats {
    /// Groups written and synced.
    pub syncs: u64,
    /// Seconds spent in the journal's syncs, summed.
    pub sync_seconds: f64,
    /// Upper bounds in seconds, and how many syncs took at most that long and more than the
    /// bound before; the last is without bound.
    pub sync_buckets: [(f64, u64); SYNC_BUCKETS],
    /// Frames written to the journal.
    pub frames: u64,
    /// Bytes written to the journal, with headers and padding.
    pub group_bytes: u64,
    /// Journal bytes that no checkpoint covers.
    pub journal_bytes: u64,
    /// Bytes that wait for, or are in, the journal's write and sync.
    pub queue_bytes: u64,
    /// Bytes of recent batches in memory.
    pub tail_bytes: u64,
    /// Bytes written to segments.
    pub segment_bytes_written: u64,
    /// Bytes read from segments.
    pub segment_bytes_read: u64,
    /// Segment files open now.
    pub open_files: u64,
    /// Checkpoints taken.
    pub checkpoints: u64,
    /// Seconds spent in checkpoints, summed.
    pub checkpoint_seconds: f64,
    /// Times a reader met damage on the disk.
    pub corrupt_batches: u64,
    /// Bytes free on the disk at the last look.
    pub free_bytes: u64,
    /// Whether appends are refused for lack of space.
    pub storage_full: bool,
    /// Partitions known.
    pub partitions: u64,
}

/// How many buckets [`LogStats::sync_buckets`] has.
pub const SYNC_BUCKETS: usize = 8;
const SYNC_BOUNDS_US: [u64; SYNC_BUCKETS] =
    [100, 250, 500, 1_000, 5_000, 25_000, 100_000, u64::MAX];

#[derive(Default)]
pub(crate) struct Counters {
    syncs: AtomicU64,
    sync_us: AtomicU64,
    sync_buckets: [AtomicU64; SYNC_BUCKETS],
    frames: AtomicU64,
    group_bytes: AtomicU64,
    pub segment_bytes_written: AtomicU64,
    pub segment_bytes_read: AtomicU64,
    checkpoints: AtomicU64,
    checkpoint_us: AtomicU64,
    pub corrupt_batches: AtomicU64,
}

impl Counters {
    pub fn synced(&self, took: Duration, bytes: u64) {
        let us = took.as_micros() as u64;
        let bucket = SYNC_BOUNDS_US
            .iter()
            .position(|bound| us <= *bound)
            .unwrap_or_default();
        self.sync_buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_us.fetch_add(us, Ordering::Relaxed);
        self.group_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn frames(&self, frames: usize) {
        self.frames.fetch_add(frames as u64, Ordering::Relaxed);
    }

    pub fn checkpointed(&self, took: Duration) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.checkpoint_us
            .fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// The counters; gauges are left at zero for the caller.
    pub fn read(&self) -> LogStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogStats {
            syncs: get(&self.syncs),
            sync_seconds: get(&self.sync_us) as f64 / 1e6,
            sync_buckets: std::array::from_fn(|bucket| {
                let bound = match SYNC_BOUNDS_US[bucket] {
                    u64::MAX => f64::INFINITY,
                    us => us as f64 / 1e6,
                };
                (bound, get(&self.sync_buckets[bucket]))
            }),
            frames: get(&self.frames),
            group_bytes: get(&self.group_bytes),
            segment_bytes_written: get(&self.segment_bytes_written),
            segment_bytes_read: get(&self.segment_bytes_read),
            checkpoints: get(&self.checkpoints),
            checkpoint_seconds: get(&self.checkpoint_us) as f64 / 1e6,
            corrupt_batches: get(&self.corrupt_batches),
            ..LogStats::default()
        }
    }
}
