//! The last record of a key: in what is on the disk by a map in memory, below that in the store.

use std::{ops::Range, sync::Arc};

use headwater_log::{PartitionId, ReadError};
use headwater_record::BatchView;
use headwater_tiered::LatestKeys;
use lru::LruCache;
use parking_lot::Mutex;

use super::{Node, fetch::no_store};
use crate::{error::FetchError, manifest::Term, partition::Partition};

/// Memory for the keys of one partition, in bytes. What has more is walked through for each question.
const KEYS_BYTES_MAX: usize = 16 << 20;
/// Partitions whose keys are in memory, the ones asked about last.
const PARTITIONS_MAX: std::num::NonZeroUsize =
    std::num::NonZeroUsize::new(8).expect("it is not zero");
/// Read at once.
const READ_BYTES: usize = 1 << 20;
/// What one stored batch may inflate to, in bytes.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// Keys of partitions that were asked about, each up to the offset where the last question found its
/// end: nothing is done for keys while records are appended.
/// A later term knows nothing of an earlier one's: an operator may have accepted a loss between them.
pub(super) struct HotKeys(Mutex<LruCache<Term, Arc<tokio::sync::Mutex<LatestKeys>>>>);

impl Default for HotKeys {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(PARTITIONS_MAX)))
    }
}

impl HotKeys {
    fn of(&self, term: Term) -> Arc<tokio::sync::Mutex<LatestKeys>> {
        let new = || Arc::new(tokio::sync::Mutex::new(LatestKeys::new(KEYS_BYTES_MAX)));
        self.0.lock().get_or_insert(term, new).clone()
    }
}

impl Node {
    /// The offset of the last committed record with this key.
    pub(super) async fn last_of_key(
        &self,
        id: PartitionId,
        key: &[u8],
    ) -> Result<Option<u64>, FetchError> {
        let partition = self.led(id).await?;
        let end = self.readable_end(&partition).await?;
        loop {
            let (log_start, local_start) = (partition.log.log_start(), partition.log.local_start());
            let epoch = partition.leads_in().ok_or(FetchError::NotLeader)?;
            let keys = self.hot_keys.of(Term { id, epoch });
            let mut keys = keys.lock().await;
            let hot = match last_on_disk(&partition, &mut keys, key, local_start..end).await {
                // What was on the disk is in the store by now.
                Err(ReadError::NotLocal { .. }) => continue,
                Err(ReadError::OutOfRange { .. }) if partition.log.local_start() > local_start => {
                    continue;
                }
                hot => hot.map_err(|error| partition.fetch_error(error))?,
            };
            if hot.is_some() || local_start == log_start {
                return Ok(hot.filter(|offset| *offset >= partition.log.log_start()));
            }
            let tier = self.tier.get().ok_or_else(|| no_store(local_start))?;
            let cold = tier.last_of_key(id, key, log_start, local_start).await?;
            return Ok(cold);
        }
    }
}

/// The last record of the key at these offsets, which are all on the disk. What was not known before is
/// noted.
async fn last_on_disk(
    partition: &Partition,
    keys: &mut LatestKeys,
    key: &[u8],
    offsets: Range<u64>,
) -> Result<Option<u64>, ReadError> {
    let mut from = keys.end_offset().max(offsets.start);
    let mut found = keys.get(key);
    let mut scratch = Vec::new();
    while from < offsets.end {
        for batch in partition.read(from, offsets.end, READ_BYTES).await? {
            let (view, _) = BatchView::parse(&batch).map_err(undecodable)?;
            if !keys.is_full() {
                let noted = keys.note_batch(&view, offsets.start);
                noted.map_err(|error| ReadError::Io(error.to_string()))?;
            }
            scratch.clear();
            let records = view.records(&mut scratch, INFLATED_BYTES_MAX);
            for record in records.map_err(undecodable)? {
                let record = record.map_err(undecodable)?;
                if record.key == Some(key) {
                    found = Some(record.offset);
                }
            }
            from = view.next_offset();
        }
    }
    Ok(found)
}

fn undecodable(error: headwater_record::DecodeError) -> ReadError {
    ReadError::Io(format!("a stored batch cannot be decoded: {error}"))
}
