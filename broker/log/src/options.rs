//! What a caller chooses, and what it hears back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::Failure;
use crate::id::PartitionId;

/// Milliseconds since 1970, from wherever the caller takes its time.
pub type ClockMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a data directory is run. [`LogOptions::new`] has defaults for everything.
#[derive(Clone)]
pub struct LogOptions {
    /// The data directory; made if it is missing.
    pub dir: PathBuf,
    /// Memory for recently appended batches over all partitions, in bytes (32 MiB).
    pub tail_memory_bytes: usize,
    /// Bytes that may wait for, or be in, the journal's sync before appends block (64 MiB).
    pub journal_queue_bytes_max: usize,
    /// Journal bytes after which a checkpoint is taken; `None`: 128 MiB, less on small disks.
    pub checkpoint_journal_bytes: Option<u64>,
    /// Size of a journal file in bytes; `None`: 64 MiB, less on small disks.
    pub journal_file_bytes: Option<u64>,
    /// Segment files kept open at once (512).
    pub open_files_max: usize,
    /// Quiet time after which what is dirty gets its checkpoint (5 s).
    pub checkpoint_idle: Duration,
    /// The clock for append times; safety never depends on it.
    pub clock_ms: ClockMs,
}

impl LogOptions {
    /// The defaults for a data directory.
    pub fn new(dir: impl Into<PathBuf>) -> LogOptions {
        LogOptions {
            dir: dir.into(),
            tail_memory_bytes: 32 << 20,
            journal_queue_bytes_max: 64 << 20,
            checkpoint_journal_bytes: None,
            journal_file_bytes: None,
            open_files_max: 512,
            checkpoint_idle: Duration::from_secs(5),
            clock_ms: Arc::new(system_clock_ms),
        }
    }
}

fn system_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// What the log tells its owner. Called from the log's threads: must not block for long.
pub trait Listener: Send + Sync {
    /// These partitions are on stable storage up to these end offsets (exclusive). In journal
    /// order; a partition may be named more than once, then the last counts. Ends of a partition
    /// grow, but for what [`crate::PartitionLog::truncate`] and [`crate::PartitionLog::reset`] take
    /// back: when these return, no end of before them is told any more.
    fn durable(&self, ends: &[(PartitionId, u64)]);

    /// The log has failed for good. Called once, possibly while other calls are refused.
    fn failed(&self, failure: &Failure);
}

/// What a partition keeps. `None` means without limit.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Retention {
    /// Segments whose newest record is older than this many milliseconds go.
    pub ms: Option<u64>,
    /// The oldest segments go while the rest is at least this many bytes.
    pub bytes: Option<u64>,
}

/// What [`crate::PartitionLog::retain`] and its like removed.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Retained {
    /// The first offset of the log.
    pub log_start: u64,
    /// The first offset that is left on this disk.
    pub local_start: u64,
    /// Segments removed.
    pub segments: usize,
    /// Bytes of batches removed.
    pub bytes: u64,
}
