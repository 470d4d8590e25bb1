//! One partition on its leader: who may append next, what is committed, and who waits for it.
//!
//! The writer is a lock held for the few hundred nanoseconds of an append, not a task: an append
//! only queues bytes for the journal, so there is nothing in it to wait for, and an idle partition
//! is a few hundred bytes of memory and no task at all.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use headwater_log::{AppendError, PartitionLog, ReadError};
use headwater_record::{Batch, BatchView, Producer, records_equal};
use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell, oneshot};

use crate::{
    error::{FetchError, ProduceError},
    producers::{PRODUCER_WINDOW_BATCHES_MAX, PRODUCER_WINDOW_MS, ProducerWindow},
};

/// Bytes that a runtime thread may copy from the system's memory at once.
const INLINE_READ_BYTES_MAX: usize = 2 << 20;
/// Batches that one produce request may inflate to when it is compared with an earlier one, bytes.
const COMPARE_BYTES_MAX: usize = 64 << 20;

pub(crate) struct Partition {
    pub log: Arc<PartitionLog>,
    /// End of the committed records: the high watermark.
    committed: AtomicU64,
    /// Held from the check of the producer window to the append, so that two requests with one key
    /// cannot both pass.
    writer: Mutex<ProducerWindow>,
    window_loaded: OnceCell<()>,
    acks: Mutex<AckQueue>,
    /// Told at every advance of `committed`; shared by the topic's partitions, so that a reader of
    /// all of them waits in one place.
    readers: Arc<Notify>,
}

#[derive(Default)]
struct AckQueue {
    /// Ordered by end offset.
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    closed: bool,
}

/// Where an append stands: it has its offsets, and is acknowledged once `end` is committed.
#[must_use = "an append is acknowledged only when its end is committed"]
pub(crate) struct Pending {
    pub base_offset: u64,
    pub end: u64,
    /// The batch, given back because its producer had written before: to be compared.
    pub repeated: Option<Batch>,
}

/// What a stored batch says about one that came again.
pub(crate) enum Comparison {
    /// The same records.
    Same(Bytes),
    /// Other records: the producer was used twice.
    Different,
    /// Trim or retention took the batch. The producer knew its key: the records were written.
    Gone,
}

impl Partition {
    pub fn new(log: Arc<PartitionLog>, readers: Arc<Notify>) -> Self {
        let committed = AtomicU64::new(log.durable_end());
        Self {
            log,
            committed,
            writer: Mutex::default(),
            window_loaded: OnceCell::new(),
            acks: Mutex::default(),
            readers,
        }
    }

