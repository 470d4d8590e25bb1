//! The log of consumer groups: a topic of the system's own project, which no tenant sees.

use headwater_broker::{TopicId, controller::relocate};

use super::{
    Change, Kind, PartitionRow, TopicConfig, TopicRow,
    store::{BrokerRow, Result, StoreError},
};

/// The project that has it, which is a tombstone to everybody else.
pub const SYSTEM_PROJECT: &str = "__system";
/// Its name.
pub const GROUP_LOG: &str = "__groups";
/// How many partitions it has. Groups are found by a hash over them, so they never change.
pub const GROUP_LOG_PARTITIONS: u32 = 16;
/// How many copies it has, if there are enough brokers.
const REPLICATION_FACTOR: usize = 3;
/// What is trimmed leaves the disk by whole segments.
const SEGMENT_BYTES: u64 = 8 << 20;

impl TopicRow {
    /// The row of a new group log.
    ///
    /// # Errors
    /// None that is known of: the settings cannot be written.
    pub fn of_group_log(id: TopicId, replication_factor: u32, at_ms: i64) -> Result<Self> {
        Ok(Self {
            id: id.to_string(),
            project_id: SYSTEM_PROJECT.to_owned(),
            name: GROUP_LOG.to_owned(),
            partitions: i64::from(GROUP_LOG_PARTITIONS),
            replication_factor: i64::from(replication_factor),
            config: config(replication_factor)?,
            description: String::new(),
            version: 1,
            created_at: at_ms,
            deleted_at: None,
        })
    }
}

/// Nothing goes by age: the log is trimmed below its snapshots. Of three copies two acknowledge; with
/// fewer, one alone goes on.
fn config(replication_factor: u32) -> Result<String> {
    let config = TopicConfig {
        retention_ms: Some(None),
        segment_bytes: Some(SEGMENT_BYTES),
        min_insync_replicas: Some(if replication_factor > 2 { 2 } else { 1 }),
        ..TopicConfig::default()
    };
    serde_json::to_string(&config).map_err(|error| StoreError(error.to_string()))
}

impl Change {
    /// Gives the group log the copies that it could not have when it was made, as there were fewer
    /// brokers then.
    ///
    /// # Errors
    /// The database failed.
    pub(super) async fn spread_group_log(&mut self) -> Result<()> {
        let Some(log) = TopicRow::named(self, SYSTEM_PROJECT, GROUP_LOG).await? else {
            return Ok(());
        };
        let mut staying = Vec::new();
        for row in BrokerRow::all(self).await? {
            if row.draining == 0 {
                staying.push(row.number()?);
            }
        }
        let copies = staying.len().min(REPLICATION_FACTOR);
        let factor = copies as u32;
        if i64::from(factor) <= log.replication_factor {
            return Ok(());
        }
        let mut moving = Vec::new();
        for row in PartitionRow::of_topic(self, &log.id).await? {
            let (id, place) = row.read(factor)?;
            let mut target = place.target.as_ref().unwrap_or(&place.replicas).clone();
            // Each partition begins with another broker, so that all are given as much.
            let first = id.partition as usize % staying.len();
            let others = staying[first..].iter().chain(&staying[..first]);
            for broker in others {
                if target.len() < copies && !target.contains(broker) {
                    target.push(*broker);
                }
            }
            if let Some(place) = relocate(&place, &target) {
                moving.push(PartitionRow::new(id, &place));
            }
        }
        if !moving.is_empty() {
            PartitionRow::update(self, &moving).await?;
            self.touch(Kind::Partitions, "").await?;
        }
        TopicRow::set_copies(self, &log.id, factor, &config(factor)?).await?;
        self.touch(Kind::Topic, &log.id).await?;
        tracing::info!(copies, "the group log gets more copies");
        Ok(())
    }
}
