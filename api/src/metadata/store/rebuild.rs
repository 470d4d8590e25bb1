//! Making all rows anew, of what the bucket says. While that lasts `cluster.rebuilding` is 1 and no broker
//! registers; each transaction is small, and what an interrupted rebuild has left is removed by the next.

use headwater_broker::{PartitionId, replica::Beginning};
use headwater_tiered::SegmentRef;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use super::{
    Change, ControllerRow, Kind, OrganizationRow, ProjectRow, Result, Store, StoreError, TopicRow,
    UnbegunRow, partitions::json, segments::at_most,
};

/// Rows that are removed by one transaction.
const REMOVED_AT_ONCE: usize = 5_000;

/// Whether a rebuild may write.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// It may: the database is empty. Rows of an interrupted one may have been removed.
    Empty {
        /// How many topics were.
        removed_topics: u64,
    },
    /// There is something already: what.
    InUse(String),
}

/// A topic, and whose it is.
pub struct RebuiltTopic {
    /// The organization.
    pub organization: OrganizationRow,
    /// The project.
    pub project: ProjectRow,
    /// The topic.
    pub topic: TopicRow,
    /// Its partitions, by number.
    pub partitions: Vec<RebuiltPartition>,
}

/// A partition that no broker holds.
pub struct RebuiltPartition {
    /// Which one.
    pub id: PartitionId,
    /// A term above all that there were.
    pub leader_epoch: i32,
    /// Where its first leader begins: where its segments end.
    pub beginning: Beginning,
}

/// A partition's row, as a table of given rows has it.
#[derive(Serialize)]
struct GivenPartition {
    topic_id: String,
    partition: i64,
    leader_epoch: i64,
    cold_end: i64,
    beginning: String,
}

/// The same of a segment.
#[derive(Serialize)]
struct GivenSegment<'a> {
    object_key: &'a str,
    base_offset: i64,
    end_offset: i64,
    leader_epoch: i64,
    data_bytes: i64,
    max_timestamp: i64,
    detail: String,
}

impl Store {
    /// Makes sure that nothing is in the database, and names it after the cluster. From now on no broker
    /// starts on it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin_rebuild(&self, cluster_id: &str, at_ms: i64) -> Result<Begun> {
        let mut change = self.change(at_ms).await?;
        let (topics,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM topics")
            .fetch_one(&mut *change)
            .await?;
        let known = ControllerRow::cluster_id(&mut change).await?;
        if ControllerRow::is_rebuilding(&mut change).await? {
            if known.as_deref() != Some(cluster_id) {
                let known = known.unwrap_or_default();
                return Ok(Begun::InUse(format!(
                    "a rebuild of another cluster, {known}, was begun in it and has not ended"
                )));
            }
            drop(change);
            let removed_topics = self.remove_rebuilt(at_ms).await?;
            return Ok(Begun::Empty { removed_topics });
        }
        if topics > 0 {
            return Ok(Begun::InUse(format!("it has {topics} topics")));
        }
        if let Some(known) = known {
            return Ok(Begun::InUse(format!(
                "brokers of cluster {known} have used it"
            )));
        }
        sqlx::query(
            "INSERT INTO cluster (only_row, cluster_id, created_at, rebuilding) \
             VALUES (1, $1, $2, 1)",
        )
        .bind(cluster_id)
        .bind(at_ms)
        .execute(&mut *change)
        .await?;
        change.commit().await?;
        Ok(Begun::Empty { removed_topics: 0 })
    }

    /// Removes what an interrupted rebuild has left, which is all that there is. Organizations and
    /// projects may be older, and stay.
    async fn remove_rebuilt(&self, at_ms: i64) -> Result<u64> {
        let sql = "DELETE FROM segments WHERE object_key IN \
                   (SELECT object_key FROM segments LIMIT $1)";
        loop {
            let mut connection = self.connection().await?;
            let removed = sqlx::query(sql)
                .bind(at_most(REMOVED_AT_ONCE as u64))
                .execute(&mut *connection)
                .await?;
            if removed.rows_affected() == 0 {
                break;
            }
        }
        let mut removed = 0;
        loop {
            let mut change = self.change(at_ms).await?;
            let topic: Option<(String,)> = sqlx::query_as("SELECT id FROM topics LIMIT 1")
                .fetch_optional(&mut *change)
                .await?;
            let Some((topic,)) = topic else {
                return Ok(removed);
            };
            for sql in [
                "DELETE FROM partitions WHERE topic_id = $1",
                "DELETE FROM topics WHERE id = $1",
            ] {
                sqlx::query(sql).bind(&topic).execute(&mut *change).await?;
            }
            change.touch(Kind::Topic, &topic).await?;
            change.commit().await?;
            removed += 1;
        }
    }

