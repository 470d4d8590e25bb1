//! The log of one disk, as its owner holds it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use crate::core::{Core, PanicGuard};
use crate::disk::Disk;
use crate::error::{AppendError, LogError, OpenError};
use crate::id::{PartitionId, TopicId};
use crate::options::{Listener, LogOptions};
use crate::partition::PartitionLog;
use crate::recover::{self, Recovery};
use crate::stats::LogStats;

/// All partitions on one disk, made durable through one journal. Clones share it; its threads
/// stop with the last clone, or with [`Log::close`].
#[derive(Clone)]
pub struct Log {
    running: Arc<Running>,
}

struct Running {
    core: Arc<Core>,
    committer: Mutex<Option<JoinHandle<()>>>,
    others: Mutex<Vec<JoinHandle<()>>>,
}

impl Log {
    /// Whether so much waits for the disk that nothing more should be appended now.
    pub fn crowded(&self) -> bool {
        self.running.core.crowded()
    }

    /// Blocks while the log is crowded.
    ///
    /// # Errors
    /// The log is full, failed or closed.
    pub fn wait_for_room(&self) -> Result<(), AppendError> {
        self.running.core.wait_for_room()
    }

    /// Opens a data directory, or makes one, and recovers what a crash left. When it returns,
    /// everything that can be read is durable.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        listener: Arc<dyn Listener>,
    ) -> Result<(Log, Recovery), OpenError> {
        let opened = recover::open(disk, options, listener)?;
        let core = opened.core;
        let committer = spawn(&core, "journal", move |core| opened.committer.run(core))?;
        let flusher = spawn(&core, "flusher", |core| core.flusher.run(core))?;
        let checkpoints = spawn(&core, "checkpoint", |core| core.checkpoints.run(core))?;
        let running = Running {
            core,
            committer: Mutex::new(Some(committer)),
            others: Mutex::new(vec![flusher, checkpoints]),
        };
        Ok((
            Log {
                running: Arc::new(running),
            },
            opened.recovery,
        ))
    }

    /// The partition, made in memory if it is new; nothing is on the disk before the first append.
    pub fn partition(&self, id: PartitionId) -> Arc<PartitionLog> {
        self.running.core.partition(id)
    }

    /// The partition, if it is known here.
    pub fn existing(&self, id: PartitionId) -> Option<Arc<PartitionLog>> {
        self.running.core.partitions.read().get(&id).cloned()
    }

    /// All partitions known here, in no order.
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.running
            .core
            .partitions
            .read()
            .keys()
            .copied()
            .collect()
    }

    /// Drops partitions for good: a tombstone is made durable, then their files are removed.
    /// Blocks for both. Unknown ones are passed over.
    ///
    /// # Errors
    /// [`AppendError::Failed`]: some may be gone and others not.
    pub fn drop_partitions(&self, ids: &[PartitionId]) -> Result<(), AppendError> {
        let core = &self.running.core;
        let _structure = core.structure.lock();
        let found: Vec<_> = ids.iter().filter_map(|id| self.existing(*id)).collect();
        let mut last = None;
        {
            let _tombstones = core.tombstones.lock();
            for partition in &found {
                last = Some(partition.begin_drop().ok_or(AppendError::Failed)?);
            }
        }
        let Some(last) = last else { return Ok(()) };
        core.wait_committed(last)?;
        for partition in &found {
            partition.remove_everything();
            core.partitions.write().remove(&partition.id());
        }
        if core.failed() {
            Err(AppendError::Failed)
        } else {
            Ok(())
        }
    }

    /// Notes the highest leader epochs that were heard of, also for partitions that hold nothing
    /// here, see [`PartitionLog::seen_epoch`]. Blocks until all of them are durable, in one journal
    /// group if it takes them. One that is not above what is known is passed over, and so is one of
    /// a partition that is being dropped: it would be forgotten with it.
    ///
    /// # Errors
    /// [`AppendError::Failed`]: some may be noted and others not.
    pub fn note_seen_epochs(&self, seen: &[(PartitionId, i32)]) -> Result<(), AppendError> {
        let core = &self.running.core;
        let last = {
            let _tombstones = core.tombstones.lock();
            let frames: Vec<_> = seen
                .iter()
                .filter_map(|(id, epoch)| core.partition(*id).seen_frame(*epoch))
                .collect();
            if frames.is_empty() {
                return Ok(());
            }
            core.queue.push_all(frames).ok_or(AppendError::Failed)?
        };
        core.wait_committed(last)
    }

    /// Brings the segments up to the journal and frees it. Blocks until that is durable.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn checkpoint(&self) -> Result<(), LogError> {
        self.running
            .core
            .checkpoints
            .request_and_wait(&self.running.core)
    }

    /// Stops cleanly: what was queued is made durable, a checkpoint is taken, the directory is
    /// free for others. Other clones and partitions answer with errors from then on.
    ///
    /// # Errors
    /// That of the last checkpoint; the log is closed nevertheless.
    pub fn close(self) -> Result<(), LogError> {
        self.running.stop(true)
    }

    /// The data directory's own name, made when the directory was: a copy has the same.
    pub fn data_dir_uuid(&self) -> [u8; 16] {
        self.running.core.uuid
    }

    /// The failure that ended the log, if one did.
    pub fn failure(&self) -> Option<crate::Failure> {
        match self.running.core.why_stopped() {
            LogError::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Counters and gauges.
    pub fn stats(&self) -> LogStats {
        let core = &self.running.core;
        LogStats {
            journal_bytes: core.checkpoints.journal_bytes(),
            queue_bytes: core.queue.bytes() as u64,
            tail_bytes: core.flusher.tail_bytes() as u64,
            open_files: core.files.len() as u64,
            free_bytes: core.free_bytes(),
            storage_full: core.is_full(),
            partitions: core.partitions.read().len() as u64,
            ..core.counters.read()
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let uuid = TopicId(self.data_dir_uuid());
        f.debug_struct("Log")
            .field("data_dir", &uuid)
            .finish_non_exhaustive()
    }
}

impl Running {
    fn stop(&self, with_checkpoint: bool) -> Result<(), LogError> {
        let core = &self.core;
        let Some(committer) = self.committer.lock().take() else {
            return Err(core.why_stopped());
        };
        core.queue.stop();
        join(committer);
        let outcome = match with_checkpoint {
            true => core.checkpoints.request_and_wait(core),
            false => Ok(()),
        };
        core.set_closed();
        core.queue.wake_waiters();
        core.flusher.stop();
        core.checkpoints.stop();
        self.others.lock().drain(..).for_each(join);
        core.flusher.clear();
        core.write_behind.clear();
        core.checkpoints.clear();
        core.partitions.write().clear();
        core.lock.lock().take();
        outcome
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop(false);
    }
}

fn spawn(
    core: &Arc<Core>,
    name: &str,
    work: impl FnOnce(&Arc<Core>) + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let core = core.clone();
    let body = move || {
        let guard = PanicGuard(core);
        work(&guard.0);
    };
    let context = format!("starting the {name} thread");
    thread::Builder::new()
        .name(format!("log-{name}"))
        .spawn(body)
        .map_err(OpenError::io(context))
}

fn join(thread: JoinHandle<()>) {
    // The last clone may be dropped by a listener, on one of the threads themselves.
    if thread.thread().id() != thread::current().id() {
        let _: Result<(), Box<dyn std::any::Any + Send>> = thread.join();
    }
}
