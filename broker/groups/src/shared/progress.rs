//! What is durable of one partition.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ranges::Ranges;
use super::types::Cause;

/// How far a group is in one partition.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Progress {
    /// All below is settled.
    pub floor: u64,
    /// What is settled above the floor; it does not touch it.
    pub settled: Ranges,
    /// The unsettled records that were leased at least once.
    pub tried: BTreeMap<u64, Tried>,
}

/// An unsettled record that was leased.
#[derive(Clone, Eq, Debug)]
pub(crate) struct Tried {
    /// The number of its last lease.
    pub(crate) lease: u64,
    /// How often it was leased.
    pub(crate) attempts: u32,
    pub(crate) state: State,
    /// When the lease or the delay ends; `None` if it has, or nothing is to end. Not durable.
    pub(crate) due_ms: Option<i64>,
}

/// What the log says; what is due is not of it.
impl PartialEq for Tried {
    fn eq(&self, other: &Self) -> bool {
        (self.lease, self.attempts, &self.state) == (other.lease, other.attempts, &other.state)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// With a worker, or available again if nothing is due.
    Leased { lease_ms: u32 },
    /// Given back: available when nothing is due.
    Nacked { until_ms: i64 },
    /// Given up: to be written to the dead letters.
    Dead { cause: Cause, reason: Box<str> },
}

impl Tried {
    pub fn is_leased(&self) -> bool {
        matches!(self.state, State::Leased { .. })
    }

    /// Whether a worker has it, whose lease has not ended.
    pub fn is_live(&self) -> bool {
        self.is_leased() && self.due_ms.is_some()
    }

    /// Whether another worker may have it.
    fn is_free(&self) -> bool {
        self.due_ms.is_none() && !matches!(self.state, State::Dead { .. })
    }
}

impl Progress {
    pub fn starting_at(offset: u64) -> Self {
        Self {
            floor: offset,
            settled: Ranges::default(),
            tried: BTreeMap::new(),
        }
    }

    /// Where what is settled around an offset ends; `None` if the offset is not settled.
    pub fn settled_until(&self, offset: u64) -> Option<u64> {
        match offset < self.floor {
            true => Some(self.floor),
            false => self.settled.end_of(offset),
        }
    }

    /// Whether nothing but an earlier record of its key keeps a record from workers.
    pub fn is_free(&self, offset: u64) -> bool {
        self.tried.get(&offset).is_none_or(Tried::is_free)
    }

    /// Settles offsets, and gives what was known of them.
    pub fn settle(&mut self, range: Range<u64>) -> Vec<(u64, Tried)> {
        if range.start <= self.floor {
            self.floor = self.settled.take_front(self.floor.max(range.end));
        } else {
            self.settled.insert(range.clone());
        }
        let offsets: Vec<u64> = self.tried.range(range).map(|(offset, _)| *offset).collect();
        let take = |offset| Some((offset, self.tried.remove(&offset)?));
        offsets.into_iter().filter_map(take).collect()
    }
}
