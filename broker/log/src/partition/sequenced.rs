//! Appending what a leader has appended already.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use headwater_record::{BatchHeader, BatchView};

use super::{Appended, PartitionLog};
use crate::error::AppendError;

impl PartitionLog {
    /// Appends whole batches as they are: with the offsets and the epochs that a leader gave them.
    /// All of them are checked before the first is queued, each with its CRC. As
    /// [`PartitionLog::append`] otherwise; a crash may keep the first of them only.
    ///
    /// Memory that `batches` is a part of is kept while a batch of it is in memory: it should be
    /// no larger than they are.
    ///
    /// # Errors
    /// [`AppendError::Invalid`], [`AppendError::OutOfSequence`] if they do not begin at
    /// [`PartitionLog::next_offset`] or leave a gap, [`AppendError::StaleEpoch`] if epochs fall, or
    /// as `append`; nothing was queued.
    pub fn append_sequenced(
        self: &Arc<Self>,
        batches: Bytes,
        segment_bytes_max: u64,
    ) -> Result<Appended, AppendError> {
        let checked = whole_batches(&batches)?;
        let (Some((first, _)), Some((last, _))) = (checked.first(), checked.last()) else {
            return Err(AppendError::Invalid);
        };
        let appended = Appended {
            base_offset: first.base_offset,
            last_offset: last.next_offset() - 1,
        };
        let now_ms = self.core.now_ms();
        self.core.admit(now_ms, batches.len())?;
        let mut state = self.lock_to_append()?;
        follows(
            self.next_offset.load(Ordering::Relaxed),
            state.epochs.last().map(|(epoch, _)| *epoch),
            first,
        )?;
        let queued: Vec<_> = checked
            .into_iter()
            .map(|(header, payload)| {
                self.add(&mut state, &header, payload, segment_bytes_max, now_ms)
            })
            .collect();
        self.core
            .queue
            .push_all(queued)
            .ok_or(AppendError::Failed)?;
        Ok(appended)
    }
}

/// Every batch and its header, each good and following on the one before.
fn whole_batches(batches: &Bytes) -> Result<Vec<(BatchHeader, Bytes)>, AppendError> {
    let mut checked: Vec<(BatchHeader, Bytes)> = Vec::new();
    let mut at = 0;
    while at < batches.len() {
        let (view, used) = BatchView::parse(&batches[at..]).map_err(|_| AppendError::Invalid)?;
        view.check_crc().map_err(|_| AppendError::Invalid)?;
        let header = *view.header();
        if let Some((before, _)) = checked.last() {
            follows(before.next_offset(), Some(before.leader_epoch), &header)?;
        }
        checked.push((header, batches.slice(at..at + used)));
        at += used;
    }
    Ok(checked)
}

/// Whether a batch comes right after what ends at `expected` and has `epoch` as its last.
fn follows(expected: u64, epoch: Option<i32>, batch: &BatchHeader) -> Result<(), AppendError> {
    if batch.base_offset != expected {
        return Err(AppendError::OutOfSequence {
            expected,
            found: batch.base_offset,
        });
    }
    match epoch {
        Some(last) if last > batch.leader_epoch => Err(AppendError::StaleEpoch {
            last,
            found: batch.leader_epoch,
        }),
        _ => Ok(()),
    }
}
