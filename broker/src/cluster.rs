//! Finding the broker that leads a partition.

use std::sync::Arc;

use crate::{
    broker::{Answer, Broker},
    node::Node,
    placement::{BrokerId, TopicPlacement},
    session::{FollowerSession, Unreachable},
};

/// How a node reaches others.
pub trait Network: Send + Sync + 'static {
    /// The broker of that number, or `None` while it cannot be reached.
    fn broker(&self, id: BrokerId) -> Option<Arc<dyn Broker>>;

    /// Opens a replication session with a leader. It may take some seconds; whoever was refused may
    /// try again at once, and is slowed down here.
    fn follow(&self, leader: BrokerId) -> Answer<'_, Result<FollowerSession, Unreachable>>;
}

/// The network of an installation that is one process: there is nobody else to reach.
#[derive(Debug, Default, Clone, Copy)]
pub struct SingleNode;

impl Network for SingleNode {
    fn broker(&self, _id: BrokerId) -> Option<Arc<dyn Broker>> {
        None
    }

    fn follow(&self, _leader: BrokerId) -> Answer<'_, Result<FollowerSession, Unreachable>> {
        let nobody = Unreachable("this installation is one process".into());
        Box::pin(std::future::ready(Err(nobody)))
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
