//! Which letters a redrive moves.

use std::collections::BTreeMap;

use headwater_record::RecordView;

use super::letter::Origin;
use crate::gateway::TimePoint;

/// Which letters a redrive moves: those that are all that is named.
#[derive(Debug, Clone, Default)]
pub struct RedriveFilter {
    /// Of this key.
    pub key: Option<Vec<u8>>,
    /// Whose reason has this text in it.
    pub reason: Option<String>,
    /// With all of these headers.
    pub headers: BTreeMap<String, String>,
    /// From this topic.
    pub topic: Option<String>,
    /// Of records of this time or later, by their timestamps.
    pub since: Option<TimePoint>,
    /// Of records of before this time.
    pub until: Option<TimePoint>,
    /// In one of these places of the dead-letter topic; none is everywhere.
    pub offsets: Vec<LetterOffsets>,
}

/// Offsets of a partition of the dead-letter topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterOffsets {
    /// The partition.
    pub partition: u32,
    /// The first offset.
    pub from: u64,
    /// The offset after the last one.
    pub to: u64,
}

impl RedriveFilter {
    /// Whether it names a letter in that partition.
    pub(super) fn names(
        &self,
        partition: u32,
        record: &RecordView<'_>,
        origin: &Origin<'_>,
    ) -> bool {
        let is_at = |place: &LetterOffsets| {
            place.partition == partition && (place.from..place.to).contains(&record.offset)
        };
        let has = |(name, value): (&String, &String)| {
            record.headers().any(|header| {
                header.name == name.as_bytes() && header.value == Some(value.as_bytes())
            })
        };
        let key = self.key.as_deref();
        key.is_none_or(|key| record.key == Some(key))
            && self
                .reason
                .as_ref()
                .is_none_or(|text| origin.reason.contains(text.as_str()))
            && self
                .topic
                .as_ref()
                .is_none_or(|topic| origin.topic == topic)
            && self
                .since
                .is_none_or(|since| record.timestamp_ms >= since.0)
            && self.until.is_none_or(|until| record.timestamp_ms < until.0)
            && (self.offsets.is_empty() || self.offsets.iter().any(is_at))
            && self.headers.iter().all(has)
    }
}
