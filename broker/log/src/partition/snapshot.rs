//! What a checkpoint keeps of a partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{PartitionLog, State};
use crate::core::Core;
use crate::id::PartitionId;
use crate::segment::Segment;

/// A partition in a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PartitionEntry {
    pub id: PartitionId,
    pub log_start: u64,
    pub log_start_min: u64,
    pub local_start: u64,
    pub next_offset: u64,
    pub committed: u64,
    pub seen_epoch: i32,
    pub epochs: Vec<(i32, u64)>,
    pub damaged: Vec<(u64, u64)>,
    pub segments: Vec<SegmentEntry>,
}

/// A segment in a checkpoint: its first `bytes` bytes are synced.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct SegmentEntry {
    pub base: u64,
    pub end: u64,
    pub bytes: u64,
    pub max_timestamp_ms: i64,
    pub first_append_ms: i64,
    pub last_append_ms: i64,
    pub keyed_batches: u32,
    pub sealed: bool,
}

impl PartitionLog {
    /// What is in segment files now, and the segments to sync before that may be believed.
    /// `None` for a partition whose tombstone is durable.
    pub(crate) fn capture(&self) -> Option<(PartitionEntry, Vec<u64>)> {
        // Kept until all is noted: what is to go is gone then, and its directory is on the list that
        // the checkpoint syncs. Names that a crash brings back would be nobody's otherwise, once the
        // frame that moved the start is forgotten.
        let _writing = self.writing.lock();
        let (mut state, log_start, local_start) = loop {
            let state = self.state.lock();
            // The log's before the local one, see `raise_log_start`.
            let (log_start, local_start) = (self.log_start(), self.local_start());
            if self.is_dropped() || state.segments_below(local_start).next().is_none() {
                break (state, log_start, local_start);
            }
            drop(state);
            self.remove_below_start_held();
        };
        if self.drop_durable.load(Ordering::Acquire) {
            return None;
        }
        let unsynced = std::mem::take(&mut state.unsynced);
        // Never below the local start: an emptied log goes on where it was, in its last epoch.
        let end = state.written_end.max(local_start);
        let entry = PartitionEntry {
            id: self.id,
            log_start,
            log_start_min: self.log_start_min.load(Ordering::Acquire).min(log_start),
            local_start,
            next_offset: end,
            committed: self.committed().min(end),
            seen_epoch: self.seen_epoch(),
            epochs: before(&state.epochs, |(_, start)| *start < end),
            damaged: before(&state.damaged, |(from, _)| *from < end),
            segments: state.written_segments(local_start),
        };
        Some((entry, unsynced))
    }

    /// A partition as a checkpoint knows it.
    pub(crate) fn restore(core: &Arc<Core>, entry: PartitionEntry) -> Arc<PartitionLog> {
        let log = core.partition(entry.id);
        log.next_offset.store(entry.next_offset, Ordering::Release);
        log.durable_end.store(entry.next_offset, Ordering::Release);
        log.log_start.store(entry.log_start, Ordering::Release);
        log.log_start_min
            .store(entry.log_start_min, Ordering::Release);
        log.local_start.store(entry.local_start, Ordering::Release);
        log.committed.store(entry.committed, Ordering::Release);
        log.seen(entry.seen_epoch);
        let segments = entry
            .segments
            .iter()
            .filter(|segment| segment.end > entry.local_start);
        let segments: VecDeque<Segment> = segments.map(SegmentEntry::restore).collect();
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        log.bytes.store(bytes, Ordering::Relaxed);
        *log.state.lock() = State {
            segments,
            written_end: entry.next_offset,
            epochs: entry.epochs,
            damaged: entry.damaged,
            ..State::default()
        };
        log
    }

    /// After replay: the owner's note must not claim more than there is, and what damage took
    /// from the journal must not leave an end before the start.
    pub(crate) fn settle(self: &Arc<Self>) {
        if self.next_offset() < self.local_start() {
            self.replay_local_start(self.local_start());
            self.remove_below_start();
        }
        self.committed
            .fetch_min(self.durable_end(), Ordering::AcqRel);
    }
}

impl SegmentEntry {
    fn restore(&self) -> Segment {
        Segment {
            base: self.base,
            end: self.end,
            bytes: self.bytes,
            written: self.bytes,
            behind: self.bytes,
            max_timestamp_ms: self.max_timestamp_ms,
            first_append_ms: self.first_append_ms,
            last_append_ms: self.last_append_ms,
            keyed_batches: self.keyed_batches,
            sealed: self.sealed,
            was_cut: Arc::default(),
            index: Vec::new(),
            unindexed: self.bytes,
        }
    }
}

impl State {
    fn written_segments(&self, local_start: u64) -> Vec<SegmentEntry> {
        let kept = |segment: &&Segment| segment.written > 0 && segment.end > local_start;
        let entry = |segment: &Segment| SegmentEntry {
            base: segment.base,
            end: segment.end.min(self.written_end),
            bytes: segment.written,
            max_timestamp_ms: segment.max_timestamp_ms,
            first_append_ms: segment.first_append_ms,
            last_append_ms: segment.last_append_ms,
            keyed_batches: segment.keyed_batches,
            sealed: segment.is_complete(),
        };
        self.segments.iter().filter(kept).map(entry).collect()
    }
}

fn before<T: Copy>(items: &[T], keep: impl Fn(&T) -> bool) -> Vec<T> {
    items.iter().copied().filter(|item| keep(item)).collect()
}
