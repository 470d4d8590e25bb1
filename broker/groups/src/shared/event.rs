//! What changes durable state.

use std::ops::Range;

use super::progress::Tried;
use super::types::{Cause, Partition};

/// A change of a group's durable state, to be appended to the log and applied: at most one for a
/// call, and small, as each is a record with a sync.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedEvent(pub(super) Event);

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// Partitions begin at an offset, with nothing known above it; or are no longer of the group.
    Moved(Vec<(Partition, Option<u64>)>),
    /// Records were leased, all by one lease.
    Leased {
        lease: u64,
        at_ms: i64,
        lease_ms: u32,
        runs: Vec<(Partition, Vec<Range<u64>>)>,
    },
    /// Leases or delays came to something.
    Changed {
        /// Delays and extensions count from here.
        at_ms: i64,
        /// How many of the settled records were dropped.
        dropped: u64,
        partitions: Vec<(Partition, Changes)>,
    },
    /// The first of a snapshot: what is of no partition.
    Counts { next_lease: u64, dropped: u64 },
    /// The others: a part of a partition's state.
    State(Piece),
}

/// What happened in one partition; ascending offsets.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Changes {
    pub settled: Vec<Range<u64>>,
    /// Offsets with their delays in milliseconds.
    pub nacked: Vec<(u64, u32)>,
    /// Offsets with how many milliseconds their leases last from now on.
    pub extended: Vec<(u64, u32)>,
    pub dead: Vec<(u64, Cause, Box<str>)>,
}

/// A part of a partition's state; nothing new to who knows all before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub partition: Partition,
    pub floor: u64,
    pub settled: Vec<Range<u64>>,
    /// Without what is due.
    pub tried: Vec<(u64, Tried)>,
}
