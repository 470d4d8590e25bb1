//! From the tail to the segment files.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{PartitionLog, State};
use crate::behind::STEP_BYTES;
use crate::disk::{self, Open};
use crate::error::{FailureKind, is_full};
use crate::flush::FlushError;
use crate::segment::cache::SegmentKey;
use crate::segment::index::{self, IndexEntry};

/// Bytes written at once.
const WRITE_BYTES_MAX: usize = 8 << 20;

/// Batches that lie one after the other in one segment.
struct Run {
    instance: u64,
    segment: u64,
    position: u64,
    batches: Vec<Bytes>,
    bytes: usize,
    end: u64,
}

/// A segment that is complete in its file and wants its index beside it.
pub(super) struct Sealed {
    pub base: u64,
    pub bytes: u64,
    pub index: Vec<IndexEntry>,
}

impl PartitionLog {
    /// Writes every durable batch that is in no segment file yet.
    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        let _writing = self.writing.lock();
        self.flush_held()
    }

    /// Lets go of the batches below `end`, writing them out first if need be.
    pub(crate) fn evict(&self, end: u64) -> Result<(), FlushError> {
        let _writing = self.writing.lock();
        if self.state.lock().written_end < end {
            self.flush_held()?;
        }
        let mut gone = Vec::new();
        let mut state = self.state.lock();
        while state
            .tail
            .front()
            .is_some_and(|batch| batch.end <= end.min(state.written_end))
        {
            gone.extend(state.tail.pop_front());
        }
        drop(state);
        Ok(())
    }

    fn flush_held(&self) -> Result<(), FlushError> {
        loop {
            let run = {
                let state = self.state.lock();
                match state.unclean {
                    None => state.next_run(self.durable_end(), self.instance()),
                    Some(_) => {
                        drop(state);
                        self.clean_or_fail()?;
                        continue;
                    }
                }
            };
            let Some(run) = run else { return Ok(()) };
            let failed = |error: io::Error| {
                let detail = format!("{} segment {}: {error}", self.id, run.segment);
                self.core.fail(FailureKind::SegmentWrite, detail);
                FlushError::Failed
            };
            let file = match self.write_run(&run) {
                Ok(file) => file,
                Err(error) if is_full(&error) => {
                    self.core.note_full();
                    return Err(FlushError::Full);
                }
                Err(error) => return Err(failed(error)),
            };
            let (behind, sealed) = {
                let mut state = self.state.lock();
                if run.instance != self.instance() {
                    // Cut in the meantime: what was written is no part of the log.
                    continue;
                }
                state.written(&run)
            };
            if let Some(range) = behind {
                self.core
                    .write_behind
                    .written(&file, range)
                    .map_err(failed)?;
            }
            self.sub_unwritten(run.bytes);
            self.core
                .counters
                .segment_bytes_written
                .fetch_add(run.bytes as u64, Ordering::Relaxed);
            if let Some(sealed) = sealed {
                self.save_index(sealed.base, sealed.bytes, &sealed.index);
            }
        }
    }

    fn write_run(&self, run: &Run) -> io::Result<Arc<dyn disk::File>> {
        let core = &self.core;
        let path = core.paths.segment(self.id, run.segment);
        if run.position == 0 {
            self.make_directory()?;
        }
        let open = || {
            let key = (run.instance, run.segment);
            core.files.open(&*core.disk, key, &path, Open::Create)
        };
        let file = match open() {
            // Recovery goes through the last writes of a partition that was dropped after them.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.state.lock().directory_made = false;
                self.make_directory()?;
                open()?
            }
            opened => opened?,
        };
        let slices: Vec<_> = run
            .batches
            .iter()
            .map(|batch| IoSlice::new(batch))
            .collect();
        file.write_vectored_at(&slices, run.position)?;
        Ok(file)
    }

    /// Notes the names that a new segment needs to be found again.
    pub(super) fn make_directory(&self) -> io::Result<()> {
        let paths = &self.core.paths;
        let made = self.state.lock().directory_made;
        if !made {
            self.core.disk.create_dir_all(&paths.partition(self.id))?;
        }
        let mut dirty = self.core.dirty_dirs.lock();
        dirty.insert(paths.partition(self.id));
        if !made {
            dirty.extend([paths.topic(self.id), paths.partitions.clone()]);
        }
        drop(dirty);
        self.state.lock().directory_made = true;
        Ok(())
    }

    pub(super) fn sub_unwritten(&self, bytes: usize) {
        let sub = |before: usize| Some(before.saturating_sub(bytes));
        let _ = self
            .unwritten_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sub);
    }

    /// Puts an index beside its segment. It can be built again, so an error is no more than a
    /// slower first read.
    pub(super) fn save_index(&self, base: u64, bytes: u64, entries: &[IndexEntry]) {
        let path = self.core.paths.index(self.id, base);
        let encoded = index::encode(entries, base, bytes);
        let saved = (|| {
            let file = self.core.disk.open(&path, Open::Create)?;
            file.truncate(0)?;
            file.write_vectored_at(&[IoSlice::new(&encoded)], 0)
        })();
        if let Err(error) = saved {
            tracing::warn!(partition = %self.id, base, %error, "an index was not saved");
        }
    }

    /// Cuts off what a file has beyond the log: left by a write before a crash, or by one that
    /// found the disk full.
    pub(crate) fn cut_excess(&self, base: u64) -> io::Result<()> {
        let _writing = self.writing.lock();
        let Some(written) = self
            .state
            .lock()
            .segment_mut(base)
            .map(|segment| segment.written)
            .filter(|written| *written > 0)
        else {
            return Ok(());
        };
        let file = self.segment_file(base)?;
        if file.len()? > written {
            file.truncate(written)
        } else {
            Ok(())
        }
    }

    /// The open file of a segment that was written before.
    pub(crate) fn segment_file(&self, base: u64) -> io::Result<Arc<dyn disk::File>> {
        let key = {
            // Under one lock: before it is written, a file of its name may be what a cut has left,
            // and must not be kept open under the key of what comes.
            let mut state = self.state.lock();
            let segment = state.segment_mut(base);
            let written = segment.is_some_and(|segment| segment.written > 0);
            written.then(|| self.key(base))
        };
        self.segment_file_of(key.ok_or(io::ErrorKind::NotFound)?)
    }

    /// The same for a key of when it was written.
    pub(super) fn segment_file_of(&self, key: SegmentKey) -> io::Result<Arc<dyn disk::File>> {
        let core = &self.core;
        let path = core.paths.segment(self.id, key.1);
        core.files.open(&*core.disk, key, &path, Open::Write)
    }
}

