//! Copies held against each other: which has more, and from where on they differ.

/// A copy of a partition as its own broker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyState {
    /// Its first offset, in whichever tier that is.
    pub log_start: u64,
    /// One past its last offset.
    pub end: u64,
    /// The leader epochs of its batches, each with its first offset.
    pub epochs: Vec<(i32, u64)>,
}

impl CopyState {
    /// The leader epoch of its last batch.
    pub fn last_epoch(&self) -> Option<i32> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    /// Orders copies by how much of what was committed they can have: a later term began with all of it,
    /// so a longer log of an earlier one has only more that was not.
    pub fn rank(&self) -> (Option<i32>, u64) {
        (self.last_epoch(), self.end)
    }

    /// Where two copies part; below it they are the same. One term has one leader, so what two logs have
    /// of it is a beginning of the same.
    pub fn parts_from(&self, other: &Self) -> u64 {
        let theirs = |epoch| other.end_of(epoch);
        let mut shared = self.epochs.iter().rev();
        let parted = shared.find_map(|(epoch, _)| Some((self.end_of(*epoch)?, theirs(*epoch)?)));
        match parted {
            Some((own, theirs)) => own.min(theirs),
            // They can have the same only where both have been trimmed.
            None => self
                .end
                .min(other.end)
                .min(self.log_start.max(other.log_start)),
        }
    }

    fn end_of(&self, epoch: i32) -> Option<u64> {
        let place = self.epochs.iter().position(|(known, _)| *known == epoch)?;
        let next = self.epochs.get(place + 1);
        Some(next.map_or(self.end, |(_, start)| *start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(log_start: u64, epochs: &[(i32, u64)], end: u64) -> CopyState {
        CopyState {
            log_start,
            end,
            epochs: epochs.to_vec(),
        }
    }

    #[test]
    fn copies_part_where_the_last_term_that_both_have_ends_first() {
        let full = copy(0, &[(1, 0), (2, 100), (4, 150)], 200);
        let parts = [
            (copy(0, &[(1, 0), (2, 100)], 120), 120),
            // It took more in an earlier term, which nobody else has.
            (copy(0, &[(1, 0), (2, 100)], 180), 150),
            (copy(0, &[(1, 0), (2, 100), (3, 140)], 190), 140),
            (copy(60, &[(1, 60)], 90), 90),
            (copy(0, &[(1, 0), (2, 100), (4, 150)], 200), 200),
            (copy(0, &[], 0), 0),
            (copy(130, &[(3, 130)], 190), 130),
        ];
        for (other, from) in parts {
            assert_eq!(other.parts_from(&full), from, "{other:?}");
            assert_eq!(full.parts_from(&other), from, "{other:?}");
        }
    }

    #[test]
    fn a_later_term_is_more_than_a_longer_log() {
        let short = copy(0, &[(1, 0), (3, 50)], 60);
        let long = copy(0, &[(1, 0), (2, 50)], 90);
        assert!(short.rank() > long.rank());
        assert!(long.rank() > copy(0, &[(1, 0), (2, 50)], 80).rank());
        assert!(copy(0, &[(1, 0)], 1).rank() > copy(0, &[], 0).rank());
    }
}
