//! Reading what is on no broker's disk any more.

use std::time::Duration;

use bytes::Bytes;
use headwater_log::PartitionId;
use headwater_tiered::{ReadError, StoreErrorKind};

use super::Tier;
use crate::error::FetchError;

/// Segments in which batches of producers are looked for: 16 GiB of the default size.
const RECENT_MAX: usize = 64;

impl Tier {
    /// Whole batches from the one that holds `offset` on, about `bytes_max` of them and at least one.
    ///
    /// # Errors
    /// The store or the database does not answer, which may pass; or the object is damaged.
    pub(crate) async fn read(
        &self,
        id: PartitionId,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Vec<Bytes>, FetchError> {
        let _turn = self.reads.acquire().await.map_err(unavailable)?;
        for is_last in [false, true] {
            let found = self.windows.at(self.manifest(), id, offset).await;
            let (window, at) = found.map_err(unavailable)?;
            if window
                .get(at)
                .is_none_or(|first| first.base_offset > offset)
            {
                tracing::error!(partition = %id, offset, "no row says which object has this offset");
                return Err(FetchError::Unavailable(format!(
                    "offset {offset} is in no object that the metadata knows of"
                )));
            }
            match self.reader.read(&window[at..], offset, bytes_max).await {
                Err(error) if is_outdated(&error) && !is_last => self.windows.forget(id),
                answer => return answer.map_err(|error| read_failed(id, error)),
            }
        }
        Ok(Vec::new())
    }

    /// The batches of producers that came within `age` and may be on no disk any more, in the order of
    /// their offsets: an id and an offset each.
    ///
    /// # Errors
    /// As [`Tier::read`].
    pub(crate) async fn recent_producers(
        &self,
        id: PartitionId,
        age: Duration,
    ) -> Result<Vec<(i64, u64)>, FetchError> {
        let recent = self.manifest().recent_segments(id, age, RECENT_MAX).await;
        let mut batches = Vec::new();
        for segment in recent.map_err(unavailable)? {
            let producers = self.reader.producers(&segment).await;
            let producers = producers.map_err(|error| read_failed(id, error))?;
            batches.extend(
                producers
                    .iter()
                    .map(|batch| (batch.producer.id, batch.base_offset)),
            );
        }
        Ok(batches)
    }

    /// The offset of the last record of a key in the store, from `log_start` on and below `below`.
    ///
    /// # Errors
    /// As [`Tier::read`].
    pub(crate) async fn last_of_key(
        &self,
        id: PartitionId,
        key: &[u8],
        log_start: u64,
        below: u64,
    ) -> Result<Option<u64>, FetchError> {
        let _turn = self.reads.acquire().await.map_err(unavailable)?;
        for is_last in [false, true] {
            let offsets = log_start..below;
            let segments = self.windows.between(self.manifest(), id, offsets).await;
            let segments = segments.map_err(unavailable)?;
            match self.reader.find_key(&segments, key, below).await {
                Err(error) if is_outdated(&error) && !is_last => self.windows.forget(id),
                found => {
                    let found = found.map_err(|error| read_failed(id, error))?;
                    return Ok(found.filter(|offset| *offset >= log_start));
                }
            }
        }
        Ok(None)
    }

    /// The first offset from `log_start` on whose record is at `timestamp_ms` or later, if it is in the
    /// store.
    ///
    /// # Errors
    /// As [`Tier::read`].
    pub(crate) async fn offset_for_time(
        &self,
        id: PartitionId,
        log_start: u64,
        timestamp_ms: i64,
    ) -> Result<Option<u64>, FetchError> {
        let _turn = self.reads.acquire().await.map_err(unavailable)?;
        let row = self.manifest.segment_at_time(id, log_start, timestamp_ms);
        let Some(segment) = row.await.map_err(unavailable)? else {
            return Ok(None);
        };
        let found = self.reader.offset_for_time(&segment, timestamp_ms).await;
        let found = found.map_err(|error| read_failed(id, error))?;
        Ok(found.map(|offset| offset.max(log_start)))
    }
}

/// Whether rows in memory may be from before another object took this one's place.
fn is_outdated(error: &ReadError) -> bool {
    matches!(error, ReadError::Store(error) if error.kind() == StoreErrorKind::NotFound)
}

fn unavailable(error: impl std::fmt::Display) -> FetchError {
    FetchError::Unavailable(error.to_string())
}

fn read_failed(id: PartitionId, error: ReadError) -> FetchError {
    match error {
        ReadError::Corrupt { from, to, detail } => {
            tracing::error!(partition = %id, from, to, detail, "an object is damaged in the store");
            FetchError::Corrupt { from, to }
        }
        ReadError::Store(error) => {
            tracing::warn!(partition = %id, %error, "the object store cannot be read");
            FetchError::Unavailable("the object store cannot be read now".into())
        }
    }
}
