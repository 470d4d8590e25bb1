//! Events as batches of the group log, and back.

use headwater_groups::{Coordinator, Event};
use headwater_log::ReadError;
use headwater_record::{Batch, BatchBuilder, BatchView, Compression, Headers, NewRecord, Producer};

use crate::partition::INFLATED_BYTES_MAX;

/// The events as one batch: all of them become committed, or none.
pub(super) fn batch(events: &[Event], now_ms: i64) -> Batch {
    let mut builder = BatchBuilder::new();
    for event in events {
        let (key, value) = (event.key(), event.value());
        builder.push(&NewRecord {
            key: Some(&key),
            value: value.as_deref(),
            headers: Headers::NONE,
            timestamp_ms: now_ms,
            json: false,
            server_timestamp: true,
        });
    }
    builder.finish(Producer::NONE, Compression::None)
}

/// Has a coordinator take up a batch. Answers the offset after it.
pub(super) fn replay(coordinator: &mut Coordinator, batch: &[u8]) -> Result<u64, ReadError> {
    let bad = |error: &dyn std::fmt::Display| ReadError::Io(error.to_string());
    let (view, _) = BatchView::parse(batch).map_err(|error| bad(&error))?;
    let mut scratch = Vec::new();
    let records = view.records(&mut scratch, INFLATED_BYTES_MAX);
    for record in records.map_err(|error| bad(&error))? {
        let record = record.map_err(|error| bad(&error))?;
        let replayed = coordinator.replay(record.key.unwrap_or_default(), record.value);
        replayed.map_err(|error| bad(&error))?;
    }
    Ok(view.next_offset())
}
