//! The partitions in use on this node, by topic.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use headwater_log::{Log, PartitionId, TopicId};
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::partition::Partition;

/// Topics that something touched since the start.
#[derive(Default)]
pub(super) struct Topics {
    topics: RwLock<HashMap<TopicId, Arc<TopicPartitions>>>,
    /// Set when waiting makes no sense any more: the node drains.
    released: AtomicBool,
}

/// One topic's partitions on this node, and where its readers wait.
#[derive(Default)]
pub(super) struct TopicPartitions {
    pub readers: Arc<Notify>,
    partitions: RwLock<HashMap<u32, Arc<Partition>>>,
}

impl TopicPartitions {
    pub fn partition(&self, id: PartitionId, log: &Log) -> Arc<Partition> {
        if let Some(partition) = self.partitions.read().get(&id.partition) {
            return partition.clone();
        }
        self.partitions
            .write()
            .entry(id.partition)
            .or_insert_with(|| Arc::new(Partition::new(log.partition(id), self.readers.clone())))
            .clone()
    }

    fn existing(&self, partition: u32) -> Option<Arc<Partition>> {
        self.partitions.read().get(&partition).cloned()
    }

    fn each(&self, act: impl Fn(&Partition)) {
        let partitions: Vec<_> = self.partitions.read().values().cloned().collect();
        partitions.iter().for_each(|partition| act(partition));
    }
}

impl Topics {
    pub fn get(&self, topic: TopicId) -> Arc<TopicPartitions> {
        if let Some(found) = self.topics.read().get(&topic) {
            return found.clone();
        }
        self.topics.write().entry(topic).or_default().clone()
    }

    pub fn advance(&self, ends: &[(PartitionId, u64)]) {
        for (id, end) in ends {
            let topic = self.topics.read().get(&id.topic).cloned();
            // A dropped topic's last appends have nobody left to tell.
            if let Some(partition) = topic.and_then(|topic| topic.existing(id.partition)) {
                partition.advance(*end);
            }
        }
    }

    pub fn forget(&self, topic: TopicId) {
        if let Some(topic) = self.topics.write().remove(&topic) {
            topic.each(Partition::close);
        }
    }

    /// Acts on every partition, with no lock held that a request may want.
    pub fn each(&self, act: impl Fn(&Partition)) {
        let topics: Vec<_> = self.topics.read().values().cloned().collect();
        for topic in topics {
            topic.each(&act);
        }
    }

    pub fn released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    pub fn release_waiters(&self) {
        self.released.store(true, Ordering::Release);
        self.topics
            .read()
            .values()
            .for_each(|topic| topic.readers.notify_waiters());
    }

    pub fn close(&self) {
        self.release_waiters();
        self.each(Partition::close);
    }
}
