//! Appending: an offset, a place in a segment, a place in the journal's queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use headwater_record::{Batch, BatchHeader};
use parking_lot::MutexGuard;

use super::{PartitionLog, State};
use crate::error::AppendError;
use crate::journal::format::{FLAG_ROLL, Kind};
use crate::journal::queue::Queued;

/// Where batches went. Not durable yet: that is when [`PartitionLog::durable_end`] is past them.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: u64,
    /// Offset of the last record.
    pub last_offset: u64,
}

impl PartitionLog {
    /// Gives the batch the next offsets and the epoch, and queues it for the journal. Waits for
    /// nothing but a truncation of the same partition: callers ask
    /// [`Log::crowded`](crate::Log::crowded) first, or memory grows without bound.
    ///
    /// `epoch` must not be below the epoch of an earlier append. A batch that would grow its
    /// segment beyond `segment_bytes_max` begins a new one.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was queued.
    pub fn append(
        self: &Arc<Self>,
        mut batch: Batch,
        epoch: i32,
        segment_bytes_max: u64,
    ) -> Result<Appended, AppendError> {
        let now_ms = self.core.now_ms();
        self.core.admit(now_ms, batch.len())?;
        let mut state = self.lock_to_append()?;
        let base_offset = self.next_offset.load(Ordering::Relaxed);
        batch.set_base_offset(base_offset);
        batch.set_leader_epoch(epoch);
        let header = *batch.header();
        debug_assert!(
            state.epochs.last().is_none_or(|(last, _)| *last <= epoch),
            "epochs grow"
        );
        let queued = self.add(
            &mut state,
            &header,
            batch.freeze(),
            segment_bytes_max,
            now_ms,
        );
        // Last, so that nothing is durable before it is appended. Refused only at the log's end.
        self.core.queue.push(queued).ok_or(AppendError::Failed)?;
        Ok(Appended {
            base_offset,
            last_offset: header.next_offset() - 1,
        })
    }

    /// The state, when nothing speaks against an append.
    pub(super) fn lock_to_append(&self) -> Result<MutexGuard<'_, State>, AppendError> {
        loop {
            let state = self.state.lock();
            if self.is_dropped() {
                return Err(AppendError::Dropped);
            }
            if state.cutting.is_none() {
                return Ok(state);
            }
            drop(state);
            let core = &self.core;
            core.queue
                .wait(|| core.stopped() || self.state.lock().cutting.is_none());
            if core.stopped() {
                return Err(AppendError::Failed);
            }
        }
    }

    /// Adds a batch, which has its offset, in memory, and makes the frame that is to be queued
    /// under the same lock.
    pub(super) fn add(
        self: &Arc<Self>,
        state: &mut State,
        header: &BatchHeader,
        payload: Bytes,
        segment_bytes_max: u64,
        now_ms: i64,
    ) -> Queued {
        let roll = !state
            .segments
            .back()
            .is_some_and(|last| last.takes(header, segment_bytes_max));
        let queued = Queued {
            kind: Kind::Append,
            flags: if roll { FLAG_ROLL } else { 0 },
            partition: self.clone(),
            epoch: header.leader_epoch,
            base_offset: header.base_offset,
            end_offset: header.next_offset(),
            payload: payload.clone(),
        };
        state.push(header, payload, roll, now_ms);
        self.bytes
            .fetch_add(header.batch_bytes as u64, Ordering::Relaxed);
        self.next_offset
            .store(header.next_offset(), Ordering::Release);
        queued
    }

    /// Does again what an append did that recovery found in the journal. A gap before it becomes
    /// a hole, which is returned.
    pub(crate) fn replay(
        self: &Arc<Self>,
        header: &BatchHeader,
        payload: Bytes,
        roll: bool,
        time_ms: i64,
    ) -> Option<(u64, u64)> {
        let mut state = self.state.lock();
        let next = self.next_offset();
        let hole = (header.base_offset > next).then_some((next, header.base_offset));
        if let Some(hole) = hole
            && !state.damaged.contains(&hole)
        {
            state.damaged.push(hole);
        }
        let room = state
            .segments
            .back()
            .is_some_and(|last| last.takes(header, u64::MAX));
        state.push(header, payload, roll || !room, time_ms);
        self.bytes
            .fetch_add(header.batch_bytes as u64, Ordering::Relaxed);
        self.next_offset
            .store(header.next_offset(), Ordering::Release);
        self.durable_end
            .store(header.next_offset(), Ordering::Release);
        hole
    }

    /// Queues a frame that is not a batch and blocks until it is durable.
    pub(super) fn commit_frame(
        self: &Arc<Self>,
        kind: Kind,
        base_offset: u64,
    ) -> Result<(), AppendError> {
        let frame = self.frame(kind, base_offset, -1);
        let number = self.core.queue.push(frame).ok_or(AppendError::Failed)?;
        self.core.wait_committed(number)
    }

    /// A frame that is not a batch.
    pub(super) fn frame(self: &Arc<Self>, kind: Kind, base_offset: u64, epoch: i32) -> Queued {
        Queued {
            kind,
            flags: 0,
            partition: self.clone(),
            epoch,
            base_offset,
            end_offset: base_offset,
            payload: Bytes::new(),
        }
    }

    /// Refuses what comes from now on; the files go when the tombstone is durable.
    pub(crate) fn begin_drop(self: &Arc<Self>) -> Option<u64> {
        // Under the lock, so that no append comes after the tombstone.
        let _state = self.state.lock();
        self.dropped.store(true, Ordering::Release);
        self.core.queue.push(self.frame(Kind::Drop, 0, -1))
    }
}