impl State {
    /// The next batches to write: durable, of one segment.
    fn next_run(&self, durable_end: u64, instance: u64) -> Option<Run> {
        let from = self
            .tail
            .partition_point(|batch| batch.base < self.written_end);
        let first = self.tail.get(from)?;
        let mut run = Run {
            instance,
            segment: first.segment,
            position: first.position,
            batches: Vec::new(),
            bytes: 0,
            end: self.written_end,
        };
        for batch in self.tail.range(from..) {
            let full = run.bytes >= WRITE_BYTES_MAX;
            if full || batch.segment != run.segment || batch.end > durable_end {
                break;
            }
            run.batches.push(batch.bytes.clone());
            run.bytes += batch.bytes.len();
            run.end = batch.end;
        }
        (!run.batches.is_empty()).then_some(run)
    }

    /// Notes a run as written. Answers what write-behind should hear of, and the segment if that
    /// completes it.
    fn written(&mut self, run: &Run) -> (Option<Range<u64>>, Option<Sealed>) {
        self.written_end = self.written_end.max(run.end);
        if !self.unsynced.contains(&run.segment) {
            self.unsynced.push(run.segment);
        }
        let Some(segment) = self.segment_mut(run.segment) else {
            return (None, None);
        };
        segment.written = run.position + run.bytes as u64;
        let fresh = segment.behind..segment.written;
        let behind = (fresh.end - fresh.start >= STEP_BYTES).then(|| {
            segment.behind = segment.written;
            fresh
        });
        (behind, self.finish(run.segment))
    }

    /// Takes the index out of a segment that is complete, if it covers all of it.
    pub(super) fn finish(&mut self, base: u64) -> Option<Sealed> {
        let segment = self.segment_mut(base)?;
        if !segment.is_complete() {
            return None;
        }
        let index = std::mem::take(&mut segment.index);
        let whole = segment.unindexed == 0 && !index.is_empty();
        whole.then_some(Sealed {
            base,
            bytes: segment.bytes,
            index,
        })
    }
}
