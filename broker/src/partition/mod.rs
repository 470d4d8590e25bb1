//! One partition on this broker: who may append next, what is committed, and who waits for it.
//!
//! The writer is a lock held for the few hundred nanoseconds of an append, not a task: an append
//! only queues bytes for the journal, so there is nothing in it to wait for, and an idle partition
//! is a few hundred bytes of memory and no task at all.
//!
//! Locks are taken in the order writer, replica, waiters.

mod copy;
mod outbox;
mod role;
mod waiters;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use headwater_log::{AppendError, PartitionId, PartitionLog, ProducerBatch, ReadError};
use headwater_record::{Batch, BatchView, Producer, records_equal};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

pub(crate) use copy::{Arrival, Next};
pub(crate) use outbox::Outbox;
pub(crate) use role::{Roles, Standing};

use crate::{
    cold::Cold,
    error::{FetchError, ProduceError},
    look::look_until,
    manifest::ColdSummary,
    placement::BrokerId,
    producers::{PRODUCER_WINDOW_BATCHES_MAX, PRODUCER_WINDOW_MS, ProducerWindow},
    replica::{NotAppendable, ReplicaLog, Starts},
    tier::Tier,
};
use waiters::Waiters;

/// Bytes that a runtime thread may copy from the system's memory at once.
const INLINE_READ_BYTES_MAX: usize = 2 << 20;
/// What stored batches may inflate to where their records are looked at, in bytes.
pub(crate) const INFLATED_BYTES_MAX: usize = 64 << 20;
/// A wait that is begun anew.
const LONG: Duration = Duration::from_secs(3600);
/// As a readable end: nothing may be read.
const UNREADABLE: u64 = u64::MAX;

pub(crate) struct Partition {
    pub id: PartitionId,
    pub log: Arc<PartitionLog>,
    /// End of the committed records: the high watermark.
    committed: AtomicU64,
    /// The high watermark as readers may be told it, or [`UNREADABLE`].
    readable: AtomicU64,
    /// As the replica has it.
    leads: AtomicBool,
    replicated: AtomicBool,
    /// Held from the check of the role and the producer window to the append: no append comes after
    /// the role is over, and of two requests with one key only one passes.
    writer: Mutex<Writer>,
    replica: Mutex<Roles>,
    /// Held while the producer window is read from the log.
    loading: tokio::sync::Mutex<()>,
    /// Told when followers have confirmed that they follow, and when the role changes.
    confirmations: Notify,
    committed_waiters: Mutex<Waiters>,
    durable_waiters: Mutex<Waiters>,
    /// Told at every advance of `committed`; shared by the topic's partitions, so that a reader of
    /// all of them waits in one place.
    readers: Arc<Notify>,
    /// Replication sessions that are to hear of this partition.
    outboxes: RwLock<Vec<Arc<Outbox>>>,
    /// On the list of those whose in-sync set is looked after.
    pub unsettled: AtomicBool,
    /// What of it is in the object store, as this broker knows it in the term that it leads.
    pub cold: Mutex<Option<Cold>>,
}

struct Writer {
    /// The epoch to append with.
    may_append: Result<i32, NotAppendable>,
    /// Another broker is being made the leader: what is appended now would be lost.
    handing_over: bool,
    /// Read from the log in each term anew, when it is first asked for.
    window: Option<ProducerWindow>,
}

/// Where an append stands: it has its offsets, and is acknowledged once `end` is committed.
#[must_use = "an append is acknowledged only when its end is committed"]
pub(crate) struct Pending {
    pub base_offset: u64,
    pub end: u64,
    /// The term of the append, or of the look that found it.
    pub term: i32,
    /// The batch, given back because its producer had written before: to be compared.
    pub repeated: Option<Batch>,
}

/// What a stored batch says about one that came again.
pub(crate) enum Comparison {
    /// The same records.
    Same(Bytes),
    /// Other records: the producer was used twice.
    Different,
    /// Trim or retention took the batch from the disk. The producer knew its key: the records were
    /// written.
    Gone,
}

