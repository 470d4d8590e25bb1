//! What all parts of one log share.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};

use crate::behind::WriteBehind;
use crate::checkpoint::Checkpoints;
use crate::disk::{Disk, Space};
use crate::error::{AppendError, Failure, FailureKind, LogError};
use crate::flush::Flusher;
use crate::id::PartitionId;
use crate::journal::files::JournalFiles;
use crate::journal::queue::Queue;
use crate::options::{Listener, LogOptions};
use crate::partition::PartitionLog;
use crate::segment::cache::{FileCache, IndexCache};
use crate::stats::Counters;

/// How often free space is looked at, at most.
const SPACE_CHECK_MS: i64 = 200;
/// Space that appends leave free: for checkpoints, for trimming, for the operator.
const RESERVE_BYTES_MAX: u64 = 512 << 20;

/// Where things are in the data directory.
pub(crate) struct Paths {
    pub dir: PathBuf,
    pub journal: PathBuf,
    pub partitions: PathBuf,
    pub checkpoint: PathBuf,
    pub identity: PathBuf,
    pub lock: PathBuf,
}

impl Paths {
    pub fn new(dir: PathBuf) -> Paths {
        Paths {
            journal: dir.join("journal"),
            partitions: dir.join("partitions"),
            checkpoint: dir.join("checkpoint"),
            identity: dir.join("data_dir.json"),
            lock: dir.join("LOCK"),
            dir,
        }
    }

    pub fn topic(&self, id: PartitionId) -> PathBuf {
        self.partitions.join(id.topic.to_string())
    }

    pub fn partition(&self, id: PartitionId) -> PathBuf {
        self.topic(id).join(id.partition.to_string())
    }

    pub fn segment(&self, id: PartitionId, base: u64) -> PathBuf {
        self.partition(id).join(format!("{base:020}.log"))
    }

    pub fn index(&self, id: PartitionId, base: u64) -> PathBuf {
        self.partition(id).join(format!("{base:020}.index"))
    }
}

#[derive(Default)]
struct SpaceWatch {
    full: AtomicBool,
    checked_ms: AtomicI64,
    free: AtomicU64,
    /// Bytes that may still be appended before the free space has to be looked at again.
    allowance: AtomicI64,
}

pub(crate) struct Core {
    pub disk: Arc<dyn Disk>,
    pub paths: Paths,
    pub options: LogOptions,
    pub listener: Arc<dyn Listener>,
    pub uuid: [u8; 16],
    pub partitions: RwLock<HashMap<PartitionId, Arc<PartitionLog>>>,
    pub queue: Queue,
    pub journal: JournalFiles,
    pub flusher: Flusher,
    pub checkpoints: Checkpoints,
    pub files: FileCache,
    pub write_behind: WriteBehind,
    pub indexes: IndexCache,
    /// Held by a checkpoint and by dropping partitions: the tombstone's files are gone before a
    /// checkpoint forgets the tombstone.
    pub structure: Mutex<()>,
    /// Held while a partition's tombstone, or a note for one that has none, is queued: so that no
    /// note comes after its tombstone.
    pub tombstones: Mutex<()>,
    /// Directories whose names the next checkpoint makes durable.
    pub dirty_dirs: Mutex<HashSet<PathBuf>>,
    pub counters: Counters,
    pub lock: Mutex<Option<Box<dyn Any + Send + Sync>>>,
    space: SpaceWatch,
    failed: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// Held while the listener hears of durable batches and while the log fails: it hears of none
    /// after the failure.
    publishing: Mutex<()>,
    closed: AtomicBool,
    room_lock: Mutex<()>,
    room: Condvar,
    room_waiters: AtomicUsize,
}

/// What [`Core::new`] is made of.
pub(crate) struct Parts {
    pub disk: Arc<dyn Disk>,
    pub paths: Paths,
    pub options: LogOptions,
    pub listener: Arc<dyn Listener>,
    pub uuid: [u8; 16],
    pub journal: JournalFiles,
    pub checkpoints: Checkpoints,
    pub lock: Box<dyn Any + Send + Sync>,
    pub space: Space,
}

