//! Reading: what is committed now, or the first of what comes within the wait.

use std::sync::{Arc, atomic::Ordering};

use headwater_log::{PartitionId, ReadError, TopicId};

use super::Node;
use crate::{
    broker::{Fetch, FetchPosition, Fetched},
    error::FetchError,
    look::look_until,
    partition::Partition,
};

impl Node {
    pub(super) async fn fetch_batches(&self, fetch: Fetch) -> Vec<Result<Fetched, FetchError>> {
        let mut partitions = Vec::with_capacity(fetch.positions.len());
        for FetchPosition { partition, .. } in &fetch.positions {
            let id = PartitionId {
                topic: fetch.topic,
                partition: *partition,
            };
            partitions.push(self.led(id).await);
        }
        if !fetch.wait.is_zero() {
            self.wait_for_record(&fetch, &partitions).await;
            if self.partition_count(fetch.topic).is_none() {
                return vec![Err(FetchError::UnknownPartition); partitions.len()];
            }
        }
        let mut bytes_left = fetch.bytes_max;
        let mut cold_failure = None;
        let mut fetched = Vec::with_capacity(partitions.len());
        for (position, partition) in fetch.positions.iter().zip(partitions) {
            let result = match partition {
                Ok(partition) => match self.readable_end(&partition).await {
                    Ok(end) => {
                        self.read(&partition, position, end, bytes_left, &mut cold_failure)
                            .await
                    }
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            if let Ok(Fetched { batches, .. }) = &result {
                bytes_left = bytes_left.saturating_sub(batches.iter().map(|b| b.len()).sum());
            }
            fetched.push(result);
        }
        fetched
    }

    async fn read(
        &self,
        partition: &Partition,
        position: &FetchPosition,
        high_watermark: u64,
        bytes_left: usize,
        cold_failure: &mut Option<FetchError>,
    ) -> Result<Fetched, FetchError> {
        let (log, offset) = (&partition.log, position.offset);
        let log_start = log.log_start();
        if offset < log_start || offset > high_watermark {
            return Err(FetchError::OutOfRange {
                log_start,
                high_watermark,
            });
        }
        // Of what is on the disk: what is in the store is much the same.
        let records = high_watermark.saturating_sub(log.local_start()).max(1);
        let wanted = bytes_wanted(log.bytes(), records, position.records_max);
        let bytes_max = position.bytes_max.min(bytes_left).min(wanted);
        let batches = if offset == high_watermark || bytes_max == 0 {
            Vec::new()
        } else {
            match partition.read(offset, high_watermark, bytes_max).await {
                Ok(batches) => batches,
                Err(ReadError::NotLocal { local_start }) => {
                    let tier = self.tier.get().ok_or_else(|| no_store(local_start))?;
                    // A store that has just failed is not waited for again, for each partition anew.
                    if let Some(failure) = cold_failure {
                        return Err(failure.clone());
                    }
                    let read = tier.read(partition.id, offset, bytes_max).await;
                    read.inspect_err(|error| {
                        let passes = matches!(error, FetchError::Unavailable(_));
                        *cold_failure = passes.then(|| error.clone());
                    })?
                }
                Err(error) => return Err(partition.fetch_error(error)),
            }
        };
        Ok(Fetched {
            batches,
            log_start,
            high_watermark,
        })
    }

    fn partition_count(&self, topic: TopicId) -> Option<usize> {
        self.placement
            .topic(topic)
            .map(|placement| placement.partitions.len())
    }

    /// Returns once a position has a record or an error, or the wait is over, or the node drains.
    async fn wait_for_record(
        &self,
        fetch: &Fetch,
        partitions: &[Result<Arc<Partition>, FetchError>],
    ) {
        let readers = self.topics.get(fetch.topic).readers.clone();
        let _waiting = Waiting::new(&self.waiting_fetches);
        let count = self.partition_count(fetch.topic);
        let look = || {
            let mut looks = fetch.positions.iter().zip(partitions);
            let ready = looks.any(|(position, partition)| {
                partition
                    .as_ref()
                    .map_or(true, |p| !p.leads() || p.has_other_than(position.offset))
            });
            let over = self.topics.released() || self.partition_count(fetch.topic) != count;
            (ready || over).then_some(())
        };
        // Found or not, what there is now is the answer.
        let _ = look_until(&readers, fetch.wait, look).await;
    }
}

/// The broker was started without the store that it had before.
pub(super) fn no_store(local_start: u64) -> FetchError {
    FetchError::Unavailable(format!(
        "offsets below {local_start} are in an object store, and this broker has none: see --object-store"
    ))
}

/// What so many records of average size take, and some more: who asks for ten records is not worth
/// a megabyte of reading.
fn bytes_wanted(log_bytes: u64, log_records: u64, records_max: usize) -> usize {
    let average = log_bytes / log_records.max(1) + 1;
    let wanted = average.saturating_mul(records_max as u64);
    usize::try_from(wanted.saturating_add(wanted / 8))
        .unwrap_or(usize::MAX)
        .max(16 << 10)
}

/// Counts a waiting fetch for as long as it lives, also when its client goes away.
struct Waiting<'a>(&'a std::sync::atomic::AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a std::sync::atomic::AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
