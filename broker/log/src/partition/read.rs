//! Reading: from memory if it is there, else from a segment through its index.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{PartitionLog, State};
use crate::disk::{self, Wait};
use crate::error::ReadError;
use crate::segment::cache::{LoadedIndex, SegmentKey};
use crate::segment::index;
use crate::segment::scan::{ScanError, SegmentFile};

/// What is needed of a segment to read it without the lock.
pub(super) struct View {
    /// Of when it was made: after a cut it is worth nothing.
    instance: u64,
    pub base: u64,
    pub written: u64,
    /// One past the last offset that can be in the file.
    pub end: u64,
    pub sealed: bool,
    /// Bytes at the front that no index in memory covers.
    unindexed: u64,
    /// (position, offset) of the indexed batch to begin at, if the index in memory knows.
    pub start: Option<(u64, u64)>,
}

impl View {
    /// Bytes at the front that an index that is not in memory covers.
    fn indexed_bytes(&self) -> u64 {
        if self.sealed {
            self.written
        } else {
            self.unindexed
        }
    }

    fn key(&self) -> SegmentKey {
        (self.instance, self.base)
    }

    /// Where to begin for an offset, by a loaded index.
    fn find(&self, loaded: &LoadedIndex, from: u64) -> (u64, u64) {
        index::find(&loaded.entries, self.base, from).map_or((0, self.base), |entry| {
            (
                u64::from(entry.position),
                self.base + u64::from(entry.offset_delta),
            )
        })
    }
}

enum Find {
    Found(View),
    /// No segment has it; the next one begins here.
    Missing(u64),
    /// It is in memory, or has just gone from there to the file, or from the disk.
    Again,
}

impl PartitionLog {
    /// What [`PartitionLog::read`] would answer, if memory alone can tell: that is always so for
    /// what is not durable yet.
    pub fn try_read(
        &self,
        from: u64,
        end: u64,
        bytes_max: usize,
    ) -> Option<Result<Vec<Bytes>, ReadError>> {
        let state = self.state.lock();
        if let Err(error) = self.check_range(&state, from) {
            return Some(Err(error));
        }
        let end = end.min(self.next_offset());
        if from >= end {
            return Some(Ok(Vec::new()));
        }
        state.read_tail(from, end, bytes_max).map(Ok)
    }

    /// As [`PartitionLog::try_read`] for what is in a segment, if the system has it in memory and
    /// its index is loaded: for threads that must not wait. `None` says nothing about the bytes.
    pub fn read_cached(&self, from: u64, end: u64, bytes_max: usize) -> Option<Vec<Bytes>> {
        let Find::Found(view) = self.view(from) else {
            return None;
        };
        let key = view.key();
        let file = self.core.files.get(key)?;
        let file = self.segment(&view, file, Wait::Never);
        let start = match view.start {
            Some(start) => start,
            None => {
                let loaded = self.core.indexes.get(key)?;
                (loaded.bytes == view.indexed_bytes()).then(|| view.find(&loaded, from))?
            }
        };
        let batches = self.read_from(&file, start, (from, end), bytes_max).ok()?;
        self.is_current(&view).then_some(batches)
    }

