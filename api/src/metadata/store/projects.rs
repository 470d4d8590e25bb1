//! Projects.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// A project's row.
#[derive(Debug, Clone, FromRow)]
pub struct ProjectRow {
    /// Unique in the service.
    pub id: String,
    /// The organization it is in.
    pub organization_id: String,
    /// For people.
    pub name: String,
    /// Signs the project's cursors; 64 hexadecimal digits.
    pub cursor_secret: String,
    /// Grows with every change.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

const COLUMNS: &str = "id, organization_id, name, cursor_secret, version, created_at";

impl ProjectRow {
    /// All that exist.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM projects WHERE deleted_at IS NULL");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// The one of that id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, id: &str) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM projects WHERE id = $1 AND deleted_at IS NULL");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(connection)
            .await?)
    }

    /// Those of an organization after `after`, by id, at most `most`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(
        connection: &mut AnyConnection,
        organization: &str,
        after: &str,
        most: i64,
    ) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM projects WHERE organization_id = $1 AND id > $2 \
             AND deleted_at IS NULL ORDER BY id LIMIT $3"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .bind(after)
            .bind(most)
            .fetch_all(connection)
            .await?)
    }

    /// How many an organization has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count(connection: &mut AnyConnection, organization: &str) -> Result<i64> {
        let (count,) = sqlx::query_as(
            "SELECT COUNT(*) FROM projects WHERE organization_id = $1 AND deleted_at IS NULL",
        )
        .bind(organization)
        .fetch_one(connection)
        .await?;
        Ok(count)
    }

    /// Adds it, or raises the tombstone of one that the same organization had. `false` if the id is
    /// taken, or was by somebody else.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO projects (id, organization_id, name, cursor_secret, version, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
             cursor_secret = excluded.cursor_secret, version = projects.version + 1, \
             created_at = excluded.created_at, deleted_at = NULL \
             WHERE projects.organization_id = excluded.organization_id \
             AND projects.deleted_at IS NOT NULL",
        )
        .bind(&self.id)
        .bind(&self.organization_id)
        .bind(&self.name)
        .bind(&self.cursor_secret)
        .bind(self.version)
        .bind(self.created_at);
        changed_one(query, connection).await
    }

    /// Writes name and version.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "UPDATE projects SET name = $1, version = $2 WHERE id = $3 AND deleted_at IS NULL",
        )
        .bind(&self.name)
        .bind(self.version)
        .bind(&self.id);
        changed_one(query, connection).await
    }

    /// Puts up its tombstone and those of its topics, and removes its keys and quotas.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bury(connection: &mut AnyConnection, id: &str, at_ms: i64) -> Result<()> {
        for sql in [
            "DELETE FROM api_keys WHERE project_id = $1",
            "DELETE FROM quotas WHERE id = $1 AND layer = 'project'",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *connection).await?;
        }
        for sql in [
            "UPDATE topics SET deleted_at = $1 WHERE project_id = $2 AND deleted_at IS NULL",
            "UPDATE projects SET deleted_at = $1 WHERE id = $2",
        ] {
            sqlx::query(sql)
                .bind(at_ms)
                .bind(id)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}
