//! Questions answered by going over batches: which offset at a time, which producers lately.

use std::io;

use headwater_record::{BatchHeader, BatchView, Producer};

use super::{PartitionLog, read::View};
use crate::error::ReadError;
use crate::segment::index;

/// Records of one batch are inflated to at most this many bytes when looking for a timestamp.
const DECODED_BYTES_MAX: usize = 256 << 20;

/// A batch that carries a producer id.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct ProducerBatch {
    /// Who wrote it.
    pub producer: Producer,
    /// Offset of its first record.
    pub base_offset: u64,
    /// Offset of its last record.
    pub last_offset: u64,
}

impl ProducerBatch {
    fn of(header: &BatchHeader) -> Option<ProducerBatch> {
        (header.producer.id >= 0).then(|| ProducerBatch {
            producer: header.producer,
            base_offset: header.base_offset,
            last_offset: header.next_offset() - 1,
        })
    }
}

impl PartitionLog {
    /// The first offset below `end` whose record's timestamp is at or after `timestamp_ms`;
    /// `None` if there is none. Damaged batches are passed over.
    ///
    /// Of what is on this disk only, from [`PartitionLog::local_start`] on. If that is not the start of
    /// the log, what lies before it may have an earlier answer, and is to be asked first.
    ///
    /// # Errors
    /// [`ReadError::Io`] and [`ReadError::Dropped`].
    pub fn offset_for_time(&self, timestamp_ms: i64, end: u64) -> Result<Option<u64>, ReadError> {
        let end = end.min(self.next_offset());
        let mut from = self.local_start();
        while from < end {
            let Some(candidate) = self.batch_for_time(timestamp_ms, from)? else {
                return Ok(None);
            };
            if candidate >= end {
                return Ok(None);
            }
            match self.read(candidate, u64::MAX, 1) {
                Ok(batches) => {
                    let Some(batch) = batches.first() else {
                        return Ok(None);
                    };
                    let Some(next) = batch_end(batch) else {
                        return Ok(None);
                    };
                    if let Some(found) = record_at_time(batch, timestamp_ms, self.local_start()) {
                        return Ok(Some(found).filter(|found| *found < end));
                    }
                    from = next;
                }
                Err(ReadError::Corrupt { to, .. }) => from = to,
                Err(ReadError::OutOfRange { log_start, .. }) if log_start > candidate => {
                    from = log_start;
                }
                Err(ReadError::NotLocal { local_start }) => from = local_start,
                // Truncated in the meantime.
                Err(ReadError::OutOfRange { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Offset of the first batch that ends behind `from` and has a timestamp at or after the one
    /// given, as far as headers tell.
    fn batch_for_time(&self, timestamp_ms: i64, mut from: u64) -> Result<Option<u64>, ReadError> {
        loop {
            let (view, tail_start, in_memory) = {
                let state = self.state.lock();
                if self.is_dropped() {
                    return Err(ReadError::Dropped);
                }
                let tail_start = state.tail.front().map_or(u64::MAX, |batch| batch.base);
                let at = state.segments.iter().position(|segment| {
                    segment.end > from && segment.max_timestamp_ms >= timestamp_ms
                });
                let Some(at) = at else { return Ok(None) };
                let view = (state.segments[at].base.max(from) < tail_start)
                    .then(|| self.view_of(&state, at, state.segments[at].base));
                let fits = |batch: &&super::TailBatch| {
                    batch.end > from && batch.max_timestamp_ms >= timestamp_ms
                };
                let in_memory = state.tail.iter().find(fits).map(|batch| batch.base);
                (view, tail_start, in_memory)
            };
            let Some(view) = view else {
                return Ok(in_memory.map(|base| base.max(from)));
            };
            let found = self.segment_batch_for_time(&view, timestamp_ms, from);
            if !self.is_current(&view) {
                continue;
            }
            match found {
                Ok(Some(base)) => return Ok(Some(base.max(from))),
                // It is in the part of this segment, or in a segment, that memory has; or there is
                // less than was thought in the file, or in what was left of it by a truncation.
                Ok(None) => match in_memory {
                    Some(base) if tail_start <= view.end => return Ok(Some(base.max(from))),
                    _ => from = view.end.max(from + 1),
                },
                Err(_) if !self.has_segment(view.base) => {}
                Err(error) => return Err(self.read_failed(view.base, &error)),
            }
        }
    }

    fn segment_batch_for_time(
        &self,
        view: &View,
        timestamp_ms: i64,
        from: u64,
    ) -> io::Result<Option<u64>> {
        let file = self.open_view(view)?;
        let index = self.index(view, &file)?;
        let by_time = index::find_time(&index.entries, timestamp_ms);
        let by_offset = index::find(&index.entries, view.base, from);
        let start = by_time.max_by_position(by_offset);
        let (position, expected) = start.map_or((0, view.base), |entry| {
            (
                u64::from(entry.position),
                view.base + u64::from(entry.offset_delta),
            )
        });
        let mut found = None;
        file.headers_past_damage(position, expected, |_, header| {
            if header.next_offset() > from && header.max_timestamp_ms >= timestamp_ms {
                found = Some(header.base_offset);
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// The newest batches on this disk that carry a producer id, oldest first: at most `batches_max`, found by
    /// walking back from the end over headers. Segments last appended to before `since_ms` are
    /// left out as a whole.
    ///
    /// # Errors
    /// [`ReadError::Io`] and [`ReadError::Dropped`].
    pub fn recent_producers(
        &self,
        batches_max: usize,
        since_ms: i64,
    ) -> Result<Vec<ProducerBatch>, ReadError> {
        loop {
            let instance = self.instance();
            let found = self.producers(batches_max, since_ms);
            if instance == self.instance() {
                return found;
            }
        }
    }

    fn producers(
        &self,
        batches_max: usize,
        since_ms: i64,
    ) -> Result<Vec<ProducerBatch>, ReadError> {
        let (mut newest_first, tail_start, worth) = {
            let state = self.state.lock();
            if self.is_dropped() {
                return Err(ReadError::Dropped);
            }
            let worth: Vec<u64> = state
                .segments
                .iter()
                .filter(|segment| segment.keyed_batches > 0 && segment.last_append_ms >= since_ms)
                .map(|segment| segment.base)
                .collect();
            let headers = state
                .tail
                .iter()
                .rev()
                .filter(|batch| worth.contains(&batch.segment));
            let headers = headers.filter_map(|batch| BatchView::header_of(&batch.bytes).ok());
            let found: Vec<ProducerBatch> = headers
                .filter_map(|header| ProducerBatch::of(&header))
                .take(batches_max)
                .collect();
            (
                found,
                state.tail.front().map_or(u64::MAX, |batch| batch.base),
                worth,
            )
        };
        for view in self
            .views()
            .into_iter()
            .rev()
            .filter(|view| worth.contains(&view.base))
        {
            if newest_first.len() >= batches_max {
                break;
            }
            let missing = batches_max - newest_first.len();
            match self.segment_producers(&view, tail_start, missing) {
                Ok(found) => newest_first.extend(found),
                Err(_) if !self.has_segment(view.base) => {}
                Err(error) => return Err(self.read_failed(view.base, &error)),
            }
        }
        newest_first.reverse();
        Ok(newest_first)
    }

    /// Producers in a segment below `before`, newest first: block by block of its index, from the
    /// back.
    fn segment_producers(
        &self,
        view: &View,
        before: u64,
        batches_max: usize,
    ) -> io::Result<Vec<ProducerBatch>> {
        let file = self.open_view(view)?;
        let index = self.index(view, &file)?;
        let entries = index.entries.iter().map(|entry| {
            (
                u64::from(entry.position),
                view.base + u64::from(entry.offset_delta),
            )
        });
        let mut starts: Vec<(u64, u64)> = entries.collect();
        if starts.is_empty() {
            starts.push((0, view.base));
        }
        let (mut found, mut stop) = (Vec::new(), view.written);
        for (position, expected) in starts.into_iter().rev() {
            let mut block = Vec::new();
            file.headers_past_damage(position, expected, |at, header| {
                if at >= stop || header.base_offset >= before {
                    return false;
                }
                block.extend(ProducerBatch::of(header));
                true
            })?;
            stop = position;
            found.extend(block.into_iter().rev());
            if found.len() >= batches_max {
                break;
            }
        }
        found.truncate(batches_max);
        Ok(found)
    }
}

/// The later of two optional entries.
trait Later {
    fn max_by_position(self, other: Self) -> Self;
}

impl Later for Option<&index::IndexEntry> {
    fn max_by_position(self, other: Self) -> Self {
        [self, other]
            .into_iter()
            .flatten()
            .max_by_key(|entry| entry.position)
    }
}

fn batch_end(batch: &[u8]) -> Option<u64> {
    BatchView::header_of(batch)
        .ok()
        .map(|header| header.next_offset())
}

/// The first record of a batch at or behind `from` with such a timestamp.
fn record_at_time(batch: &[u8], timestamp_ms: i64, from: u64) -> Option<u64> {
    let (view, _) = BatchView::parse(batch).ok()?;
    let mut scratch = Vec::new();
    let records = match view.records(&mut scratch, DECODED_BYTES_MAX) {
        Ok(records) => records,
        // Not ours to judge: the batch as a whole is late enough.
        Err(_) => return Some(view.header().base_offset.max(from)),
    };
    let late = records
        .map_while(Result::ok)
        .filter(|record| record.timestamp_ms >= timestamp_ms);
    late.map(|record| record.offset)
        .find(|offset| *offset >= from)
}
