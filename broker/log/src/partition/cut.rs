//! Taking away the end of a log, or all of it: truncating and resetting.
//!
//! The frame is queued first, and appends wait. When it is durable the committer cuts what is in
//! memory, before any checkpoint can cover the frame: so a checkpoint that does sees the log after
//! the cut, and one that does not leaves the frame to recovery, which cuts again. Files are cleaned
//! after that and before anything is written or a checkpoint taken: old bytes are gone for good
//! before the journal loses the frame.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::{History, PartitionLog, State, next_instance, read::View};
use crate::disk::{self, Open};
use crate::error::{AppendError, FailureKind, is_full};
use crate::flush::FlushError;
use crate::journal::format::Kind;
use crate::journal::queue::Queued;

/// Where a log is cut.
#[derive(Debug)]
pub(super) struct Cut {
    /// Where the log ends after it.
    end: u64,
    /// The last batch that stays; none: everything goes.
    last: Option<Last>,
    /// The log begins anew, and this is what lies before its local start.
    reset: Option<History>,
}

/// The end of a batch.
#[derive(Copy, Clone, Debug)]
struct Last {
    segment: u64,
    /// Bytes of the segment up to there.
    bytes: u64,
    offset: u64,
}

impl PartitionLog {
    /// Removes every batch that ends after `to`: one that `to` lies inside goes as a whole, and so
    /// does a hole right before the cut. Answers where the log ends then, which is `to` at most and
    /// [`PartitionLog::local_start`] at least. Blocks until that is durable; from then on the removed
    /// offsets are given again, and nobody reads or hears of what was there, after a crash neither.
    /// Nothing happens if `to` is not below the end.
    ///
    /// # Errors
    /// [`AppendError::BelowStart`], [`AppendError::Unreadable`], [`AppendError::Failed`] or
    /// [`AppendError::Dropped`]; a full disk does not refuse it.
    pub fn truncate(self: &Arc<Self>, to: u64) -> Result<u64, AppendError> {
        let _reshaping = self.reshaping.lock();
        if self.is_dropped() {
            return Err(AppendError::Dropped);
        }
        let (local_start, next_offset) = (self.local_start(), self.next_offset());
        if to < local_start {
            return Err(AppendError::BelowStart { local_start });
        }
        if to >= next_offset {
            return Ok(next_offset);
        }
        let last = self.last_kept(to).map_err(|error| {
            tracing::error!(partition = %self.id, to, %error, "the log was not truncated");
            AppendError::Unreadable
        })?;
        let all_goes = last.is_none() && self.log_start() == local_start;
        let end = last.map_or(local_start, |last| last.offset);
        self.commit_cut(Cut {
            end,
            last,
            reset: all_goes.then(|| History::none(end)),
        })?;
        Ok(end)
    }

    /// Removes everything: the log starts and ends at `start`, which may be anywhere. Blocks until
    /// that is durable; otherwise as [`PartitionLog::truncate`].
    ///
    /// # Errors
    /// [`AppendError::Failed`] or [`AppendError::Dropped`]; a full disk does not refuse it.
    pub fn reset(self: &Arc<Self>, start: u64) -> Result<(), AppendError> {
        self.reset_with_history(start, start, &[])
    }

    /// As [`PartitionLog::reset`], but only the local part starts and ends at `local_start`: what lies
    /// from `log_start` to there is in the log and not on this disk. `epochs` are the leader epochs of
    /// that part, each with its first offset; those of `local_start` and later are passed over.
    ///
    /// # Errors
    /// As [`PartitionLog::reset`]; [`AppendError::NoHistory`] if `epochs` do not grow or the log would
    /// start after its local part.
    pub fn reset_with_history(
        self: &Arc<Self>,
        log_start: u64,
        local_start: u64,
        epochs: &[(i32, u64)],
    ) -> Result<(), AppendError> {
        let history = History::new(log_start, local_start, epochs)?;
        let _reshaping = self.reshaping.lock();
        self.commit_cut(Cut::reset(local_start, history))
    }

    /// The frame that says the same to recovery.
    fn cut_frame(self: &Arc<Self>, cut: &Cut) -> Queued {
        let (kind, payload) = match &cut.reset {
            None => (Kind::Truncate, Bytes::new()),
            Some(history) if *history == History::none(cut.end) => (Kind::Reset, Bytes::new()),
            Some(history) => (Kind::ResetWithHistory, history.encode()),
        };
        Queued {
            payload,
            ..self.frame(kind, cut.end, -1)
        }
    }

