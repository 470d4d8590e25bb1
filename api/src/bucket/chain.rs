//! Which objects of a partition make its log. Uploads of two leaders may overlap, and of what was given up
//! nobody deletes an object whose row is lost.

use std::{cmp::Reverse, collections::HashMap, ops::Range};

use headwater_tiered::SegmentRef;

/// An object that may be part of a partition's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The row that it would have.
    pub segment: SegmentRef,
    /// Epochs of its batches, ascending, each with its first offset.
    pub epochs: Vec<(u32, u64)>,
}

/// What a partition's log is made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Each begins where the last one ends.
    pub pieces: Vec<Piece>,
    /// The rest.
    pub unused: Vec<Piece>,
    /// Offsets before the chain that are in no object, or in none that leads to it: nothing below its end
    /// is used.
    pub hole: Option<Range<u64>>,
}

impl Chain {
    /// Chooses the longest contiguous run of objects that ends at the highest offset. Where several go on
    /// to there, it is the compacted one, then the one of the higher leader epoch, then the longer one.
    pub fn choose(mut pieces: Vec<Piece>) -> Self {
        pieces.sort_by_key(|piece| {
            let segment = &piece.segment;
            (segment.base_offset, preference(segment))
        });
        let reaches = reaches(&pieces);
        let furthest = reaches.iter().copied().max();
        let mut chain = Self::default();
        let mut next = None;
        for (piece, reach) in pieces.into_iter().zip(reaches) {
            let base = piece.segment.base_offset;
            if Some(reach) == furthest && next.is_none_or(|next| next == base) {
                next = Some(piece.segment.end_offset);
                chain.pieces.push(piece);
            } else {
                chain.unused.push(piece);
            }
        }
        chain.hole = chain.hole();
        chain
    }

    fn hole(&self) -> Option<Range<u64>> {
        let start = self.start();
        let below = self.unused.iter().map(|piece| &piece.segment);
        let below = || below.clone().filter(|segment| segment.base_offset < start);
        let ends = below().map(|segment| segment.end_offset);
        // What overlaps the chain without leading to it is lost from where it begins.
        let from = ends.filter(|end| *end < start).max();
        let from = from.or_else(|| below().map(|segment| segment.base_offset).min())?;
        Some(from..start)
    }

    /// First offset; 0 if there is nothing.
    pub fn start(&self) -> u64 {
        let first = self.pieces.first();
        first.map_or(0, |piece| piece.segment.base_offset)
    }

    /// One past the last offset; 0 if there is nothing.
    pub fn end(&self) -> u64 {
        let last = self.pieces.last();
        last.map_or(0, |piece| piece.segment.end_offset)
    }

    /// Leader epochs of the batches, each with its first offset.
    pub fn epochs(&self) -> Vec<(i32, u64)> {
        let mut epochs: Vec<(i32, u64)> = Vec::new();
        for (epoch, start) in self.pieces.iter().flat_map(|piece| &piece.epochs) {
            let epoch = i32::try_from(*epoch).unwrap_or(i32::MAX);
            // Within one object they grow, and a later one goes on with the last of the one before.
            if epochs.last().is_none_or(|(last, _)| *last < epoch) {
                epochs.push((epoch, *start));
            }
        }
        epochs
    }
}

/// Of objects that begin at one offset the least is the best. What was compacted is better than what it was
/// made of, and what was compacted again has fewer records.
fn preference(segment: &SegmentRef) -> impl Ord + use<> {
    (
        Reverse(segment.clean_below),
        Reverse(segment.leader_epoch),
        Reverse(segment.end_offset),
        segment.record_count,
    )
}

