//! The row that the metadata keeps for an object.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::format::{Footer, Trailer};

/// All that is kept of an object elsewhere: with it a reader opens the object with one ranged GET.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// Name of the object below the store's prefix.
    pub key: String,
    /// First offset that the object covers.
    pub base_offset: u64,
    /// One past the last offset that it covers.
    pub end_offset: u64,
    /// Epoch of the leader that uploaded it.
    pub leader_epoch: u32,
    /// Bytes of the whole object.
    pub size_bytes: u64,
    /// Bytes of its batches, which are at its front.
    pub data_bytes: u64,
    /// Where the index begins.
    pub index_position: u64,
    /// SHA-256 of the batches, 64 hexadecimal digits.
    pub data_sha256: String,
    /// Records in it.
    pub record_count: u64,
    /// Timestamp of the first record, milliseconds since the epoch; -1 if there is none.
    pub first_timestamp_ms: i64,
    /// The highest timestamp, milliseconds since the epoch; -1 if there is no record.
    pub max_timestamp_ms: i64,
}

impl SegmentRef {
    /// The row of an object with this trailer and footer.
    pub(crate) fn new(key: String, size_bytes: u64, trailer: &Trailer, footer: &Footer) -> Self {
        let (descriptor, measured) = (&footer.descriptor, &footer.measured);
        Self {
            key,
            base_offset: descriptor.base_offset,
            end_offset: descriptor.end_offset,
            leader_epoch: descriptor.leader_epoch,
            size_bytes,
            data_bytes: trailer.data_bytes,
            index_position: trailer.index_position(),
            data_sha256: measured.data_sha256.clone(),
            record_count: measured.record_count,
            first_timestamp_ms: measured.first_timestamp_ms,
            max_timestamp_ms: measured.max_timestamp_ms,
        }
    }

    /// The bytes behind the producers' block: index, footer and trailer.
    pub(crate) fn index_range(&self) -> Range<u64> {
        self.index_position..self.size_bytes
    }

    /// The bytes of the producers' block.
    pub(crate) fn producers_range(&self) -> Range<u64> {
        self.data_bytes..self.index_position
    }

    /// What all segments of one partition have in common.
    pub(crate) fn partition(&self) -> &str {
        self.key.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}