    fn commit_cut(self: &Arc<Self>, cut: Cut) -> Result<(), AppendError> {
        let frame = self.cut_frame(&cut);
        let number = {
            // Under the lock, so that no append comes between the cut and its frame.
            let mut state = self.state.lock();
            if self.is_dropped() {
                return Err(AppendError::Dropped);
            }
            let number = self.core.queue.push(frame).ok_or(AppendError::Failed)?;
            state.cutting = Some(cut);
            number
        };
        self.core.wait_committed(number)?;
        // Closed in the meantime: the directory may be another's, who finds the frame.
        let directory = self.core.lock.lock();
        if directory.is_none() {
            return Ok(());
        }
        let _writing = self.writing.lock();
        match self.clean_or_fail() {
            // A full disk: the next checkpoint cleans up, or waits until it can.
            Ok(()) | Err(FlushError::Full) => Ok(()),
            Err(FlushError::Failed) => Err(AppendError::Failed),
        }
    }

    /// The last batch that ends at or before `to`, and behind the local start: a segment that has
    /// none goes as a whole. `None` if there is none.
    fn last_kept(&self, to: u64) -> io::Result<Option<Last>> {
        let local_start = self.local_start();
        let last = self.last_ending_by(to)?;
        Ok(last.filter(|last| last.offset > local_start))
    }

    fn last_ending_by(&self, to: u64) -> io::Result<Option<Last>> {
        let (view, before) = {
            let state = self.state.lock();
            let after = state.tail.partition_point(|batch| batch.end <= to);
            if let Some(last) = after.checked_sub(1).map(|at| &state.tail[at]) {
                return Ok(Some(Last {
                    segment: last.segment,
                    bytes: last.position + last.bytes.len() as u64,
                    offset: last.end,
                }));
            }
            let at = to
                .checked_sub(1)
                .and_then(|offset| state.segment_of(offset));
            let Some(at) = at else { return Ok(None) };
            let before = at.checked_sub(1).map(|at| &state.segments[at]);
            let before = before.map(|segment| Last {
                segment: segment.base,
                bytes: segment.bytes,
                offset: segment.end,
            });
            (self.view_of(&state, at, to - 1), before)
        };
        Ok(self.last_in_segment(&view, to)?.or(before))
    }

    fn last_in_segment(&self, view: &View, to: u64) -> io::Result<Option<Last>> {
        if view.written == 0 {
            return Ok(None);
        }
        let mut file = match self.open_view(view) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        // Recovery may have been here before, and have cut the file that the checkpoint knows longer.
        file.written = file.written.min(file.file.len()?);
        let start = match view.start {
            Some(start) => start,
            None => self.start(view, &file, to - 1)?,
        };
        // From the front if nothing before `to` is behind the index entry.
        for (position, expected) in [start, (0, view.base)] {
            let mut last = None;
            file.headers_past_damage(position, expected, |at, header| {
                let stays = header.next_offset() <= to;
                if stays {
                    last = Some(Last {
                        segment: view.base,
                        bytes: at + header.batch_bytes as u64,
                        offset: header.next_offset(),
                    });
                }
                stays
            })?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// The frame of the cut that is under way is durable: cuts what is in memory. For the
    /// committer; waits for no disk.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock();
        if let Some(cut) = state.cutting.take() {
            self.apply(&mut state, &cut);
        }
    }

    fn apply(&self, state: &mut State, cut: &Cut) {
        let stale = self.instance.swap(next_instance(), Ordering::AcqRel);
        let keys = state.segments.iter().map(|segment| (stale, segment.base));
        state.stale_keys.extend(keys);
        state.cut(cut, self.local_start());
        let bytes = state.segments.iter().map(|segment| segment.bytes).sum();
        self.bytes.store(bytes, Ordering::Relaxed);
        let set = |offset: &AtomicU64| offset.store(cut.end, Ordering::Release);
        // In the order that keeps the starts before the end at every moment.
        if let Some(history) = &cut.reset {
            self.lower_starts(history.log_start, cut.end);
        }
        if cut.end < self.next_offset() {
            set(&self.durable_end);
            set(&self.next_offset);
        } else {
            set(&self.next_offset);
            set(&self.durable_end);
        }
        if let Some(history) = &cut.reset {
            self.raise_local_start(cut.end);
            self.raise_log_start(history.log_start);
        }
        self.committed.fetch_min(cut.end, Ordering::AcqRel);
    }

    /// Does again a truncation that recovery found in the journal. What is there may be of before
    /// it, of after it, or a part of what is to come after it, which the journal has.
    pub(crate) fn replay_truncate(&self, end: u64) -> io::Result<()> {
        let cut = match end < self.next_offset() {
            false => None,
            true => Some(Cut {
                end,
                last: self.last_kept(end)?,
                reset: None,
            }),
        };
        self.replay_cut(cut)
    }

    /// Does again a reset that recovery found in the journal.
    pub(crate) fn replay_reset(&self, local_start: u64, history: History) -> io::Result<()> {
        self.replay_cut(Some(Cut::reset(local_start, history)))
    }

    fn replay_cut(&self, cut: Option<Cut>) -> io::Result<()> {
        {
            let mut state = self.state.lock();
            match cut {
                Some(cut) => self.apply(&mut state, &cut),
                // What a scan found ends there; what was cut off may be in the files behind it.
                None => state.note_cut(),
            }
            self.unwritten_bytes.store(0, Ordering::Relaxed);
        }
        let _writing = self.writing.lock();
        match self.clean() {
            // It stays to be done, before anything is written.
            Err(error) if is_full(&error) => Ok(()),
            cleaned => cleaned,
        }
    }

    /// Removes the files that a cut has left. `writing` is held.
    pub(super) fn clean_or_fail(&self) -> Result<(), FlushError> {
        self.clean().map_err(|error| {
            if is_full(&error) {
                self.core.note_full();
                return FlushError::Full;
            }
            let detail = format!("{} removing files: {error}", self.id);
            self.core.fail(FailureKind::SegmentWrite, detail);
            FlushError::Failed
        })
    }

    fn clean(&self) -> io::Result<()> {
        let (from, keys, written, end) = {
            let mut state = self.state.lock();
            let Some(from) = state.unclean.take() else {
                return Ok(());
            };
            let keys = std::mem::take(&mut state.stale_keys);
            let written = state.segments.iter().filter(|segment| segment.written > 0);
            let written: HashSet<u64> = written.map(|segment| segment.base).collect();
            (from, keys, written, state.written_end)
        };
        for key in keys {
            self.core.files.forget(key);
            self.core.indexes.forget(key);
        }
        if self.is_dropped() {
            // All of it goes, and the directory must not come back.
            return Ok(());
        }
        let cleaned = self.remove_stale(from, &written, end);
        if cleaned.is_err() {
            let mut state = self.state.lock();
            state.unclean = Some(state.unclean.map_or(from, |other| other.min(from)));
        }
        cleaned
    }

    /// Removes the files of all segments but the written ones, and the indexes of segments from
    /// `from` on. By what the directory lists: files may be there that a crash brought back.
    fn remove_stale(&self, from: u64, written: &HashSet<u64>, end: u64) -> io::Result<()> {
        let core = &self.core;
        let dir = core.paths.partition(self.id);
        match core.disk.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            names => {
                for entry in names? {
                    let stale = match segment_of(&entry.name) {
                        Some((base, "log")) => !written.contains(&base),
                        Some((base, "index")) => base >= from || !written.contains(&base),
                        _ => false,
                    };
                    if stale {
                        disk::remove_if_there(&*core.disk, &dir.join(&entry.name))?;
                    }
                }
                core.dirty_dirs.lock().insert(dir);
            }
        }
        // As where a log was trimmed to its end: without the checkpoint nothing else would tell.
        if written.is_empty() && end > 0 {
            self.make_directory()?;
            core.disk
                .open(&core.paths.segment(self.id, end), Open::Create)?;
        }
        Ok(())
    }
}

