//! Where partitions are. Rows of topics that are not deleted change inside of a [`Change`] only.

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
}

/// The columns, as a table of given rows has them.
const GIVEN: [(&str, &str); 9] = [
    ("topic_id", "TEXT"),
    ("partition", "BIGINT"),
    ("replicas", "TEXT"),
    ("target", "TEXT"),
    ("leader", "BIGINT"),
    ("leader_incarnation", "BIGINT"),
    ("leader_epoch", "BIGINT"),
    ("in_sync", "TEXT"),
    ("partition_epoch", "BIGINT"),
];

const COLUMNS: &str = "topic_id, partition, replicas, target, leader, leader_incarnation, \
                       leader_epoch, in_sync, partition_epoch";

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

    /// Adds these rows.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(change: &mut Change, rows: &[Self]) -> Result<()> {
        let given = change.engine.rows_of_json(&GIVEN);
        let sql = format!(
            "INSERT INTO partitions ({COLUMNS}, changed) \
             SELECT {COLUMNS}, CAST($2 AS BIGINT) FROM {given} AS given"
        );
        let number = change.number();
        let inserted = sqlx::query(AssertSqlSafe(sql))
            .bind(json(&rows)?)
            .bind(number)
            .execute(&mut **change)
            .await?;
        all_written(inserted.rows_affected(), rows)
    }

    /// Writes these rows over older ones.
    pub(in crate::metadata) async fn update(change: &mut Change, rows: &[Self]) -> Result<()> {
        let given = change.engine.rows_of_json(&GIVEN);
        let set = GIVEN[2..].iter();
        let set: Vec<_> = set
            .map(|(name, _)| format!("{name} = given.{name}"))
            .collect();
        let sql = format!(
            "UPDATE partitions SET {}, changed = $2 FROM {given} AS given \
             WHERE partitions.topic_id = given.topic_id \
             AND partitions.partition = given.partition \
             AND partitions.partition_epoch < given.partition_epoch",
            set.join(", ")
        );
        let number = change.number();
        let updated = sqlx::query(AssertSqlSafe(sql))
            .bind(json(&rows)?)
            .bind(number)
            .execute(&mut **change)
            .await?;
        all_written(updated.rows_affected(), rows)
    }

    /// Has everybody read the partitions of a topic anew, whose settings mean something else now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn renew_all(change: &mut Change, topic: &str) -> Result<()> {
        let number = change.number();
        sqlx::query(
            "UPDATE partitions SET partition_epoch = partition_epoch + 1, changed = $1 \
             WHERE topic_id = $2",
        )
        .bind(number)
        .bind(topic)
        .execute(&mut **change)
        .await?;
        Ok(())
    }

    /// Takes a broker out of in-sync sets, also where it leads or is the last: of `only` one
    /// partition, or of all. Answers how many rows said otherwise.
    pub(in crate::metadata) async fn discount(
        change: &mut Change,
        broker: BrokerId,
        only: Option<PartitionId>,
    ) -> Result<u64> {
        let which = only.map_or("", |_| " AND topic_id = $4 AND partition = $5");
        let rest = without("in_sync");
        let sql = format!(
            "UPDATE partitions SET in_sync = {rest}, \
             leader_incarnation = CASE WHEN leader = $2 THEN NULL ELSE leader_incarnation END, \
             leader = CASE WHEN leader = $2 THEN NULL ELSE leader END, \
             partition_epoch = partition_epoch + 1, changed = $3 \
             WHERE (leader = $2 OR in_sync <> {rest}){which}"
        );
        let number = change.number();
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(broker.to_string())
            .bind(i64::from(broker))
            .bind(number);
        if let Some(id) = only {
            query = query
                .bind(id.topic.to_string())
                .bind(i64::from(id.partition));
        }
        Ok(query.execute(&mut **change).await?.rows_affected())
    }

    /// Notes that a broker has no copy of a deleted topic's partitions any more. What nobody has a
    /// copy of goes.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leave(
        connection: &mut AnyConnection,
        topic: &str,
        broker: BrokerId,
    ) -> Result<()> {
        let rest = without("replicas");
        let sql = format!("UPDATE partitions SET replicas = {rest} WHERE topic_id = $2");
        sqlx::query(AssertSqlSafe(sql))
            .bind(broker.to_string())
            .bind(topic)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM partitions WHERE topic_id = $1 AND replicas = ''")
            .bind(topic)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// How many partitions have their copies on the same brokers, by the list of these.
    ///
    /// # Errors
    /// The database failed.
    pub async fn spread(connection: &mut AnyConnection) -> Result<Vec<(Vec<BrokerId>, u64)>> {
        let lists: Vec<(String, i64)> =
            sqlx::query_as("SELECT replicas, COUNT(*) FROM partitions GROUP BY replicas")
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

/// A list without the broker that is the statement's first parameter.
fn without(list: &str) -> String {
    format!("TRIM(REPLACE(',' || {list} || ',', ',' || $1 || ',', ','), ',')")
}

fn list(brokers: &[BrokerId]) -> String {
    let numbers: Vec<_> = brokers.iter().map(BrokerId::to_string).collect();
    numbers.join(",")
}

fn numbers(list: &str) -> Option<Vec<BrokerId>> {
    let numbers = list.split(',').filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().ok()).collect()
}

fn json(rows: &impl Serialize) -> Result<String> {
    serde_json::to_string(rows).map_err(|error| StoreError(error.to_string()))
}

/// The change holds the lock that all writers take, so what it read is what it writes over.
fn all_written(count: u64, rows: &[PartitionRow]) -> Result<()> {
    match count == rows.len() as u64 {
        true => Ok(()),
        false => Err(StoreError(format!(
            "{count} of {} partitions were written",
            rows.len()
        ))),
    }
}
