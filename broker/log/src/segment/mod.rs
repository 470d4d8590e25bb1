//! One segment: a file of plain batches, one after the other.

pub(crate) mod cache;
pub(crate) mod index;
pub(crate) mod scan;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headwater_record::BatchHeader;
use index::IndexEntry;

/// What is known of a segment without reading it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    /// Offset of its first batch, and its name.
    pub base: u64,
    /// One past the offset of its last batch.
    pub end: u64,
    /// Bytes of all its batches, written or not.
    pub bytes: u64,
    /// Bytes that are in the file. What lies beyond them in the file is no part of the log.
    pub written: u64,
    /// Bytes at the front that write-behind knows of.
    pub behind: u64,
    pub max_timestamp_ms: i64,
    pub first_append_ms: i64,
    pub last_append_ms: i64,
    /// Batches that carry a producer id.
    pub keyed_batches: u32,
    /// Nothing is appended to it any more.
    pub sealed: bool,
    /// Set, and replaced, when any of it is cut off: for those who read the file without the lock.
    pub was_cut: Arc<AtomicBool>,
    /// Index over what was appended since `unindexed`; empty once it is on disk.
    pub index: Vec<IndexEntry>,
    /// Bytes at the front that `index` does not cover: those from before a restart.
    pub unindexed: u64,
}

/// What others may know of a segment.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct SegmentInfo {
    /// Offset of its first batch.
    pub base_offset: u64,
    /// One past its last offset.
    pub end_offset: u64,
    /// Bytes of its batches.
    pub bytes: u64,
    /// Highest record timestamp in it, milliseconds.
    pub max_timestamp_ms: i64,
    /// When it was last appended to, milliseconds.
    pub last_append_ms: i64,
    /// Nothing is appended to it any more.
    pub sealed: bool,
}

impl Segment {
    pub fn new(base: u64) -> Segment {
        Segment {
            base,
            end: base,
            max_timestamp_ms: i64::MIN,
            ..Segment::default()
        }
    }

    /// Adds a batch to what is known; returns its position in the file.
    pub fn push(&mut self, header: &BatchHeader, now_ms: i64) -> u64 {
        let position = self.bytes;
        if position == 0 {
            self.first_append_ms = now_ms;
        }
        index::note(
            &mut self.index,
            self.base,
            position,
            header.base_offset,
            || self.max_timestamp_ms,
        );
        self.bytes += header.batch_bytes as u64;
        self.end = header.next_offset();
        self.max_timestamp_ms = self.max_timestamp_ms.max(header.max_timestamp_ms);
        self.last_append_ms = self.last_append_ms.max(now_ms);
        self.keyed_batches += u32::from(header.producer.id >= 0);
        position
    }

    /// Whether a batch may still go in here, with a limit on the segment's size.
    pub fn takes(&self, header: &BatchHeader, bytes_max: u64) -> bool {
        let fits = self.bytes + header.batch_bytes as u64 <= bytes_max
            && header.next_offset() - self.base <= u64::from(u32::MAX)
            && self.bytes + (header.batch_bytes as u64) <= u64::from(u32::MAX);
        !self.sealed && (self.bytes == 0 || fits)
    }

    /// Takes away what lies behind its first `bytes` bytes, which end at offset `end`; it may be
    /// appended to again. The highest timestamp and the like stay: they say at most, not exactly.
    pub fn cut(&mut self, bytes: u64, end: u64) {
        self.index.retain(|entry| u64::from(entry.position) < bytes);
        if self.index.is_empty() {
            self.unindexed = bytes;
        }
        if bytes < self.bytes {
            self.note_cut();
            self.was_cut = Arc::default();
        }
        (self.bytes, self.end) = (bytes, end);
        self.written = self.written.min(bytes);
        self.behind = self.behind.min(bytes);
        self.sealed = false;
    }

    /// Tells those who read its file that it is not what it was.
    pub fn note_cut(&self) {
        self.was_cut.store(true, Ordering::Release);
    }

    /// Whether every batch of it is in the file and none will come.
    pub fn is_complete(&self) -> bool {
        self.sealed && self.written == self.bytes
    }

    /// The time that retention judges it by: a record from the future must not keep it for ever.
    pub fn age_from_ms(&self) -> i64 {
        self.max_timestamp_ms.min(self.last_append_ms)
    }

    pub fn info(&self) -> SegmentInfo {
        SegmentInfo {
            base_offset: self.base,
            end_offset: self.end,
            bytes: self.bytes,
            max_timestamp_ms: self.max_timestamp_ms,
            last_append_ms: self.last_append_ms,
            sealed: self.sealed,
        }
    }
}