impl Core {
    pub fn new(parts: Parts) -> Core {
        let core = Core {
            files: FileCache::new(parts.options.open_files_max),
            write_behind: WriteBehind::default(),
            indexes: IndexCache::new(),
            flusher: Flusher::new(parts.options.tail_memory_bytes),
            disk: parts.disk,
            paths: parts.paths,
            options: parts.options,
            listener: parts.listener,
            uuid: parts.uuid,
            partitions: RwLock::default(),
            queue: Queue::default(),
            journal: parts.journal,
            checkpoints: parts.checkpoints,
            structure: Mutex::default(),
            tombstones: Mutex::default(),
            dirty_dirs: Mutex::default(),
            counters: Counters::default(),
            lock: Mutex::new(Some(parts.lock)),
            space: SpaceWatch::default(),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
            publishing: Mutex::default(),
            closed: AtomicBool::new(false),
            room_lock: Mutex::default(),
            room: Condvar::new(),
            room_waiters: AtomicUsize::new(0),
        };
        core.note_space(parts.space);
        core
    }

    pub fn now_ms(&self) -> i64 {
        (self.options.clock_ms)()
    }

    /// The state of a partition; made, in memory only, if there is none.
    pub fn partition(self: &Arc<Self>, id: PartitionId) -> Arc<PartitionLog> {
        if let Some(found) = self.partitions.read().get(&id) {
            return found.clone();
        }
        let mut partitions = self.partitions.write();
        let made = partitions
            .entry(id)
            .or_insert_with(|| PartitionLog::new(self.clone(), id));
        made.clone()
    }

    /// Whether something may be queued now, going by the space on the disk.
    pub fn admit(&self, now_ms: i64, bytes: usize) -> Result<(), AppendError> {
        // For the journal and the segment, see `note_space`.
        let bytes = 3 * bytes as i64;
        let allowance = self.space.allowance.fetch_sub(bytes, Ordering::Relaxed);
        let since_ms = now_ms.wrapping_sub(self.space.checked_ms.load(Ordering::Relaxed));
        let spent = allowance < bytes && !self.space.full.load(Ordering::Relaxed);
        if spent || !(0..SPACE_CHECK_MS).contains(&since_ms) {
            self.check_space();
        }
        self.refused()
    }

    /// Blocks while the disk is behind.
    pub fn wait_for_room(&self) -> Result<(), AppendError> {
        if !self.crowded() {
            return Ok(());
        }
        self.room_waiters.fetch_add(1, Ordering::SeqCst);
        let mut guard = self.room_lock.lock();
        while self.refused().is_ok() && self.crowded() {
            self.room.wait(&mut guard);
        }
        drop(guard);
        self.room_waiters.fetch_sub(1, Ordering::SeqCst);
        self.refused()
    }

    fn refused(&self) -> Result<(), AppendError> {
        if self.stopped() {
            return Err(AppendError::Failed);
        }
        if self.space.full.load(Ordering::Relaxed) {
            return Err(AppendError::StorageFull);
        }
        Ok(())
    }

    /// Whether memory or the journal has outgrown what the disk can follow.
    pub fn crowded(&self) -> bool {
        self.queue.bytes() >= self.options.journal_queue_bytes_max
            || self.flusher.behind()
            || self.checkpoints.behind()
    }

    /// To be called whenever something that [`Core::crowded`] looks at went down.
    pub fn wake_appenders(&self) {
        // Orders the lowering before the look at the waiters; they do it the other way round.
        fence(Ordering::SeqCst);
        if self.room_waiters.load(Ordering::SeqCst) > 0 {
            drop(self.room_lock.lock());
            self.room.notify_all();
        }
    }

    /// Looks at the free space now; true while there is more than the reserve.
    pub fn check_space(&self) -> bool {
        self.space
            .checked_ms
            .store(self.now_ms(), Ordering::Relaxed);
        match self.disk.space(&self.paths.dir) {
            Ok(space) => self.note_space(space),
            Err(error) => tracing::warn!(%error, "free space is unknown"),
        }
        !self.space.full.load(Ordering::Relaxed)
    }

