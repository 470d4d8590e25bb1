//! What the cluster's metadata says: which topics there are, and who leads their partitions.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use headwater_log::{PartitionId, TopicId};
use tokio::sync::watch;

use crate::{broker::Answer, controller::Brokers, replica::Assignment};

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

    /// The brokers, and where others reach them.
    fn brokers(&self) -> Arc<BrokerDirectory>;

    /// Changes whenever anything here does.
    fn changes(&self) -> watch::Receiver<()>;

    /// The partitions whose rows have changed since this was asked last, with the rows as they are.
    fn take_changed(&self) -> Vec<(PartitionId, Arc<Assignment>)>;

    /// Every topic, for what looks at all partitions.
    fn topics(&self) -> Vec<Arc<TopicPlacement>>;

    /// The topic that is the log of all groups, once it was made.
    fn group_log(&self) -> Option<TopicId> {
        None
    }

    /// Whether a topic that existed at `since` is deleted for good. What was not heard of since then,
    /// or cannot be read, is not.
    fn is_deleted(&self, _id: TopicId, _since: Instant) -> bool {
        false
    }

    /// Whether there is a project of that id. One that is not heard of yet, or cannot be read, is none.
    fn is_project(&self, _id: &str) -> bool {
        true
    }

    /// What is written into objects about a topic, for who finds nothing but the bucket.
    fn describe(&self, id: TopicId) -> Option<TopicDescription>;
}

/// A topic, and whose it is. Pairs are ids and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The tenant.
    pub organization: (String, String),
    /// The project.
    pub project: (String, String),
    /// The topic.
    pub topic: (String, String),
    /// How many partitions it has.
    pub partitions: u32,
    /// How many copies each of them has.
    pub replication_factor: u32,
    /// Its settings, as text that means something to those who made it.
    pub settings: String,
    /// Counts changes of the settings.
    pub settings_version: u64,
    /// Whether it is compacted by key: its objects are looked up by key.
    pub is_compacted: bool,
}

/// The brokers of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerDirectory {
    /// What they are, by number.
    pub views: Brokers,
    /// Where their internal listeners are, as `host:port`, by number.
    pub addresses: BTreeMap<BrokerId, String>,
    /// The one that holds the controller's lease, as far as is known.
    pub controller: Option<BrokerId>,
}

/// What brokers write into the cluster's metadata. Every call may be slow, or hang until its bound:
/// nothing on the path of records waits for one.
pub trait Registry: Send + Sync + 'static {
    /// Registers a starting broker and begins a new life of it, in one transaction. A disk that is not
    /// the one the broker had, or an older copy of it, loses its place in all in-sync sets.
    fn register(&self, broker: Registration) -> Answer<'_, Result<Registered, RegistryError>>;

    /// Renews the broker's lease for `lease`, counted by the database's clock.
    fn renew(&self, renewal: Renewal) -> Answer<'_, Result<Renewed, RegistryError>>;

    /// Has the broker drain, or take part again. Answers whether there is such a broker.
    fn set_draining(
        &self,
        broker: BrokerId,
        draining: bool,
    ) -> Answer<'_, Result<bool, RegistryError>>;

    /// Takes or keeps the controller's lease, for `lease` by the database's clock. Answers whether it
    /// is this broker's.
    fn control(
        &self,
        broker: BrokerId,
        incarnation: Incarnation,
        lease: Duration,
    ) -> Answer<'_, Result<bool, RegistryError>>;

    /// Fences the brokers whose lease has expired by the database's clock. Answers which were fenced
    /// now.
    fn fence_expired(&self) -> Answer<'_, Result<Vec<BrokerId>, RegistryError>>;

    /// Writes partitions' rows, each if it is still what the proposer knew. Answers, in their order,
    /// the rows as they are now; `None` for a topic that is gone. After an error nobody knows which
    /// were written.
    fn propose(
        &self,
        proposals: Vec<Proposal>,
    ) -> Answer<'_, Result<Vec<Option<Assignment>>, RegistryError>>;
}

/// A broker that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its number.
    pub id: BrokerId,
    /// The name of its data directory, made when the directory was.
    pub data_dir: [u8; 16],
    /// How often its lease was renewed, as its disk remembers it: an older copy of the disk remembers
    /// fewer.
    pub renewals: i64,
    /// Where others reach it, `host:port`.
    pub address: String,
    /// Where it stands.
    pub rack: Option<String>,
    /// How long its lease is at first.
    pub lease: Duration,
    /// Partitions of which its disk has lost durable records: their copies do not count any more.
    pub damaged: Vec<PartitionId>,
}

/// A broker that was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its new life.
    pub incarnation: Incarnation,
    /// The cluster's name, made with the metadata.
    pub cluster_id: String,
    /// Whether its disk was another one, or an older copy: it has lost its place in in-sync sets.
    pub disk_replaced: bool,
    /// How often its lease counts as renewed. The disk is to remember it before the first renewal and
    /// to count on from it: of a disk and an older copy of it that both come back, this tells which
    /// was replaced.
    pub renewals: i64,
}

/// A broker that lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// The broker.
    pub id: BrokerId,
    /// Its life.
    pub incarnation: Incarnation,
    /// How often its lease was renewed, this time counted; on its disk already.
    pub renewals: i64,
    /// For how long.
    pub lease: Duration,
}

/// What a renewal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The lease runs on. If the broker was fenced, it no longer is.
    Renewed,
    /// Another life of this broker has begun: this one is over, and its process is to end.
    Replaced,
}

/// Another row for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The partition.
    pub id: PartitionId,
    /// The `partition_epoch` of the row that it replaces.
    pub was: i64,
    /// The new row.
    pub row: Assignment,
    /// Who is new in the in-sync set: each must still live this life, and not be fenced.
    pub added: Vec<(BrokerId, Incarnation)>,
}

/// Why the metadata was not read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryError {
    /// The broker's number is another's, which is alive: who it is.
    Taken(String),
    /// The database failed or did not answer; what was asked may be done or not.
    Unavailable(String),
}

impl std::fmt::Display for RegistryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken(by) => write!(f, "the broker's number is in use: {by}"),
            Self::Unavailable(why) => write!(f, "the metadata database failed: {why}"),
        }
    }
}

impl std::error::Error for RegistryError {}

/// One topic: its settings and where its partitions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlacement {
    /// The topic.
    pub id: TopicId,
    /// Index = partition number.
    pub partitions: Vec<Arc<Assignment>>,
    /// The settings in force.
    pub settings: TopicSettings,
}

impl TopicPlacement {
    /// The partitions with their names.
    pub fn rows(&self) -> impl Iterator<Item = (PartitionId, &Arc<Assignment>)> {
        let topic = self.id;
        let id = move |partition| PartitionId { topic, partition };
        (0..).map(id).zip(&self.partitions)
    }
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
    /// Age after which segments leave the disk that are in the object store, in milliseconds; `None`
    /// keeps them there.
    pub local_retention_ms: Option<u64>,
    /// Bytes of a partition on the disk above which its oldest segments leave it; `None` keeps them.
    pub local_retention_bytes: Option<u64>,
    /// How long tombstones stay once they are compacted, in milliseconds, if the topic is compacted by
    /// key; `None` if it is not.
    pub tombstones_kept_ms: Option<u64>,
}
