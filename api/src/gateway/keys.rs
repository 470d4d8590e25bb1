//! The last record of a key in a compacted topic.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use headwater_broker::{FetchPosition, PartitionId};
use headwater_record::{RecordView, partition_for_key};

use super::{Form, Gateway, Held, fetch::with_record_at, read_problem};
use crate::{
    limits::{KEY_PARTITIONS_AT_ONCE, RECORD_BYTES},
    metadata::Topic,
    problem::{Code, Problem},
};

/// Looks for one record before it is told that compaction is always faster.
const TRIES: usize = 3;

/// A record.
pub struct OneRecord {
    /// The record in the form that was asked for.
    pub bytes: Vec<u8>,
    /// Bytes of its key, value and headers.
    pub payload_bytes: usize,
    /// The memory that it holds of the budget.
    pub held: Held,
}

/// A batch with the record that is meant.
struct Found {
    partition: u32,
    offset: u64,
    batch: Bytes,
}

impl Gateway {
    /// The last record with this key. It is looked for in the partition where records of the key go;
    /// only if that has none, in the others: they may have it from when there were fewer partitions, or
    /// because producers named them. Of several the latest by its timestamp is the last.
    ///
    /// # Errors
    /// 404 if there is none or it is a tombstone, 422 if the topic is not compacted, 503 if a partition
    /// cannot be asked.
    pub async fn last_of_key(
        &self,
        topic: &Topic,
        key: &[u8],
        form: &Form,
    ) -> Result<OneRecord, Problem> {
        if !topic.settings.is_compacted() {
            return Err(Problem::new(
                Code::NotCompacted,
                "the topic's cleanup_policy is delete",
            ));
        }
        let held = self.pages.take(RECORD_BYTES.1 as usize).await?;
        let home = partition_for_key(key, topic.partitions());
        let found = match self.find_in(topic, home, key).await? {
            Some(found) => Some(found),
            None => {
                let others = (0..topic.partitions()).filter(|partition| *partition != home);
                let looks = others.map(|partition| self.find_in(topic, partition, key));
                let looks = stream::iter(looks).buffer_unordered(KEY_PARTITIONS_AT_ONCE);
                looks
                    .try_fold(None, |last, found| async { later(last, found) })
                    .await?
            }
        };
        let found = found.ok_or_else(key_not_found)?;
        found.with_record(|record| {
            if record.value.is_none() {
                return Err(key_not_found());
            }
            let mut bytes = Vec::with_capacity(256 + record.payload_bytes());
            form.write(&mut bytes, record, &topic.name, found.partition);
            form.finish(&mut bytes);
            Ok(OneRecord {
                bytes,
                payload_bytes: record.payload_bytes(),
                held,
            })
        })?
    }

    async fn find_in(
        &self,
        topic: &Topic,
        partition: u32,
        key: &[u8],
    ) -> Result<Option<Found>, Problem> {
        let id = PartitionId {
            topic: topic.id,
            partition,
        };
        let key = Bytes::copy_from_slice(key);
        for _ in 0..TRIES {
            let find = |leader: std::sync::Arc<dyn headwater_broker::Broker>| {
                let key = key.clone();
                async move { leader.find_key(id, key).await }
            };
            let Some(offset) = self.ask_leader(topic, partition, find).await? else {
                return Ok(None);
            };
            let position = FetchPosition {
                partition,
                offset,
                records_max: 1,
                bytes_max: 1,
            };
            let fetched = self.fetch_positions(topic, &[position], 1).await;
            let fetched = fetched.into_iter().next().transpose();
            let fetched = fetched.map_err(read_problem)?;
            let batch = fetched.and_then(|fetched| fetched.batches.into_iter().next());
            if let Some(batch) = batch {
                let found = Found {
                    partition,
                    offset,
                    batch,
                };
                if found.with_record(|_| ()).is_ok() {
                    return Ok(Some(found));
                }
            }
            // A later record of the key took its place meanwhile.
        }
        Err(Problem::new(
            Code::Unavailable,
            "the key is written faster than it can be read",
        ))
    }
}

impl Found {
    /// Does something with the record.
    ///
    /// # Errors
    /// The batch does not have it.
    fn with_record<T>(&self, then: impl FnOnce(&RecordView<'_>) -> T) -> Result<T, Problem> {
        let batches = std::slice::from_ref(&self.batch);
        with_record_at(batches, self.offset, then)?.ok_or_else(key_not_found)
    }
}

/// The one of two that is later by its timestamp.
fn later(first: Option<Found>, second: Option<Found>) -> Result<Option<Found>, Problem> {
    let timestamp = |found: &Option<Found>| match found {
        Some(found) => found.with_record(|record| record.timestamp_ms).map(Some),
        None => Ok(None),
    };
    match timestamp(&second)? > timestamp(&first)? {
        true => Ok(second),
        false => Ok(first),
    }
}

fn key_not_found() -> Problem {
    Problem::new(Code::KeyNotFound, "the topic has no value of this key")
}
