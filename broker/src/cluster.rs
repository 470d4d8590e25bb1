//! Finding the broker that leads a partition.

use std::sync::Arc;

use crate::{
    broker::Broker,
    node::Node,
    placement::{BrokerId, TopicPlacement},
};

/// How a node reaches others.
pub trait Network: Send + Sync + 'static {
    /// The broker of that number, or `None` while it cannot be reached.
    fn broker(&self, id: BrokerId) -> Option<Arc<dyn Broker>>;
}

/// The network of an installation that is one process: there is nobody else to reach.
#[derive(Debug, Default, Clone, Copy)]
pub struct SingleNode;

impl Network for SingleNode {
    fn broker(&self, _id: BrokerId) -> Option<Arc<dyn Broker>> {
        None
    }
}

/// The brokers as one service.
#[derive(Clone)]
pub struct Cluster {
    local: Arc<Node>,
    network: Arc<dyn Network>,
}

impl Cluster {
    /// A cluster seen from `local`.
    pub fn new(local: Arc<Node>, network: Arc<dyn Network>) -> Self {
        Self { local, network }
    }

    /// The broker that leads a partition, or `None` while it has no leader that can be reached.
    pub fn leader(&self, topic: &TopicPlacement, partition: u32) -> Option<Arc<dyn Broker>> {
        let leader = topic.partitions.get(partition as usize)?.leader;
        self.broker(leader)
    }

    /// The broker of that number: this one, or another by the network.
    pub fn broker(&self, id: BrokerId) -> Option<Arc<dyn Broker>> {
        if id == self.local.id() {
            return Some(self.local.clone());
        }
        self.network.broker(id)
    }
}
