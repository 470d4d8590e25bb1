//! One node: its log, the partitions on it, and the [`Broker`](crate::Broker) calls they answer.

mod fetch;
mod maintenance;
mod produce;
mod topics;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use headwater_log::{
    AppendError, Disk, Failure, Listener, Log, LogOptions, LogStats, PartitionId, Recovery, TopicId,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    broker::{Acks, Answer, Broker, Fetch, Fetched, PartitionBatch, PartitionState, Produced},
    clock::Clock,
    error::{FetchError, NodeError, ProduceError},
    partition::Partition,
    placement::{BrokerId, Placement},
};
use topics::Topics;

/// What a node is made of.
pub struct NodeOptions {
    /// This broker's number.
    pub id: BrokerId,
    /// The log's directory and bounds.
    pub log: LogOptions,
    /// How often retention looks at the sealed segments.
    pub maintenance_interval: Duration,
    /// Called once when the log fails for good. Nothing is acknowledged after it; the process is
    /// expected to end, because what the disk did with the last writes cannot be known.
    pub on_failure: Box<dyn Fn(&Failure) + Send + Sync>,
}

/// A broker on this machine.
pub struct Node {
    id: BrokerId,
    log: Log,
    topics: Arc<Topics>,
    completions: Arc<Completions>,
    clock: Arc<dyn Clock>,
    placement: Arc<dyn Placement>,
    waiting_fetches: AtomicUsize,
}

/// What a node tells its operators, beside [`LogStats`].
#[derive(Debug, Clone, Copy)]
pub struct NodeGauges {
    /// Fetches that wait for their first record.
    pub waiting_fetches: usize,
    /// Partitions that hold data.
    pub partitions: usize,
}

impl Node {
    /// Opens the log, replays what a crash left, and starts maintenance on the current runtime.
    ///
    /// # Errors
    /// The directory is in use, of a newer version, or damaged beyond what recovery may judge.
    pub fn open(
        options: NodeOptions,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        placement: Arc<dyn Placement>,
    ) -> Result<(Arc<Self>, Recovery), headwater_log::OpenError> {
        let topics = Arc::new(Topics::default());
        let completions = Arc::new(Completions {
            topics: topics.clone(),
            ends: Mutex::default(),
            noted: Arc::default(),
            on_failure: options.on_failure,
        });
        let (log, recovery) = Log::open(disk, options.log, completions.clone())?;
        tokio::spawn(Completions::publish(
            Arc::downgrade(&completions),
            completions.noted.clone(),
        ));
        let node = Arc::new(Self {
            id: options.id,
            log,
            topics,
            completions,
            clock,
            placement,
            waiting_fetches: AtomicUsize::new(0),
        });
        maintenance::start(&node, options.maintenance_interval);
        Ok((node, recovery))
    }

    /// This broker's number.
    pub fn id(&self) -> BrokerId {
        self.id
    }

    /// The name of its data directory, made when the directory was.
    pub fn data_dir_uuid(&self) -> [u8; 16] {
        self.log.data_dir_uuid()
    }

    /// Counters and gauges of the log.
    pub fn log_stats(&self) -> LogStats {
        self.log.stats()
    }

    /// Gauges of the node.
    pub fn gauges(&self) -> NodeGauges {
        NodeGauges {
            waiting_fetches: self.waiting_fetches.load(Ordering::Relaxed),
            partitions: self.log.partitions().len(),
        }
    }

    /// Ends all waits: long polls answer what they have, tails end. Produce goes on.
    pub fn release_waiters(&self) {
        self.topics.release_waiters();
    }

    /// Stops the log cleanly: everything written is in its segments and synced. Blocking.
    ///
    /// # Errors
    /// The last writes or syncs failed.
    pub fn close(&self) -> Result<(), NodeError> {
        let closed = self
            .log
            .clone()
            .close()
            .map_err(|error| NodeError(error.to_string()));
        self.completions.publish_now();
        self.topics.close();
        closed
    }

    /// The partition, if the cluster's metadata has it on this node.
    fn partition(&self, id: PartitionId) -> Result<Arc<Partition>, FetchError> {
        self.check_leads(id)?;
        Ok(self.topics.get(id.topic).partition(id, &self.log))
    }

    fn state_of(&self, id: PartitionId) -> Result<PartitionState, FetchError> {
        self.check_leads(id)?;
        // Looking at one that nobody has used yet does not make it: all are looked at for their size.
        if self.log.existing(id).is_none() {
            return Ok(PartitionState::default());
        }
        let partition = self.topics.get(id.topic).partition(id, &self.log);
        Ok(PartitionState {
            log_start: partition.log.log_start(),
            high_watermark: partition.high_watermark(),
            hot_bytes: partition.log.bytes(),
        })
    }

