//! How old records are that nobody committed yet.

use std::collections::BTreeMap;

use headwater_broker::{FetchPosition, Fetched};
use headwater_record::BatchView;

use super::Gateway;
use crate::{
    gateway::fetch::INFLATED_BYTES_MAX,
    limits::{GROUP_AGE_BYTES, GROUP_AGES_AT_ONCE},
    metadata::Topic,
};

impl Gateway {
    /// The age of the first record at these offsets of partitions, in milliseconds by its timestamp, as
    /// far as leaders tell it now. One batch is read of each partition, some partitions at a time.
    pub(super) async fn ages(&self, topic: &Topic, places: &[(u32, u64)]) -> BTreeMap<u32, u64> {
        let mut ages = BTreeMap::new();
        if places.is_empty() {
            return ages;
        }
        // Where memory is short, nobody waits for the age.
        let Ok(_held) = self.pages.take(GROUP_AGE_BYTES).await else {
            return ages;
        };
        let mut left = places.to_vec();
        while !left.is_empty() {
            let some = left.len().min(GROUP_AGES_AT_ONCE);
            let positions: Vec<_> = left[..some].iter().map(first_record).collect();
            let fetched = self.fetch_once(topic, &positions, GROUP_AGE_BYTES).await;
            let mut unread = Vec::new();
            for (place, fetched) in left.drain(..some).zip(fetched) {
                match fetched {
                    // The others took the room: it is its turn again.
                    Ok(fetched)
                        if fetched.batches.is_empty() && place.1 < fetched.high_watermark =>
                    {
                        unread.push(place);
                    }
                    Ok(fetched) => {
                        if let Some(timestamp_ms) = first_timestamp_ms(&fetched, place.1) {
                            ages.insert(place.0, self.age_ms(timestamp_ms));
                        }
                    }
                    // Not now.
                    Err(_) => {}
                }
            }
            if unread.len() < some {
                left.append(&mut unread);
            }
        }
        ages
    }

    /// How long ago that was; a record may also be of the future.
    pub(super) fn age_ms(&self, timestamp_ms: i64) -> u64 {
        let age_ms = self.clock.now_ms().saturating_sub(timestamp_ms);
        u64::try_from(age_ms).unwrap_or(0)
    }
}

fn first_record(&(partition, offset): &(u32, u64)) -> FetchPosition {
    FetchPosition {
        partition,
        offset,
        records_max: 1,
        bytes_max: 1,
    }
}

/// Of the first record at `offset` or behind it.
fn first_timestamp_ms(fetched: &Fetched, offset: u64) -> Option<i64> {
    let mut scratch = Vec::new();
    for batch in &fetched.batches {
        let (view, _) = BatchView::parse(batch).ok()?;
        let header = view.header();
        if header.base_offset >= offset && header.record_count > 0 {
            // The first record's own: nothing needs to be decoded.
            return Some(header.base_timestamp_ms);
        }
        let records = view.records(&mut scratch, INFLATED_BYTES_MAX).ok()?;
        let mut records = records.filter_map(Result::ok);
        if let Some(record) = records.find(|record| record.offset >= offset) {
            return Some(record.timestamp_ms);
        }
        scratch.clear();
    }
    None
}
