//! Who gets which partition: as even as can be, with as few moves as that takes.
//!
//! With `n` partitions and `m` members a share is `n / m`; the first `n % m` members, those who own
//! the most, keep one more. Who owns more than its share gives up the rest when it polls, to those who
//! own less. What has no owner goes to who owns the least, at once: while there is a member nothing is
//! without an owner.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};

use headwater_log::{PartitionId, TopicId};

use super::rows::Partition;
use super::table::Table;
use super::trial::Trial;
use crate::config::{Config, Start};
use crate::topics::Topics;

impl Table {
    /// Whether nobody owns more than its share.
    pub(super) fn is_balanced(&self) -> bool {
        let (least, most) = (self.loads().first(), self.loads().last());
        least
            .zip(most)
            .is_none_or(|(least, most)| most.0 - least.0 <= 1)
    }

    /// How many partitions the member is to give up when it polls.
    pub(super) fn excess(&self, joined: u64) -> usize {
        if self.is_balanced() {
            return 0;
        }
        let place = (self.load(joined), joined);
        let above = (Bound::Excluded(place), Bound::Unbounded);
        let rank = self.loads().range(above).count();
        place.0.saturating_sub(self.share(rank))
    }

    /// The share of the member before which so many own more.
    fn share(&self, rank: usize) -> usize {
        let (partitions, members) = (self.partitions().len(), self.loads().len());
        partitions / members + usize::from(rank < partitions % members)
    }

    /// Who owns less than its share, and how much less; the least first.
    fn lacks(&self) -> Vec<(u64, usize)> {
        let ranked = self.loads().iter().rev().enumerate();
        let lacks = ranked.map(|(rank, (load, joined))| {
            let lack = self.share(rank).saturating_sub(*load);
            (*joined, lack)
        });
        let mut lacks: Vec<_> = lacks.filter(|(_, lack)| *lack > 0).collect();
        lacks.reverse();
        lacks
    }
}

impl Trial<'_> {
    /// Gives a partition to a member, or to nobody.
    pub(super) fn give(&mut self, id: PartitionId, owner: Option<u64>) {
        let Some(row) = self.partitions().get(&id).copied() else {
            return;
        };
        let stint = match owner {
            Some(_) => self.begin_epoch(),
            None => row.stint,
        };
        let row = Partition {
            owner,
            stint,
            ..row
        };
        self.set_partition(id, Some(row));
    }

    /// Gives what has no owner to who owns the least.
    pub(super) fn give_unowned(&mut self) {
        while let Some(id) = self.unowned().first().copied()
            && let Some((_, joined)) = self.loads().first().copied()
        {
            self.give(id, Some(joined));
        }
    }

    /// Has a member give up what is more than its share.
    pub(super) fn give_up_excess(&mut self, joined: u64) {
        let excess = self.excess(joined);
        if excess == 0 {
            return;
        }
        // The same numbers of all topics stay together, and no topic goes as a whole.
        let mut owned: Vec<PartitionId> = self.owned(joined).collect();
        owned.sort_unstable_by_key(|id| (id.partition, id.topic));
        let given = owned.split_off(owned.len() - excess);
        let lacks = self.lacks();
        let takers = lacks
            .iter()
            .flat_map(|(joined, lack)| std::iter::repeat_n(*joined, *lack));
        for (id, taker) in given.into_iter().zip(takers) {
            self.give(id, Some(taker));
        }
    }

    /// Takes up what became of topics: partitions that came, topics that went. `offsets` are where to
    /// begin in partitions that the group does not have yet; naming one proves that it exists.
    pub(super) fn sync(
        &mut self,
        config: &Config,
        offsets: &BTreeMap<PartitionId, u64>,
        topics: &dyn Topics,
    ) {
        for topic in &config.topics {
            let Some(count) = topics.partitions(*topic) else {
                self.drop_topic(*topic);
                continue;
            };
            let named = offsets.range(partitions_of(*topic)).next_back();
            let count = count.max(named.map_or(0, |(id, _)| id.partition + 1));
            self.grow(*topic, count, |id| match config.start {
                Start::Earliest => offsets.get(&id).copied(),
                Start::Latest => Some(offsets.get(&id).copied().unwrap_or(0)),
            });
        }
        self.give_unowned();
    }

    fn grow(&mut self, topic: TopicId, count: u32, begin: impl Fn(PartitionId) -> Option<u64>) {
        let known = self.partition_count(topic);
        if known >= count {
            return;
        }
        self.begin_epoch();
        for partition in known..count {
            let id = PartitionId { topic, partition };
            let row = Partition {
                position: begin(id),
                ..Partition::default()
            };
            self.set_partition(id, Some(row));
        }
    }

    /// Takes a topic's partitions away.
    fn drop_topic(&mut self, topic: TopicId) {
        let count = self.partition_count(topic);
        if count == 0 {
            return;
        }
        self.begin_epoch();
        for partition in 0..count {
            self.set_partition(PartitionId { topic, partition }, None);
        }
    }

    /// Takes the partitions of topics away that are not to be read any more.
    pub(super) fn drop_topics_but(&mut self, keep: &[TopicId]) {
        let topics: BTreeSet<TopicId> = self.partitions().keys().map(|id| id.topic).collect();
        for topic in topics.into_iter().filter(|topic| !keep.contains(topic)) {
            self.drop_topic(topic);
        }
    }

    /// A group has a topic's partitions from 0 on.
    fn partition_count(&self, topic: TopicId) -> u32 {
        let last = self.partitions().range(partitions_of(topic)).next_back();
        last.map_or(0, |(id, _)| id.partition + 1)
    }
}

fn partitions_of(topic: TopicId) -> RangeInclusive<PartitionId> {
    let id = |partition| PartitionId { topic, partition };
    id(0)..=id(u32::MAX)
}
