//! Recent batches in memory, and the thread that moves them to the segments.
//!
//! Every durable batch is in its partition's tail and, in journal order, in one first-in
//! first-out list over all partitions. The flusher writes out a partition that has gathered a
//! good run, and evicts from the front of the list while memory is over its budget.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::core::Core;
use crate::journal::format::Kind;
use crate::journal::queue::Queued;
use crate::partition::PartitionLog;

/// A partition with this many unwritten bytes is written out.
const RUN_BYTES: usize = 256 << 10;
/// What a batch costs in memory beside its bytes.
const BATCH_OVERHEAD_BYTES: usize = 128;
/// Neighbours of one partition share an entry of the list up to this cost.
const ENTRY_BYTES_MAX: usize = 64 << 10;

/// Why a flush stopped early.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum FlushError {
    /// No space; nothing is lost, to be tried again.
    Full,
    /// The log has failed.
    Failed,
}

/// Batches of one partition up to an offset.
struct Recent {
    partition: Arc<PartitionLog>,
    end: u64,
    cost: usize,
}

#[derive(Default)]
struct Work {
    ready: VecDeque<Arc<PartitionLog>>,
    recent: VecDeque<Recent>,
    stopped: bool,
}

enum Job {
    Flush(Arc<PartitionLog>),
    Evict(Recent),
}

pub(crate) struct Flusher {
    budget: usize,
    tail_bytes: AtomicUsize,
    work: Mutex<Work>,
    wake: Condvar,
}

impl Flusher {
    pub fn new(budget: usize) -> Flusher {
        let (tail_bytes, work) = (AtomicUsize::new(0), Mutex::default());
        Flusher {
            budget,
            tail_bytes,
            work,
            wake: Condvar::new(),
        }
    }

    /// Takes over what the committer, or recovery, has made durable.
    pub fn committed(&self, core: &Core, frames: &[Queued]) {
        let mut work = self.work.lock();
        for frame in frames {
            match frame.kind {
                Kind::Append => self.add(
                    &mut work,
                    &frame.partition,
                    frame.end_offset,
                    frame.payload.len(),
                ),
                // What was counted before may be gone. The list still names it, which evicts some
                // batches early and is over when that part of the list is.
                Kind::Truncate | Kind::Reset | Kind::ResetWithHistory => {
                    frame.partition.unwritten_bytes.store(0, Ordering::Relaxed);
                }
                Kind::LogStart | Kind::LocalStart | Kind::Drop | Kind::SeenEpoch => {}
            }
        }
        if !work.ready.is_empty() || self.over() {
            self.wake.notify_one();
        }
        drop(work);
        debug_assert!(self.budget == core.options.tail_memory_bytes);
    }

    /// One batch that recovery put into a tail.
    pub fn recovered(&self, partition: &Arc<PartitionLog>, end: u64, bytes: usize) {
        self.add(&mut self.work.lock(), partition, end, bytes);
    }

    fn add(&self, work: &mut Work, partition: &Arc<PartitionLog>, end: u64, bytes: usize) {
        let cost = bytes + BATCH_OVERHEAD_BYTES;
        self.tail_bytes.fetch_add(cost, Ordering::Relaxed);
        let unwritten = partition
            .unwritten_bytes
            .fetch_add(bytes, Ordering::Relaxed)
            + bytes;
        if unwritten >= RUN_BYTES && !partition.ready.swap(true, Ordering::Relaxed) {
            work.ready.push_back(partition.clone());
        }
        match work.recent.back_mut() {
            Some(last)
                if Arc::ptr_eq(&last.partition, partition)
                    && last.cost + cost <= ENTRY_BYTES_MAX =>
            {
                last.end = end;
                last.cost += cost;
            }
            _ => work.recent.push_back(Recent {
                partition: partition.clone(),
                end,
                cost,
            }),
        }
    }

    fn over(&self) -> bool {
        self.tail_bytes() > self.budget
    }

    /// Whether memory is so far over its budget that appends have to wait.
    pub fn behind(&self) -> bool {
        self.tail_bytes() > self.budget + self.budget / 4
    }

    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes.load(Ordering::Relaxed)
    }

    fn next(&self, work: &mut Work) -> Option<Job> {
        if let Some(partition) = work.ready.pop_front() {
            return Some(Job::Flush(partition));
        }
        if !self.over() {
            return None;
        }
        work.recent.pop_front().map(Job::Evict)
    }

    fn run_job(&self, core: &Core, job: Job) -> Result<(), FlushError> {
        match job {
            Job::Flush(partition) => {
                partition.ready.store(false, Ordering::Relaxed);
                if let Err(error) = partition.flush() {
                    if !partition.ready.swap(true, Ordering::Relaxed) {
                        self.work.lock().ready.push_front(partition);
                    }
                    return Err(error);
                }
            }
            Job::Evict(recent) => {
                if let Err(error) = recent.partition.evict(recent.end) {
                    self.work.lock().recent.push_front(recent);
                    return Err(error);
                }
                self.tail_bytes.fetch_sub(recent.cost, Ordering::Relaxed);
                core.wake_appenders();
            }
        }
        Ok(())
    }

    /// Does everything that is to be done now; for recovery, which has no threads yet.
    pub fn drain(&self, core: &Core) -> Result<(), FlushError> {
        loop {
            let job = self.next(&mut self.work.lock());
            let Some(job) = job else { return Ok(()) };
            self.run_job(core, job)?;
        }
    }

    /// The thread: runs until stopped or the log fails.
    pub fn run(&self, core: &Core) {
        loop {
            let job = {
                let mut work = self.work.lock();
                loop {
                    if work.stopped || core.failed() {
                        return;
                    }
                    if let Some(job) = self.next(&mut work) {
                        break job;
                    }
                    self.wake.wait(&mut work);
                }
            };
            match self.run_job(core, job) {
                Ok(()) => {}
                Err(FlushError::Full) => {
                    core.wait_for_space();
                }
                Err(FlushError::Failed) => return,
            }
        }
    }

    pub fn wake(&self) {
        drop(self.work.lock());
        self.wake.notify_all();
    }

    pub fn stop(&self) {
        self.work.lock().stopped = true;
        self.wake.notify_all();
    }

    /// Forgets everything, so that nothing keeps the partitions alive.
    pub fn clear(&self) {
        let work = std::mem::take(&mut *self.work.lock());
        drop(work);
    }
}
