//! Which partitions a group has, and where it is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use headwater_log::{PartitionId, TopicId};

use super::Shared;
use super::step::Step;
use crate::call::Moved;
use crate::error::GroupError;
use crate::group::Surroundings;
use crate::limits::PARTITIONS_MAX;

type Span = (Bound<PartitionId>, Bound<PartitionId>);

/// All partitions in their order, beginning after one: as what is behind it, and the rest.
pub(super) fn turn(after: Option<PartitionId>) -> (Span, Span) {
    let first = PartitionId {
        topic: TopicId([0; 16]),
        partition: 0,
    };
    match after {
        None => (
            (Bound::Unbounded, Bound::Unbounded),
            (Bound::Included(first), Bound::Excluded(first)),
        ),
        Some(after) => (
            (Bound::Excluded(after), Bound::Unbounded),
            (Bound::Unbounded, Bound::Included(after)),
        ),
    }
}

impl Shared {
    /// Reads these topics from now on, or the same. `offsets` are where to begin in partitions that
    /// the group does not have yet.
    pub(crate) fn configure(
        &self,
        around: &Surroundings,
        offsets: &[(PartitionId, u64)],
    ) -> Result<Vec<Step>, GroupError> {
        let offsets = offsets.iter().copied().collect();
        let topics = &around.config.topics;
        let had = self.topics().into_iter();
        let mut positions = Vec::new();
        for topic in had.filter(|topic| !topics.contains(topic)) {
            self.leave(topic, &mut positions);
        }
        self.follow(around, &offsets, &mut positions);
        let gone = positions.iter().filter(|(_, to)| to.is_none()).count();
        let count = self.partitions.len() + positions.len() - 2 * gone;
        if count > PARTITIONS_MAX {
            return Err(GroupError::TooMany {
                what: "partitions",
                max: PARTITIONS_MAX,
            });
        }
        Ok(self.moved(positions))
    }

    /// What became of the topics.
    pub(crate) fn sync(&self, around: &Surroundings) -> Vec<Step> {
        let mut positions = Vec::new();
        self.follow(around, &BTreeMap::new(), &mut positions);
        self.moved(positions)
    }

    /// Takes up partitions that came, and leaves topics that went. A partition that has no offset of
    /// its own begins at 0: nothing is skipped, and an offer tells where the log begins.
    fn follow(
        &self,
        around: &Surroundings,
        offsets: &BTreeMap<PartitionId, u64>,
        positions: &mut Vec<(PartitionId, Option<u64>)>,
    ) {
        for topic in &around.config.topics {
            let Some(count) = around.topics.partitions(*topic) else {
                self.leave(*topic, positions);
                continue;
            };
            let id = |partition| PartitionId {
                topic: *topic,
                partition,
            };
            let named = offsets.range(id(0)..=id(u32::MAX)).next_back();
            let count = count.max(named.map_or(0, |(id, _)| id.partition + 1));
            let known = self.of_topic(*topic).next_back();
            let known = known.map_or(0, |id| id.partition + 1);
            positions.extend((known..count).map(id).map(|id| {
                let offset = offsets.get(&id).copied().unwrap_or(0);
                (id, Some(offset))
            }));
        }
    }

    fn leave(&self, topic: TopicId, positions: &mut Vec<(PartitionId, Option<u64>)>) {
        positions.extend(self.of_topic(topic).map(|id| (id, None)));
    }

    fn topics(&self) -> BTreeSet<TopicId> {
        self.partitions.keys().map(|id| id.topic).collect()
    }

    /// A group has a topic's partitions from 0 on.
    fn of_topic(&self, topic: TopicId) -> impl DoubleEndedIterator<Item = PartitionId> {
        let id = |partition| PartitionId { topic, partition };
        let rows = self.partitions.range(id(0)..=id(u32::MAX));
        rows.map(|(id, _)| *id)
    }

    fn moved(&self, positions: Vec<(PartitionId, Option<u64>)>) -> Vec<Step> {
        let epoch = self.epoch;
        let moved = (!positions.is_empty()).then_some(Step::Moved { epoch, positions });
        moved.into_iter().collect()
    }

    /// Moves partitions. All that was known of them is forgotten: no lease of before settles
    /// anything.
    pub(crate) fn reset(
        &self,
        offsets: &[(PartitionId, u64)],
        force: bool,
    ) -> Result<(Vec<Step>, Vec<Moved>), GroupError> {
        if !force && self.is_active() {
            return Err(GroupError::MembersActive);
        }
        let moved = offsets.iter().map(|(partition, after)| {
            let share = self.partitions.get(partition);
            let share = share.ok_or(GroupError::NoPartition(*partition))?;
            Ok(Moved {
                partition: *partition,
                before: Some(share.progress.floor),
                after: *after,
            })
        });
        let moved = moved.collect::<Result<_, _>>()?;
        let positions = offsets.iter().map(|(id, after)| (*id, Some(*after)));
        Ok((self.moved(positions.collect()), moved))
    }
}