    /// Whole batches from the one that holds `from`, up to the last that ends at or before `end`
    /// (exclusive), about `bytes_max` bytes but at least one batch. Empty when there is none:
    /// `from` is at the end, or `end` lies inside its batch.
    ///
    /// May block on the disk. Offsets at and after [`PartitionLog::durable_end`] are given out
    /// too if `end` asks for them, from memory: what is safe to show is for the caller to say. So a
    /// leader with `end` = [`PartitionLog::next_offset`] sends its followers what its own disk is
    /// still syncing.
    ///
    /// What is no longer on this disk is [`ReadError::NotLocal`], never an empty answer.
    ///
    /// While the log is truncated it gives what was there before, or what is there after, or
    /// [`ReadError::OutOfRange`]; the batches of one answer are all of before or all of after.
    ///
    /// # Errors
    /// See [`ReadError`]. A bad batch is an error only if it is the first, so that all good ones
    /// before it are read first.
    pub fn read(&self, from: u64, end: u64, bytes_max: usize) -> Result<Vec<Bytes>, ReadError> {
        loop {
            if let Some(answer) = self.try_read(from, end, bytes_max) {
                return answer;
            }
            let view = match self.view(from) {
                Find::Found(view) => view,
                Find::Missing(to) => return Err(self.corrupt(from, to)),
                Find::Again => continue,
            };
            let read = self.read_segment(&view, from, end, bytes_max);
            if !self.is_current(&view) {
                continue;
            }
            match read {
                Ok(batches) => return Ok(batches),
                // Trimmed or dropped while it was read: the range check says so.
                Err(ReadError::Io(_)) if !self.has_segment(view.base) => {}
                Err(ReadError::Corrupt { from, to }) => return Err(self.corrupt(from, to)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether an offset is one that this disk has, or the end.
    pub(super) fn check_range(&self, state: &State, from: u64) -> Result<(), ReadError> {
        if self.is_dropped() {
            return Err(ReadError::Dropped);
        }
        let (log_start, end) = (self.log_start(), self.next_offset());
        if from < log_start || from > end {
            return Err(ReadError::OutOfRange { log_start, end });
        }
        let local_start = self.local_start();
        if from < local_start {
            return Err(ReadError::NotLocal { local_start });
        }
        match state.hole(from) {
            Some((_, to)) => Err(ReadError::Corrupt { from, to }),
            None => Ok(()),
        }
    }

    fn view(&self, from: u64) -> Find {
        let state = self.state.lock();
        // What was removed since the range was checked is for that check to name.
        if from >= state.written_end || from < self.local_start() {
            return Find::Again;
        }
        let Some(found) = state.segment_of(from) else {
            return Find::Missing(state.segments.front().map_or(state.written_end, |s| s.base));
        };
        Find::Found(self.view_of(&state, found, from))
    }

    pub(super) fn view_of(&self, state: &State, at: usize, from: u64) -> View {
        state.view(at, from, self.instance())
    }

    /// Whether nothing was cut off since a view was made; what was read by it is good then.
    pub(super) fn is_current(&self, view: &View) -> bool {
        self.instance() == view.instance
    }

    /// Views of all segments that have bytes in files, oldest first.
    pub(super) fn views(&self) -> Vec<View> {
        let state = self.state.lock();
        let written = (0..state.segments.len()).filter(|at| state.segments[*at].written > 0);
        written
            .map(|at| self.view_of(&state, at, state.segments[at].base))
            .collect()
    }

    pub(crate) fn has_segment(&self, base: u64) -> bool {
        !self.is_dropped() && self.state.lock().segment_mut(base).is_some()
    }

    pub(crate) fn has_written(&self, base: u64) -> bool {
        let mut state = self.state.lock();
        let segment = state.segment_mut(base);
        !self.is_dropped() && segment.is_some_and(|segment| segment.written > 0)
    }

    /// `view` is of a segment that has bytes in its file.
    pub(super) fn open_view(&self, view: &View) -> io::Result<SegmentFile> {
        let file = self.segment_file_of(view.key())?;
        Ok(self.segment(view, file, Wait::Allowed))
    }

    fn segment(&self, view: &View, file: Arc<dyn disk::File>, wait: Wait) -> SegmentFile {
        let (base, written, end) = (view.base, view.written, view.end);
        SegmentFile {
            file,
            base,
            written,
            end,
            wait,
        }
    }

    /// Batches from (position, offset) on, each checked also against the epochs.
    fn read_from(
        &self,
        file: &SegmentFile,
        (position, expected): (u64, u64),
        range: (u64, u64),
        bytes_max: usize,
    ) -> Result<Vec<Bytes>, ScanError> {
        let batches = file.read(position, expected, range, bytes_max, |header| {
            let epoch = self.state.lock().epoch_at(header.base_offset);
            epoch.is_none_or(|epoch| epoch == header.leader_epoch)
        })?;
        let bytes = batches.iter().map(|batch| batch.len() as u64).sum();
        let counter = &self.core.counters.segment_bytes_read;
        counter.fetch_add(bytes, Ordering::Relaxed);
        Ok(batches)
    }

    fn read_segment(
        &self,
        view: &View,
        from: u64,
        end: u64,
        bytes_max: usize,
    ) -> Result<Vec<Bytes>, ReadError> {
        let failed = |error: io::Error| self.read_failed(view.base, &error);
        let corrupt = |from, to| ReadError::Corrupt { from, to };
        let file = match self.open_view(view) {
            Ok(file) => file,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && self.has_segment(view.base) =>
            {
                return Err(corrupt(from, view.end));
            }
            Err(error) => return Err(failed(error)),
        };
        let (position, expected) = match view.start {
            Some(start) => start,
            None => self.start(view, &file, from).map_err(failed)?,
        };
        let read = |position, expected| {
            self.read_from(&file, (position, expected), (from, end), bytes_max)
        };
        let batches = match read(position, expected) {
            Err(ScanError::Bad) => {
                // Whatever is wrong (this batch, one before it, the index), the file itself says
                // where the next good one is.
                let found = file
                    .resync(position.min(file.written), expected, from)
                    .map_err(failed)?;
                let found = match found {
                    Some((_, header)) if header.base_offset <= from => found,
                    _ if position > 0 => file.resync(0, view.base, from).map_err(failed)?,
                    _ => found,
                };
                match found {
                    None => return Err(corrupt(from, view.end)),
                    Some((_, header)) if header.base_offset > from => {
                        return Err(corrupt(from, header.base_offset));
                    }
                    Some((at, header)) => {
                        read(at, header.base_offset).map_err(|error| match error {
                            ScanError::Bad => corrupt(from, header.next_offset()),
                            ScanError::Io(error) => failed(error),
                        })?
                    }
                }
            }
            Err(ScanError::Io(error)) => return Err(failed(error)),
            Ok(batches) => batches,
        };
        Ok(batches)
    }

    /// Where to begin for an offset, by an index that has to be loaded or built.
    pub(super) fn start(
        &self,
        view: &View,
        file: &SegmentFile,
        from: u64,
    ) -> io::Result<(u64, u64)> {
        Ok(view.find(&*self.index(view, file)?, from))
    }

    /// The index of a segment's front, as far as memory does not have it: from the cache, from
    /// its file, or built again.
    pub(super) fn index(&self, view: &View, file: &SegmentFile) -> io::Result<Arc<LoadedIndex>> {
        let core = &self.core;
        let bytes = view.indexed_bytes();
        if let Some(cached) = core.indexes.get(view.key())
            && cached.bytes == bytes
        {
            return Ok(cached);
        }
        let path = core.paths.index(self.id, view.base);
        let saved = if view.sealed {
            disk::read_all(&*core.disk, &path)?
        } else {
            None
        };
        let entries = match saved.and_then(|raw| index::decode(&raw, view.base, bytes)) {
            Some(entries) => entries,
            None => {
                let built = file.build_index(bytes)?;
                // Unless a cut may be about to remove it, or others write: it is built again then.
                if view.sealed
                    && let Some(_writing) = self.writing.try_lock()
                    && self.is_current(view)
                {
                    self.save_index(view.base, bytes, &built);
                }
                built
            }
        };
        let loaded = Arc::new(LoadedIndex { entries, bytes });
        core.indexes.put(view.key(), loaded.clone());
        Ok(loaded)
    }

    pub(super) fn corrupt(&self, from: u64, to: u64) -> ReadError {
        self.core
            .counters
            .corrupt_batches
            .fetch_add(1, Ordering::Relaxed);
        tracing::error!(partition = %self.id, from, to, "stored batches are damaged");
        ReadError::Corrupt { from, to }
    }

    pub(super) fn read_failed(&self, base: u64, error: &io::Error) -> ReadError {
        ReadError::Io(format!("{} segment {base}: {error}", self.id))
    }

    /// Removes a segment's file and index, and what is remembered of them.
    pub(super) fn remove_files(&self, base: u64) -> io::Result<()> {
        let core = &self.core;
        core.files.forget(self.key(base));
        core.indexes.forget(self.key(base));
        disk::remove_if_there(&*core.disk, &core.paths.index(self.id, base))?;
        disk::remove_if_there(&*core.disk, &core.paths.segment(self.id, base))
    }
}

impl State {
    fn read_tail(&self, from: u64, end: u64, bytes_max: usize) -> Option<Vec<Bytes>> {
        let first = self.tail.partition_point(|batch| batch.end <= from);
        let mut expected = self
            .tail
            .get(first)
            .filter(|batch| batch.base <= from)?
            .base;
        let (mut found, mut total) = (Vec::new(), 0);
        for batch in self.tail.range(first..) {
            total += batch.bytes.len();
            let enough = !found.is_empty() && total > bytes_max;
            if enough || batch.base != expected || batch.end > end {
                break;
            }
            found.push(batch.bytes.clone());
            expected = batch.end;
        }
        Some(found)
    }

    fn view(&self, at: usize, from: u64, instance: u64) -> View {
        let segment = &self.segments[at];
        let next = self
            .segments
            .get(at + 1)
            .map_or(segment.end, |next| next.base);
        let start = index::find(&segment.index, segment.base, from).map(|entry| {
            (
                u64::from(entry.position),
                segment.base + u64::from(entry.offset_delta),
            )
        });
        View {
            instance,
            base: segment.base,
            written: segment.written,
            end: next
                .max(segment.end)
                .min(self.written_end.max(segment.base)),
            sealed: segment.is_complete(),
            unindexed: segment.unindexed,
            start,
        }
    }
}
