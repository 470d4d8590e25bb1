//! What changes durable state.

use std::ops::Range;

use headwater_log::PartitionId;

use super::progress::Tried;
use super::types::Cause;
use crate::call::Letters;

/// A change of a group's durable state, as small as can be: every record that is worked off goes
/// through two of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The first of a snapshot: what is of no partition.
    Counts { epoch: u64, dropped: u64 },
    /// Partitions begin at an offset, with nothing known above it; or are no longer of the group.
    /// No lease up to the epoch says anything of them.
    Moved {
        epoch: u64,
        positions: Vec<(PartitionId, Option<u64>)>,
    },
    /// Records were leased, all by the lease of this epoch.
    Leased {
        epoch: u64,
        at_ms: i64,
        lease_ms: u32,
        runs: Vec<(PartitionId, Vec<Range<u64>>)>,
    },
    /// Leases or delays came to something.
    Changed {
        /// Delays and extensions count from here.
        at_ms: i64,
        /// How many of the settled records were dropped.
        dropped: u64,
        partitions: Vec<(PartitionId, Changes)>,
    },
    /// A part of a snapshot.
    Known(Vec<Piece>),
    /// These offsets of the dead-letter topic are done with.
    Redriven(Vec<Letters>),
}

/// What happened in one partition; ascending offsets.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Changes {
    pub(crate) settled: Vec<Range<u64>>,
    /// Offsets with their delays in milliseconds.
    pub(crate) nacked: Vec<(u64, u32)>,
    /// Offsets with how many milliseconds their leases last from now on.
    pub(crate) extended: Vec<(u64, u32)>,
    pub(crate) dead: Vec<(u64, Cause, Box<str>)>,
    /// Their last attempt was none.
    pub(crate) released: Vec<u64>,
}

/// Rows of a partition's state, as they are. Nothing new to who knows all before it; to who knows
/// only what happened since the snapshot began, what it does not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) partition: PartitionId,
    pub(crate) fence: u64,
    pub(crate) floor: u64,
    pub(crate) settled: Vec<Range<u64>>,
    /// Without what is due.
    pub(crate) tried: Vec<(u64, Tried)>,
}