impl Partition {
    pub fn new(
        id: PartitionId,
        log: Arc<PartitionLog>,
        readers: Arc<Notify>,
        roles: Roles,
    ) -> Self {
        Self {
            id,
            committed: AtomicU64::new(roles.high_watermark()),
            readable: AtomicU64::new(UNREADABLE),
            leads: AtomicBool::new(false),
            replicated: AtomicBool::new(false),
            log,
            writer: Mutex::new(Writer {
                may_append: Err(NotAppendable::NotLeader),
                handing_over: false,
                window: None,
            }),
            replica: Mutex::new(roles),
            loading: tokio::sync::Mutex::default(),
            confirmations: Notify::new(),
            committed_waiters: Mutex::default(),
            durable_waiters: Mutex::default(),
            readers,
            outboxes: RwLock::default(),
            unsettled: AtomicBool::new(false),
            cold: Mutex::default(),
        }
    }

    /// The epoch in which this broker leads.
    pub fn leads_in(&self) -> Option<i32> {
        self.replica.lock().replica.leads_in()
    }

    /// What of it is in the object store, if this broker leads and has looked.
    pub fn cold_summary(&self) -> Option<ColdSummary> {
        self.known_cold().map(|cold| cold.summary)
    }

    /// The same, with what else is known of it.
    pub fn known_cold(&self) -> Option<Cold> {
        let epoch = self.leads_in()?;
        self.cold.lock().filter(|cold| cold.epoch == epoch)
    }

