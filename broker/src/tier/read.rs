//! Reading what is on no broker's disk any more.

use bytes::Bytes;
use headwater_log::PartitionId;
use headwater_tiered::{ReadError, StoreErrorKind};

use super::Tier;
use crate::error::FetchError;

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
            match self.reader.read(&window[at..], offset, bytes_max).await {
                // The rows may be from before another object took its place.
                Err(ReadError::Store(error))
                    if error.kind() == StoreErrorKind::NotFound && !is_last =>
                {
                    self.windows.forget(id);
                }
                answer => return answer.map_err(|error| read_failed(id, error)),
            }
        }
        Ok(Vec::new())
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