/// The highest offset that each of the pieces leads to without a hole. They are sorted by their first
/// offsets.
fn reaches(pieces: &[Piece]) -> Vec<u64> {
    let mut from_offset: HashMap<u64, u64> = HashMap::new();
    let mut reaches = vec![0; pieces.len()];
    for (piece, reach) in pieces.iter().zip(&mut reaches).rev() {
        let (base, end) = (piece.segment.base_offset, piece.segment.end_offset);
        *reach = from_offset.get(&end).copied().unwrap_or(end);
        let best = from_offset.entry(base).or_default();
        *best = (*best).max(*reach);
    }
    reaches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object from one offset to another, of a leader's epoch.
    fn piece(base: u64, end: u64, leader_epoch: u32) -> Piece {
        Piece {
            segment: SegmentRef {
                key: format!("{base}-{end}-{leader_epoch}"),
                base_offset: base,
                end_offset: end,
                leader_epoch,
                size_bytes: 100,
                data_bytes: 50,
                index_position: 50,
                data_sha256: String::new(),
                record_count: end - base,
                first_timestamp_ms: 0,
                max_timestamp_ms: 0,
                keys_bytes: 0,
                first_tombstone: None,
                clean_below: 0,
                cleaned: Vec::new(),
            },
            epochs: vec![(leader_epoch, base)],
        }
    }

    /// Chooses, whatever the order; the names of what was chosen, and the hole.
    fn chosen(pieces: &[(u64, u64, u32)]) -> (Vec<String>, Option<Range<u64>>) {
        let mut all: Vec<_> = pieces.iter().map(|(b, e, l)| piece(*b, *e, *l)).collect();
        let chain = Chain::choose(all.clone());
        for _ in 1..all.len() {
            all.rotate_left(1);
            assert_eq!(Chain::choose(all.clone()), chain);
        }
        assert_eq!(chain.pieces.len() + chain.unused.len(), all.len());
        for pair in chain.pieces.windows(2) {
            assert_eq!(pair[0].segment.end_offset, pair[1].segment.base_offset);
        }
        let names = chain.pieces.iter().map(|piece| piece.segment.key.clone());
        (names.collect(), chain.hole)
    }

    #[test]
    fn a_log_is_its_objects_in_order() {
        let (names, hole) = chosen(&[(10, 20, 1), (0, 10, 1), (20, 25, 3)]);
        assert_eq!(names, ["0-10-1", "10-20-1", "20-25-3"]);
        assert_eq!(hole, None);
        assert_eq!(Chain::choose(Vec::new()), Chain::default());
    }

    #[test]
    fn of_two_leaders_uploads_the_later_one_counts_and_then_the_longer_one() {
        let (names, _) = chosen(&[(0, 10, 1), (0, 10, 2), (10, 20, 2)]);
        assert_eq!(names, ["0-10-2", "10-20-2"]);
        // Several replaced by one.
        let (names, _) = chosen(&[(0, 10, 1), (10, 20, 1), (0, 20, 1), (20, 30, 1)]);
        assert_eq!(names, ["0-20-1", "20-30-1"]);
    }

    #[test]
    fn what_was_compacted_counts_and_of_that_the_latest() {
        let of = |base, end, clean_below, records| {
            let mut piece = piece(base, end, 1);
            piece.segment.key = format!("{base}-{end}, {records} records");
            piece.segment.clean_below = clean_below;
            piece.segment.record_count = records;
            piece
        };
        let sources = [of(0, 10, 0, 10), of(10, 20, 0, 10), of(20, 30, 0, 10)];
        let compacted = [of(0, 20, 20, 8), of(0, 20, 20, 6), of(0, 10, 10, 7)];
        let chain = Chain::choose(sources.into_iter().chain(compacted).collect());
        let names: Vec<_> = chain
            .pieces
            .iter()
            .map(|piece| &*piece.segment.key)
            .collect();
        assert_eq!(names, ["0-20, 6 records", "20-30, 10 records"]);
    }

    #[test]
    fn an_upload_that_leads_nowhere_does_not_end_the_log() {
        let (names, hole) = chosen(&[(0, 15, 2), (0, 10, 1), (10, 20, 1)]);
        assert_eq!((names.len(), hole), (2, None));
        assert_eq!(names[0], "0-10-1");
    }

    #[test]
    fn a_hole_is_told_and_what_comes_after_it_is_used() {
        let (names, hole) = chosen(&[(0, 10, 1), (10, 20, 1), (30, 40, 1), (40, 45, 1)]);
        assert_eq!(names, ["30-40-1", "40-45-1"]);
        assert_eq!(hole, Some(20..30));
        let (names, hole) = chosen(&[(0, 15, 1), (10, 20, 2)]);
        assert_eq!(names, ["10-20-2"]);
        assert_eq!(hole, Some(0..10));
    }

    #[test]
    fn epochs_are_told_once_each_from_where_they_begin() {
        let mut second = piece(10, 20, 4);
        second.epochs = vec![(2, 10), (4, 15)];
        let chain = Chain::choose(vec![piece(0, 10, 2), second]);
        assert_eq!(chain.epochs(), [(2, 0), (4, 15)]);
        assert_eq!((chain.start(), chain.end()), (0, 20));
    }
}
