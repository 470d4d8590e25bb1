//! What an object store is to get: sealed segments, and their bytes as they are.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::read::View;
use super::{PartitionLog, State};
use crate::disk::{File, Wait};
use crate::error::ReadError;
use crate::flush::FlushError;
use crate::segment::SegmentInfo;
use crate::segment::scan::ScanError;

/// A sealed segment, or the rest of one, that is open for reading. It stays readable whatever is
/// removed from the front of the log, and when the partition is dropped; not when any of it is cut
/// off by [`PartitionLog::truncate`] or [`PartitionLog::reset`], which never happens to what is
/// committed.
pub struct SealedSegment {
    base_offset: u64,
    end_offset: u64,
    bytes: u64,
    file: Arc<dyn File>,
    /// Where its bytes begin in the file.
    position: u64,
    was_cut: Arc<AtomicBool>,
    name: String,
}

impl SealedSegment {
    /// Offset of its first batch.
    pub fn base_offset(&self) -> u64 {
        self.base_offset
    }

    /// One past its last offset.
    pub fn end_offset(&self) -> u64 {
        self.end_offset
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its bytes from `position` on, so many or up to its end. They are as the disk has them: nothing
    /// is checked, so the reader has to, batch by batch. May block on the disk.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], [`ReadError::Io`], and [`ReadError::Corrupt`] if the file is too
    /// short.
    pub fn read_at(&self, position: u64, bytes_max: usize) -> Result<Bytes, ReadError> {
        let rest = self.bytes.saturating_sub(position);
        let bytes = rest.min(bytes_max as u64) as usize;
        let (mut buffer, at) = (Vec::new(), self.position + position);
        let read = self
            .file
            .read_more(&mut buffer, bytes, at, Wait::Allowed)
            .map_err(|error| ReadError::Io(format!("{}: {error}", self.name)))?;
        // Afterwards: what a cut leaves is written over only after it was noted.
        if self.was_cut.load(Ordering::Acquire) {
            return Err(ReadError::Truncated);
        }
        match read == bytes {
            true => Ok(buffer.into()),
            false => Err(ReadError::Corrupt {
                from: self.base_offset,
                to: self.end_offset,
            }),
        }
    }
}

impl std::fmt::Debug for SealedSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedSegment")
            .field("name", &self.name)
            .field("base_offset", &self.base_offset)
            .field("end_offset", &self.end_offset)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl PartitionLog {
    /// The sealed and durable segments from `from` on that end at or before `below`, each beginning
    /// where the one before it ends. The first may begin before `from`, when another copy of the log,
    /// whose segments end elsewhere, came up to there: [`PartitionLog::open_sealed`] gives the rest of
    /// it.
    ///
    /// Ends before a segment that has a hole in it or before it: asked again from there on, it says
    /// [`ReadError::Corrupt`].
    ///
    /// # Errors
    /// As [`PartitionLog::read`] at `from`.
    pub fn sealed_segments(&self, from: u64, below: u64) -> Result<Vec<SegmentInfo>, ReadError> {
        let state = self.state.lock();
        self.check_range(&state, from)?;
        let below = below.min(self.durable_end());
        let (mut found, mut next) = (Vec::new(), from);
        for segment in state.segments.iter().filter(|segment| segment.end > from) {
            if !segment.sealed || segment.end > below {
                break;
            }
            match state.gap(next, segment.base, segment.end) {
                Some((from, to)) if found.is_empty() => {
                    return Err(ReadError::Corrupt { from, to });
                }
                Some(_) => break,
                None => found.push(segment.info()),
            }
            next = segment.end;
        }
        Ok(found)
    }

    /// Opens the sealed segment that holds `from`, from the batch on that does: at the base offset of
    /// a segment, all of it. What of it is in memory only is written out first. `None` if it is not
    /// sealed or not durable yet.
    ///
    /// # Errors
    /// As [`PartitionLog::read`] at `from`.
    pub fn open_sealed(&self, from: u64) -> Result<Option<SealedSegment>, ReadError> {
        loop {
            let Some((view, info, was_cut)) = self.sealed_view(from)? else {
                return Ok(None);
            };
            if !view.sealed {
                self.flush().map_err(|error| match error {
                    FlushError::Full => ReadError::Io(format!("{}: the disk is full", self.id)),
                    FlushError::Failed => ReadError::Io(self.core.why_stopped().to_string()),
                })?;
                continue;
            }
            let opened = self.open_from(&view, from);
            if !self.is_current(&view) || !self.has_segment(view.base) {
                continue;
            }
            let (file, position, base_offset) = opened.map_err(|error| match error {
                ReadError::Corrupt { from, to } => self.corrupt(from, to),
                error => error,
            })?;
            return Ok(Some(SealedSegment {
                base_offset,
                end_offset: info.end_offset,
                bytes: info.bytes - position,
                file,
                position,
                was_cut,
                name: format!("{} segment {}", self.id, view.base),
            }));
        }
    }

    fn sealed_view(
        &self,
        from: u64,
    ) -> Result<Option<(View, SegmentInfo, Arc<AtomicBool>)>, ReadError> {
        let state = self.state.lock();
        self.check_range(&state, from)?;
        let durable_end = self.durable_end();
        let at = state.segment_of(from).filter(|at| {
            let segment = &state.segments[*at];
            segment.sealed && (from + 1..=durable_end).contains(&segment.end)
        });
        Ok(at.map(|at| {
            let segment = &state.segments[at];
            let view = self.view_of(&state, at, from);
            (view, segment.info(), segment.was_cut.clone())
        }))
    }

    /// The file of a segment, and where in it the batch is that holds `from`, with its base offset.
    fn open_from(&self, view: &View, from: u64) -> Result<(Arc<dyn File>, u64, u64), ReadError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::Corrupt { from, to: view.end },
            _ => self.read_failed(view.base, &error),
        };
        let file = self.open_view(view).map_err(failed)?;
        let start = match view.start {
            Some(start) => start,
            None => self.start(view, &file, from).map_err(failed)?,
        };
        // From the front if the index is wrong.
        for (position, expected) in [start, (0, view.base)] {
            let mut found = None;
            let walked = file.headers(position, expected, |at, header| {
                if header.next_offset() > from {
                    found = Some((at, header.base_offset));
                }
                found.is_none()
            });
            match (walked, found) {
                (Err((_, ScanError::Io(error))), _) => return Err(failed(error)),
                (_, Some((at, base))) => return Ok((file.file, at, base)),
                (_, None) => {}
            }
        }
        Err(ReadError::Corrupt { from, to: view.end })
    }

    /// Seals the segment that is appended to, if its first append came at or before `time_ms`; at any
    /// time, for [`i64::MAX`]. So a log that is hardly written to gets sealed segments too. Answers
    /// whether there was one to seal.
    ///
    /// The time of the first append outlives a restart; only when the checkpoint is lost, it is taken
    /// to be that of the restart. The seal itself may be lost in a crash as long as nothing was
    /// appended behind it: then the segment grows on, and what was read of it stays its beginning.
    pub fn seal_if_begun_by(&self, time_ms: i64) -> bool {
        // Its index may have to be written.
        let _writing = self.writing.lock();
        let finished = {
            let mut state = self.state.lock();
            let last = state
                .segments
                .back_mut()
                .filter(|last| !last.sealed && last.bytes > 0 && last.first_append_ms <= time_ms);
            let Some(last) = last.filter(|_| !self.is_dropped()) else {
                return false;
            };
            last.sealed = true;
            let base = last.base;
            state.finish(base)
        };
        if let Some(finished) = finished {
            self.save_index(finished.base, finished.bytes, &finished.index);
        }
        true
    }
}

impl State {
    /// What is missing between `next` and a segment, or in it from there on.
    fn gap(&self, next: u64, base: u64, end: u64) -> Option<(u64, u64)> {
        let before = (base > next).then_some((next, base));
        let within = || {
            let mut holes = self.damaged.iter().copied();
            holes.find(|(from, to)| *to > next && *from < end)
        };
        before.or_else(within)
    }
}
