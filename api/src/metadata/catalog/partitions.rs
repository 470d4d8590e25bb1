//! What the snapshot has of brokers and of where partitions are, and who is told that they moved.

use std::{collections::HashMap, sync::Arc};

use headwater_broker::{
    BrokerDirectory, BrokerId, PartitionId, TopicId, TopicPlacement, replica::Assignment,
};
use parking_lot::Mutex;
use sqlx::AnyConnection;

use super::{Catalog, Snapshot};
use crate::metadata::store::{BrokerRow, PartitionRow, Result};

/// Partitions of some topics with where they are now. How many in-sync copies they need at most is
/// for their topics to say.
pub(super) type PlacesByTopic = HashMap<TopicId, Vec<(u32, Assignment)>>;

/// Partitions that moved since somebody took them, each as it is now: nobody has to look at all
/// partitions to learn which did.
#[derive(Default)]
pub(super) struct PartitionChanges {
    waiting: Mutex<HashMap<PartitionId, Arc<Assignment>>>,
}

impl PartitionChanges {
    pub fn note(&self, moved: Vec<(PartitionId, Arc<Assignment>)>) {
        if !moved.is_empty() {
            self.waiting.lock().extend(moved);
        }
    }
}

impl Catalog {
    /// Partitions that are not as they were when they were taken last, and at first all.
    pub(super) fn take_partition_changes(&self) -> Vec<(PartitionId, Arc<Assignment>)> {
        let moved = std::mem::take(&mut *self.partition_changes.waiting.lock());
        self.of_live_topics(moved)
    }

    /// Of topics that are deleted the tombstones tell.
    fn of_live_topics(
        &self,
        moved: HashMap<PartitionId, Arc<Assignment>>,
    ) -> Vec<(PartitionId, Arc<Assignment>)> {
        let snapshot = self.snapshot.read();
        let live = |(id, _): &(PartitionId, _)| snapshot.topics.contains_key(&id.topic);
        moved.into_iter().filter(live).collect()
    }

    /// Where all topics are.
    pub(super) fn placements(&self) -> HashMap<TopicId, Arc<TopicPlacement>> {
        let snapshot = self.snapshot.read();
        let topics = snapshot.topics.iter();
        topics
            .map(|(id, topic)| (*id, topic.placement.clone()))
            .collect()
    }

    /// Takes in who holds the controller's lease.
    pub(super) fn note_controller(&self, controller: Option<BrokerId>) {
        if self.snapshot.read().brokers.controller != controller {
            self.put(|snapshot| Arc::make_mut(&mut snapshot.brokers).controller = controller);
        }
    }
}

impl Snapshot {
    pub(super) fn put_partitions(&mut self, places: PlacesByTopic) {
        for (id, places) in places {
            // What is not known is new or deleted, and is read as a whole.
            if let Some(topic) = self.topics.get(&id) {
                let topic = topic.with_places(places);
                self.put_topic(topic);
            }
        }
    }

    /// Puts the brokers. Who controls them is learnt elsewhere.
    pub(super) fn put_brokers(&mut self, brokers: BrokerDirectory) {
        let controller = self.brokers.controller;
        self.brokers = Arc::new(BrokerDirectory {
            controller,
            ..brokers
        });
    }
}

/// The brokers as the database has them.
pub(super) async fn directory(connection: &mut AnyConnection) -> Result<BrokerDirectory> {
    let mut brokers = BrokerDirectory::default();
    for row in BrokerRow::all(connection).await? {
        let id = row.number()?;
        brokers.views.insert(id, row.view());
        brokers.addresses.insert(id, row.address);
    }
    Ok(brokers)
}

/// The partitions that changes after `number` wrote.
pub(super) async fn places_after(
    connection: &mut AnyConnection,
    number: i64,
) -> Result<PlacesByTopic> {
    let mut places = PlacesByTopic::new();
    for row in PartitionRow::changed_after(connection, number).await? {
        let (id, place) = row.read(u32::MAX)?;
        let topic = places.entry(id.topic).or_default();
        topic.push((id.partition, place));
    }
    Ok(places)
}