    pub fn high_watermark(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// The high watermark, if this broker leads and may tell it.
    pub fn readable(&self) -> Option<u64> {
        match self.readable.load(Ordering::Acquire) {
            UNREADABLE => None,
            end => Some(end),
        }
    }

    /// The same, waiting for it while this broker leads and the time lasts.
    pub async fn readable_within(&self, wait: Duration) -> Option<u64> {
        let readable = || match self.readable() {
            Some(end) => Some(Some(end)),
            None => (!self.leads()).then_some(None),
        };
        look_until(&self.readers, wait, readable).await.flatten()
    }

    /// Waits until everybody who may lead by now has said that they follow: what is read from then on has
    /// everything that was acknowledged before the call.
    pub async fn confirm(&self, wait: Duration) -> Result<(), FetchError> {
        let asked = self.replica.lock().replica.ask();
        let round = asked.ok_or(FetchError::NotLeader)?;
        self.tell_sessions();
        let confirmed = || {
            let roles = self.replica.lock();
            match roles.replica.leads_for(round) {
                false => Some(Err(FetchError::NotLeader)),
                true => (roles.replica.confirmed() >= Some(round)).then_some(Ok(())),
            }
        };
        let answer = look_until(&self.confirmations, wait, confirmed).await;
        answer.unwrap_or(Err(FetchError::NotConfirmed))
    }

    /// Whether a reader at `offset` can be told something.
    pub fn has_other_than(&self, offset: u64) -> bool {
        self.readable().is_some_and(|end| end != offset)
    }

    /// Whether this broker leads.
    pub fn leads(&self) -> bool {
        self.leads.load(Ordering::Acquire)
    }

    /// Whether there are other copies.
    pub fn is_replicated(&self) -> bool {
        self.replicated.load(Ordering::Relaxed)
    }

    /// Whom this broker follows.
    pub fn follows(&self) -> Option<BrokerId> {
        self.replica.lock().replica.follows()
    }

    /// Appends a batch, or finds the one that its producer wrote before. `now_ms` only ages the
    /// producer window.
    pub fn append(
        &self,
        batch: Batch,
        segment_bytes: u64,
        now_ms: i64,
    ) -> Result<Pending, ProduceError> {
        let producer = batch.producer().id;
        let records = u64::from(batch.last_offset_delta()) + 1;
        let mut writer = self.writer.lock();
        let term = writer.may_append.map_err(|refused| match refused {
            NotAppendable::NotLeader => ProduceError::NotLeader,
            NotAppendable::TooFewInSync => ProduceError::TooFewInSync,
        })?;
        if producer >= 0 {
            // It was loaded in an earlier term: this one may have more.
            let window = writer.window.as_mut().ok_or(ProduceError::NotLeader)?;
            if let Some(base_offset) = window.base_offset(producer, now_ms) {
                return Ok(Pending {
                    base_offset,
                    end: base_offset + records,
                    term,
                    repeated: Some(batch),
                });
            }
        }
        let pending = self.append_as(term, batch, segment_bytes)?;
        if producer >= 0
            && let Some(window) = writer.window.as_mut()
        {
            window.insert(producer, pending.base_offset, now_ms);
        }
        drop(writer);
        self.tell_sessions();
        Ok(pending)
    }

    /// Appends a batch if this is still the term: to a later one it may make no sense.
    pub fn append_in(
        &self,
        term: i32,
        batch: Batch,
        segment_bytes: u64,
    ) -> Result<Pending, ProduceError> {
        let writer = self.writer.lock();
        match writer.may_append {
            Ok(now) if now == term => {}
            Err(NotAppendable::TooFewInSync) => return Err(ProduceError::TooFewInSync),
            Ok(_) | Err(NotAppendable::NotLeader) => return Err(ProduceError::NotLeader),
        }
        let pending = self.append_as(term, batch, segment_bytes)?;
        drop(writer);
        self.tell_sessions();
        Ok(pending)
    }

    /// Appends as the leader of a term; the writer's lock is held.
    fn append_as(
        &self,
        term: i32,
        batch: Batch,
        segment_bytes: u64,
    ) -> Result<Pending, ProduceError> {
        let appended =
            self.log
                .append(batch, term, segment_bytes)
                .map_err(|error| match error {
                    AppendError::StorageFull => ProduceError::StorageFull,
                    AppendError::Dropped => ProduceError::UnknownPartition,
                    _ => ProduceError::Unknown,
                })?;
        Ok(Pending {
            base_offset: appended.base_offset,
            end: appended.last_offset + 1,
            term,
            repeated: None,
        })
    }

    /// Resolves once this is not the term any more.
    pub async fn term_over(&self, term: i32) {
        let over = || (self.leads_in() != Some(term)).then_some(());
        while look_until(&self.confirmations, LONG, over).await.is_none() {}
    }

    /// Resolves once everything below `end` is committed; an error if that cannot be known any more,
    /// because the term of the append is over.
    pub async fn committed(&self, end: u64, term: i32) -> Result<(), ProduceError> {
        let waiting = {
            let mut waiters = self.committed_waiters.lock();
            if !waiters.is(Some(term)) {
                return Err(ProduceError::Unknown);
            }
            if self.high_watermark() >= end {
                return Ok(());
            }
            waiters.add(end)
        };
        waiting.await.map_err(|_| ProduceError::Unknown)
    }

    /// Resolves once everything below `end` is on this broker's stable storage.
    pub async fn durable(&self, end: u64, term: i32) -> Result<(), ProduceError> {
        let waiting = {
            let mut waiters = self.durable_waiters.lock();
            if !waiters.is(Some(term)) {
                return Err(ProduceError::Unknown);
            }
            if self.log.durable_end() >= end {
                return Ok(());
            }
            waiters.add(end)
        };
        waiting.await.map_err(|_| ProduceError::Unknown)
    }

    /// The log became durable further.
    pub fn on_durable(&self) {
        self.durable_waiters.lock().reached(self.log.durable_end());
        if self.advance() {
            self.tell_sessions();
        }
    }

    /// Answers all waiters with an unknown outcome: the log failed or the node stops.
    pub fn close(&self) {
        let mut writer = self.writer.lock();
        writer.may_append = Err(NotAppendable::NotLeader);
        self.committed_waiters.lock().begin(None);
        self.durable_waiters.lock().begin(None);
        drop(writer);
        self.readers.notify_waiters();
    }

    /// Forgets producers over age.
    pub fn expire_producers(&self, now_ms: i64) {
        if let Some(window) = &mut self.writer.lock().window {
            window.expire(now_ms);
        }
    }

    /// The batch that `producer` wrote before, if the window knows it.
    pub fn known_producer(&self, producer: Producer, now_ms: i64) -> Option<Pending> {
        let mut writer = self.writer.lock();
        let term = writer.may_append.ok()?;
        let base_offset = writer.window.as_mut()?.base_offset(producer.id, now_ms)?;
        Some(Pending {
            base_offset,
            end: base_offset + 1,
            term,
            repeated: None,
        })
    }

    /// Rebuilds the producer window from the log, once a term; what has left the disk is looked for in
    /// the object store.
    pub async fn load_window(
        &self,
        now_ms: i64,
        tier: Option<&Arc<Tier>>,
    ) -> Result<(), ProduceError> {
        let _loading = self.loading.lock().await;
        let term = {
            let writer = self.writer.lock();
            if writer.window.is_some() {
                return Ok(());
            }
            writer.may_append.map_err(|_| ProduceError::NotLeader)?
        };
        let mut window = ProducerWindow::default();
        let local_start = self.log.local_start();
        if local_start > self.log.log_start()
            && let Some(tier) = tier
        {
            let age = Duration::from_millis(PRODUCER_WINDOW_MS as u64);
            let recent = tier.recent_producers(self.id, age).await.map_err(|error| {
                tracing::warn!(partition = %self.id, %error, "the producer window cannot be read");
                ProduceError::NotLeader
            })?;
            let cold = recent.into_iter().filter(|(_, base)| *base < local_start);
            cold.for_each(|(producer, base)| window.insert(producer, base, now_ms));
        }
        if self.log.next_offset() > local_start {
            for batch in self.recent_producers(now_ms).await? {
                window.insert(batch.producer.id, batch.base_offset, now_ms);
            }
        }
        let mut writer = self.writer.lock();
        if writer.may_append != Ok(term) {
            return Err(ProduceError::NotLeader);
        }
        // Producers that wrote meanwhile had asked for the window first: there are none.
        writer.window = Some(window);
        Ok(())
    }

    /// The log does not say when a batch came, only that its segment is young enough: it is
    /// remembered from now on, at most twice as long as promised.
    async fn recent_producers(&self, now_ms: i64) -> Result<Vec<ProducerBatch>, ProduceError> {
        let log = self.log.clone();
        let since_ms = now_ms - PRODUCER_WINDOW_MS;
        let recent = tokio::task::spawn_blocking(move || {
            log.recent_producers(PRODUCER_WINDOW_BATCHES_MAX, since_ms)
        });
        let recent = recent.await.map_err(|_| ProduceError::Unknown)?;
        recent.map_err(|error| {
            tracing::error!(%error, "the producer window cannot be read");
            ProduceError::NotLeader
        })
    }

    /// What the batch at `base_offset`, once it is committed, says about `repeated`.
    pub async fn compare(
        &self,
        base_offset: u64,
        term: i32,
        repeated: &Batch,
    ) -> Result<Comparison, ProduceError> {
        self.committed(base_offset + 1, term).await?;
        let original = match self.read(base_offset, self.high_watermark(), 1).await {
            Ok(batches) => batches.into_iter().next(),
            // What is in the object store only is not fetched for this: the key was known.
            Err(
                ReadError::OutOfRange { .. }
                | ReadError::Corrupt { .. }
                | ReadError::NotLocal { .. },
            ) => None,
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
            records_equal(&first, &second, INFLATED_BYTES_MAX)
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
    ) -> Result<Vec<Bytes>, ReadError> {
        if let Some(result) = self.log.try_read(from, end, bytes_max) {
            return result;
        }
        // What the system has in memory is a copy away, less than a switch of threads costs.
        if bytes_max <= INLINE_READ_BYTES_MAX
            && let Some(batches) = self.log.read_cached(from, end, bytes_max)
        {
            return Ok(batches);
        }
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || log.read(from, end, bytes_max))
            .await
            .unwrap_or_else(|error| Err(ReadError::Io(error.to_string())))
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

impl ReplicaLog for PartitionLog {
    fn starts(&self) -> Starts {
        // In this order, so that one that moves meanwhile is not found before the other.
        let log = self.log_start();
        let local = self.local_start();
        Starts { log, local }
    }
    fn end(&self) -> u64 {
        self.next_offset()
    }
    fn durable_end(&self) -> u64 {
        self.durable_end()
    }
    fn last_epoch(&self) -> Option<i32> {
        self.last_epoch()
    }
    fn end_offset_for(&self, epoch: i32) -> Option<(i32, u64)> {
        self.end_offset_for(epoch)
    }
    fn epochs(&self) -> Vec<(i32, u64)> {
        self.epochs()
    }
}
