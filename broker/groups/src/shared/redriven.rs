//! Which records of the dead-letter topic are done with.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use headwater_log::{PartitionId, TopicId};

use super::Step;
use super::ranges::Ranges;
use crate::call::Letters;
use crate::error::GroupError;
use crate::limits::REDRIVEN_RANGES_MAX;

/// Offsets of the dead-letter topic that need not be looked at again: letters that were moved back, and
/// records that are no letters of the group.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Redriven(BTreeMap<PartitionId, Ranges>);

impl Redriven {
    pub fn note(&mut self, letters: &[Letters]) {
        for (partition, ranges) in letters {
            let known = self.0.entry(*partition).or_default();
            ranges.iter().for_each(|range| known.insert(range.clone()));
        }
    }

    /// The step that notes these; `None` if all of them are known.
    pub fn noting(
        &self,
        letters: &[Letters],
        topic: Option<TopicId>,
    ) -> Result<Option<Step>, GroupError> {
        let strange = letters.iter().find(|(id, _)| Some(id.topic) != topic);
        if let Some((id, _)) = strange {
            return Err(GroupError::NoPartition(*id));
        }
        // As who calls may name them in any order.
        let mut new = Self::default();
        new.note(letters);
        let mut after = self.clone();
        after.note(letters);
        if after.0.values().map(Ranges::len).sum::<usize>() > REDRIVEN_RANGES_MAX {
            return Err(GroupError::TooMany {
                what: "ranges of letters that were moved back",
                max: REDRIVEN_RANGES_MAX,
            });
        }
        Ok((after != *self).then(|| Step::Redriven(new.letters())))
    }

    pub fn letters(&self) -> Vec<Letters> {
        let partitions = self.0.iter();
        let letters = partitions.map(|(id, ranges)| (*id, ranges.iter().collect()));
        letters.collect()
    }

    /// So many ranges from a place on, and the place behind them.
    pub fn rows(
        &self,
        place: Option<(PartitionId, u64)>,
        count_max: usize,
    ) -> Option<(Vec<Letters>, (PartitionId, u64))> {
        let first = place.map_or(Unbounded, |(id, _)| Included(id));
        let rows = self.0.range((first, Unbounded)).flat_map(|(id, ranges)| {
            let told = place.filter(|(first, _)| first == id);
            let above = ranges.above(told.map_or(0, |(_, end)| end));
            above.map(move |range| (*id, range))
        });
        let mut letters: Vec<Letters> = Vec::new();
        let mut place = None;
        for (id, range) in rows.take(count_max) {
            place = Some((id, range.end));
            match letters.last_mut() {
                Some((last, ranges)) if *last == id => ranges.push(range),
                _ => letters.push((id, vec![range])),
            }
        }
        Some((letters, place?))
    }

    /// Forgets what is of other topics.
    pub fn keep(&mut self, topic: Option<TopicId>) {
        self.0.retain(|id, _| Some(id.topic) == topic);
    }
}
