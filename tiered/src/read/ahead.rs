//! Reading ahead for those who read on from where they stopped.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use super::blocks::{Blocks, Object, RUN_BYTES};
use super::indexes::Indexes;
use crate::format::{BLOCK_BYTES, Place};
use crate::segment_ref::SegmentRef;

/// Readers whose places are remembered.
const CURSORS_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// How far is read ahead at first; it doubles with each read.
const WINDOW_BYTES_MIN: u64 = 1 << 20;

pub(super) struct Ahead {
    bytes_max: u64,
    /// By partition, and the offset where a reader is expected to go on.
    cursors: Mutex<LruCache<(String, u64), Cursor>>,
}

/// Where a reader is, and what was asked for on its behalf.
#[derive(Clone, Default)]
pub(super) struct Cursor {
    key: String,
    data_bytes: u64,
    /// Where the next batch begins in the segment, if that is known.
    pub place: Option<Place>,
    window_bytes: u64,
    /// Counted from the front of the segment, on into those that follow it.
    fetched_to: u64,
}

impl Ahead {
    pub fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            cursors: Mutex::new(LruCache::new(CURSORS_MAX)),
        }
    }

    /// What is known of a reader that comes to `offset` of `segment`.
    pub fn resume(&self, segment: &SegmentRef, offset: u64) -> Cursor {
        let reader = (segment.partition().to_owned(), offset);
        let Some(mut cursor) = self.cursors.lock().get(&reader).cloned() else {
            return Cursor::default();
        };
        if cursor.key != segment.key {
            cursor.place = None;
            cursor.fetched_to = cursor.fetched_to.saturating_sub(cursor.data_bytes);
        }
        cursor.window_bytes = (cursor.window_bytes * 2)
            .max(WINDOW_BYTES_MIN)
            .min(self.bytes_max);
        cursor
    }

    /// Remembers that a reader stopped at `place` of `segment`.
    pub fn note(&self, segment: &SegmentRef, mut cursor: Cursor, place: Place) {
        cursor.key.clone_from(&segment.key);
        cursor.data_bytes = segment.data_bytes;
        cursor.place = Some(place);
        let mut cursors = self.cursors.lock();
        if place.position == segment.data_bytes {
            // The last offsets may have gone by compaction: it may go on behind them, too.
            let reader = (segment.partition().to_owned(), segment.end_offset);
            cursors.put(reader, cursor.clone());
        }
        cursors.put((segment.partition().to_owned(), place.offset), cursor);
    }

    /// Begins to fetch what the reader will want after the blocks `wanted` of the first segment, and
    /// these with it. Does nothing until a whole run is wanted.
    pub fn fetch(
        &self,
        cursor: &mut Cursor,
        blocks: &Arc<Blocks>,
        indexes: &Indexes,
        segments: &[SegmentRef],
        wanted: Range<u32>,
    ) {
        let wanted_to = u64::from(wanted.end) * BLOCK_BYTES;
        let target = wanted_to + cursor.window_bytes;
        let worth_bytes = RUN_BYTES.min(cursor.window_bytes / 2);
        if cursor.window_bytes == 0 || cursor.fetched_to + worth_bytes > target {
            return;
        }
        let from = cursor.fetched_to.max(u64::from(wanted.start) * BLOCK_BYTES);
        let mut start = 0;
        for (at, segment) in segments.iter().enumerate() {
            let end = start + segment.data_bytes;
            if start >= target {
                break;
            }
            if from < end {
                let first = from.saturating_sub(start) / BLOCK_BYTES;
                let last = (target.min(end) - start).div_ceil(BLOCK_BYTES);
                let object = Object::of(segment);
                let reached = blocks.prefetch(&object, first as u32..last as u32);
                cursor.fetched_to =
                    start + (u64::from(reached) * BLOCK_BYTES).min(segment.data_bytes);
                if u64::from(reached) < last {
                    break;
                }
                if at > 0 {
                    indexes.prefetch(segment);
                }
            }
            start = end;
        }
    }
}
