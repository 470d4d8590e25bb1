//! The last record of a key: in what is on the disk by a map in memory, below that in the store.

use std::{ops::Range, sync::Arc};

use headwater_log::{PartitionId, ReadError};
use headwater_record::{BatchView, DecodeError};
use headwater_tiered::LatestKeys;
use lru::LruCache;
use parking_lot::Mutex;

use super::{Node, fetch::no_store};
use crate::{
    error::FetchError,
    manifest::Term,
    partition::{INFLATED_BYTES_MAX, Partition},
};

/// Memory for the keys of one partition, in bytes. What has more is walked through for each question.
const KEYS_BYTES_MAX: usize = 16 << 20;
/// Partitions whose keys are in memory, the ones asked about last.
const PARTITIONS_MAX: std::num::NonZeroUsize =
    std::num::NonZeroUsize::new(8).expect("it is not zero");
/// Read at once.
const READ_BYTES: usize = 1 << 20;

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
/// noted, as long as there is room; what was not noted is looked through.
async fn last_on_disk(
    partition: &Partition,
    keys: &mut LatestKeys,
    key: &[u8],
    offsets: Range<u64>,
) -> Result<Option<u64>, ReadError> {
    let mut from = keys.end_offset().max(offsets.start);
    let mut behind_noted = None;
    while from < offsets.end {
        for batch in partition.read(from, offsets.end, READ_BYTES).await? {
            let (view, _) = BatchView::parse(&batch).map_err(undecodable)?;
            let noted = match keys.is_full() {
                true => Ok(false),
                false => keys.note_batch(&view, offsets.start),
            };
            if !noted.map_err(|error| ReadError::Io(error.to_string()))? {
                let last = last_in_batch(&view, key).map_err(undecodable)?;
                behind_noted = last.or(behind_noted);
            }
            from = view.next_offset();
        }
    }
    Ok(behind_noted.or_else(|| keys.get(key)))
}

fn last_in_batch(batch: &BatchView<'_>, key: &[u8]) -> Result<Option<u64>, DecodeError> {
    let (mut scratch, mut last) = (Vec::new(), None);
    for record in batch.records(&mut scratch, INFLATED_BYTES_MAX)? {
        let record = record?;
        if record.key == Some(key) {
            last = Some(record.offset);
        }
    }
    Ok(last)
}

fn undecodable(error: DecodeError) -> ReadError {
    ReadError::Io(format!("a stored batch cannot be decoded: {error}"))
}
