//! What the snapshot has of topics.

use std::sync::Arc;

use headwater_broker::{
    BrokerId, PartitionId, TopicId, TopicPlacement, TopicSettings as BrokerSettings,
    replica::Assignment,
};

use crate::{
    limits::PARTITIONS_MAX,
    metadata::{
        group_log::{GROUP_LOG, SYSTEM_PROJECT},
        settings::{TopicConfig, TopicSettings},
        store::{PartitionRow, StoreError, TopicRow},
    },
    usage::Meter,
};

/// A topic as requests see it.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Never reused.
    pub id: TopicId,
    /// Its label, unique in the project.
    pub name: String,
    /// The project it is in.
    pub project: String,
    /// How many replicas each partition has.
    pub replication_factor: u32,
    /// The settings that were given.
    pub config: TopicConfig,
    /// The settings in force.
    pub settings: TopicSettings,
    /// Free text.
    pub description: String,
    /// Grows with every change: the ETag.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Where its partitions are.
    pub placement: Arc<TopicPlacement>,
    /// Counts what it is used for: the one of its name, once it is in the catalog.
    pub meter: Arc<Meter>,
}

impl Topic {
    /// How many partitions it has.
    pub fn partitions(&self) -> u32 {
        self.placement.partitions.len() as u32
    }

    /// Whether it is the log of all groups, and no tenant's.
    pub fn is_group_log(&self) -> bool {
        self.project == SYSTEM_PROJECT && self.name == GROUP_LOG
    }

    /// The broker that leads a partition, if the topic has it.
    pub fn leader_of(&self, partition: u32) -> Option<BrokerId> {
        let place = self.placement.partitions.get(partition as usize)?;
        Some(place.leader?.broker)
    }

    /// The topic of a row and of its partitions' rows.
    ///
    /// # Errors
    /// A row is not one that this service wrote.
    pub fn from_row(row: &TopicRow, partition_rows: &[PartitionRow]) -> Result<Self, StoreError> {
        let bad = |what: String| StoreError(format!("topic {}: {what}", row.id));
        let id: TopicId = row.id.parse().map_err(|_| bad("bad id".into()))?;
        let config: TopicConfig =
            serde_json::from_str(&row.config).map_err(|error| bad(error.to_string()))?;
        let replication_factor =
            u32::try_from(row.replication_factor).map_err(|e| bad(e.to_string()))?;
        let settings = config.effective(replication_factor);
        // Also so that no row makes a node run out of memory.
        let count = u32::try_from(row.partitions)
            .ok()
            .filter(|count| (1..=PARTITIONS_MAX).contains(count))
            .ok_or_else(|| bad("bad number of partitions".into()))?;
        // One for all of them that have no row: each is replaced, never changed.
        let nowhere = Arc::new(nowhere());
        let mut partitions = vec![nowhere; count as usize];
        for row in partition_rows {
            let (id, place) = row.read(settings.min_insync_replicas)?;
            if let Some(partition) = partitions.get_mut(id.partition as usize) {
                *partition = Arc::new(place);
            }
        }
        let is_compacted = settings.is_compacted();
        Ok(Self {
            id,
            name: row.name.clone(),
            project: row.project_id.clone(),
            replication_factor,
            description: row.description.clone(),
            version: row.version,
            created_at_ms: row.created_at,
            placement: Arc::new(TopicPlacement {
                id,
                partitions,
                settings: BrokerSettings {
                    segment_bytes: settings.segment_bytes,
                    retention_ms: settings.retention_ms.filter(|_| !is_compacted),
                    retention_bytes: settings.retention_bytes.filter(|_| !is_compacted),
                    local_retention_ms: settings.local_retention_ms,
                    local_retention_bytes: settings.local_retention_bytes,
                    tombstones_kept_ms: is_compacted.then_some(settings.delete_retention_ms),
                },
            }),
            meter: Arc::default(),
            config,
            settings,
        })
    }

    /// The topic with some of its partitions in other places; of which an older one is late.
    pub fn with_places(&self, places: Vec<(u32, Assignment)>) -> Self {
        let mut topic = self.clone();
        let placement = Arc::make_mut(&mut topic.placement);
        let min_insync_replicas = self.settings.min_insync_replicas as usize;
        for (partition, mut place) in places {
            place.min_insync_replicas = place.min_insync_replicas.min(min_insync_replicas);
            if let Some(known) = placement.partitions.get_mut(partition as usize)
                && known.partition_epoch < place.partition_epoch
            {
                *known = Arc::new(place);
            }
        }
        topic
    }

    /// Takes what is still so from what was known of it before, and answers what is not.
    pub fn keep_unchanged(
        &mut self,
        before: Option<&TopicPlacement>,
    ) -> Vec<(PartitionId, Arc<Assignment>)> {
        let known = before.map_or(&[][..], |before| &before.partitions);
        let placement = Arc::make_mut(&mut self.placement);
        let mut changed = Vec::new();
        for (partition, place) in (0..).zip(&mut placement.partitions) {
            match known.get(partition as usize) {
                Some(known) if Arc::ptr_eq(known, place) => {}
                Some(known) if known == place => *place = known.clone(),
                _ => {
                    let topic = self.id;
                    changed.push((PartitionId { topic, partition }, place.clone()));
                }
            }
        }
        changed
    }

    /// The row that this topic is written as.
    pub fn to_row(&self) -> Result<TopicRow, StoreError> {
        Ok(TopicRow {
            id: self.id.to_string(),
            project_id: self.project.clone(),
            name: self.name.clone(),
            partitions: i64::from(self.partitions()),
            replication_factor: i64::from(self.replication_factor),
            config: serde_json::to_string(&self.config)
                .map_err(|error| StoreError(error.to_string()))?,
            description: self.description.clone(),
            version: self.version,
            created_at: self.created_at_ms,
            deleted_at: None,
        })
    }
}

/// A partition of which no broker has a copy yet.
fn nowhere() -> Assignment {
    Assignment {
        replicas: Vec::new(),
        target: None,
        leader: None,
        epoch: 0,
        in_sync: Vec::new(),
        partition_epoch: 0,
        min_insync_replicas: 1,
        loss_epoch: None,
    }
}
