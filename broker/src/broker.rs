//! What a broker does for gateways. Local or remote is a constructor: [`Node`](crate::Node) serves
//! this trait from its own disk.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use headwater_groups::{Call, Reply};
use headwater_log::{PartitionId, TopicId};
use headwater_record::Batch;

use crate::{
    copy_state::CopyState,
    error::{CoordinateError, FetchError, NodeError, ProduceError},
};

/// A boxed future: the calls go through a trait object.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// When a produce is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// Once every in-sync replica, and at least `min_insync_replicas`, has it on stable storage.
    #[default]
    Quorum,
    /// Once the leader has it on stable storage.
    Leader,
    /// Once it has its offset; nothing is promised.
    None,
}

/// One batch for one partition.
#[derive(Debug, Clone)]
pub struct PartitionBatch {
    /// The partition's number in its topic.
    pub partition: u32,
    /// The records; offsets and epoch are set by the leader.
    pub batch: Batch,
}

/// Where a batch stands.
#[derive(Debug, Clone)]
pub struct Produced {
    /// Offset of the batch's first record; the others follow densely.
    pub base_offset: u64,
    /// Whether an earlier request with this producer wrote it.
    pub duplicate: bool,
    /// The batch that the earlier request wrote, if it is still there.
    pub original: Option<Bytes>,
}

/// Where to read one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPosition {
    /// The partition's number in its topic.
    pub partition: u32,
    /// First offset wanted.
    pub offset: u64,
    /// About how many records; more may come, because batches come whole.
    pub records_max: usize,
    /// About how many bytes of batches; the batch that holds `offset` always fits.
    pub bytes_max: usize,
}

/// A read of some partitions of one topic.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// The topic.
    pub topic: TopicId,
    /// Partitions and offsets, answered in this order.
    pub positions: Vec<FetchPosition>,
    /// About how many bytes over all partitions; positions that do not fit come back empty.
    pub bytes_max: usize,
    /// How long to wait while none of the positions has a record.
    pub wait: Duration,
}

/// What one partition answered.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Whole batches, the first holding the wanted offset; empty at the end of the log.
    pub batches: Vec<Bytes>,
    /// The oldest offset that can be read.
    pub log_start: u64,
    /// The offset after the newest committed record; batches do not go beyond it.
    pub high_watermark: u64,
}

/// A partition as its leader knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionState {
    /// The oldest offset that can be read.
    pub log_start: u64,
    /// The offset after the newest committed record.
    pub high_watermark: u64,
    /// Bytes of batches on the leader's disk.
    pub hot_bytes: u64,
    /// Bytes of batches in the object store.
    pub cold_bytes: u64,
    /// The oldest offset on the leader's disk.
    pub hot_start: u64,
    /// The oldest offset in the object store, if any is there.
    pub cold_start: Option<u64>,
    /// Bytes of sealed segments that are yet to be uploaded; 0 without an object store.
    pub backlog_bytes: u64,
}

/// What a broker holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Bytes of batches in all copies on it.
    pub bytes: u64,
    /// Partitions that it leads.
    pub led: Vec<Held>,
}

/// A partition on the broker that leads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The partition.
    pub id: PartitionId,
    /// Bytes of batches in the leader's copy.
    pub bytes: u64,
    /// The offset after the newest committed record.
    pub high_watermark: u64,
    /// How far the copies have come, as an offset, that are yet to be in sync: the last of them.
    pub copied: Option<u64>,
}

/// What gateways ask of the broker that leads a partition.
pub trait Broker: Send + Sync + 'static {
    /// Appends the batches of one request, one a partition, and answers in their order. Partitions
    /// succeed and fail one by one, except that [`ProduceError::ProducerReused`] on one refuses all.
    fn produce(
        &self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        acks: Acks,
    ) -> Answer<'_, Vec<Result<Produced, ProduceError>>>;

    /// As [`produce`](Self::produce). A broker that can tell calls `placed` as soon as all batches have
    /// their offsets: what is sent to it from then on stands behind them. Others just answer.
    fn produce_placed<'a>(
        &'a self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        acks: Acks,
        _placed: &'a mut (dyn FnMut() + Send),
    ) -> Answer<'a, Vec<Result<Produced, ProduceError>>> {
        self.produce(topic, batches, acks)
    }

    /// Reads committed batches, waiting for the first when there are none yet.
    fn fetch(&self, fetch: Fetch) -> Answer<'_, Vec<Result<Fetched, FetchError>>>;

    /// The ends and sizes of some partitions of a topic, in their order.
    fn partition_states(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<PartitionState, FetchError>>>;

    /// The first offset whose record is at `timestamp_ms` or later, or the high watermark.
    fn offset_for_time(
        &self,
        id: PartitionId,
        timestamp_ms: i64,
    ) -> Answer<'_, Result<u64, FetchError>>;

    /// The offset of the last committed record with this key, in a topic that is compacted by key.
    fn find_key(&self, id: PartitionId, key: Bytes) -> Answer<'_, Result<Option<u64>, FetchError>>;

    /// Forgets records below `before_offset` for good and answers the new log start.
    fn trim(&self, id: PartitionId, before_offset: u64) -> Answer<'_, Result<u64, FetchError>>;

    /// Waits until it is certain that the broker leads these partitions, each for itself: what it reads
    /// of them from then on has everything that was acknowledged before the call. Fails where somebody who
    /// may lead by now does not answer for two seconds.
    fn confirm(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<(), FetchError>>>;

    /// Asks the coordinator of the groups in one partition of the group log. What it answers is committed,
    /// and so is all that the answer rests on.
    fn coordinate(
        &self,
        log: PartitionId,
        call: Call,
    ) -> Answer<'_, Result<Reply, CoordinateError>>;

    /// What the broker holds. Of the partitions that it leads all are listed, or only those of which
    /// copies move.
    fn holdings(&self, moving_only: bool) -> Answer<'_, Result<Holdings, FetchError>>;

    /// The broker's copy of a partition, whatever it is to it now.
    fn copy(&self, id: PartitionId) -> Answer<'_, Result<CopyState, FetchError>>;

    /// Lets the readers of a topic look again, because it has more partitions now.
    fn topic_grew(&self, topic: TopicId);

    /// Removes the topic's partitions: the positive tombstone.
    fn drop_topic(&self, topic: TopicId, partitions: u32) -> Answer<'_, Result<(), NodeError>>;
}
