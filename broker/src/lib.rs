//! A broker: the partitions on one node, who may write and read them, and what an answer promises.
//!
//! [`Node`] owns one disk's [`Log`](headwater_log::Log) and serves it through the [`Broker`] trait;
//! [`Cluster`] finds the broker that leads a partition, which is this node or one that the
//! [`Network`] reaches. Everything from outside is handed in: [`Clock`], [`Placement`],
//! [`Network`], [`LetterWriter`] and the log's `Disk`, so that a simulation can stand in for all of them.

mod broker;
mod clock;
mod cluster;
pub mod cold;
pub mod controller;
mod copy_state;
mod error;
mod letters;
mod look;
mod manifest;
pub mod membership;
mod node;
mod partition;
mod placement;
mod producers;
pub mod replica;
pub mod rpc;
mod session;
mod tier;

pub use broker::{
    Acks, Answer, Broker, Fetch, FetchPosition, Fetched, Held, Holdings, PartitionBatch,
    PartitionState, Produced,
};
pub use clock::{Clock, SystemClock};
pub use cluster::{Cluster, Network, SingleNode};
pub use copy_state::CopyState;
pub use error::{CoordinateError, FetchError, NodeError, ProduceError};
pub use headwater_log::{PartitionId, TopicId};
pub use letters::LetterWriter;
pub use manifest::{ColdSummary, Manifest, Place, Term, Unbegun, Written};
pub use node::{GroupStats, Node, NodeGauges, NodeOptions};
pub use placement::{
    BrokerDirectory, BrokerId, Incarnation, Placement, Proposal, Registered, Registration,
    Registry, RegistryError, Renewal, Renewed, TopicDescription, TopicPlacement, TopicSettings,
};
pub use producers::{PRODUCER_WINDOW_BATCHES_MAX, PRODUCER_WINDOW_MS, idempotent_producer};
pub use session::{
    FollowerMessage, FollowerSession, LeaderMessage, LeaderSession, SessionHost, Unreachable,
};
pub use tier::{Tier, TierOptions, TierStats};
