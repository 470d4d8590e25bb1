//! Projects.

use sqlx::{AnyConnection, FromRow};

use super::{Change, Kind, Result, changed_one};

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
             quotas_version = projects.quotas_version + 1, \
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

    /// Puts up the tombstones of projects and of their topics, removes their keys and quotas, and has
    /// every node read the topics and keys again, and the projects of a whole organization: a few
    /// statements, however much is in them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bury(change: &mut Change, which: Buried<'_>) -> Result<()> {
        let at_ms = change.at_ms();
        let (column, id) = match which {
            Buried::Project(id) => ("id", id),
            Buried::Organization(id) => ("organization_id", id),
        };
        let live = format!("projects WHERE {column} = $1 AND deleted_at IS NULL");
        let topics = format!("project_id IN (SELECT id FROM {live}) AND deleted_at IS NULL");
        let keys = format!("project_id IN (SELECT id FROM {live})");
        let touched = [
            (Kind::Topic, format!("topics WHERE {topics}")),
            (Kind::Key, format!("api_keys WHERE {keys}")),
        ];
        for (kind, rows) in touched {
            change.touch_each(kind, &rows, id).await?;
        }
        if matches!(which, Buried::Organization(_)) {
            change.touch_each(Kind::Project, &live, id).await?;
        }
        for sql in [
            format!("DELETE FROM api_keys WHERE {keys}"),
            format!("DELETE FROM quotas WHERE layer = 'project' AND id IN (SELECT id FROM {live})"),
        ] {
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id);
            query.execute(&mut **change).await?;
        }
        for sql in [
            format!("UPDATE topics SET deleted_at = $2 WHERE {topics}"),
            format!("UPDATE projects SET deleted_at = $2 WHERE id IN (SELECT id FROM {live})"),
        ] {
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(at_ms);
            query.execute(&mut **change).await?;
        }
        Ok(())
    }
}

/// What is being deleted.
#[derive(Debug, Clone, Copy)]
pub enum Buried<'a> {
    /// The project of that id.
    Project(&'a str),
    /// The projects of an organization.
    Organization(&'a str),
}
