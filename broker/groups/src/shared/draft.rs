//! What one call is going to change, record by record.

use std::collections::BTreeMap;

use headwater_log::PartitionId;

use super::Shared;
use super::ranges::push_range;
use super::step::{Changes, Step};
use super::types::Cause;
use crate::limits::REASON_BYTES_MAX;

/// The changes of one call; each record changes once.
#[derive(Default)]
pub(super) struct Draft(BTreeMap<(PartitionId, u64), Change>);

pub(super) enum Change {
    Settle,
    /// Settles it, and counts it as dropped.
    Drop,
    Nack {
        delay_ms: u32,
    },
    Extend {
        lease_ms: u32,
    },
    /// Takes the lease back.
    Release,
    Bury {
        cause: Cause,
        reason: Box<str>,
    },
}

impl Shared {
    /// What becomes of a record that is given up.
    pub(super) fn give_up(&self, cause: Cause, reason: &str) -> Change {
        if self.rules.dead_letters.is_none() {
            return Change::Drop;
        }
        let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
        let reason = reason.into();
        Change::Bury { cause, reason }
    }
}

impl Draft {
    pub fn get(&self, partition: PartitionId, offset: u64) -> Option<&Change> {
        self.0.get(&(partition, offset))
    }

    pub fn set(&mut self, partition: PartitionId, offset: u64, change: Change) {
        self.0.insert((partition, offset), change);
    }

    /// The step that makes the changes; `None` if there are none.
    pub fn into_step(self, at_ms: i64, group: &Shared) -> Option<Step> {
        let mut dropped = 0;
        let mut partitions: BTreeMap<PartitionId, Changes> = BTreeMap::new();
        for ((partition, offset), change) in self.0 {
            let Some(share) = group.partitions.get(&partition) else {
                continue;
            };
            let changes = partitions.entry(partition).or_default();
            match change {
                Change::Settle | Change::Drop => {
                    dropped += u64::from(matches!(change, Change::Drop));
                    let span = share.window.span(offset, &share.progress);
                    push_range(&mut changes.settled, span);
                }
                Change::Nack { delay_ms } => changes.nacked.push((offset, delay_ms)),
                Change::Extend { lease_ms } => changes.extended.push((offset, lease_ms)),
                Change::Release => changes.released.push(offset),
                Change::Bury { cause, reason } => changes.dead.push((offset, cause, reason)),
            }
        }
        (!partitions.is_empty()).then_some(Step::Changed {
            at_ms,
            dropped,
            partitions: partitions.into_iter().collect(),
        })
    }
}
