//! Topics and their partitions.

use serde::Serialize;
use utoipa::ToSchema;

use crate::metadata::TopicSettings;

/// A topic.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "orders", "topic_id": "01a201c022ee703d9e81d1eca9989242", "partitions": 3,
    "replication_factor": 1, "config": {"retention_ms": 604800000, "retention_bytes": null,
    "local_retention_ms": null, "local_retention_bytes": null, "cleanup_policy": "delete",
    "delete_retention_ms": 86400000, "segment_bytes": 268435456, "min_insync_replicas": 1,
    "compression": "none", "max_record_bytes": 1048576}, "config_sources": {"retention_ms": "topic",
    "retention_bytes": "default", "local_retention_ms": "default",
    "local_retention_bytes": "default", "cleanup_policy": "default",
    "delete_retention_ms": "default", "segment_bytes": "default", "min_insync_replicas": "default",
    "compression": "default", "max_record_bytes": "default"},
    "description": "Orders as they are placed", "created_at": "2026-01-31T12:00:00.000Z",
    "hot_bytes": 1048576, "cold_bytes": 0, "offload_backlog_bytes": 0
}))]
pub struct TopicInfo {
    /// Its name.
    #[schema(example = "orders")]
    pub name: String,
    /// Never reused, also when the name is.
    pub topic_id: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas each has.
    pub replication_factor: u32,
    /// Every setting's value.
    pub config: TopicSettings,
    /// `topic` or `default` for every setting.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub config_sources: serde_json::Map<String, serde_json::Value>,
    /// Free text.
    pub description: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Bytes on broker disks.
    pub hot_bytes: u64,
    /// Bytes in the object store.
    pub cold_bytes: u64,
    /// Bytes of sealed segments that are yet to be uploaded to the object store.
    pub offload_backlog_bytes: u64,
}

/// A page of topics.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "topics": [{"name": "orders", "topic_id": "01a201c022ee703d9e81d1eca9989242", "partitions": 3,
    "replication_factor": 1, "config": {"retention_ms": 604800000, "retention_bytes": null,
    "local_retention_ms": null, "local_retention_bytes": null, "cleanup_policy": "delete",
    "delete_retention_ms": 86400000, "segment_bytes": 268435456, "min_insync_replicas": 1,
    "compression": "none", "max_record_bytes": 1048576}, "config_sources": {"retention_ms": "topic",
    "retention_bytes": "default", "local_retention_ms": "default",
    "local_retention_bytes": "default", "cleanup_policy": "default",
    "delete_retention_ms": "default", "segment_bytes": "default", "min_insync_replicas": "default",
    "compression": "default", "max_record_bytes": "default"},
    "description": "Orders as they are placed", "created_at": "2026-01-31T12:00:00.000Z",
    "hot_bytes": 1048576, "cold_bytes": 0, "offload_backlog_bytes": 0}], "next_page_token": null
}))]
pub struct TopicList {
    /// By name.
    pub topics: Vec<TopicInfo>,
    /// Where the next page starts; null on the last.
    pub next_page_token: Option<String>,
}

/// A partition.
#[derive(Serialize, ToSchema)]
pub struct PartitionInfo {
    /// Its number.
    pub partition: u32,
    /// The broker that leads it; null while none can.
    pub leader: Option<u32>,
    /// The leader's term.
    pub epoch: i32,
    /// Brokers that have a copy.
    pub replicas: Vec<u32>,
    /// Those that have all that is committed.
    pub in_sync: Vec<u32>,
    /// The oldest offset there is.
    pub log_start: u64,
    /// The offset after the newest committed record.
    pub high_watermark: u64,
    /// Bytes on the leader's disk.
    pub hot_bytes: u64,
    /// Bytes in the object store.
    pub cold_bytes: u64,
    /// The oldest offset on the leader's disk; older ones are in the object store alone.
    pub hot_start: u64,
    /// The oldest offset in the object store; null if nothing is there.
    pub cold_start: Option<u64>,
    /// Bytes of sealed segments that are yet to be uploaded to the object store.
    pub offload_backlog_bytes: u64,
}

/// A topic's partitions.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "partitions": [{"partition": 0, "leader": 1, "epoch": 4, "replicas": [1, 2], "in_sync": [1, 2],
    "log_start": 0, "high_watermark": 43, "hot_bytes": 1048576, "cold_bytes": 0,
    "hot_start": 0, "cold_start": null, "offload_backlog_bytes": 0}]
}))]
pub struct PartitionList {
    /// By number.
    pub partitions: Vec<PartitionInfo>,
}

/// An offset of a partition.
#[derive(Serialize, ToSchema)]
pub struct PartitionOffset {
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
}

/// An offset for each partition.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"offsets": [{"partition": 0, "offset": 43}]}))]
pub struct OffsetList {
    /// By partition.
    pub offsets: Vec<PartitionOffset>,
}

/// A trimmed partition.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"partition": 0, "log_start": 1}))]
pub struct Trimmed {
    /// The partition.
    pub partition: u32,
    /// The oldest offset that is left.
    pub log_start: u64,
}
