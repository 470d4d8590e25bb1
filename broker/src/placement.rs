//! What the cluster's metadata says: which topics there are, and who leads their partitions.

use std::sync::Arc;

use headwater_log::TopicId;

/// A broker's number inside its cluster.
pub type BrokerId = u32;

/// One life of a broker: grows with every start that the metadata registers.
pub type Incarnation = i64;

/// The cluster's metadata as a broker needs it. A lookup answers from memory: it is on the path of
/// every request, and produce and fetch must go on while the database is away.
pub trait Placement: Send + Sync + 'static {
    /// The topic, or `None` if this node has not heard of it. Unknown is not deleted: a broker
    /// removes data only on a positive tombstone.
    fn topic(&self, id: TopicId) -> Option<Arc<TopicPlacement>>;
}

/// One topic: its settings and the leaders of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlacement {
    /// The topic.
    pub id: TopicId,
    /// Index = partition number.
    pub partitions: Vec<PartitionPlacement>,
    /// The settings in force.
    pub settings: TopicSettings,
}

/// Who leads one partition, and in which term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionPlacement {
    /// The leading broker.
    pub leader: BrokerId,
    /// The leader's term, stamped on every batch it appends.
    pub epoch: i32,
}

/// The settings of a topic that a broker acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicSettings {
    /// Size at which a segment is sealed, in bytes.
    pub segment_bytes: u64,
    /// Age after which sealed segments go, in milliseconds; `None` keeps them.
    pub retention_ms: Option<u64>,
    /// Bytes of a partition above which its oldest sealed segments go; `None` keeps them.
    pub retention_bytes: Option<u64>,
}