    fn check_leads(&self, id: PartitionId) -> Result<(), FetchError> {
        let placement = self
            .placement
            .topic(id.topic)
            .ok_or(FetchError::UnknownPartition)?;
        let place = placement
            .partitions
            .get(id.partition as usize)
            .ok_or(FetchError::UnknownPartition)?;
        if place.leader.map(|leader| leader.broker) != Some(self.id) {
            return Err(FetchError::NotLeader);
        }
        Ok(())
    }
}

/// Hears from the log's committer thread what became durable. On a node alone in its in-sync set,
/// durable is committed.
///
/// The committer only leaves a note: a task on the runtime wakes the requests, which costs the
/// committer one wake-up a sync instead of one a request.
struct Completions {
    topics: Arc<Topics>,
    ends: Mutex<Vec<(PartitionId, u64)>>,
    noted: Arc<Notify>,
    on_failure: Box<dyn Fn(&Failure) + Send + Sync>,
}

impl Completions {
    /// Runs until the log and its node are gone.
    async fn publish(completions: Weak<Self>, noted: Arc<Notify>) {
        loop {
            noted.notified().await;
            match completions.upgrade() {
                Some(completions) => completions.publish_now(),
                None => return,
            }
        }
    }

    fn publish_now(&self) {
        let ends = std::mem::take(&mut *self.ends.lock());
        self.topics.advance(&ends);
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        self.noted.notify_one();
    }
}

impl Listener for Completions {
    fn durable(&self, ends: &[(PartitionId, u64)]) {
        self.ends.lock().extend_from_slice(ends);
        self.noted.notify_one();
    }

    fn failed(&self, failure: &Failure) {
        self.publish_now();
        self.topics.close();
        (self.on_failure)(failure);
    }
}

impl Broker for Node {
    fn produce(
        &self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        acks: Acks,
    ) -> Answer<'_, Vec<Result<Produced, ProduceError>>> {
        Box::pin(self.produce_batches(topic, batches, acks))
    }

    fn fetch(&self, fetch: Fetch) -> Answer<'_, Vec<Result<Fetched, FetchError>>> {
        Box::pin(self.fetch_batches(fetch))
    }

    fn partition_states(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<PartitionState, FetchError>>> {
        let states = partitions
            .into_iter()
            .map(|partition| self.state_of(PartitionId { topic, partition }))
            .collect();
        Box::pin(std::future::ready(states))
    }

    fn offset_for_time(
        &self,
        id: PartitionId,
        timestamp_ms: i64,
    ) -> Answer<'_, Result<u64, FetchError>> {
        Box::pin(async move {
            let partition = self.partition(id)?;
            let (log, end) = (partition.log.clone(), partition.high_watermark());
            let found = tokio::task::spawn_blocking(move || log.offset_for_time(timestamp_ms, end))
                .await
                .map_err(|_| FetchError::Unavailable("the lookup was cancelled".into()))?;
            Ok(found
                .map_err(|error| partition.fetch_error(error))?
                .unwrap_or(end))
        })
    }

    fn trim(&self, id: PartitionId, before_offset: u64) -> Answer<'_, Result<u64, FetchError>> {
        Box::pin(async move {
            let partition = self.partition(id)?;
            let (log_start, high_watermark) =
                (partition.log.log_start(), partition.high_watermark());
            if before_offset > high_watermark {
                return Err(FetchError::OutOfRange {
                    log_start,
                    high_watermark,
                });
            }
            let log = partition.log.clone();
            tokio::task::spawn_blocking(move || log.trim(before_offset))
                .await
                .map_err(|_| FetchError::Unavailable("the trim was cancelled".into()))?
                .map_err(|error| match error {
                    AppendError::Dropped => FetchError::UnknownPartition,
                    other => FetchError::Unavailable(other.to_string()),
                })
        })
    }

    fn topic_grew(&self, topic: TopicId) {
        self.topics.get(topic).readers.notify_waiters();
    }

    fn drop_topic(&self, topic: TopicId, partitions: u32) -> Answer<'_, Result<(), NodeError>> {
        Box::pin(async move {
            self.topics.forget(topic);
            let log = self.log.clone();
            let ids: Vec<_> = (0..partitions)
                .map(|partition| PartitionId { topic, partition })
                .collect();
            tokio::task::spawn_blocking(move || log.drop_partitions(&ids))
                .await
                .map_err(|_| NodeError("the removal was cancelled".into()))?
                .map_err(|error| NodeError(error.to_string()))
        })
    }
}
