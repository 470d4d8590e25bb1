//! The records of one partition that are known and not settled.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::progress::Progress;

/// Whoever was asked for records has so long before somebody else is asked.
const ASKED_MS: i64 = 1_000;

/// Unsettled records, each linked to the next one of its key: the first of a key is the only one
/// that workers may have. So each step costs a look-up, however many wait behind one key.
#[derive(Clone, Default, Debug)]
pub(super) struct Window {
    records: BTreeMap<u64, Record>,
    /// The last record of each key.
    last_of_key: BTreeMap<u64, u64>,
    /// The available ones.
    available: BTreeSet<u64>,
    /// All below was offered.
    offered_until: u64,
    /// When somebody was last asked for more, who has not answered yet.
    pub asked_ms: Option<i64>,
}

#[derive(Clone, Debug)]
struct Record {
    key: Option<u64>,
    /// The next one of the same key.
    next: Option<u64>,
    place: Place,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Place {
    /// Behind an earlier one of its key.
    Behind,
    /// Available.
    Available,
    /// The first of its key, but leased, delayed or dead.
    Held,
}

impl Window {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// What is available, the oldest first.
    pub fn available(&self) -> &BTreeSet<u64> {
        &self.available
    }

    /// The first offset that was neither offered nor settled.
    pub fn next_wanted(&self, progress: &Progress) -> u64 {
        let next = self.offered_until.max(progress.floor);
        progress.settled_until(next).unwrap_or(next)
    }

    /// Whether somebody was asked for more a short time ago, and has not answered.
    pub fn was_asked(&self, now_ms: i64) -> bool {
        let ago_ms = self.asked_ms.map(|asked_ms| now_ms - asked_ms);
        ago_ms.is_some_and(|ago_ms| (0..ASKED_MS).contains(&ago_ms))
    }

    /// Notes that all below an offset was offered.
    pub fn offered_until(&mut self, end: u64) {
        self.offered_until = self.offered_until.max(end);
        self.asked_ms = None;
    }

    /// Whether a record that is not settled is known not to exist any more.
    pub fn is_gone(&self, offset: u64) -> bool {
        offset < self.offered_until && !self.records.contains_key(&offset)
    }

    /// Adds a record behind all others.
    pub fn push(&mut self, offset: u64, key: Option<u64>, is_free: bool) {
        let before = key.and_then(|key| self.last_of_key.insert(key, offset));
        let before = before.and_then(|before| self.records.get_mut(&before));
        let place = match before {
            Some(before) => {
                before.next = Some(offset);
                Place::Behind
            }
            None if is_free => Place::Available,
            None => Place::Held,
        };
        if place == Place::Available {
            self.available.insert(offset);
        }
        let next = None;
        self.records.insert(offset, Record { key, next, place });
    }

    /// A record was leased, delayed or given up.
    pub fn hold(&mut self, offset: u64) {
        self.place_first(offset, Place::Held);
    }

    /// A lease or a delay ended.
    pub fn free(&mut self, offset: u64) {
        self.place_first(offset, Place::Available);
    }

    fn place_first(&mut self, offset: u64, place: Place) {
        let Some(record) = self.records.get_mut(&offset) else {
            return;
        };
        if record.place == Place::Behind {
            return;
        }
        record.place = place;
        match place {
            Place::Available => self.available.insert(offset),
            _ => self.available.remove(&offset),
        };
    }

    /// Takes settled records out; those behind them move up.
    pub fn remove(&mut self, range: Range<u64>, progress: &Progress) {
        while let Some((offset, _)) = self.records.range(range.clone()).next() {
            let offset = *offset;
            let record = self.records.remove(&offset).expect("it was just found");
            if record.place == Place::Available {
                self.available.remove(&offset);
            }
            match (record.next, record.key) {
                (Some(next), _) => {
                    if let Some(next) = self.records.get_mut(&next) {
                        next.place = Place::Held;
                    }
                    if progress.is_free(next) {
                        self.free(next);
                    }
                }
                (None, Some(key)) => {
                    self.last_of_key.remove(&key);
                }
                (None, None) => {}
            }
        }
    }

    /// A record with the offsets around it that are settled or do not exist.
    pub fn span(&self, offset: u64, progress: &Progress) -> Range<u64> {
        if offset >= self.offered_until {
            return offset..offset + 1;
        }
        let before = self.records.range(..offset).next_back();
        let after = self.records.range(offset + 1..).next();
        let start = before.map_or(progress.floor, |(before, _)| before + 1);
        let end = after.map_or(self.offered_until, |(after, _)| *after);
        start..end
    }
}
