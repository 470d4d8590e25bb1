//! The partitions in use on this node, by topic.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use headwater_log::{PartitionId, TopicId};
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
    /// The partition, made by `make` if this broker had no copy of it yet.
    pub fn ensure(&self, number: u32, make: impl FnOnce() -> Partition) -> Arc<Partition> {
        if let Some(partition) = self.existing(number) {
            return partition;
        }
        let mut partitions = self.partitions.write();
        let made = partitions.entry(number).or_insert_with(|| Arc::new(make()));
        made.clone()
    }

    fn existing(&self, partition: u32) -> Option<Arc<Partition>> {
        self.partitions.read().get(&partition).cloned()
    }

    fn each(&self, mut act: impl FnMut(&Arc<Partition>)) {
        let partitions: Vec<_> = self.partitions.read().values().cloned().collect();
        partitions.iter().for_each(&mut act);
    }
}

impl Topics {
    pub fn get(&self, topic: TopicId) -> Arc<TopicPartitions> {
        if let Some(found) = self.topics.read().get(&topic) {
            return found.clone();
        }
        self.topics.write().entry(topic).or_default().clone()
    }

    /// These became durable further.
    pub fn on_durable(&self, ends: &[(PartitionId, u64)]) {
        for (id, _) in ends {
            // A dropped topic's last appends have nobody left to tell.
            if let Some(partition) = self.existing(*id) {
                partition.on_durable();
            }
        }
    }

    /// The partition, if this broker has a copy of it.
    pub fn existing(&self, id: PartitionId) -> Option<Arc<Partition>> {
        let topic = self.topics.read().get(&id.topic).cloned()?;
        topic.existing(id.partition)
    }

    /// This broker has no copy of the partition any more.
    pub fn remove(&self, id: PartitionId) {
        let topic = self.topics.read().get(&id.topic).cloned();
        let removed = topic.and_then(|topic| topic.partitions.write().remove(&id.partition));
        if let Some(partition) = removed {
            partition.close();
        }
    }

    pub fn forget(&self, topic: TopicId) {
        if let Some(topic) = self.topics.write().remove(&topic) {
            topic.each(|partition| partition.close());
        }
    }

    /// Acts on every partition, with no lock held that a request may want.
    pub fn each(&self, mut act: impl FnMut(&Arc<Partition>)) {
        let topics: Vec<_> = self.topics.read().values().cloned().collect();
        for topic in topics {
            topic.each(&mut act);
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
        self.each(|partition| partition.close());
    }
}
