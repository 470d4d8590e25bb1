//! One node: its log, the partitions on it, and the [`Broker`](crate::Broker) calls they answer.

mod arrivals;
mod assign;
mod begin;
mod compact;
mod fetch;
mod follow;
mod groups;
mod keys;
mod lead;
mod maintenance;
mod offload;
mod produce;
mod resign;
mod retention;
mod review;
mod topics;
mod transfer;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use headwater_groups::{Call, Reply};
use headwater_log::{
    AppendError, Disk, Failure, Listener, Log, LogOptions, LogStats, PartitionId, Recovery, TopicId,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    broker::{
        Acks, Answer, Broker, Fetch, Fetched, Held, Holdings, PartitionBatch, PartitionState,
        Produced,
    },
    clock::Clock,
    cluster::Network,
    copy_state::CopyState,
    error::{CoordinateError, FetchError, NodeError, ProduceError},
    letters::LetterWriter,
    look::look_until,
    partition::Partition,
    placement::{BrokerId, Incarnation, Placement, Registry},
    tier::{Tier, TierStats},
};
use arrivals::Arrivals;
use follow::Following;
use groups::Coordinators;
pub use groups::GroupStats;
use keys::HotKeys;
use lead::Serving;
use resign::Resignations;
use topics::Topics;

/// How long a call waits for this broker to take a role that the metadata gives it already.
const ROLE_WAIT: Duration = Duration::from_secs(2);

/// How long a strong read waits for whoever may lead by now.
const CONFIRM_WAIT: Duration = Duration::from_secs(2);

/// What a node is made of.
pub struct NodeOptions {
    /// This broker's number.
    pub id: BrokerId,
    /// The log's directory and bounds.
    pub log: LogOptions,
    /// How often retention looks at the sealed segments.
    pub maintenance_interval: Duration,
    /// How long a copy may be behind, or silent, before it leaves the in-sync set.
    pub lag_max: Duration,
    /// How fast copies that move here may come, in bytes a second.
    pub move_bytes_per_second: u64,
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
    maintenance_interval: Duration,
    tier: OnceLock<Arc<Tier>>,
    hot_keys: HotKeys,
    waiting_fetches: AtomicUsize,
    me: Weak<Node>,
    started: Instant,
    lag_max: Duration,
    /// The cluster, once this broker is registered.
    joined: OnceLock<Joined>,
    /// Told when partitions have taken roles.
    roles_taken: Notify,
    /// Held while rows are taken in: of two for one partition, one comes after the other.
    assigning: tokio::sync::Mutex<()>,
    following: Mutex<HashMap<BrokerId, Arc<Following>>>,
    arrivals: Arrivals,
    serving: Mutex<HashMap<BrokerId, Serving>>,
    /// When each follower was heard of last, after `started`.
    heard: Mutex<HashMap<BrokerId, Duration>>,
    /// Partitions whose in-sync set is looked after.
    unsettled: Mutex<HashSet<PartitionId>>,
    /// Partitions that this broker may have to begin.
    to_begin: Mutex<HashSet<PartitionId>>,
    resignations: Mutex<Resignations>,
    coordinators: Coordinators,
    letter_writer: OnceLock<Arc<dyn LetterWriter>>,
    stopped: AtomicBool,
    leaving: AtomicBool,
    left: AtomicBool,
}