    /// Adds live segments of a partition: in one transaction.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_rebuilt_segments(
        &self,
        id: PartitionId,
        segments: &[SegmentRef],
    ) -> Result<()> {
        let given = segments.iter().map(|segment| {
            Ok(GivenSegment {
                object_key: &segment.key,
                base_offset: at_most(segment.base_offset),
                end_offset: at_most(segment.end_offset),
                leader_epoch: i64::from(segment.leader_epoch),
                data_bytes: at_most(segment.data_bytes),
                max_timestamp: segment.max_timestamp_ms,
                detail: json(segment)?,
            })
        });
        let given: Vec<_> = given.collect::<Result<_>>()?;
        let table = self.engine.rows_of_json(&[
            ("object_key", "TEXT"),
            ("base_offset", "BIGINT"),
            ("end_offset", "BIGINT"),
            ("leader_epoch", "BIGINT"),
            ("data_bytes", "BIGINT"),
            ("max_timestamp", "BIGINT"),
            ("detail", "TEXT"),
        ]);
        let now = self.engine.now_ms();
        let sql = format!(
            "INSERT INTO segments (object_key, topic_id, partition, base_offset, end_offset, \
             leader_epoch, state, since, data_bytes, max_timestamp, detail) \
             SELECT object_key, CAST($2 AS TEXT), CAST($3 AS BIGINT), base_offset, end_offset, \
             leader_epoch, 'live', {now}, data_bytes, max_timestamp, detail FROM {table} AS given"
        );
        let mut connection = self.connection().await?;
        sqlx::query(AssertSqlSafe(sql))
            .bind(json(&given)?)
            .bind(id.topic.to_string())
            .bind(i64::from(id.partition))
            .execute(&mut *connection)
            .await?;
        Ok(())
    }

    /// Ends a rebuild: brokers may start.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_rebuild(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        sqlx::query("UPDATE cluster SET rebuilding = 0")
            .execute(&mut *connection)
            .await?;
        Ok(())
    }
}

impl Change {
    /// Adds a topic with its partitions, and whose it is if that is not there yet. Where another topic of
    /// the project has its name already it gets another; answers the name that it has.
    ///
    /// # Errors
    /// The database failed, or has the project in another organization.
    pub async fn add_rebuilt(&mut self, rebuilt: RebuiltTopic) -> Result<String> {
        let RebuiltTopic {
            organization,
            project,
            mut topic,
            partitions,
        } = rebuilt;
        if organization.insert(self, None).await? {
            self.touch(Kind::Organization, &organization.id).await?;
        }
        if project.insert(self).await? {
            self.touch(Kind::Project, &project.id).await?;
        }
        let there = ProjectRow::get(self, &project.id).await?;
        if there.is_none_or(|there| there.organization_id != organization.id) {
            let (project, organization) = (&project.id, &organization.id);
            return Err(StoreError(format!(
                "project {project} is not in organization {organization} here, as the bucket says"
            )));
        }
        if TopicRow::named(self, &topic.project_id, &topic.name)
            .await?
            .is_some()
        {
            // What is random in an id is at its end.
            let (name, id) = (topic.name.chars(), &topic.id[topic.id.len() - 12..]);
            topic.name = format!("{}-{id}", name.take(200).collect::<String>());
        }
        if !topic.insert(self).await? {
            return Err(StoreError(format!("topic {} is there already", topic.id)));
        }
        self.add_rebuilt_partitions(&partitions).await?;
        self.touch(Kind::Topic, &topic.id).await?;
        Ok(topic.name)
    }

    async fn add_rebuilt_partitions(&mut self, partitions: &[RebuiltPartition]) -> Result<()> {
        let given = partitions.iter().map(|rebuilt| {
            Ok(GivenPartition {
                topic_id: rebuilt.id.topic.to_string(),
                partition: i64::from(rebuilt.id.partition),
                leader_epoch: i64::from(rebuilt.leader_epoch),
                cold_end: at_most(rebuilt.beginning.starts.local),
                beginning: UnbegunRow::text(&rebuilt.beginning)?,
            })
        });
        let given: Vec<_> = given.collect::<Result<_>>()?;
        let table = self.engine.rows_of_json(&[
            ("topic_id", "TEXT"),
            ("partition", "BIGINT"),
            ("leader_epoch", "BIGINT"),
            ("cold_end", "BIGINT"),
            ("beginning", "TEXT"),
        ]);
        let sql = format!(
            "INSERT INTO partitions (topic_id, partition, replicas, leader_epoch, in_sync, \
             partition_epoch, changed, cold_end, beginning) \
             SELECT topic_id, partition, '', leader_epoch, '', 1, CAST($2 AS BIGINT), cold_end, \
             beginning FROM {table} AS given"
        );
        let number = self.number();
        sqlx::query(AssertSqlSafe(sql))
            .bind(json(&given)?)
            .bind(number)
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}
