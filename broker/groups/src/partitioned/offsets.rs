//! Positions: commits, and resets.

use headwater_log::PartitionId;

use super::rows::Partition;
use super::table::Table;
use super::trial::Trial;
use crate::call::{Mark, Moved, Position};
use crate::error::GroupError;

impl Table {
    pub(super) fn positions(&self) -> Vec<Position> {
        let positions = self.partitions().iter().map(|(id, row)| Position {
            partition: *id,
            committed: row.position,
            settled_above: 0,
        });
        positions.collect()
    }
}

impl Trial<'_> {
    /// Moves positions forward, of the stints that the member owns. Gives the partitions whose mark
    /// did not count although it is ahead.
    pub(super) fn commit(&mut self, joined: u64, marks: &[Mark]) -> Vec<PartitionId> {
        let mut ignored = Vec::new();
        for mark in marks {
            let row = self.partitions().get(&mark.partition).copied();
            let is_ahead = row
                .and_then(|row| row.position)
                .is_none_or(|position| mark.next_offset > position);
            if !is_ahead {
                continue;
            }
            match row {
                Some(row) if row.owner == Some(joined) && row.stint == mark.stint => {
                    let position = Some(mark.next_offset);
                    self.set_partition(mark.partition, Some(Partition { position, ..row }));
                }
                _ => ignored.push(mark.partition),
            }
        }
        ignored
    }

    /// Moves positions to where they are wanted. Owners stay, in new stints: what they commit of the
    /// old ones does not undo it.
    pub(super) fn reset(
        &mut self,
        offsets: &[(PartitionId, u64)],
        force: bool,
    ) -> Result<Vec<Moved>, GroupError> {
        if !force && !self.members().is_empty() {
            return Err(GroupError::MembersActive);
        }
        let mut moved = Vec::with_capacity(offsets.len());
        for (id, after) in offsets {
            let Some(row) = self.partitions().get(id).copied() else {
                return Err(GroupError::NoPartition(*id));
            };
            let stint = self.begin_epoch();
            let position = Some(*after);
            self.set_partition(
                *id,
                Some(Partition {
                    stint,
                    position,
                    ..row
                }),
            );
            moved.push(Moved {
                partition: *id,
                before: row.position,
                after: *after,
            });
        }
        Ok(moved)
    }
}