/// What a broker has once it is registered.
struct Joined {
    cluster_id: String,
    incarnation: Incarnation,
    registry: Arc<dyn Registry>,
    network: Arc<dyn Network>,
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
        let node = Arc::new_cyclic(|me| Self {
            id: options.id,
            log,
            topics,
            completions,
            clock,
            placement,
            maintenance_interval: options.maintenance_interval,
            tier: OnceLock::new(),
            letter_writer: OnceLock::new(),
            hot_keys: HotKeys::default(),
            waiting_fetches: AtomicUsize::new(0),
            me: me.clone(),
            started: Instant::now(),
            lag_max: options.lag_max,
            joined: OnceLock::new(),
            roles_taken: Notify::new(),
            assigning: tokio::sync::Mutex::default(),
            following: Mutex::default(),
            arrivals: Arrivals::new(options.move_bytes_per_second),
            serving: Mutex::default(),
            heard: Mutex::default(),
            unsettled: Mutex::default(),
            to_begin: Mutex::default(),
            resignations: Mutex::default(),
            coordinators: Coordinators::default(),
            stopped: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            left: AtomicBool::new(false),
        });
        maintenance::start(&node, options.maintenance_interval);
        Ok((node, recovery))
    }

    /// Moves sealed segments into the object store from now on, and reads them from there. To be called
    /// before [`Node::join`]: what is on no disk any more is not found without. Only the first call counts.
    pub fn use_tier(&self, tier: Tier) {
        let tier = Arc::new(tier);
        if self.tier.set(tier.clone()).is_ok() {
            begin::start(&self.me, tier.clone());
            offload::start(&self.me, tier, self.maintenance_interval);
        }
    }

    /// Has dead letters of the groups that are coordinated here written from now on. Only the first call
    /// counts.
    pub fn use_letter_writer(&self, writer: Arc<dyn LetterWriter>) {
        // There is one already, and it stays.
        let _ = self.letter_writer.set(writer);
    }

    /// Takes part in the cluster from now on, in the life that the registry gave this broker. Without
    /// it the node takes no roles. Only the first call counts.
    pub fn join(
        &self,
        cluster_id: String,
        incarnation: Incarnation,
        registry: Arc<dyn Registry>,
        network: Arc<dyn Network>,
    ) {
        let joined = Joined {
            cluster_id,
            incarnation,
            registry,
            network,
        };
        if self.joined.set(joined).is_ok() {
            review::start(&self.me);
        }
    }

    /// The object store, if there is one.
    pub(crate) fn tier(&self) -> Option<&Tier> {
        self.tier.get().map(|tier| &**tier)
    }

    /// The metadata.
    pub(crate) fn placement(&self) -> &dyn Placement {
        &*self.placement
    }

    /// Whether this broker is about to stop.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Whether this broker follows nobody any more.
    fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire) || self.stopped()
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// This broker's life, once it is registered.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.joined.get().map(|joined| joined.incarnation)
    }

    /// The data directory's own name, made when the directory was.
    pub fn data_dir_uuid(&self) -> [u8; 16] {
        self.log.data_dir_uuid()
    }

    /// This broker's number.
    pub fn id(&self) -> BrokerId {
        self.id
    }

    /// Counters and gauges of the object store, if there is one.
    pub fn tier_stats(&self) -> Option<TierStats> {
        self.tier.get().map(|tier| tier.stats())
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
        self.stopped.store(true, Ordering::Release);
        let closed = self
            .log
            .clone()
            .close()
            .map_err(|error| NodeError(error.to_string()));
        self.completions.publish_now();
        self.topics.close();
        closed
    }

    /// The partition, if this broker leads it. A role that the metadata gives and that is being taken
    /// is waited for.
    async fn led(&self, id: PartitionId) -> Result<Arc<Partition>, FetchError> {
        let found = look_until(&self.roles_taken, ROLE_WAIT, || {
            match self.topics.existing(id).filter(|p| p.leads()) {
                Some(partition) => Some(Ok(partition)),
                None => self.check_is_to_lead(id).err().map(Err),
            }
        });
        found.await.unwrap_or(Err(FetchError::NotLeader))
    }

    /// Whether the metadata has this life of this broker lead the partition.
    fn check_is_to_lead(&self, id: PartitionId) -> Result<(), FetchError> {
        let topic = self.placement.topic(id.topic);
        let topic = topic.ok_or(FetchError::UnknownPartition)?;
        let place = topic.partitions.get(id.partition as usize);
        let leader = place.ok_or(FetchError::UnknownPartition)?.leader;
        let is_to_lead = leader.is_some_and(|leader| {
            leader.broker == self.id && Some(leader.incarnation) == self.incarnation()
        });
        match is_to_lead {
            true => Ok(()),
            false => Err(FetchError::NotLeader),
        }
    }

    async fn state_of(&self, id: PartitionId) -> Result<PartitionState, FetchError> {
        let partition = self.led(id).await?;
        let cold = partition.cold_summary();
        Ok(PartitionState {
            log_start: partition.log.log_start(),
            high_watermark: self.readable_end(&partition).await?,
            hot_bytes: partition.log.bytes(),
            cold_bytes: cold.map_or(0, |cold| cold.bytes),
            hot_start: partition.log.local_start(),
            cold_start: cold.filter(|cold| cold.segments > 0).map(|cold| cold.start),
            backlog_bytes: offload::backlog(&partition),
        })
    }

    fn all_held(&self, moving_only: bool) -> Holdings {
        let mut holdings = Holdings::default();
        self.topics.each(|partition| {
            let bytes = partition.log.bytes();
            holdings.bytes += bytes;
            let copied = partition.copied();
            if partition.leads() && (copied.is_some() || !moving_only) {
                holdings.led.push(Held {
                    id: partition.id,
                    bytes,
                    high_watermark: partition.high_watermark(),
                    copied,
                });
            }
        });
        holdings
    }

    /// The end of what readers may be told. A leader whose term has just begun waits until it knows.
    async fn readable_end(&self, partition: &Partition) -> Result<u64, FetchError> {
        let end = partition.readable_within(ROLE_WAIT).await;
        end.ok_or(FetchError::NotLeader)
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
        self.topics.on_durable(&ends);
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
        Box::pin(async move {
            let mut nobody_waits = || {};
            let produced = self.produce_batches(topic, batches, acks, &mut nobody_waits);
            produced.await
        })
    }

    fn produce_placed<'a>(
        &'a self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        acks: Acks,
        placed: &'a mut (dyn FnMut() + Send),
    ) -> Answer<'a, Vec<Result<Produced, ProduceError>>> {
        Box::pin(self.produce_batches(topic, batches, acks, placed))
    }

    fn fetch(&self, fetch: Fetch) -> Answer<'_, Vec<Result<Fetched, FetchError>>> {
        Box::pin(self.fetch_batches(fetch))
    }

    fn partition_states(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<PartitionState, FetchError>>> {
        Box::pin(async move {
            let mut states = Vec::with_capacity(partitions.len());
            for partition in partitions {
                states.push(self.state_of(PartitionId { topic, partition }).await);
            }
            states
        })
    }

    fn offset_for_time(
        &self,
        id: PartitionId,
        timestamp_ms: i64,
    ) -> Answer<'_, Result<u64, FetchError>> {
        Box::pin(async move {
            let partition = self.led(id).await?;
            let end = self.readable_end(&partition).await?;
            let log = partition.log.clone();
            let (log_start, local_start) = (log.log_start(), log.local_start());
            if local_start > log_start {
                let tier = self.tier.get();
                let tier = tier.ok_or_else(|| fetch::no_store(local_start))?;
                let cold = tier.offset_for_time(id, log_start, timestamp_ms).await?;
                // What is on the disk as well may have other segments.
                if let Some(cold) = cold.filter(|cold| *cold < local_start) {
                    return Ok(cold);
                }
            }
            let found = tokio::task::spawn_blocking(move || log.offset_for_time(timestamp_ms, end))
                .await
                .map_err(|_| FetchError::Unavailable("the lookup was cancelled".into()))?;
            Ok(found
                .map_err(|error| partition.fetch_error(error))?
                .unwrap_or(end))
        })
    }

    fn find_key(&self, id: PartitionId, key: Bytes) -> Answer<'_, Result<Option<u64>, FetchError>> {
        Box::pin(async move { self.last_of_key(id, &key).await })
    }

    fn trim(&self, id: PartitionId, before_offset: u64) -> Answer<'_, Result<u64, FetchError>> {
        Box::pin(async move {
            let partition = self.led(id).await?;
            let high_watermark = self.readable_end(&partition).await?;
            let log_start = partition.log.log_start();
            if before_offset > high_watermark {
                return Err(FetchError::OutOfRange {
                    log_start,
                    high_watermark,
                });
            }
            // On the blocking thread, so that the followers hear of it though nobody waits any more.
            let trim = move || {
                let trimmed = partition.log.trim(before_offset);
                partition.tell_sessions();
                trimmed
            };
            tokio::task::spawn_blocking(trim)
                .await
                .map_err(|_| FetchError::Unavailable("the trim was cancelled".into()))?
                .map_err(|error| match error {
                    AppendError::Dropped => FetchError::UnknownPartition,
                    other => FetchError::Unavailable(other.to_string()),
                })
        })
    }

    fn confirm(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<(), FetchError>>> {
        Box::pin(join_all(partitions.into_iter().map(
            move |partition| async move {
                let partition = self.led(PartitionId { topic, partition }).await?;
                partition.confirm(CONFIRM_WAIT).await
            },
        )))
    }

    fn coordinate(
        &self,
        log: PartitionId,
        call: Call,
    ) -> Answer<'_, Result<Reply, CoordinateError>> {
        Box::pin(self.ask_coordinator(log, call))
    }

    fn holdings(&self, moving_only: bool) -> Answer<'_, Result<Holdings, FetchError>> {
        Box::pin(async move { Ok(self.all_held(moving_only)) })
    }

    fn copy(&self, id: PartitionId) -> Answer<'_, Result<CopyState, FetchError>> {
        let partition = self.topics.existing(id);
        let copy = partition.map(|partition| CopyState {
            log_start: partition.log.log_start(),
            end: partition.log.next_offset(),
            epochs: partition.log.epochs(),
        });
        let copy = copy.ok_or(FetchError::UnknownPartition);
        Box::pin(std::future::ready(copy))
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
            blocking(move || log.drop_partitions(&ids)).await
        })
    }
}

/// Does to the log what blocks.
async fn blocking(
    work: impl FnOnce() -> Result<(), AppendError> + Send + 'static,
) -> Result<(), NodeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| NodeError(error.to_string()))?
        .map_err(|error| NodeError(error.to_string()))
}
