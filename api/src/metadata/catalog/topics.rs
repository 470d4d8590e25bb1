//! What the snapshot has of topics.

use std::sync::Arc;

use headwater_broker::{
    BrokerId, TopicId, TopicPlacement, TopicSettings as BrokerSettings,
    replica::{Assignment, Leadership},
};

use crate::{
    limits::PARTITIONS_MAX,
    metadata::{
        settings::{TopicConfig, TopicSettings},
        store::{StoreError, TopicRow},
    },
    usage::Meter,
};

/// A topic as requests see it.
#[derive(Debug)]
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

    /// The broker that leads a partition, if the topic has it.
    pub fn leader_of(&self, partition: u32) -> Option<BrokerId> {
        let place = self.placement.partitions.get(partition as usize)?;
        Some(place.leader?.broker)
    }

    /// The topic of a row, with all partitions on `broker`.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn from_row(row: &TopicRow, broker: BrokerId) -> Result<Self, StoreError> {
        let bad = |what: String| StoreError(format!("topic {}: {what}", row.id));
        let id: TopicId = row.id.parse().map_err(|_| bad("bad id".into()))?;
        let config: TopicConfig =
            serde_json::from_str(&row.config).map_err(|error| bad(error.to_string()))?;
        let settings = config.effective();
        // Also so that no row makes a node run out of memory.
        let partitions = u32::try_from(row.partitions)
            .ok()
            .filter(|partitions| (1..=PARTITIONS_MAX).contains(partitions))
            .ok_or_else(|| bad("bad number of partitions".into()))?;
        Ok(Self {
            id,
            name: row.name.clone(),
            project: row.project_id.clone(),
            replication_factor: u32::try_from(row.replication_factor)
                .map_err(|e| bad(e.to_string()))?,
            description: row.description.clone(),
            version: row.version,
            created_at_ms: row.created_at,
            placement: Arc::new(TopicPlacement {
                id,
                partitions: (0..partitions).map(|_| Arc::new(alone(broker))).collect(),
                settings: BrokerSettings {
                    segment_bytes: settings.segment_bytes,
                    retention_ms: settings.retention_ms,
                    retention_bytes: settings.retention_bytes,
                },
            }),
            meter: Arc::default(),
            config,
            settings,
        })
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

/// A partition with its only copy on `broker`.
fn alone(broker: BrokerId) -> Assignment {
    Assignment {
        replicas: vec![broker],
        target: None,
        leader: Some(Leadership {
            broker,
            incarnation: 0,
        }),
        epoch: 0,
        in_sync: vec![broker],
        partition_epoch: 0,
        min_insync_replicas: 1,
    }
}
