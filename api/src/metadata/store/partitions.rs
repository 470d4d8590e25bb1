//! Where partitions are.

use std::collections::HashMap;

use headwater_broker::{
    BrokerId, PartitionId, TopicId,
    replica::{Assignment, Leadership},
};
use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::{Change, Result, StoreError};

/// A partition's row.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct PartitionRow {
    /// The topic, 32 hexadecimal digits.
    pub topic_id: String,
    /// Its number in the topic.
    pub partition: i64,
    /// Brokers as `1,2,3`.
    pub replicas: String,
    /// The same, while copies move.
    pub target: Option<String>,
    /// Who leads.
    pub leader: Option<i64>,
    /// In which of its lives.
    pub leader_incarnation: Option<i64>,
    /// The leader's term.
    pub leader_epoch: i64,
    /// Brokers as `1,2,3`.
    pub in_sync: String,
    /// Grows with every change of the row.
    pub partition_epoch: i64,
    /// The last term that began with a loss that was accepted.
    pub loss_epoch: Option<i64>,
}

/// The columns, as a table of given rows has them.
pub(super) const GIVEN: [(&str, &str); 10] = [
    ("topic_id", "TEXT"),
    ("partition", "BIGINT"),
    ("replicas", "TEXT"),
    ("target", "TEXT"),
    ("leader", "BIGINT"),
    ("leader_incarnation", "BIGINT"),
    ("leader_epoch", "BIGINT"),
    ("in_sync", "TEXT"),
    ("partition_epoch", "BIGINT"),
    ("loss_epoch", "BIGINT"),
];

pub(super) const COLUMNS: &str = "topic_id, partition, replicas, target, leader, leader_incarnation, \
                       leader_epoch, in_sync, partition_epoch, loss_epoch";

/// Which partition.
#[derive(Serialize)]
struct Key {
    topic_id: String,
    partition: i64,
}

/// A partition's row, and what its topic says of it.
#[derive(Debug, FromRow)]
pub struct PlacedRow {
    /// The partition.
    #[sqlx(flatten)]
    pub row: PartitionRow,
    /// The topic's settings, as JSON.
    pub config: String,
    /// How many replicas the topic's partitions have.
    pub replication_factor: i64,
}

impl PartitionRow {
    /// The row that says so.
    pub fn new(id: PartitionId, place: &Assignment) -> Self {
        Self {
            topic_id: id.topic.to_string(),
            partition: i64::from(id.partition),
            replicas: list(&place.replicas),
            target: place.target.as_deref().map(list),
            leader: place.leader.map(|leader| i64::from(leader.broker)),
            leader_incarnation: place.leader.map(|leader| leader.incarnation),
            leader_epoch: i64::from(place.epoch),
            in_sync: list(&place.in_sync),
            partition_epoch: place.partition_epoch,
            loss_epoch: place.loss_epoch.map(i64::from),
        }
    }

    /// What the row says, in a topic of this `min_insync_replicas`.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn read(&self, min_insync_replicas: u32) -> Result<(PartitionId, Assignment)> {
        let read = || {
            let topic: TopicId = self.topic_id.parse().ok()?;
            let partition = u32::try_from(self.partition).ok()?;
            let leader = match (self.leader, self.leader_incarnation) {
                (Some(broker), Some(incarnation)) => Some(Leadership {
                    broker: BrokerId::try_from(broker).ok()?,
                    incarnation,
                }),
                _ => None,
            };
            let replicas = numbers(&self.replicas)?;
            let target = match &self.target {
                Some(target) => Some(numbers(target)?),
                None => None,
            };
            let place = Assignment {
                min_insync_replicas: (min_insync_replicas as usize).clamp(1, replicas.len().max(1)),
                replicas,
                target,
                leader,
                epoch: i32::try_from(self.leader_epoch).ok()?,
                in_sync: numbers(&self.in_sync)?,
                partition_epoch: self.partition_epoch,
                loss_epoch: self.loss_epoch.map(i32::try_from).transpose().ok()?,
            };
            Some((PartitionId { topic, partition }, place))
        };
        read().ok_or_else(|| {
            StoreError(format!(
                "partition {} of topic {} cannot be read",
                self.partition, self.topic_id
            ))
        })
    }

    /// All, by topic.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<HashMap<String, Vec<Self>>> {
        let sql = format!("SELECT {COLUMNS} FROM partitions");
        let rows: Vec<Self> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?;
        let mut by_topic: HashMap<String, Vec<Self>> = HashMap::new();
        for row in rows {
            by_topic.entry(row.topic_id.clone()).or_default().push(row);
        }
        Ok(by_topic)
    }

    /// Those of a topic.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of_topic(connection: &mut AnyConnection, topic: &str) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM partitions WHERE topic_id = $1");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(topic)
            .fetch_all(connection)
            .await?)
    }

    /// Those that changes after `number` wrote.
    ///
    /// # Errors
    /// The database failed.
    pub async fn changed_after(connection: &mut AnyConnection, number: i64) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM partitions WHERE changed > $1");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(number)
            .fetch_all(connection)
            .await?)
    }

    /// Those of that name whose topics are not deleted, with what their topics say.
    pub(in crate::metadata) async fn placed(
        change: &mut Change,
        ids: impl Iterator<Item = PartitionId>,
    ) -> Result<Vec<PlacedRow>> {
        let keys: Vec<_> = ids
            .map(|id| Key {
                topic_id: id.topic.to_string(),
                partition: i64::from(id.partition),
            })
            .collect();
        let columns = COLUMNS.split(", ").map(|column| format!("p.{column}"));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let given = change.engine.rows_of_json(&GIVEN[..2]);
        let sql = format!(
            "SELECT {columns}, topics.config AS config, \
             topics.replication_factor AS replication_factor \
             FROM {given} AS named \
             INNER JOIN partitions AS p ON p.topic_id = named.topic_id \
             AND p.partition = named.partition \
             INNER JOIN topics ON topics.id = p.topic_id WHERE topics.deleted_at IS NULL"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(json(&keys)?)
            .fetch_all(&mut **change)
            .await?)
    }

    /// How many partitions have their copies on the same brokers, by the list of these. Those that move
    /// count where they are going.
    ///
    /// # Errors
    /// The database failed.
    pub async fn spread(connection: &mut AnyConnection) -> Result<Vec<(Vec<BrokerId>, u64)>> {
        let lists: Vec<(String, i64)> = sqlx::query_as(
            "SELECT COALESCE(target, replicas) AS places, COUNT(*) FROM partitions GROUP BY places",
        )
        .fetch_all(connection)
        .await?;
        let spread = lists.into_iter().map(|(replicas, count)| {
            let bad = || StoreError(format!("replicas {replicas}: no list of brokers"));
            let brokers = numbers(&replicas).ok_or_else(bad)?;
            Ok((brokers, u64::try_from(count).unwrap_or(0)))
        });
        spread.collect()
    }
}

fn list(brokers: &[BrokerId]) -> String {
    let numbers: Vec<_> = brokers.iter().map(BrokerId::to_string).collect();
    numbers.join(",")
}

fn numbers(list: &str) -> Option<Vec<BrokerId>> {
    let numbers = list.split(',').filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().ok()).collect()
}

pub(super) fn json(rows: &impl Serialize) -> Result<String> {
    serde_json::to_string(rows).map_err(|error| StoreError(error.to_string()))
}
