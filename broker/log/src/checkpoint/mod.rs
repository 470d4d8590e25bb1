//! Checkpoints: what the journal holds is brought to the segments and synced there, written down,
//! and the journal's files are free to be used again.

pub(crate) mod format;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::core::Core;
use crate::disk;
use crate::error::{FailureKind, LogError, is_full};
use crate::flush::FlushError;
use crate::journal::Position;
use crate::partition::PartitionLog;
use format::Checkpoint;

/// After a checkpoint that found the disk full, the next try is this much later.
const RETRY: Duration = Duration::from_millis(500);
/// A segment's file that is missing is looked for this many times.
const TRIES: u32 = 8;
/// Appends wait when the journal has grown to this many times what calls for a checkpoint.
const BEHIND_FACTOR: u64 = 4;

struct State {
    /// Where the journal is durable and its effects are published.
    position: Position,
    /// Where the last checkpoint was taken.
    covered: Position,
    last_commit: Instant,
    not_before: Option<Instant>,
    requested: u64,
    done: u64,
    outcome: Result<(), LogError>,
    stopped: bool,
}

pub(crate) struct Checkpoints {
    journal_bytes_max: u64,
    idle: Duration,
    /// Journal bytes since the last checkpoint.
    journal_bytes: AtomicU64,
    state: Mutex<State>,
    wake: Condvar,
    finished: Condvar,
    dirty: Mutex<Vec<Arc<PartitionLog>>>,
}

impl Checkpoints {
    pub fn new(journal_bytes_max: u64, idle: Duration, covered: Position) -> Checkpoints {
        Checkpoints {
            journal_bytes_max,
            idle,
            journal_bytes: AtomicU64::new(0),
            state: Mutex::new(State {
                position: covered,
                covered,
                last_commit: Instant::now(),
                not_before: None,
                requested: 0,
                done: 0,
                outcome: Ok(()),
                stopped: false,
            }),
            wake: Condvar::new(),
            finished: Condvar::new(),
            dirty: Mutex::default(),
        }
    }

    pub fn add_dirty(&self, partition: Arc<PartitionLog>) {
        self.dirty.lock().push(partition);
    }

    /// The journal is durable up to here, and its partitions know.
    pub fn committed(&self, position: Position, bytes: u64) {
        let total = self.journal_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut state = self.state.lock();
        let was_clean = state.position == state.covered;
        state.position = position;
        state.last_commit = Instant::now();
        if was_clean || (total > self.journal_bytes_max && total - bytes <= self.journal_bytes_max)
        {
            self.wake.notify_one();
        }
    }

    pub fn journal_bytes(&self) -> u64 {
        self.journal_bytes.load(Ordering::Relaxed)
    }

    /// Whether the journal has grown so far that appends have to wait for a checkpoint.
    pub fn behind(&self) -> bool {
        self.journal_bytes() > BEHIND_FACTOR * self.journal_bytes_max
    }

    /// Asks for a checkpoint without waiting for it.
    pub fn request(&self) {
        self.state.lock().requested += 1;
        self.wake.notify_one();
    }

    /// Asks for a checkpoint that covers everything durable now, and waits for it.
    pub fn request_and_wait(&self, core: &Core) -> Result<(), LogError> {
        let mut state = self.state.lock();
        state.requested += 1;
        let number = state.requested;
        self.wake.notify_one();
        while state.done < number {
            if core.failed() || state.stopped {
                return Err(core.why_stopped());
            }
            self.finished.wait(&mut state);
        }
        state.outcome.clone()
    }

    /// Lets everyone look again whether the log has failed.
    pub fn wake(&self) {
        drop(self.state.lock());
        self.wake.notify_all();
        self.finished.notify_all();
    }

    pub fn stop(&self) {
        self.state.lock().stopped = true;
        self.wake.notify_all();
        self.finished.notify_all();
    }

    /// Forgets everything, so that nothing keeps the partitions alive.
    pub fn clear(&self) {
        let dirty = std::mem::take(&mut *self.dirty.lock());
        drop(dirty);
    }

    /// The thread: runs until stopped or the log fails.
    pub fn run(&self, core: &Arc<Core>) {
        while let Some(request) = self.next(core) {
            let outcome = self.take(core);
            let mut state = self.state.lock();
            state.done = request;
            state.not_before = outcome.is_err().then(|| Instant::now() + RETRY);
            state.outcome = outcome;
            self.finished.notify_all();
        }
        self.wake();
    }

