//! When a partition's segments in the store are compacted, and which of them at a time.

use headwater_tiered::SegmentRef;

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing, before this time in milliseconds since the epoch, if no segment is added.
    Nothing {
        /// When tombstones are due, if there are any.
        until_ms: Option<i64>,
    },
    /// All of it is to be gone through.
    Pass,
}

/// Looks at all live segments of a partition. A pass is due once at least as many bytes were never
/// compacted as were: so each byte is rewritten a bounded number of times while the log grows. And it
/// is due when tombstones have been kept for `kept_ms`.
pub(crate) fn plan(segments: &[SegmentRef], now_ms: i64, kept_ms: u64) -> Plan {
    let (mut clean_bytes, mut dirty_bytes, mut due_ms) = (0, 0, None::<i64>);
    for segment in segments {
        match is_clean(segment) {
            true => clean_bytes += segment.data_bytes,
            false => dirty_bytes += segment.data_bytes,
        }
        due_ms = earlier(due_ms, segment.tombstone_due_ms(kept_ms));
    }
    if dirty_bytes > 0 && dirty_bytes >= clean_bytes || due_ms.is_some_and(|due| due <= now_ms) {
        return Plan::Pass;
    }
    Plan::Nothing { until_ms: due_ms }
}

/// Whether all records of it were compared with all earlier ones.
pub(crate) fn is_clean(segment: &SegmentRef) -> bool {
    segment.clean_below >= segment.end_offset
}

fn earlier(first: Option<i64>, second: Option<i64>) -> Option<i64> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}

/// How many of the segments become one: as many as make an object of `target_bytes` at most, and one
/// that is larger.
pub(crate) fn group(segments: &[SegmentRef], target_bytes: u64) -> usize {
    let mut bytes = 0;
    let fits = |segment: &&SegmentRef| {
        bytes += segment.data_bytes;
        bytes <= target_bytes
    };
    segments
        .iter()
        .take_while(fits)
        .count()
        .max(1)
        .min(segments.len())
}