impl Cut {
    fn reset(local_start: u64, history: History) -> Cut {
        Cut {
            end: local_start,
            last: None,
            reset: Some(history),
        }
    }
}

impl State {
    fn cut(&mut self, cut: &Cut, local_start: u64) {
        let stay = match cut.last {
            Some(last) => self
                .segments
                .partition_point(|segment| segment.base <= last.segment),
            None => 0,
        };
        self.segments.drain(stay..).for_each(|gone| gone.note_cut());
        if let Some(last) = cut.last
            && let Some(segment) = self.segments.back_mut()
        {
            segment.cut(last.bytes, last.offset);
        }
        let stays = |offset: u64| cut.reset.is_none() && offset <= cut.end;
        while self.tail.back().is_some_and(|batch| !stays(batch.end)) {
            self.tail.pop_back();
        }
        self.written_end = match self.tail.is_empty() {
            true => cut.end,
            false => self.written_end.min(cut.end),
        };
        let begins = |offset: u64| cut.reset.is_none() && offset < cut.end;
        self.epochs.retain(|(_, start)| begins(*start));
        if let Some(history) = &cut.reset {
            self.learn_epochs(history);
        }
        // Only recovery finds less than there was: a later trim took it, of which the journal has
        // still to tell, or it is lost.
        let found = cut
            .last
            .map_or(local_start, |last| last.offset.max(local_start));
        self.damaged
            .retain(|(hole, _)| begins(*hole) && *hole < found);
        if begins(found) {
            self.damaged.push((found, cut.end));
        }
        self.note_cut();
    }

    /// Notes that files are to be cleaned behind the last segment, and its own is to be cut.
    fn note_cut(&mut self) {
        let last = self.segments.back();
        let from = last.map_or(0, |segment| segment.base);
        let written = last.is_some_and(|segment| segment.written > 0);
        self.unsynced.retain(|base| *base < from);
        self.unsynced.extend(written.then_some(from));
        self.unclean = Some(self.unclean.map_or(from, |other| other.min(from)));
    }
}

/// The segment that a file is of, and what it is.
fn segment_of(name: &str) -> Option<(u64, &str)> {
    let (stem, kind) = name.split_once('.')?;
    let base = (stem.len() == 20).then(|| stem.parse().ok()).flatten()?;
    Some((base, kind))
}
