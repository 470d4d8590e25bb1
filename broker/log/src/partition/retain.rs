//! Taking away the front of a log: trimming, retention, dropping.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{PartitionLog, State};
use crate::disk::Open;
use crate::error::{AppendError, FailureKind, is_full};
use crate::journal::format::Kind;
use crate::options::{Retained, Retention};
use crate::segment::Segment;

impl PartitionLog {
    /// Moves the start of the log to `before`, or to the end if that is lower, and removes the
    /// segments that lie wholly before it; none, if only what is no longer on this disk does. Blocks
    /// until the new start is durable. Returns the start of the log.
    ///
    /// # Errors
    /// [`AppendError::Failed`] or [`AppendError::Dropped`]; a full disk does not refuse it.
    pub fn trim(self: &Arc<Self>, before: u64) -> Result<u64, AppendError> {
        let _reshaping = self.reshaping.lock();
        if self.is_dropped() {
            return Err(AppendError::Dropped);
        }
        let before = before.min(self.next_offset());
        if before > self.log_start() {
            self.commit_frame(Kind::LogStart, before)?;
            self.remove_below_start();
        }
        Ok(self.log_start())
    }

    /// Removes the oldest sealed segments that retention does not want, as
    /// [`PartitionLog::trim`] does. A segment is as old as its newest record, or as its last
    /// append if that is older (records may claim to be from the future). When everything has
    /// expired the segment being appended to is sealed and goes too, so that a quiet partition
    /// becomes empty.
    ///
    /// Nothing at or after `below` goes, whatever its age or size: of a replicated log it is the end
    /// of what is committed, and of one with an object store the end of what is in there. Nor does
    /// what is not durable. Age and size of what is not on this disk are not known here: it goes with
    /// the first segment that does.
    ///
    /// # Errors
    /// As [`PartitionLog::trim`].
    pub fn retain(
        self: &Arc<Self>,
        now_ms: i64,
        retention: &Retention,
        below: u64,
    ) -> Result<Retained, AppendError> {
        self.remove_front(Kind::LogStart, |state| {
            let below = below.min(self.durable_end());
            state.seal_if_expired(now_ms, retention, below);
            state.retained_from(now_ms, retention, below)
        })
    }

    /// Removes the oldest sealed segments that `retention` does not want on this disk, as
    /// [`PartitionLog::drop_local`] does; chosen as [`PartitionLog::retain`] chooses.
    ///
    /// # Errors
    /// As [`PartitionLog::trim`].
    pub fn retain_local(
        self: &Arc<Self>,
        now_ms: i64,
        retention: &Retention,
        below: u64,
    ) -> Result<Retained, AppendError> {
        self.remove_front(Kind::LocalStart, |state| {
            state.retained_from(now_ms, retention, below.min(self.durable_end()))
        })
    }

    /// Removes the sealed segments that lie wholly before `below` from this disk, and moves
    /// [`PartitionLog::local_start`] there; the log starts where it did, and keeps its epochs. For
    /// what is safe elsewhere: the caller has made sure of that. Blocks until it is durable that they
    /// are to go. What is not durable stays, and so does the segment that is appended to.
    ///
    /// # Errors
    /// As [`PartitionLog::trim`].
    pub fn drop_local(self: &Arc<Self>, below: u64) -> Result<Retained, AppendError> {
        let nothing = Retention {
            ms: None,
            bytes: Some(0),
        };
        self.retain_local(0, &nothing, below)
    }

    /// Moves a start, by a frame of this kind, to where `keep_from` says.
    fn remove_front(
        self: &Arc<Self>,
        kind: Kind,
        keep_from: impl FnOnce(&mut State) -> Option<u64>,
    ) -> Result<Retained, AppendError> {
        let _reshaping = self.reshaping.lock();
        if self.is_dropped() {
            return Err(AppendError::Dropped);
        }
        let mut retained = Retained::default();
        let keep_from = {
            let mut state = self.state.lock();
            let keep_from = keep_from(&mut state).filter(|from| *from > self.local_start());
            for segment in state.segments_below(keep_from.unwrap_or(0)) {
                retained.segments += 1;
                retained.bytes += segment.bytes;
            }
            keep_from
        };
        if let Some(keep_from) = keep_from {
            self.commit_frame(kind, keep_from)?;
            self.remove_below_start();
        }
        retained.log_start = self.log_start();
        retained.local_start = self.local_start();
        Ok(retained)
    }

    /// Removes the segments wholly below the local start.
    pub(crate) fn remove_below_start(&self) {
        let _writing = self.writing.lock();
        self.remove_below_start_held();
    }

    /// The same; `writing` is held.
    pub(super) fn remove_below_start_held(&self) {
        if self.is_dropped() {
            // All of it goes, and the directory must not come back.
            return;
        }
        let local_start = self.local_start();
        let end = self.state.lock().end_if_empty_from(local_start);
        if let Some(end) = end {
            self.note_removal(self.mark_end(end));
        }
        let (gone, unwritten) = {
            let mut state = self.state.lock();
            state.forget_epochs(self.log_start());
            state.take_below(local_start)
        };
        self.sub_unwritten(unwritten);
        let bytes = gone.iter().map(|segment| segment.bytes).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        // Those that were never written may have the file of an earlier end.
        for segment in &gone {
            self.note_removal(self.remove_files(segment.base));
        }
        if !gone.is_empty() {
            let dir = self.core.paths.partition(self.id);
            self.core.dirty_dirs.lock().insert(dir);
        }
    }