    fn note_space(&self, space: Space) {
        let reserve = (space.total / 20).min(RESERVE_BYTES_MAX);
        // What is in memory is promised space already: in the journal, where up to a third goes to
        // padding and the ends of files, and in segments.
        let promised = 3 * self.queue.bytes() + self.flusher.tail_bytes();
        let allowance = space.free as i64 - reserve as i64 - promised as i64;
        let full = allowance <= 0;
        self.space.allowance.store(allowance, Ordering::Relaxed);
        self.space.free.store(space.free, Ordering::Relaxed);
        if self.space.full.swap(full, Ordering::Relaxed) != full {
            tracing::warn!(
                free_bytes = space.free,
                full,
                "the disk reached or left its reserve"
            );
        }
    }

    /// A write found no space, whatever the figures said: appends are refused until the next look.
    pub fn note_full(&self) {
        self.space
            .checked_ms
            .store(self.now_ms(), Ordering::Relaxed);
        if !self.space.full.swap(true, Ordering::Relaxed) {
            tracing::warn!("the disk is full; appends are refused");
        }
        // Those who wait for memory would wait for space: they are to hear of it instead.
        self.wake_appenders();
    }

    /// The disk refused a write for lack of space: waits a moment; false if the log is to stop.
    pub fn wait_for_space(&self) -> bool {
        self.note_full();
        if self.stopped() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(SPACE_CHECK_MS as u64 / 2));
        self.check_space();
        !self.stopped()
    }

    pub fn free_bytes(&self) -> u64 {
        self.space.free.load(Ordering::Relaxed)
    }

    pub fn is_full(&self) -> bool {
        self.space.full.load(Ordering::Relaxed)
    }

    /// Ends the log for good. Only the first failure counts and is told to the listener.
    pub fn fail(&self, kind: FailureKind, detail: String) {
        let failure = Failure { kind, detail };
        {
            let mut first = self.failure.lock();
            if first.is_some() {
                return;
            }
            *first = Some(failure.clone());
        }
        {
            let _publishing = self.publishing.lock();
            self.failed.store(true, Ordering::SeqCst);
        }
        tracing::error!(?kind, detail = failure.detail, "the log has failed");
        self.queue.abandon();
        self.flusher.wake();
        self.checkpoints.wake();
        drop(self.room_lock.lock());
        self.room.notify_all();
        self.listener.failed(&failure);
    }

    /// Runs `publish` unless the log has failed; a failure in the meantime waits for its end.
    pub fn publish(&self, publish: impl FnOnce()) -> bool {
        let _publishing = self.publishing.lock();
        let alive = !self.failed();
        if alive {
            publish();
        }
        alive
    }

    /// Blocks until the frame that was queued as this number is durable and published.
    pub fn wait_committed(&self, number: u64) -> Result<(), AppendError> {
        let done = || self.queue.completed() >= number;
        self.queue.wait(|| done() || self.failed());
        if done() {
            Ok(())
        } else {
            Err(AppendError::Failed)
        }
    }

    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Nothing is taken in any more: failed or closed.
    pub fn stopped(&self) -> bool {
        self.failed() || self.closed.load(Ordering::SeqCst)
    }

    pub fn set_closed(&self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(self.room_lock.lock());
        self.room.notify_all();
    }

    /// Why a maintenance call cannot go on.
    pub fn why_stopped(&self) -> LogError {
        match &*self.failure.lock() {
            Some(failure) => LogError::Failed(failure.clone()),
            None => LogError::Closed,
        }
    }
}

/// Fails the log if the thread that holds it panics: there is no partial life.
pub(crate) struct PanicGuard(pub Arc<Core>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = std::thread::current()
                .name()
                .unwrap_or("a thread")
                .to_owned();
            self.0.fail(FailureKind::Panic, format!("{name} panicked"));
        }
    }
}