    pub fn high_watermark(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Appends a batch, or finds the one that its producer wrote before. `now_ms` only ages the
    /// producer window.
    pub fn append(
        &self,
        batch: Batch,
        epoch: i32,
        segment_bytes: u64,
        now_ms: i64,
    ) -> Result<Pending, ProduceError> {
        let producer = batch.producer().id;
        let records = u64::from(batch.last_offset_delta()) + 1;
        let mut window = (producer >= 0).then(|| self.writer.lock());
        if let Some(base_offset) = window
            .as_mut()
            .and_then(|w| w.base_offset(producer, now_ms))
        {
            let end = base_offset + records;
            return Ok(Pending {
                base_offset,
                end,
                repeated: Some(batch),
            });
        }
        let appended =
            self.log
                .append(batch, epoch, segment_bytes)
                .map_err(|error| match error {
                    AppendError::StorageFull => ProduceError::StorageFull,
                    AppendError::Dropped => ProduceError::UnknownPartition,
                    AppendError::Failed => ProduceError::Unknown,
                })?;
        if let Some(window) = window.as_mut() {
            window.insert(producer, appended.base_offset, now_ms);
        }
        Ok(Pending {
            base_offset: appended.base_offset,
            end: appended.last_offset + 1,
            repeated: None,
        })
    }

    /// Resolves once everything below `end` is committed; an error if that cannot be known any more.
    pub async fn committed(&self, end: u64) -> Result<(), ProduceError> {
        let waiting = {
            let mut acks = self.acks.lock();
            if self.high_watermark() >= end {
                return Ok(());
            }
            if acks.closed {
                return Err(ProduceError::Unknown);
            }
            let (sender, receiver) = oneshot::channel();
            // Appends race to this queue, so the newest is nearly always last, not always.
            let at = acks
                .waiting
                .iter()
                .rposition(|(e, _)| *e <= end)
                .map_or(0, |at| at + 1);
            acks.waiting.insert(at, (end, sender));
            receiver
        };
        waiting.await.map_err(|_| ProduceError::Unknown)
    }

    /// Moves the high watermark up and releases whoever waited for it.
    pub fn advance(&self, end: u64) {
        {
            let mut acks = self.acks.lock();
            self.committed.fetch_max(end, Ordering::AcqRel);
            while acks.waiting.front().is_some_and(|(e, _)| *e <= end) {
                if let Some((_, sender)) = acks.waiting.pop_front() {
                    // The client may have gone; the record is committed all the same.
                    let _ = sender.send(());
                }
            }
        }
        self.readers.notify_waiters();
    }

    /// Answers all waiters with an unknown outcome: the log failed or the node stops.
    pub fn close(&self) {
        let mut acks = self.acks.lock();
        acks.closed = true;
        acks.waiting.clear();
        drop(acks);
        self.readers.notify_waiters();
    }

    /// Forgets producers over age.
    pub fn expire_producers(&self, now_ms: i64) {
        self.writer.lock().expire(now_ms);
    }

    /// The batch that `producer` wrote before, if the window knows it.
    pub fn known_producer(&self, producer: Producer, now_ms: i64) -> Option<u64> {
        self.writer.lock().base_offset(producer.id, now_ms)
    }

    /// Rebuilds the producer window from the log once after a start.
    pub async fn load_window(&self, now_ms: i64) -> Result<(), ProduceError> {
        self.window_loaded
            .get_or_try_init(|| async {
                if self.log.next_offset() == 0 {
                    return Ok(());
                }
                let log = self.log.clone();
                let since_ms = now_ms - PRODUCER_WINDOW_MS;
                let recent = tokio::task::spawn_blocking(move || {
                    log.recent_producers(PRODUCER_WINDOW_BATCHES_MAX, since_ms)
                })
                .await
                .map_err(|_| ProduceError::Unknown)?;
                let recent = match recent {
                    Ok(recent) => recent,
                    Err(error) => {
                        tracing::error!(%error, "the producer window cannot be read");
                        return Err(ProduceError::NotLeader);
                    }
                };
                // The log does not say when a batch came, only that its segment is young enough:
                // it is remembered from now on, at most twice as long as promised.
                let mut window = self.writer.lock();
                for batch in recent {
                    window.insert(batch.producer.id, batch.base_offset, now_ms);
                }
                Ok(())
            })
            .await
            .copied()
    }

    /// What the batch at `base_offset`, once it is committed, says about `repeated`.
    pub async fn compare(
        &self,
        base_offset: u64,
        repeated: &Batch,
    ) -> Result<Comparison, ProduceError> {
        self.committed(base_offset + 1).await?;
        let original = match self.read(base_offset, self.high_watermark(), 1).await {
            Ok(batches) => batches.into_iter().next(),
            Err(FetchError::OutOfRange { .. } | FetchError::Corrupt { .. }) => None,
            Err(error) => {
                tracing::warn!(%error, base_offset, "a repeated produce cannot be compared");
                return Err(ProduceError::Unknown);
            }
        };
        let Some(original) = original else {
            return Ok(Comparison::Gone);
        };
        let equal = BatchView::parse(&original).and_then(|(first, _)| {
            let (second, _) = BatchView::parse(repeated.as_bytes())?;
            records_equal(&first, &second, COMPARE_BYTES_MAX)
        });
        match equal {
            Ok(true) => Ok(Comparison::Same(original)),
            Ok(false) => Ok(Comparison::Different),
            Err(_) => Err(ProduceError::Unknown),
        }
    }

    /// Reads batches from memory where they are there, else from disk off the runtime's threads.
    pub async fn read(
        &self,
        from: u64,
        end: u64,
        bytes_max: usize,
    ) -> Result<Vec<Bytes>, FetchError> {
        if let Some(result) = self.log.try_read(from, end, bytes_max) {
            return result.map_err(|error| self.fetch_error(error));
        }
        // What the system has in memory is a copy away, less than a switch of threads costs.
        if bytes_max <= INLINE_READ_BYTES_MAX
            && let Some(batches) = self.log.read_cached(from, end, bytes_max)
        {
            return Ok(batches);
        }
        let log = self.log.clone();
        let result = tokio::task::spawn_blocking(move || log.read(from, end, bytes_max))
            .await
            .map_err(|_| FetchError::Unavailable("the read was cancelled".into()))?;
        result.map_err(|error| self.fetch_error(error))
    }

    pub fn fetch_error(&self, error: ReadError) -> FetchError {
        match error {
            ReadError::OutOfRange { .. } => FetchError::OutOfRange {
                log_start: self.log.log_start(),
                high_watermark: self.high_watermark(),
            },
            ReadError::Corrupt { from, to } => FetchError::Corrupt { from, to },
            ReadError::Dropped => FetchError::UnknownPartition,
            other => FetchError::Unavailable(other.to_string()),
        }
    }
}
