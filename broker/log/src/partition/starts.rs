//! Where a log starts: anywhere, and on this disk.

use std::sync::atomic::{AtomicU64, Ordering};

use super::PartitionLog;

impl PartitionLog {
    /// The first offset of the log; durable, and goes back by [`PartitionLog::reset`] and
    /// [`PartitionLog::extend_history`] only.
    pub fn log_start(&self) -> u64 {
        self.log_start.load(Ordering::Acquire)
    }

    /// The first offset on this disk; durable, as [`PartitionLog::log_start`] is. What lies between
    /// the two is in the log, and where to read it is for the owner to know:
    /// [`PartitionLog::drop_local`] has removed it here, or [`PartitionLog::reset_with_history`] has
    /// begun behind it. The same as [`PartitionLog::next_offset`] when nothing is left here.
    pub fn local_start(&self) -> u64 {
        self.local_start.load(Ordering::Acquire)
    }

    /// The log has nothing below `offset` any more. The local start goes first, so that it is never
    /// seen before the other.
    pub(crate) fn raise_log_start(&self, offset: u64) {
        self.raise_local_start(offset);
        raise(&self.log_start_min, offset);
        raise(&self.log_start, offset);
    }

    /// Nothing below `offset` is on this disk any more.
    pub(crate) fn raise_local_start(&self, offset: u64) {
        raise(&self.local_start, offset);
    }

    /// The way back, for a log that begins anew; in the order that [`PartitionLog::raise_log_start`]
    /// keeps to.
    pub(super) fn lower_starts(&self, log_start: u64, local_start: u64) {
        self.log_start.fetch_min(log_start, Ordering::AcqRel);
        self.log_start_min.fetch_min(log_start, Ordering::AcqRel);
        self.local_start.fetch_min(local_start, Ordering::AcqRel);
    }

    /// Moves the start of the log as recovery found it in the journal.
    pub(crate) fn replay_log_start(&self, offset: u64) {
        self.replay_local_start(offset);
        self.raise_log_start(offset);
    }

    /// The same for the local start.
    pub(crate) fn replay_local_start(&self, offset: u64) {
        raise(&self.next_offset, offset);
        raise(&self.durable_end, offset);
        self.raise_local_start(offset);
    }
}

fn raise(offset: &AtomicU64, to: u64) {
    offset.fetch_max(to, Ordering::AcqRel);
}
