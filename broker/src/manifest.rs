//! Which sealed segments are in the object store: rows in the cluster's metadata. They alone say what is
//! there; an object without a row is a stray, whatever its name.
//!
//! A row begins as an intent, before its object is written. It becomes live once the object was read back
//! and compared, and later doomed: its object is deleted, then the row. A name is never used twice.

use std::{ops::Range, time::Duration};

use headwater_log::PartitionId;
use headwater_tiered::SegmentRef;

use crate::{broker::Answer, placement::RegistryError, replica::Beginning};

/// The rows of segments. Every call may be slow, or hang until its bound; after an error nobody knows
/// whether it was done.
pub trait Manifest: Send + Sync + 'static {
    /// What is live of each of these partitions, in their order.
    fn summaries(
        &self,
        ids: Vec<PartitionId>,
    ) -> Answer<'_, Result<Vec<ColdSummary>, RegistryError>>;

    /// Live segments of a partition that end after `from`, by offset, at most `max`.
    fn segments(
        &self,
        id: PartitionId,
        from: u64,
        max: usize,
    ) -> Answer<'_, Result<Vec<SegmentRef>, RegistryError>>;

    /// The first live segment, by offset, that ends after `from` and has a record at `timestamp_ms` or
    /// later.
    fn segment_at_time(
        &self,
        id: PartitionId,
        from: u64,
        timestamp_ms: i64,
    ) -> Answer<'_, Result<Option<SegmentRef>, RegistryError>>;

    /// The live segments of a partition that became so within `age`, by the database's clock: the last
    /// ones, at most `max`, by offset.
    fn recent_segments(
        &self,
        id: PartitionId,
        age: Duration,
        max: usize,
    ) -> Answer<'_, Result<Vec<SegmentRef>, RegistryError>>;

    /// Notes that an object of this name is about to be written, for these offsets.
    fn intend(
        &self,
        term: Term,
        key: String,
        offsets: Range<u64>,
        place: Place,
    ) -> Answer<'_, Result<Written, RegistryError>>;

    /// Makes a segment live that was intended. It begins where the last one ended; if none is live it
    /// may begin later: what lies between does not exist any more.
    fn publish(
        &self,
        term: Term,
        segment: SegmentRef,
    ) -> Answer<'_, Result<Written, RegistryError>>;

    /// Makes a segment live that was intended, in the place of `replaced`: live segments, contiguous, that
    /// together have its offsets. They are doomed.
    fn replace(
        &self,
        term: Term,
        replaced: Vec<String>,
        segment: SegmentRef,
    ) -> Answer<'_, Result<Written, RegistryError>>;

    /// Dooms the partition's intents of this term and of earlier ones: none of them is written to any
    /// more, or nobody will know.
    fn abandon(&self, term: Term) -> Answer<'_, Result<Written, RegistryError>>;

    /// Dooms the live segments that end at or before `log_start`.
    fn retire(&self, term: Term, log_start: u64) -> Answer<'_, Result<Written, RegistryError>>;

    /// Names of objects to delete, at most `max`: doomed for `delay` at least, by the database's clock;
    /// of deleted topics all.
    fn doomed(&self, delay: Duration, max: usize)
    -> Answer<'_, Result<Vec<String>, RegistryError>>;

    /// Forgets rows whose objects are deleted.
    fn forget(&self, keys: Vec<String>) -> Answer<'_, Result<(), RegistryError>>;

    /// Those of these partitions that were made from the bucket and have had no leader yet. With its
    /// first leader a partition is like any other, for ever.
    fn unbegun(&self, ids: Vec<PartitionId>) -> Answer<'_, Result<Vec<Unbegun>, RegistryError>>;
}

/// A partition of which there are objects, and no broker has ever had anything: its first leader begins
/// with an empty log where they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbegun {
    /// The partition.
    pub id: PartitionId,
    /// Where its log begins.
    pub beginning: Beginning,
    /// How many copies it is to have.
    pub copies: usize,
}

/// Where a segment is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind the last one that was ever live.
    Next,
    /// In the place of live ones.
    Instead,
}

/// A partition in a leader's term: rows are written only while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Term {
    /// The partition.
    pub id: PartitionId,
    /// The leader's epoch.
    pub epoch: i32,
}

/// What is live of a partition in the object store. Segments are contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColdSummary {
    /// First offset of the first live segment; `end` if there is none.
    pub start: u64,
    /// One past the last offset that was ever live: where the next segment begins.
    pub end: u64,
    /// Bytes of batches.
    pub bytes: u64,
    /// How many segments.
    pub segments: u64,
}

/// What became of a change of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is made.
    Done,
    /// The partition is in another term, or gone: nothing was changed.
    Fenced,
    /// The segment is not the next one: the last live one ends here. Nothing was changed.
    NotNext(u64),
    /// What it was to replace is not live any more, or has other offsets. Nothing was changed.
    NotThere,
}
