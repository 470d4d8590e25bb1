//! When leases and delays end.

use std::collections::BTreeSet;

use headwater_log::PartitionId;

use super::progress::Tried;

/// The ends of all leases and delays of a group, in order.
#[derive(Clone, Default, Debug)]
pub(super) struct Timers(BTreeSet<(i64, PartitionId, u64)>);

impl Timers {
    /// Sets or clears the timer of a record.
    pub fn set(
        &mut self,
        (partition, offset): (PartitionId, u64),
        tried: &mut Tried,
        due_ms: Option<i64>,
    ) {
        if let Some(before_ms) = tried.due_ms {
            self.0.remove(&(before_ms, partition, offset));
        }
        if let Some(due_ms) = due_ms {
            self.0.insert((due_ms, partition, offset));
        }
        tried.due_ms = due_ms;
    }

    pub fn first_ms(&self) -> Option<i64> {
        self.0.first().map(|(due_ms, ..)| *due_ms)
    }

    /// The first so many that are due.
    pub fn due(&self, now_ms: i64, count_max: usize) -> Vec<(PartitionId, u64)> {
        let due = self.0.iter().take_while(|(due_ms, ..)| *due_ms <= now_ms);
        let due = due.map(|(_, partition, offset)| (*partition, *offset));
        due.take(count_max).collect()
    }
}
