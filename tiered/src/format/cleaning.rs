//! How far compaction by key has come in an object.

use serde::{Deserialize, Serialize};

/// Most entries of [`Cleaning::cleaned`]: beyond it the ones that tell the least go.
const CLEANED_MAX: usize = 64;

/// Records of an object were compared with all earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleaned {
    /// One past the last of them.
    pub below: u64,
    /// When that was first so, milliseconds since the epoch.
    pub at_ms: i64,
}

/// What compaction has done to an object; nothing, before it comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleaning {
    /// Records below it were compared with all earlier ones.
    #[serde(default)]
    pub clean_below: u64,
    /// When records below `clean_below` first were, offsets ascending. What is in no entry was long
    /// ago.
    #[serde(default)]
    pub cleaned: Vec<Cleaned>,
}

impl Cleaning {
    /// When the record at `offset` was first compared, milliseconds since the epoch; `None` if it was
    /// not.
    pub(crate) fn clean_since(&self, offset: u64) -> Option<i64> {
        let first = self.cleaned.iter().find(|entry| entry.below > offset);
        let since = first.map_or(i64::MIN, |first| first.at_ms);
        (offset < self.clean_below).then_some(since)
    }

    /// Whether that was at `at_ms` or before.
    pub(crate) fn was_clean_by(&self, offset: u64, at_ms: i64) -> bool {
        self.clean_since(offset).is_some_and(|since| since <= at_ms)
    }

    /// What is true of the records of all `parts` together, which follow each other, once they were
    /// compared up to `clean_below` at `now_ms`. Entries from `old_ms` and before are left out.
    pub(crate) fn union<'a>(
        parts: impl Iterator<Item = &'a Self>,
        clean_below: u64,
        now_ms: i64,
        old_ms: i64,
    ) -> Self {
        let mut union = Self::default();
        for part in parts {
            union.clean_below = union.clean_below.max(part.clean_below);
            union.cleaned.extend_from_slice(&part.cleaned);
        }
        if clean_below > union.clean_below {
            union.clean_below = clean_below;
            let (below, at_ms) = (clean_below, now_ms);
            union.cleaned.push(Cleaned { below, at_ms });
        }
        union.cleaned.retain(|entry| entry.at_ms > old_ms);
        union.tidy();
        union
    }

    /// Sorts the entries, and leaves out those that say no more than a later one. Too many become
    /// fewer: without an entry its records count as those of the next, which were compared later, so
    /// what waits for its time waits longer.
    fn tidy(&mut self) {
        self.cleaned
            .sort_unstable_by_key(|entry| (entry.below, std::cmp::Reverse(entry.at_ms)));
        let mut kept: Vec<Cleaned> = Vec::new();
        for entry in std::mem::take(&mut self.cleaned) {
            while kept.pop_if(|last| last.at_ms >= entry.at_ms).is_some() {}
            kept.push(entry);
        }
        while kept.len() > CLEANED_MAX {
            let gaps = kept.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms);
            let closest = gaps.enumerate().min_by_key(|(_, gap)| *gap);
            kept.remove(closest.map_or(0, |(at, _)| at));
        }
        self.cleaned = kept;
    }
}
