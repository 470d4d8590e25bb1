//! What waits for the journal: filled by every partition, emptied by the committer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::format::{FRAME_HEADER, Kind};
use crate::partition::PartitionLog;

/// One frame to be written.
pub(crate) struct Queued {
    pub kind: Kind,
    pub flags: u8,
    pub partition: Arc<PartitionLog>,
    pub epoch: i32,
    pub base_offset: u64,
    /// One past the last offset of an append.
    pub end_offset: u64,
    pub payload: Bytes,
}

impl Queued {
    pub fn bytes(&self) -> usize {
        FRAME_HEADER + self.payload.len()
    }
}

#[derive(Default)]
struct Waiting {
    frames: Vec<Queued>,
    pushed: u64,
    stopped: bool,
    committer_sleeps: bool,
}

/// The queue, and how far the committer has come with it.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    /// Bytes of frames that are not durable yet.
    bytes: AtomicUsize,
    /// Frames that are durable, counted from the start of the process.
    completed: AtomicU64,
    progress_lock: Mutex<()>,
    progress: Condvar,
}

impl Queue {
    /// Queues a frame and returns its number for [`Queue::wait`]; `None` after the end.
    pub fn push(&self, frame: Queued) -> Option<u64> {
        self.push_all([frame])
    }

    /// Queues frames with nothing between them and returns the last one's number.
    pub fn push_all(&self, frames: impl IntoIterator<Item = Queued>) -> Option<u64> {
        let mut waiting = self.waiting.lock();
        if waiting.stopped {
            return None;
        }
        for frame in frames {
            self.bytes.fetch_add(frame.bytes(), Ordering::Relaxed);
            waiting.frames.push(frame);
            waiting.pushed += 1;
        }
        let number = waiting.pushed;
        if std::mem::take(&mut waiting.committer_sleeps) {
            self.filled.notify_one();
        }
        Some(number)
    }

    /// Waits for frames and swaps them into `taken`, which is empty. False: stopped and drained.
    pub fn take(&self, taken: &mut Vec<Queued>) -> bool {
        let mut waiting = self.waiting.lock();
        while waiting.frames.is_empty() {
            if waiting.stopped {
                return false;
            }
            waiting.committer_sleeps = true;
            self.filled.wait(&mut waiting);
        }
        std::mem::swap(&mut waiting.frames, taken);
        true
    }

    /// Counts frames as durable. The caller has published their effects before.
    pub fn complete(&self, frames: usize, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.completed.fetch_add(frames as u64, Ordering::Release);
        self.wake_waiters();
    }

    /// Lets everyone who waits look again at what they wait for.
    pub fn wake_waiters(&self) {
        drop(self.progress_lock.lock());
        self.progress.notify_all();
    }

    /// Blocks until `done` holds; it is looked at after every group and when the log fails.
    pub fn wait(&self, mut done: impl FnMut() -> bool) {
        if done() {
            return;
        }
        let mut guard = self.progress_lock.lock();
        while !done() {
            self.progress.wait(&mut guard);
        }
    }

    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Acquire)
    }

    /// Bytes on their way to the disk.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Nothing is taken in any more; what was, is still written.
    pub fn stop(&self) {
        self.waiting.lock().stopped = true;
        self.filled.notify_all();
        self.wake_waiters();
    }

    /// Nothing is taken in any more and what waits is thrown away: the log has failed.
    pub fn abandon(&self) {
        let frames = {
            let mut waiting = self.waiting.lock();
            waiting.stopped = true;
            std::mem::take(&mut waiting.frames)
        };
        drop(frames);
        self.filled.notify_all();
        self.wake_waiters();
    }
}
