//! Finding the broker that leads a partition.

use std::sync::Arc;

use crate::{
    broker::{Answer, Broker},
    node::Node,
    placement::{BrokerId, TopicPlacement},
    session::FollowerSession,
};

/// How a node reaches others.
pub trait Network: Send + Sync + 'static {
    /// The broker of that number, or `None` while it cannot be reached.
    fn broker(&self, id: BrokerId) -> Option<Arc<dyn Broker>>;

    /// Opens a replication session with a leader.
    fn follow(&self, leader: BrokerId) -> Answer<'_, Result<FollowerSession, Unreachable>>;
}

/// Why a broker cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable(pub String);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// The network of an installation that is one process: there is nobody else to reach.
#[derive(Debug, Default, Clone, Copy)]
pub struct SingleNode;

impl Network for SingleNode {
    fn broker(&self, _id: BrokerId) -> Option<Arc<dyn Broker>> {
        None
    }

    fn follow(&self, _leader: BrokerId) -> Answer<'_, Result<FollowerSession, Unreachable>> {
        Box::pin(async { Err(Unreachable("there is no other broker".into())) })
    }
}

/// The brokers as one service.
#[derive(Clone)]
pub struct Cluster {
    local: Option<Arc<Node>>,
    network: Arc<dyn Network>,
}

impl Cluster {
    /// A cluster seen from this process, which may be a broker itself.
    pub fn new(local: Option<Arc<Node>>, network: Arc<dyn Network>) -> Self {
        Self { local, network }
    }

    /// The broker that leads a partition, or `None` while it has no leader that can be reached.
    pub fn leader(&self, topic: &TopicPlacement, partition: u32) -> Option<Arc<dyn Broker>> {
        let leader = topic.partitions.get(partition as usize)?.leader?;
        self.broker(leader.broker)
    }

    /// The broker of that number: this one, or another by the network.
    pub fn broker(&self, id: BrokerId) -> Option<Arc<dyn Broker>> {
        match &self.local {
            Some(local) if local.id() == id => Some(local.clone()),
            _ => self.network.broker(id),
        }
    }
}
