//! All durable state in pieces, between other steps.

use std::ops::Bound::{Excluded, Unbounded};

use headwater_log::PartitionId;

use super::{Piece, Shared, Step};
use crate::limits::PIECE_ROWS_MAX;

/// Where the next piece of a snapshot begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// The partition before.
    after: Option<PartitionId>,
    /// What is told of the next one already: settled ranges and records below these.
    settled: u64,
    tried: u64,
    /// What is told of the dead-letter topic, once all partitions are: its partition, and up to where.
    letters: Option<(PartitionId, u64)>,
}

impl Shared {
    /// The first step of a snapshot: whoever knows no group is to begin with it.
    pub(crate) fn head(&self) -> Step {
        Step::Counts {
            epoch: self.epoch,
            dropped: self.dropped,
        }
    }

    /// The piece at a place, and the place behind it; `None` at the end.
    ///
    /// Other steps may come between head and pieces. Whoever begins with the head is told each row
    /// once, as it is then, and knows what happens to it from then on; what came before that it could
    /// not make much of is overwritten.
    pub(crate) fn piece(&self, place: Place) -> Option<(Step, Place)> {
        let known = self.known_from(place);
        known.or_else(|| {
            let (letters, told) = self.redriven.rows(place.letters, PIECE_ROWS_MAX)?;
            let letters_told = Place {
                letters: Some(told),
                ..place
            };
            Some((Step::Redriven(letters), letters_told))
        })
    }

    fn known_from(&self, mut place: Place) -> Option<(Step, Place)> {
        let mut left = PIECE_ROWS_MAX;
        let mut pieces = Vec::new();
        let behind = (place.after.map_or(Unbounded, Excluded), Unbounded);
        for (partition, share) in self.partitions.range(behind) {
            if left < 2 {
                break;
            }
            let progress = &share.progress;
            let rows_max = left / 2;
            let settled: Vec<_> = progress
                .settled
                .above(place.settled)
                .take(rows_max)
                .collect();
            let tried: Vec<_> = progress
                .tried
                .range(place.tried..)
                .take(rows_max)
                .map(|(offset, tried)| (*offset, tried.clone()))
                .collect();
            left = left.saturating_sub(1 + settled.len() + tried.len());
            let is_last = settled.len().max(tried.len()) < rows_max;
            if is_last {
                place = Place {
                    after: Some(*partition),
                    settled: 0,
                    tried: 0,
                    ..place
                };
            } else {
                place.settled = settled.last().map_or(place.settled, |range| range.end);
                place.tried = tried.last().map_or(place.tried, |(offset, _)| offset + 1);
            }
            pieces.push(Piece {
                partition: *partition,
                fence: share.fence,
                floor: progress.floor,
                settled,
                tried,
            });
            if !is_last {
                break;
            }
        }
        (!pieces.is_empty()).then_some((Step::Known(pieces), place))
    }
}