    /// Leaves an empty segment where a log ends that loses all it has: the offsets before it are
    /// used up, which without the checkpoint nothing else would tell. Durable before anything is
    /// removed.
    fn mark_end(&self, end: u64) -> io::Result<()> {
        let core = &self.core;
        self.make_directory()?;
        core.disk
            .open(&core.paths.segment(self.id, end), Open::Create)?;
        core.disk.sync_dir(&core.paths.partition(self.id))
    }

    /// Removes everything the partition has on the disk. Its tombstone is durable.
    pub(crate) fn remove_everything(&self) {
        let _writing = self.writing.lock();
        let state = std::mem::take(&mut *self.state.lock());
        for segment in &state.segments {
            self.core.files.forget(self.key(segment.base));
            self.core.indexes.forget(self.key(segment.base));
        }
        let core = &self.core;
        let (dir, topic) = (core.paths.partition(self.id), core.paths.topic(self.id));
        let removed = (|| {
            let entries = match core.disk.list(&dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                entries => entries?,
            };
            for entry in entries {
                core.disk.remove(&dir.join(entry.name))?;
            }
            core.disk.remove_dir(&dir)?;
            core.dirty_dirs.lock().insert(topic.clone());
            // Fails while the topic has other partitions here.
            if core.disk.remove_dir(&topic).is_ok() {
                core.dirty_dirs.lock().insert(core.paths.partitions.clone());
            }
            Ok(())
        })();
        self.note_removal(removed);
    }

    /// A file that cannot be removed now is removed by the next recovery or by hand: the log
    /// does not list it any more. A full disk may refuse to mark an end, too. Only a failing disk
    /// is fatal.
    fn note_removal(&self, removed: io::Result<()>) {
        let Err(error) = removed else { return };
        if is_full(&error) {
            tracing::warn!(partition = %self.id, %error, "a file was not removed");
        } else {
            let detail = format!("{} removing files: {error}", self.id);
            self.core.fail(FailureKind::SegmentWrite, detail);
        }
    }
}

impl State {
    fn expired(segment: &Segment, now_ms: i64, retention: &Retention) -> bool {
        let Some(keep_ms) = retention.ms else {
            return false;
        };
        let keep_ms = i64::try_from(keep_ms).unwrap_or(i64::MAX);
        segment.age_from_ms().saturating_add(keep_ms) < now_ms
    }

    /// Seals the last segment if nothing in it is to be kept, and all of it is before `below`.
    fn seal_if_expired(&mut self, now_ms: i64, retention: &Retention, below: u64) {
        if let Some(last) = self.segments.back_mut()
            && last.bytes > 0
            && last.end <= below
            && Self::expired(last, now_ms, retention)
        {
            last.sealed = true;
        }
    }

    /// The segments wholly below an offset.
    pub(super) fn segments_below(&self, offset: u64) -> impl Iterator<Item = &Segment> {
        self.segments
            .iter()
            .take_while(move |segment| segment.end <= offset)
    }

    /// Where the log is to start; `None` when all of it is kept.
    fn retained_from(&self, now_ms: i64, retention: &Retention, below: u64) -> Option<u64> {
        let mut left: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        let mut from = None;
        for segment in &self.segments {
            let spare = retention
                .bytes
                .is_some_and(|keep| left - segment.bytes >= keep);
            let goes = spare || Self::expired(segment, now_ms, retention);
            if !goes || !segment.sealed || segment.end > below {
                break;
            }
            left -= segment.bytes;
            from = Some(segment.end);
        }
        from
    }

    /// One past the last offset, if nothing at or after `local_start` is in the log.
    fn end_if_empty_from(&self, local_start: u64) -> Option<u64> {
        let end = self.segments.back().map_or(local_start, |last| last.end);
        (end <= local_start).then_some(local_start)
    }

    /// Takes the segments wholly below `local_start` out of the lists, with what of them is in
    /// memory; also the bytes that now need not be written.
    fn take_below(&mut self, local_start: u64) -> (Vec<Segment>, usize) {
        self.damaged.retain(|(_, to)| *to > local_start);
        for (from, _) in &mut self.damaged {
            // A later cut at the start is to take it for one that begins there.
            *from = (*from).max(local_start);
        }
        let count = self.segments_below(local_start).count();
        let gone: Vec<Segment> = self.segments.drain(..count).collect();
        let Some(end) = gone.last().map(|segment| segment.end) else {
            return (gone, 0);
        };
        let mut unwritten = 0;
        while let Some(batch) = self.tail.front().filter(|batch| batch.end <= end) {
            if batch.base >= self.written_end {
                unwritten += batch.bytes.len();
            }
            self.tail.pop_front();
        }
        self.written_end = self.written_end.max(end);
        let bases: HashSet<u64> = gone.iter().map(|segment| segment.base).collect();
        self.unsynced.retain(|base| !bases.contains(base));
        (gone, unwritten)
    }
}