    /// Waits until a checkpoint is due; the newest request that it serves.
    fn next(&self, core: &Core) -> Option<u64> {
        let mut state = self.state.lock();
        loop {
            if state.stopped || core.failed() {
                return None;
            }
            if state.requested > state.done {
                return Some(state.requested);
            }
            if state.position == state.covered {
                self.wake.wait(&mut state);
                continue;
            }
            let due = match self.journal_bytes() > self.journal_bytes_max {
                true => state.not_before.unwrap_or(state.last_commit),
                false => state.not_before.unwrap_or(state.last_commit + self.idle),
            };
            if due <= Instant::now() {
                return Some(state.requested);
            }
            self.wake.wait_until(&mut state, due);
        }
    }

    fn take(&self, core: &Arc<Core>) -> Result<(), LogError> {
        let started = Instant::now();
        let _structure = core.structure.lock();
        let (position, journal_bytes) = (self.state.lock().position, self.journal_bytes());
        let dirty = std::mem::take(&mut *self.dirty.lock());
        let taken = self.take_at(core, position, &dirty);
        match taken {
            Ok(()) => {
                self.state.lock().covered = position;
                self.journal_bytes
                    .fetch_sub(journal_bytes, Ordering::Relaxed);
                core.counters.checkpointed(started.elapsed());
                core.wake_appenders();
            }
            // What was not written out has to be on the next one's list.
            Err(_) => dirty.iter().for_each(|partition| partition.mark_dirty()),
        }
        taken
    }

    fn take_at(
        &self,
        core: &Arc<Core>,
        position: Position,
        dirty: &[Arc<PartitionLog>],
    ) -> Result<(), LogError> {
        for partition in dirty {
            partition.clear_dirty();
            partition.flush().map_err(|error| match error {
                FlushError::Full => LogError::StorageFull,
                FlushError::Failed => core.why_stopped(),
            })?;
        }
        let all: Vec<_> = core.partitions.read().values().cloned().collect();
        let mut entries = Vec::with_capacity(all.len());
        let mut unsynced = Vec::new();
        for partition in &all {
            if let Some((entry, segments)) = partition.capture() {
                entries.push(entry);
                unsynced.extend(segments.into_iter().map(|base| (partition, base)));
            }
        }
        let failed = |kind, detail| {
            core.fail(kind, detail);
            core.why_stopped()
        };
        sync_segments(core, &unsynced)
            .map_err(|error| failed(FailureKind::SegmentSync, error.to_string()))?;
        let checkpoint = Checkpoint {
            uuid: core.uuid,
            position,
            partitions: entries,
        };
        let written = disk::replace(&*core.disk, &core.paths.checkpoint, &checkpoint.encode())
            .and_then(|()| core.journal.recycle_below(position.file));
        written.map_err(|error| {
            if is_full(&error) {
                core.note_full();
                return LogError::StorageFull;
            }
            failed(FailureKind::Checkpoint, error.to_string())
        })
    }
}

/// Makes segments, and the names of new and removed ones, durable: first all are set to work,
/// then each is waited for.
fn sync_segments(core: &Core, segments: &[(&Arc<PartitionLog>, u64)]) -> io::Result<()> {
    for (partition, base) in segments {
        still_there(partition, *base, || {
            partition.cut_excess(*base)?;
            partition
                .segment_file(*base)
                .map(|file| file.start_writeback())
        })?;
    }
    for (partition, base) in segments {
        still_there(partition, *base, || {
            partition.segment_file(*base)?.sync_data()
        })?;
    }
    let dirs = std::mem::take(&mut *core.dirty_dirs.lock());
    for dir in dirs {
        match core.disk.sync_dir(&dir) {
            // A topic's directory that went with its last partition.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// A file that is missing because its segment was trimmed or cut away in the meantime is no error.
/// One of the same name may come after a cut, so a missing file is looked for again.
fn still_there(
    partition: &PartitionLog,
    base: u64,
    work: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    let mut tries = 0;
    loop {
        let error = match work() {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let missing = error.kind() == io::ErrorKind::NotFound;
        if missing && !partition.has_written(base) {
            return Ok(());
        }
        tries += 1;
        if !missing || tries == TRIES {
            let detail = format!("{} segment {base}: {error}", partition.id());
            return Err(io::Error::new(error.kind(), detail));
        }
    }
}
