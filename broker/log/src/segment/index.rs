//! The sparse index of a segment: derived, rebuilt on any doubt, never trusted.
//!
//! ```text
//! <base>.index = magic u32 | format u32 | base u64 | bytes u64 | count u32
//!              | (offset_delta u32, position u32, max_timestamp_before i64)* | crc u32
//! ```
//! `bytes` is the segment's size: an index of another size is not of this segment.

use crate::codec::{Reader, Writer, crc32c};

/// At most one entry per this many bytes of batches.
const STEP_BYTES: u64 = 16 << 10;
const MAGIC: u32 = u32::from_le_bytes(*b"HWIX");
const FORMAT: u32 = 1;

/// Where a batch begins.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct IndexEntry {
    /// Its base offset less the segment's.
    pub offset_delta: u32,
    /// Its position in the file.
    pub position: u32,
    /// The highest timestamp of all batches before it in the segment.
    pub max_timestamp_before_ms: i64,
}

/// Adds an entry for a batch if the last one is far enough back.
pub(crate) fn note(
    index: &mut Vec<IndexEntry>,
    base: u64,
    position: u64,
    offset: u64,
    max_timestamp_before_ms: impl FnOnce() -> i64,
) {
    let due = index
        .last()
        .is_none_or(|last| position >= u64::from(last.position) + STEP_BYTES);
    if let (true, Ok(delta), Ok(place)) =
        (due, u32::try_from(offset - base), u32::try_from(position))
    {
        index.push(IndexEntry {
            offset_delta: delta,
            position: place,
            max_timestamp_before_ms: max_timestamp_before_ms(),
        });
    }
}

/// The last entry at or before an offset.
pub(crate) fn find(index: &[IndexEntry], base: u64, offset: u64) -> Option<&IndexEntry> {
    let after = index.partition_point(|entry| base + u64::from(entry.offset_delta) <= offset);
    index[..after].last()
}

/// The last entry before which every timestamp is below `timestamp_ms`.
pub(crate) fn find_time(index: &[IndexEntry], timestamp_ms: i64) -> Option<&IndexEntry> {
    let after = index.partition_point(|entry| entry.max_timestamp_before_ms < timestamp_ms);
    index[..after].last()
}

pub(crate) fn encode(index: &[IndexEntry], base: u64, bytes: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.u32(MAGIC);
    writer.u32(FORMAT);
    writer.u64(base);
    writer.u64(bytes);
    writer.u32(index.len() as u32);
    for entry in index {
        writer.u32(entry.offset_delta);
        writer.u32(entry.position);
        writer.i64(entry.max_timestamp_before_ms);
    }
    let crc = crc32c(&writer.0);
    writer.u32(crc);
    writer.0
}

/// The entries, if the bytes are a whole index of this segment.
pub(crate) fn decode(file: &[u8], base: u64, bytes: u64) -> Option<Vec<IndexEntry>> {
    let (fields, crc) = file.split_last_chunk::<4>()?;
    if crc32c(fields) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut reader = Reader(fields);
    let head = (reader.u32()?, reader.u32()?, reader.u64()?, reader.u64()?);
    if head != (MAGIC, FORMAT, base, bytes) {
        return None;
    }
    let count = reader.count(16)?;
    (0..count)
        .map(|_| {
            Some(IndexEntry {
                offset_delta: reader.u32()?,
                position: reader.u32()?,
                max_timestamp_before_ms: reader.i64()?,
            })
        })
        .collect()
}
