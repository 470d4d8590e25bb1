//! Leader epochs: those of the batches, and the highest one heard of.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{PartitionLog, State};
use crate::journal::format::Kind;
use crate::journal::queue::Queued;

/// What [`PartitionLog::seen_epoch`] says when none was noted.
pub(crate) const NEVER_SEEN: i32 = -1;

impl PartitionLog {
    /// Leader epochs in the log with the first offset of each, both growing. Those that end at or
    /// below the start of the log are left out; the one that the start is in is told with the
    /// offset that it began at. A log that was trimmed to its end has its last epoch still; one that
    /// was truncated to its start, or reset, has none.
    pub fn epochs(&self) -> Vec<(i32, u64)> {
        let state = self.state.lock();
        state.epochs_from(self.log_start()).to_vec()
    }

    /// The epoch of the last batch, see [`PartitionLog::epochs`].
    pub fn last_epoch(&self) -> Option<i32> {
        self.state.lock().epochs.last().map(|(epoch, _)| *epoch)
    }

    /// The largest epoch in the log that is not above `epoch`, and where it ends: where the next
    /// one begins, or at [`PartitionLog::next_offset`]. `None` if there is none.
    pub fn end_offset_for(&self, epoch: i32) -> Option<(i32, u64)> {
        let state = self.state.lock();
        let epochs = state.epochs_from(self.log_start());
        let after = epochs.partition_point(|(known, _)| *known <= epoch);
        let (found, _) = epochs[..after].last()?;
        let end = match epochs.get(after) {
            Some((_, start)) => *start,
            None => self.next_offset(),
        };
        Some((*found, end))
    }

    /// The highest epoch noted by [`Log::note_seen_epochs`](crate::Log::note_seen_epochs); -1 if
    /// there was none. Durable, and kept until the partition is dropped: truncating and resetting
    /// leave it as it is. If the checkpoint is lost ([`crate::Recovery::rebuilt`]), only what the
    /// journal has of it is known.
    pub fn seen_epoch(&self) -> i32 {
        self.seen_epoch.load(Ordering::Acquire)
    }

    /// The frame that notes an epoch, if it is news.
    pub(crate) fn seen_frame(self: &Arc<Self>, epoch: i32) -> Option<Queued> {
        let news = epoch > self.seen_epoch() && !self.is_dropped();
        news.then(|| self.frame(Kind::SeenEpoch, 0, epoch))
    }

    /// A note of an epoch is durable.
    pub(crate) fn seen(&self, epoch: i32) {
        self.seen_epoch.fetch_max(epoch, Ordering::AcqRel);
    }
}

impl State {
    /// Epochs without those that end at or below the start of the log.
    fn epochs_from(&self, log_start: u64) -> &[(i32, u64)] {
        let begun = self
            .epochs
            .partition_point(|(_, start)| *start <= log_start);
        &self.epochs[begun.saturating_sub(1)..]
    }

    /// Forgets the epochs that are not told any more.
    pub(super) fn forget_epochs(&mut self, log_start: u64) {
        let kept = self.epochs_from(log_start).len();
        self.epochs.drain(..self.epochs.len() - kept);
    }
}
