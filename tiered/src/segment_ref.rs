//! The row that the metadata keeps for an object.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::format::{Cleaned, Cleaning, Footer, Tail, Trailer};

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
    /// Timestamp of the first record, or of one before it that compaction took, milliseconds since the
    /// epoch; -1 if there is none.
    pub first_timestamp_ms: i64,
    /// The highest timestamp, milliseconds since the epoch; -1 if there is no record.
    pub max_timestamp_ms: i64,
    /// Bytes of the block of keys behind the batches; 0 if there is none.
    #[serde(default)]
    pub keys_bytes: u64,
    /// Offset of the first record with a key and without a value, in objects of compacted topics.
    #[serde(default)]
    pub first_tombstone: Option<u64>,
    /// Records below it were compared with all earlier ones; 0 before compaction.
    #[serde(default)]
    pub clean_below: u64,
    /// When they first were, offsets ascending. Those below `clean_below` that are in no entry were
    /// compared longer ago than anything asks for.
    #[serde(default)]
    pub cleaned: Vec<Cleaned>,
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
            keys_bytes: measured.keys_bytes,
            first_tombstone: measured.first_tombstone,
            clean_below: footer.cleaning.clean_below,
            cleaned: footer.cleaning.cleaned.clone(),
        }
    }

    /// When the first of its tombstones may go that are kept for `kept_ms` after they were compared,
    /// milliseconds since the epoch. `None` if it has none, or none that was compared.
    pub fn tombstone_due_ms(&self, kept_ms: u64) -> Option<i64> {
        let offset = self.first_tombstone?;
        let compared_ms = self.cleaning().clean_since(offset)?;
        Some(compared_ms.saturating_add_unsigned(kept_ms))
    }

    /// The bytes behind the producers' block: index, footer and trailer.
    pub(crate) fn index_range(&self) -> Range<u64> {
        self.index_position..self.size_bytes
    }

    /// Whether all of its records were compared with all earlier ones.
    pub fn is_clean(&self) -> bool {
        self.clean_below >= self.end_offset
    }

    pub(crate) fn cleaning(&self) -> Cleaning {
        Cleaning {
            clean_below: self.clean_below,
            cleaned: self.cleaned.clone(),
        }
    }

    /// The bytes of the block of keys; empty if there is none.
    pub(crate) fn keys_range(&self) -> Range<u64> {
        self.data_bytes..self.data_bytes + self.keys_bytes
    }

    /// The bytes of the producers' block.
    pub(crate) fn producers_range(&self) -> Range<u64> {
        self.keys_range().end..self.index_position
    }

    /// Reads the bytes of `index_range` of an object of `size_bytes`, and compares them with this row.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn tail(&self, bytes: &[u8], size_bytes: u64) -> Result<Tail, String> {
        let tail = Tail::decode(bytes, size_bytes)?;
        let said = Self::new(self.key.clone(), size_bytes, &tail.trailer, &tail.footer);
        match said == *self {
            true => Ok(tail),
            false => Err("it is not the object that was written".to_owned()),
        }
    }

    /// What all segments of one partition have in common.
    pub(crate) fn partition(&self) -> &str {
        self.key.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}
