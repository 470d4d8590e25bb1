//! Topics.

use headwater_broker::BrokerId;
use sqlx::{AnyConnection, FromRow};

use super::{PartitionRow, Result, changed_one};

/// A topic's row.
#[derive(Debug, Clone, FromRow)]
pub struct TopicRow {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The project it is in.
    pub project_id: String,
    /// Its label.
    pub name: String,
    /// How many partitions.
    pub partitions: i64,
    /// How many replicas each.
    pub replication_factor: i64,
    /// The settings that were given, as JSON.
    pub config: String,
    /// Free text.
    pub description: String,
    /// Grows with every change.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch, if it is being deleted.
    pub deleted_at: Option<i64>,
}

const COLUMNS: &str = "id, project_id, name, partitions, replication_factor, config, \
                       description, version, created_at, deleted_at";

impl TopicRow {
    /// All, those with a tombstone too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM topics");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// Those that the feed names after `number`, with or without a tombstone: one query, however many they are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn changed_after(connection: &mut AnyConnection, number: i64) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM topics WHERE id IN \
             (SELECT id FROM changes WHERE number > $1 AND kind = 'topic')"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(number)
            .fetch_all(connection)
            .await?)
    }

    /// The one of that name in that project.
    ///
    /// # Errors
    /// The database failed.
    pub async fn named(
        connection: &mut AnyConnection,
        project: &str,
        name: &str,
    ) -> Result<Option<Self>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM topics WHERE project_id = $1 AND name = $2 \
             AND deleted_at IS NULL"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .bind(name)
            .fetch_optional(connection)
            .await?)
    }

    /// Those of a project.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of_project(connection: &mut AnyConnection, project: &str) -> Result<Vec<Self>> {
        let sql =
            format!("SELECT {COLUMNS} FROM topics WHERE project_id = $1 AND deleted_at IS NULL");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .fetch_all(connection)
            .await?)
    }

    /// Those that were made before partitions had rows, with or without a tombstone.
    ///
    /// # Errors
    /// The database failed.
    pub async fn without_partitions(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM topics \
             WHERE NOT EXISTS (SELECT 1 FROM partitions WHERE topic_id = topics.id)"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// Adds it; `false` if the name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO topics (id, project_id, name, partitions, replication_factor, config, \
             description, version, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&self.id)
        .bind(&self.project_id)
        .bind(&self.name)
        .bind(self.partitions)
        .bind(self.replication_factor)
        .bind(&self.config)
        .bind(&self.description)
        .bind(self.version)
        .bind(self.created_at);
        changed_one(query, connection).await
    }

    /// Writes partitions, settings, description and version.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "UPDATE topics SET partitions = $1, config = $2, description = $3, version = $4 \
             WHERE id = $5 AND deleted_at IS NULL",
        )
        .bind(self.partitions)
        .bind(&self.config)
        .bind(&self.description)
        .bind(self.version)
        .bind(&self.id);
        changed_one(query, connection).await
    }

    /// Writes how many copies its partitions have, with settings that go with it.
    ///
    /// # Errors
    /// The database failed.
    pub(in crate::metadata) async fn set_copies(
        connection: &mut AnyConnection,
        id: &str,
        replication_factor: u32,
        config: &str,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE topics SET replication_factor = $1, config = $2, version = version + 1 \
             WHERE id = $3",
        )
        .bind(i64::from(replication_factor))
        .bind(config)
        .bind(id)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Puts its tombstone up.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bury(connection: &mut AnyConnection, id: &str, at_ms: i64) -> Result<bool> {
        let query =
            sqlx::query("UPDATE topics SET deleted_at = $1 WHERE id = $2 AND deleted_at IS NULL")
                .bind(at_ms)
                .bind(id);
        changed_one(query, connection).await
    }

    /// Notes that a broker has removed the data of a topic with a tombstone. The last one that had
    /// some takes the tombstone away.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget(connection: &mut AnyConnection, id: &str, broker: BrokerId) -> Result<()> {
        // Under the row's lock, so that of two brokers one sees that it is the last.
        let buried = sqlx::query(
            "UPDATE topics SET deleted_at = deleted_at WHERE id = $1 AND deleted_at IS NOT NULL",
        )
        .bind(id);
        if !changed_one(buried, connection).await? {
            return Ok(());
        }
        PartitionRow::leave(connection, id, broker).await?;
        sqlx::query(
            "DELETE FROM topics WHERE id = $1 \
             AND NOT EXISTS (SELECT 1 FROM partitions WHERE topic_id = topics.id)",
        )
        .bind(id)
        .execute(connection)
        .await?;
        Ok(())
    }
}
