//! Sets of offsets as ranges.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Range;

/// Offsets as ranges that neither overlap nor touch: starts with their ends.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds offsets, of which some may be in it.
    pub fn insert(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        if let Some((before, until)) = self.0.range(..start).next_back()
            && *until >= start
        {
            (start, end) = (*before, end.max(*until));
        }
        while let Some((after, until)) = self.0.range(start..=end).next() {
            let (after, until) = (*after, *until);
            end = end.max(until);
            self.0.remove(&after);
        }
        self.0.insert(start, end);
    }

    /// The end of the range that an offset is in.
    pub fn end_of(&self, offset: u64) -> Option<u64> {
        let (_, end) = self.0.range(..=offset).next_back()?;
        (*end > offset).then_some(*end)
    }

    /// Takes away what is at or below an offset, and gives the first offset that is not in it.
    pub fn take_front(&mut self, mut offset: u64) -> u64 {
        while let Some(first) = self.0.first_entry()
            && *first.key() <= offset
        {
            offset = offset.max(first.remove());
        }
        offset
    }

    /// The ranges, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(start, end)| *start..*end)
    }

    /// Those that end above an offset.
    pub fn above(&self, offset: u64) -> impl Iterator<Item = Range<u64>> {
        let around = self.0.range(..=offset).next_back();
        let around = around.filter(|(_, end)| **end > offset);
        let behind = self.0.range((Excluded(offset), Unbounded));
        around
            .into_iter()
            .chain(behind)
            .map(|(start, end)| *start..*end)
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many offsets there are.
    pub fn total(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }
}

/// Adds a range that begins at or after the start of the last one.
pub(super) fn push_range(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[Range<u64>]) -> Ranges {
        let mut ranges = Ranges::default();
        of.iter().for_each(|range| ranges.insert(range.clone()));
        ranges
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        let all = |of: &[Range<u64>]| {
            let all = ranges(of);
            all.iter()
                .map(|range| (range.start, range.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(all(&[5..7, 9..10]), [(5, 7), (9, 10)]);
        assert_eq!(all(&[5..7, 9..10, 7..9]), [(5, 10)]);
        assert_eq!(all(&[5..7, 9..10, 1..20]), [(1, 20)]);
        assert_eq!(all(&[1..20, 5..7]), [(1, 20)]);
        assert_eq!(all(&[5..7, 6..9]), [(5, 9)]);
        assert_eq!(all(&[5..7, 3..5]), [(3, 7)]);
        assert_eq!(all(&[Range { start: 7, end: 5 }]), []);
    }

    #[test]
    fn the_front_is_taken_up_to_the_first_gap() {
        let mut some = ranges(&[3..5, 6..8]);
        assert_eq!(some.take_front(2), 2);
        assert_eq!(some.take_front(3), 5);
        assert_eq!(some.take_front(7), 8);
        assert_eq!(some.total(), 0);
    }

    #[test]
    fn those_above_an_offset_begin_with_the_one_around_it() {
        let some = ranges(&[3..5, 6..8]);
        let firsts = (2..9).map(|offset| some.above(offset).next().map(|range| range.start));
        let expected = [Some(3), Some(3), Some(3), Some(6), Some(6), Some(6), None];
        assert!(firsts.eq(expected));
    }

    #[test]
    fn an_offset_is_in_the_range_that_has_it() {
        let some = ranges(&[3..5, 6..8]);
        let ends = (2..9).map(|offset| some.end_of(offset));
        let expected = [None, Some(5), Some(5), None, Some(8), Some(8), None];
        assert!(ends.eq(expected));
    }
}
